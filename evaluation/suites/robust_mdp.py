"""The suite of robust MDPs: the worst case over an uncertainty set by both published grids, and fixed adversaries."""

import inspect
from dataclasses import dataclass
from typing import ClassVar

from agentgym.contracts.environment import Uncertain
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.suites.parameter_grid import ParameterGrid
from agentgym.evaluation.table import Scene

__all__ = ["RobustMDP"]

CONVENTIONS = {"ends": True, "rrls": False}
ADVERSARIES = ("linear", "exponential", "logarithmic", "cosine", "random_walk")


@dataclass(frozen=True)
class RobustMDP(Suite):
    """Grids over the uncertainty set, and parameters that change within an episode.

    The worst cell of a grid is the score of M2TD3, RRLS and IWOCS. The two published conventions are separate plots,
    because they differ in the worst cell: M2TD3 (arXiv 2211.03413) evaluates both ends of each range, RRLS (arXiv
    2406.08406), whose grid IWOCS uses, omits the upper ends. The fixed adversaries are TC-RMDP's (arXiv 2406.08395):
    all parameters follow a schedule.

    Args:
        points: grid points per parameter.
        conventions: grids to play: "ends", "rrls".
        adversaries: schedules to play; none in environments that have no schedules.
    """

    name: ClassVar[str] = "robust-mdp"

    points: int = 10
    conventions: tuple[str, ...] = ("ends", "rrls")
    adversaries: tuple[str, ...] = ADVERSARIES

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, given, known in (
            ("convention", self.conventions, CONVENTIONS), ("adversary", self.adversaries, ADVERSARIES)
        ):  # fmt: skip
            for name in given:
                if name not in known:
                    raise UnknownId(f"{what} of robust-mdp", name, known)
            require_once(f"{what} of robust-mdp", given)
        ParameterGrid(self.points)  # checks the number

    def conditions(self, subject: Subject) -> list[Condition]:
        """Each grid's cells, and each adversary."""
        if not isinstance(subject.probe.unwrapped, Uncertain) or not subject.probe.unwrapped.parameter_ranges:
            raise AskError(
                f"robust-mdp needs an environment with an uncertainty set, and {subject.env} has none. Evaluate on a "
                "Robust environment (agentgym list envs) with --env, or use another suite."
            )
        found = []
        for name in self.conventions:
            for cell in ParameterGrid(self.points, CONVENTIONS[name]).conditions(subject):
                scene = Scene("Robust MDP", f"grid: {name}", "grid", cell.scene.coordinates)
                found.append(subject.condition(f"{name}: {cell.name}", scene, options=cell.options))
        if self._has_schedules(subject):
            found += [self._adversary(subject, name) for name in self.adversaries]
        return found

    def left_out(self, subject: Subject) -> dict[str, str]:
        """The adversaries, in environments without schedules."""
        if self._has_schedules(subject):
            return {}
        return {"adversaries": f"{subject.env} has no schedules of its parameters"}

    @staticmethod
    def _has_schedules(subject: Subject) -> bool:
        kinds = type(subject.probe.unwrapped).__mro__
        return any("schedule" in inspect.signature(vars(kind)["__init__"]).parameters
                   for kind in kinds if "__init__" in vars(kind))  # fmt: skip

    @staticmethod
    def _adversary(subject: Subject, name: str) -> Condition:
        kwargs = {key: value for key, value in subject.env_kwargs.items() if key != "randomize"}
        scene = Scene("Robust MDP", f"adversary: {name}", "nominal")
        return Condition(f"adversary: {name}", scene, subject.env, {**kwargs, "schedule": name})
