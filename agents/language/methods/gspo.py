"""GSPO: one ratio for a whole episode, clipped far more narrowly than PPO's."""

from agentgym.agents.language.methods.plugin import About
from agentgym.contracts.settings import Preset

__all__ = ["GSPO", "GSPO_ABOUT", "GSPO_CHOSEN"]

# Group sequence policy optimisation (arXiv 2507.18071): r = exp(mean over the episode of log p - log p_old). The means
# of verl are over episodes whatever is configured. Entropy bonus: none.
GSPO = Preset(
    "GSPO (arXiv 2507.18071), for written commands",
    {
        "ratio": "episode", "aggregation": "episodes", "clip_low": 3e-4, "clip_high": 4e-4, "clip_dual": None,
        "methods": (),
    },
)  # fmt: skip

# The standard deviation of a mean over U decisions falls as 1 / sqrt(U). The paper's range is for thousands of tokens;
# an episode of ten chosen commands needs one about twenty times as wide.
GSPO_CHOSEN = Preset(
    "GSPO for some ten chosen commands an episode", {**GSPO.settings, "clip_low": 6e-3, "clip_high": 8e-3}
)

GSPO_ABOUT = About(
    "r = exp(mean over the episode of log p - log p_old), decisions without alternatives left out; clip 3e-4 / 4e-4",
    "arXiv 2507.18071; code of verl, core_algos.py; TRL importance_sampling_level",
    "the width for few decisions an episode is our scaling by 1 / sqrt(U)",
)
