"""PPO of Stable-Baselines3 and TRPO of sb3-contrib, as agents of this library."""
