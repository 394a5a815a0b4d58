"""Turn-PPO: one ratio for each turn."""

from agentgym.agents.language.methods.plugin import About
from agentgym.contracts.settings import Preset

__all__ = ["TURN_PPO", "TURN_PPO_ABOUT"]

# The first half of ST-PPO (arXiv 2511.20718, v2 SORL): r = exp(mean over the turn of log p - log p_old), clipped. The
# other half, a normalisation of the gradient by "the L2 norm of the clipping-bias term", is not built: its equations
# (7 and 8) are not known to us, and three third-party readings of it disagree.
TURN_PPO = Preset(
    "Turn-PPO: ST-PPO's turn-level ratio (arXiv 2511.20718)",
    {"ratio": "turn", "clip_low": 0.2, "clip_high": 0.2, "methods": ()},
)

TURN_PPO_ABOUT = About(
    "r = exp(mean over the turn of log p - log p_old), clip 0.2. With chosen commands it equals the decision's ratio",
    "arXiv 2511.20718, reviews and third-party notes",
    "the normaliser of S-PPO and ST-PPO (Eq. 7-8); whether the turn's mean is geometric (ours) or arithmetic",
)
