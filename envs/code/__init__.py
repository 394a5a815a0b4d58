"""Repair of code: small repositories with faults, a sandbox, and worlds made of them. README.md is the card."""
