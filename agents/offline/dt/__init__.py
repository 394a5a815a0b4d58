"""Decision Transformer. The card is README.md."""
