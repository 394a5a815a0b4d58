"""Settings of Decision Transformer."""

from dataclasses import dataclass

from agentgym.agents.offline.config import SequenceConfig

__all__ = ["DTConfig"]


@dataclass
class DTConfig(SequenceConfig):
    """Settings of Chen et al. 2021. Those of the transformer are the base's."""

    target_return: float | None = None  # return to condition on; None: the highest return of an episode in the data
