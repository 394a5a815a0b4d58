"""Settings of return-conditioned behaviour cloning."""

from dataclasses import dataclass

from agentgym.agents.offline.config import OfflineConfig

__all__ = ["RCBCConfig"]


@dataclass
class RCBCConfig(OfflineConfig):
    """Counting needs no gradient steps, but a run still takes some for its log and its evaluations."""

    target: float | None = None  # return to condition on; None: the highest return in the dataset
    return_bins: int = 64  # maximum number of bins of returns-to-go; exact if there are no more distinct ones

    # Optimisation
    learning_rate: float = 0.0  # not used
    batch_size: int = 0  # not used: all steps are counted

    # Monitoring
    log_every: int = 1  # gradient steps between two rows of the log
    evaluate_every: int = 1  # gradient steps between two evaluations in the environment; 0: no evaluation
    evaluation_episodes: int = 100  # episodes per evaluation, played side by side
