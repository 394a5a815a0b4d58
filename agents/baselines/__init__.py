"""PPO and DQN of Stable-Baselines3, TRPO and QR-DQN of sb3-contrib, as agents of this library."""
