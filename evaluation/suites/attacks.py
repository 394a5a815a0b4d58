"""Observations moved within a small ball so that the agent does worst."""

from dataclasses import dataclass
from typing import ClassVar

from agentgym.errors import AskError
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.table import Scene

__all__ = ["Attacks"]


@dataclass(frozen=True)
class Attacks(Suite):
    """Observation attacks of Zhang et al. 2020 (SA-MDP, arXiv 2003.08938): one curve an attack, score over radius.

    Args:
        kinds: which attacks; see the card of agentgym.evaluation.attacks.
        epsilons: radii of the l-infinity ball, in standard deviations of each observation entry.
    """

    name: ClassVar[str] = "attacks"
    needs_scale: ClassVar[bool] = True

    kinds: tuple[str, ...] = ("random", "maximal_action_difference", "critic")
    epsilons: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, attack by attack from small to large radius."""
        if subject.observation_scale is None:
            raise AskError(
                f"attacks move observations by a distance; {subject.env} has {subject.probe.observation_space}."
            )
        scale = subject.observation_scale.tolist()
        return [
            subject.condition(
                f"attack: {kind} {epsilon:g}",
                Scene(
                    "Attacks",
                    f"{kind.replace('_', ' ')} (radius, in observation stds)",
                    "curve",
                    {"intensity": epsilon},
                ),
                attack={"type": kind, "epsilon": epsilon, "scale": scale},
            )
            for kind in self.kinds
            for epsilon in self.epsilons
        ]
