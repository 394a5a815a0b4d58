"""Control of Rayleigh-Benard convection. README.md is the card."""
