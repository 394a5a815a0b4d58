"""Language agents: one token-in/token-out core, methods as plug-ins. The card is README.md."""
