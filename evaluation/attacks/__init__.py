"""Observation attacks in torch, by name. README.md in this folder is the card."""

from collections.abc import Mapping
from typing import Any

from agentgym import catalog
from agentgym.contracts.settings import from_settings
from agentgym.errors import InvalidParameter
from agentgym.evaluation.attacks.attack import ObservationAttack, RandomAttack
from agentgym.evaluation.attacks.gradient import CriticAttack, MaximalActionDifference
from agentgym.evaluation.attacks.sarsa import RobustSARSA

__all__ = [
    "CriticAttack",
    "MaximalActionDifference",
    "ObservationAttack",
    "RandomAttack",
    "RobustSARSA",
    "from_config",
]


def from_config(config: Mapping[str, Any]) -> ObservationAttack:
    """Create an attack from the values that :meth:`ObservationAttack.to_config` returns.

    Args:
        config: ``type`` and the attack's settings, e.g.
            ``{"type": "maximal_action_difference", "epsilon": 0.1, "steps": 10}``, optionally with ``scale``.

    Raises:
        UnknownId: no such attack or setting; the message suggests the nearest.
        InvalidParameter: a setting is missing or out of range.
    """
    settings = dict(config)
    kind = settings.pop("type", None)
    attack: type[ObservationAttack] = catalog.load(catalog.find("attack", str(kind)))
    if "epsilon" not in settings:
        raise InvalidParameter(f"The {kind} attack needs epsilon, the radius in units of the scale.")
    return from_settings(attack, settings, f"the {kind} attack")
