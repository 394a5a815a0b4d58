"""One policy for all agents of a joint environment: PPO and MDPO with shared parameters. README.md is the card."""
