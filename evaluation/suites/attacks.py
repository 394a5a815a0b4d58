"""The suite of observation attacks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentgym.errors import AskError
from agentgym.evaluation.attacks import from_config
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene

__all__ = ["Attacks"]


@dataclass(frozen=True)
class Attacks(Suite):
    """Observation attacks of Zhang et al. 2020 (SA-MDP, arXiv 2003.08938): one curve per attack, score over radius.

    Args:
        kinds: names of attacks; see the card of agentgym.evaluation.attacks.
        epsilons: radii of the l-infinity ball, in standard deviations of each observation entry.
    """

    name: ClassVar[str] = "attacks"
    needs_scale: ClassVar[bool] = True

    kinds: tuple[str, ...] = ("random", "maximal_action_difference", "critic")
    epsilons: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in self.kinds:
            for epsilon in self.epsilons:
                from_config({"type": kind, "epsilon": epsilon})  # rejects unknown kinds and values out of range
        require_once("kinds of attacks", self.kinds)
        require_once("epsilons of attacks", self.epsilons)

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, by attack and increasing radius.

        An attack that an agent does not support (no critic, no gradient) fails for that agent, with the reason in the
        rows; other agents may support it.
        """
        space = subject.probe.observation_space
        if subject.observation_scale is None or not np.issubdtype(space.dtype, np.floating):
            raise AskError(
                f"The suite attacks needs numeric observations; {subject.env} has {space}. Use another suite."
            )
        scale = subject.observation_scale.tolist()
        played = {"env": subject.env, "env_kwargs": dict(subject.env_kwargs)}
        return [
            subject.condition(
                f"attack: {kind} {epsilon:g}",
                Scene(
                    "Attacks",
                    f"{kind.replace('_', ' ')} (radius, in observation stds)",
                    "curve",
                    {"intensity": epsilon},
                ),
                attack={"type": kind, "epsilon": epsilon, "scale": scale, **(played if kind == "robust_sarsa" else {})},
            )
            for kind in self.kinds
            for epsilon in self.epsilons
        ]
