"""Decision Transformer. README.md is the card."""
