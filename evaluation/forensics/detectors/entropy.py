"""The entropy of an agent's policy."""

from typing import Any, ClassVar

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.detectors.base import Fitted, Floats
from agentgym.evaluation.forensics.detectors.policy_nll import entropies
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["Entropy"]


class Entropy(Fitted):
    """The entropy of pi(. | received observation), in nats."""

    name: ClassVar[str] = "entropy"

    def fit(self, clean: Episodes) -> Any:
        """See :class:`~agentgym.evaluation.forensics.detectors.base.Detector`.

        Raises:
            InvalidParameter: the team has Box actions, whose policies have the same entropy everywhere.
        """
        if not self.team.layout.discrete:
            raise InvalidParameter("entropy is a detector for choices; a Box policy's entropy says nothing.")
        return super().fit(clean)

    def _score(self, episodes: Episodes) -> Floats:
        return entropies(self.team, episodes)
