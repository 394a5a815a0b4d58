"""Decision Transformer's settings."""

from dataclasses import dataclass

from agentgym.agents.offline.config import SequenceConfig

__all__ = ["DTConfig"]


@dataclass
class DTConfig(SequenceConfig):
    """Chen et al. 2021; the transformer's settings are the base's."""

    target_return: float | None = None  # the return it is asked for; None: the greatest of an episode in the data
