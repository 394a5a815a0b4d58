"""Atari games with the stochasticity of STORI: composable, seeded, batched."""
