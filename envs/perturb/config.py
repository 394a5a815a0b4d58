"""Perturbations by name, to and from plain values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agentgym.envs.perturb.action import (
    ActionDelay,
    ActionGainDrift,
    ActionMixture,
    ActionNoise,
    StickyAction,
    TimeCorrelatedActionNoise,
)
from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.dynamics import ActuatorGain, BodyMass, ContactFriction, Gravity, JointDamping
from agentgym.envs.perturb.observation import (
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationNoise,
    ObservationQuantization,
)
from agentgym.envs.perturb.reward import RewardDelay, RewardNoise, RewardSignFlip
from agentgym.envs.perturb.text.commands import PermutedCommands, RenamedVerbs
from agentgym.envs.perturb.text.injection import InjectedInstruction
from agentgym.envs.perturb.text.tools import ToolFailure, ToolTimeout
from agentgym.envs.perturb.text.words import Paraphrase, Typos
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["PERTURBATIONS", "from_config"]

PERTURBATIONS: dict[str, type[Perturbation]] = {
    kind.__name__: kind
    for kind in (
        ObservationNoise,
        ObservationBias,
        ObservationDropout,
        ObservationFreeze,
        ObservationDelay,
        ObservationQuantization,
        ActionNoise,
        TimeCorrelatedActionNoise,
        ActionDelay,
        StickyAction,
        ActionGainDrift,
        ActionMixture,
        RewardNoise,
        RewardDelay,
        RewardSignFlip,
        Gravity,
        BodyMass,
        JointDamping,
        ContactFriction,
        ActuatorGain,
        Paraphrase,
        Typos,
        RenamedVerbs,
        PermutedCommands,
        ToolFailure,
        ToolTimeout,
        InjectedInstruction,
    )
}
"""Every effect by its name."""


def from_config(config: Mapping[str, Any]) -> Perturbation:
    """The perturbation whose ``to_config()`` this is; settings left out keep their defaults.

    >>> from_config({"type": "ObservationDelay", "steps": 2}).steps
    2

    Raises:
        UnknownId: there is no effect of that type.
        InvalidParameter: there is no "type", a setting that the effect does not have, or a value it may not have.
    """
    settings = dict(config)
    name = settings.pop("type", None)
    if not isinstance(name, str):
        raise InvalidParameter(f"A perturbation's configuration names its 'type'; this one does not: {dict(config)!r}.")
    if name not in PERTURBATIONS:
        raise UnknownId("perturbation", name, PERTURBATIONS)
    known = [field.name for field in fields(PERTURBATIONS[name])]
    if unknown := sorted(set(settings) - set(known)):
        raise InvalidParameter(f"{name} has no setting {unknown[0]!r}. Its settings are: {', '.join(known)}.")
    return PERTURBATIONS[name](**settings)
