"""The suite of turn control: limits, extensions, reminders and a learned control, with and without wrong reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agentgym.contracts.environment import Generated
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import perturbed
from agentgym.turns.control import limits_of

__all__ = ["TurnControlSuite"]

PARTS = ("controls", "reminders", "robustness")
TAB = "Turn control"
PERCENTILES = (25, 50, 75)
REMINDERS = (0.75, 0.9)  # shares of the limit
Config = dict[str, Any]

# Faults of tools and tests, each at its rates.
FAULTS: dict[str, tuple[Config, tuple[float, ...]]] = {
    "tools fail (rate a command)": ({"type": "ToolFailure"}, (0.1, 0.2)),
    "tests reported wrongly (rate)": ({"type": "WrongReports", "kind": "tests"}, (0.1, 0.2)),
    "traces that mislead (rate)": ({"type": "WrongReports", "kind": "traces"}, (0.25, 0.5)),
    "progress overstated (rate)": ({"type": "WrongReports", "kind": "progress"}, (0.25, 0.5)),
}


@dataclass(frozen=True)
class TurnControlSuite(Suite):
    """What limits of turns cost in solved tasks, and what they save.

    The controls are those of Peng and Gao (arXiv 2510.16786): unrestricted, fixed at percentiles of the agent's own
    unrestricted turns, and dynamic, which begins at the median and is extended by the distance to the 75th percentile.
    Percentiles come from episodes of other tasks: of the split "seen" where the environment has one.
    Measures: success, turns, words of prompts and answers, and cost with and without a cache, in thousandths of a
    dollar. The report has the front of cost and success, paired comparisons with the unrestricted agent, and the first
    tasks turn by turn.

    Args:
        episodes_for_limits: episodes for the percentiles.
        policy: a run trained in ``agentgym/TurnControl-v0``, as a further control.
        parts: any of controls; reminders (the 75th percentile with reminders, and reminders of a limit that does not
            exist); robustness (failing tools, wrong reports).
    """

    name: ClassVar[str] = "turn-control"

    episodes_for_limits: int = 100
    policy: str = ""
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            if part not in PARTS:
                raise UnknownId("part of turn-control", part, PARTS)
        require_once("parts of turn-control", self.parts)
        if self.episodes_for_limits < 10:
            raise InvalidParameter("episodes_for_limits of turn-control must be at least 10.")
        if self.policy and not Path(self.policy).is_dir():
            raise AskError(f"policy of turn-control: there is no run {self.policy}.")

    def calibration(self, subject: Subject) -> tuple[Condition, int]:
        """Unrestricted episodes, of other tasks where there are any."""
        world = subject.probe.unwrapped
        arguments = dict(subject.env_kwargs)
        if isinstance(world, Generated) and world.split == "unseen":
            arguments["split"] = "seen"
        control = ({"type": "TurnControl"},)
        perturbed(subject.probe, control)  # refuses environments without a submission
        return Condition("calibration", Scene(TAB, "", "nominal"), subject.env, arguments, perturbations=control), (
            self.episodes_for_limits
        )

    def conditions(self, subject: Subject) -> list[Condition]:
        """Every control, then every fault under three of them."""
        controls = self._controls(subject)
        found = []
        if "controls" in self.parts or "reminders" in self.parts:
            found += [
                self._condition(subject, name, Scene(TAB, "controls", "matrix", {"test": name}), by_agent)
                for name, by_agent in controls.items() if self._is_asked(name)
            ]  # fmt: skip
        if "robustness" in self.parts:
            found += self._faulty(subject, controls)
        return found

    def shown_by_turns(self, conditions: Sequence[Condition]) -> list[Condition]:
        """The controls without faults."""
        return [each for each in conditions if each.scene.tab == TAB and each.scene.kind == "matrix"]

    def _is_asked(self, name: str) -> bool:
        return name == "unrestricted" or (("reminded" in name and "reminders") or "controls") in self.parts

    def _controls(self, subject: Subject) -> dict[str, dict[str, Config]]:
        """The settings of each control by agent."""
        limits, caps = {}, {}
        for agent, rows in subject.calibration.items():
            turns = [int(row.measures["turns"]) for row in rows]
            limits[agent], caps[agent] = limits_of(turns), max(turns)
        each = {
            f"fixed, {percent} %": {a: _fixed(own[percent]) for a, own in limits.items()} for percent in PERCENTILES
        }
        dynamic = {
            rule: {a: {"rule": rule, "limit": own[50], "step": max(1, own[75] - own[50]), "cap": caps[a]}
                   for a, own in limits.items()} for rule in ("automatic", "evidence")
        }  # fmt: skip
        told = {a: {**_fixed(own[75]), "reminders": REMINDERS} for a, own in limits.items()}
        found: dict[str, dict[str, Config]] = {
            "unrestricted": {a: {} for a in limits}, **each,
            **{f"dynamic, {rule}": by_agent for rule, by_agent in dynamic.items()}, "fixed, 75 %, reminded": told,
        }  # fmt: skip
        if self.policy:
            found["learned"] = {a: {"rule": "learned", "policy": self.policy} for a in limits}
        return found

    def _faulty(self, subject: Subject, controls: dict[str, dict[str, Config]]) -> Iterator[Condition]:
        kept = ["unrestricted", "fixed, 75 %", "dynamic, evidence", *(["learned"] if self.policy else [])]
        for panel, (fault, rates) in FAULTS.items():
            for name in kept:
                for rate in rates:
                    scene = Scene("Wrong reports", f"{panel}, {name}", "curve", {"intensity": rate})
                    inner = ({**fault, "rate": rate},)
                    yield self._condition(subject, f"{panel} {rate:g}, {name}", scene, controls[name], inner)

    def _condition(
        self, subject: Subject, name: str, scene: Scene, by_agent: dict[str, Config], inner: tuple[Config, ...] = ()
    ) -> Condition:
        effects = {agent: (*inner, {"type": "TurnControl", **settings}) for agent, settings in by_agent.items()}
        for each in effects.values():
            perturbed(subject.probe, each)  # refuses what does not apply, before anything is played
        return subject.condition(name, scene, perturbations=next(iter(effects.values())), by_agent=effects)


def _fixed(limit: int) -> Config:
    return {"rule": "fixed", "limit": limit}
