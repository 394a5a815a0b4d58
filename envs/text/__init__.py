"""Text environments for language agents. README.md is the card."""
