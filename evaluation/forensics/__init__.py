"""Forensics of teams: which agent failed first, when, and by which evidence. README.md is the card."""
