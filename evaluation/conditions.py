"""Conditions and suites. A condition is plain data that can be sent to a worker and written to a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agentgym.contracts.settings import check_settings
from agentgym.errors import AskError, InvalidParameter
from agentgym.evaluation.table import Row, Scene

__all__ = ["Condition", "Subject", "Suite", "require_once"]


@dataclass(frozen=True)
class Condition:
    """An environment together with parameters, perturbations and an attack.

    Attributes:
        name: unique within an evaluation.
        scene: the condition's place in the plots.
        env: id of the environment.
        env_kwargs: keyword arguments of the environment; conditions with equal ones share an environment.
        options: passed to every ``reset``; sets uncertainty parameters without a new environment.
        perturbations: configurations for :func:`agentgym.envs.perturb.from_config`, innermost first.
        attack: configuration for :func:`agentgym.evaluation.attacks.from_config`, or None.
        by_agent: perturbations, by name of agent, that replace ``perturbations`` where it plays, such as limits from
            its own calibration.
    """

    name: str
    scene: Scene
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    perturbations: tuple[Mapping[str, Any], ...] = ()
    attack: Mapping[str, Any] | None = None
    by_agent: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def played_by(self, agent: str) -> "Condition":
        """The condition as it is for one agent."""
        return replace(self, perturbations=self.by_agent[agent], by_agent={}) if agent in self.by_agent else self


@dataclass(frozen=True)
class Subject:
    """The information that a suite gets before it lists its conditions.

    Attributes:
        env: id of the environment that the suite varies.
        env_kwargs: its keyword arguments.
        probe: such an environment, for its spaces and parameter ranges; it must not be stepped.
        observation_scale: float64, in the shape of an observation: its standard deviation over the nominal episodes of
            all agents, the unit of observation noise and attack radius; None unless observations are a Box.
        trained_in: for each agent the id and keyword arguments of its training environment, or None if unknown.
        calibration: for each agent its rows of the episodes that the suite asked for in :meth:`Suite.calibration`.
    """

    env: str
    env_kwargs: Mapping[str, Any]
    probe: gymnasium.Env[Any, Any]
    observation_scale: np.ndarray | None
    trained_in: Mapping[str, tuple[str, Mapping[str, Any]] | None]
    calibration: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def nominal(self, tab: str, panel: str = "nominal") -> Condition:
        """The unperturbed environment."""
        return self.condition("nominal", Scene(tab, panel, "nominal"))

    def condition(self, name: str, scene: Scene, **changes: Any) -> Condition:
        """A condition on this environment."""
        return Condition(name, scene, self.env, dict(self.env_kwargs), **changes)


class Suite:
    """Base of suites, which are lists of conditions. A subclass is a dataclass whose fields are its settings.

    Attributes:
        name: the suite's name; settings follow as ``name:field=value,field=value``.
        needs_scale: whether its conditions are in units of :attr:`Subject.observation_scale`.
        with_nominal: whether the unperturbed environment is played too.
    """

    name: ClassVar[str]
    needs_scale: ClassVar[bool] = False
    with_nominal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the types of settings. Subclasses add further checks.

        Raises:
            AskError: a setting has the wrong type, is not finite, or is an empty list.
        """
        check_settings(self, {}, f"suite {self.name}")
        for setting in fields(self):  # type: ignore[arg-type]
            if getattr(self, setting.name) == () and setting.default:
                raise InvalidParameter(f"{setting.name} of suite {self.name} is empty. By default: {setting.default}.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """The suite's conditions for one environment, in the order of the plots.

        Raises:
            AskError: the suite does not apply to this environment.
        """
        raise NotImplementedError

    def calibration(self, subject: Subject) -> tuple[Condition, int] | None:
        """A condition, and a number of episodes in it, that every agent plays before the conditions are listed.

        Their seeds are apart from those of the evaluation. None, as by default: no calibration.
        """
        return None

    def left_out(self, subject: Subject) -> dict[str, str]:
        """The parts of the suite that do not apply to the environment, with the reason."""
        return {}

    def shown_by_turns(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Those of its conditions of which the report shows single episodes, turn by turn; none by default."""
        return []

    def pictures(self, subject: Subject) -> dict[str, np.ndarray]:
        """Pictures of conditions for the report by name, uint8 [height, width, 3]; none by default."""
        return {}


def require_once(what: str, values: Sequence[Any]) -> None:
    """Check that a list has no duplicates.

    Raises:
        AskError: it has.
    """
    if twice := [value for value in values if values.count(value) > 1]:
        raise AskError(f"{twice[0]} appears twice in the {what}.")
