"""The norm of the commitment cost's gradient: the first order alone, as a control."""

from typing import ClassVar

from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, on_living
from agentgym.evaluation.forensics.detectors.cost import commitment, slope
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["FirstOrder"]


class FirstOrder(Fitted):
    """The norm of grad J over the live columns of what the agent received."""

    name: ClassVar[str] = "first_order"

    def _score(self, episodes: Episodes) -> Floats:
        windows = on_living(episodes, "received")
        _, gradient = slope(self.team, windows, commitment(self.team, windows))
        return gradient[..., self.live].norm(dim=-1).numpy().reshape(episodes.alive.shape)
