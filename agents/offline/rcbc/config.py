"""Settings of return-conditioned cloning."""

from dataclasses import dataclass

from agentgym.agents.offline.config import OfflineConfig

__all__ = ["RCBCConfig"]


@dataclass
class RCBCConfig(OfflineConfig):
    """Counting needs no gradient step; a run takes some all the same, for its log and its evaluations."""

    target: float | None = None  # the return to ask for; the greatest in the dataset where None
    return_bins: int = 64  # of returns to go, at most; exact where no more distinct ones occur

    # Optimisation
    learning_rate: float = 0.0  # not used
    batch_size: int = 0  # not used: all steps are counted

    # Looking on
    log_every: int = 1
    evaluate_every: int = 1
    evaluation_episodes: int = 100
