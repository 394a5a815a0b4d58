"""What all offline agents can be told."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = ["OfflineConfig"]


@dataclass
class OfflineConfig:
    """Settings of every offline agent; each adds its own and may have other defaults."""

    SUITE: ClassVar[str] = "stochasticity"  # what to evaluate these agents with

    # Optimisation
    learning_rate: float = 3e-4
    batch_size: int = 256  # steps, or sequences, a gradient step

    # Looking on
    log_every: int = 1_000  # gradient steps between two rows of the log
    evaluate_every: int = 5_000  # gradient steps between two evaluations in the environment; 0 makes none
    evaluation_episodes: int = 10  # episodes an evaluation, side by side

    def to_kwargs(self) -> dict[str, Any]:
        """Keyword arguments for the agent's class."""
        return asdict(self)
