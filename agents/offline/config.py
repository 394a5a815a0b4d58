"""What all offline agents can be told."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = ["OfflineConfig", "SequenceConfig"]


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


@dataclass
class SequenceConfig(OfflineConfig):
    """Settings of every agent that reads histories by a transformer: Decision Transformer's (Chen et al. 2021)."""

    # Optimisation
    learning_rate: float = 1e-4
    batch_size: int = 64  # windows a gradient step
    weight_decay: float = 1e-4
    warmup: int = 1_000  # gradient steps over which the learning rate rises from zero
    clip: float = 0.25  # greatest norm of a step's gradient

    # The transformer
    context: int = 20  # steps it sees, K
    width: int = 128
    layers: int = 3
    heads: int = 1
    dropout: float = 0.1
    longest_episode: int = 1_000  # steps with an embedding of their own time; when acting, later ones have the last's
