"""Conditions: what an agent is put through, as plain data that can be sent to a worker and written to a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agentgym.contracts.settings import check_settings
from agentgym.errors import AskError, InvalidParameter
from agentgym.evaluation.table import Scene

__all__ = ["Condition", "Subject", "Suite", "require_once"]


@dataclass(frozen=True)
class Condition:
    """One world and one set of disturbances.

    Attributes:
        name: unique within an evaluation.
        scene: its place in the plots.
        env: Gymnasium id of the world.
        env_kwargs: what the environment is made with; equal ones share an environment.
        options: given to every ``reset``; this is how uncertainty parameters are set without rebuilding.
        perturbations: configurations for :func:`agentgym.envs.perturb.from_config`, from the inside out.
        attack: configuration for :func:`agentgym.evaluation.attacks.from_config`, or None.
    """

    name: str
    scene: Scene
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    perturbations: tuple[Mapping[str, Any], ...] = ()
    attack: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Subject:
    """What a suite may know before it lists its conditions.

    Attributes:
        env: id of the environment that the suite varies.
        env_kwargs: its keyword arguments.
        probe: one such environment, to ask for spaces and parameter ranges; not to be stepped.
        observation_scale: float64, shape of the observation: its standard deviation over the nominal episodes of
            all agents together, the unit of observation noise and attack radius; None for other than Box spaces.
        trained_in: for each agent the (id, keyword arguments) of its training environment, None where unknown.
    """

    env: str
    env_kwargs: Mapping[str, Any]
    probe: gymnasium.Env[Any, Any]
    observation_scale: np.ndarray | None
    trained_in: Mapping[str, tuple[str, Mapping[str, Any]] | None]

    def nominal(self, tab: str, panel: str = "nominal") -> Condition:
        """The undisturbed environment."""
        return self.condition("nominal", Scene(tab, panel, "nominal"))

    def condition(self, name: str, scene: Scene, **changes: Any) -> Condition:
        """A condition on this subject's environment."""
        return Condition(name, scene, self.env, dict(self.env_kwargs), **changes)


class Suite:
    """A list of conditions. A subclass is a dataclass: its fields are its settings.

    Attributes:
        name: how it is asked for; settings follow as ``name:field=value,field=value``.
        needs_scale: whether its conditions are in units of :attr:`Subject.observation_scale`.
    """

    name: ClassVar[str]
    needs_scale: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse settings of another type than their field's; a subclass goes on with what it knows of them.

        Raises:
            AskError: a setting is no number, not finite, or an empty list.
        """
        check_settings(self, {}, f"suite {self.name}")
        for setting in fields(self):  # type: ignore[arg-type]
            if getattr(self, setting.name) == () and setting.default:
                raise InvalidParameter(f"{setting.name} of suite {self.name} is empty. By default: {setting.default}.")

    def conditions(self, subject: Subject) -> list[Condition]:
        """The suite's conditions for one environment, in the order in which they are shown.

        Raises:
            AskError: the suite has no meaning for this environment.
        """
        raise NotImplementedError

    def left_out(self, subject: Subject) -> dict[str, str]:
        """What of the suite does not apply to the environment, with the reason."""
        return {}


def require_once(what: str, values: Sequence[Any]) -> None:
    """Refuse a list in which something stands twice.

    Raises:
        AskError: something does.
    """
    if twice := [value for value in values if values.count(value) > 1]:
        raise AskError(f"{twice[0]} stands twice in the {what}.")
