"""PPO and MDPO with parameters shared by all agents of a joint environment. README.md is the card."""
