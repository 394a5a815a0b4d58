"""Observation attacks in torch, by name: see README.md in this folder."""

from collections.abc import Mapping
from typing import Any

from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.attacks.attack import ObservationAttack, RandomAttack
from agentgym.evaluation.attacks.gradient import CriticAttack, MaximalActionDifference
from agentgym.settings import from_settings

__all__ = [
    "ATTACKS",
    "CriticAttack",
    "MaximalActionDifference",
    "ObservationAttack",
    "RandomAttack",
    "from_config",
]

ATTACKS: dict[str, type[ObservationAttack]] = {
    attack.kind: attack for attack in (RandomAttack, MaximalActionDifference, CriticAttack)
}


def from_config(config: Mapping[str, Any]) -> ObservationAttack:
    """Build the attack that :meth:`ObservationAttack.to_config` describes.

    Args:
        config: ``type`` and the attack's settings, e.g.
            ``{"type": "maximal_action_difference", "epsilon": 0.1, "steps": 10}``; ``scale`` may be among them.

    Raises:
        UnknownId: no such attack, or it has no such setting; the message gives the nearest names.
        InvalidParameter: a setting is missing or out of its range.
    """
    settings = dict(config)
    kind = settings.pop("type", None)
    if kind not in ATTACKS:
        raise UnknownId("observation attack", str(kind), ATTACKS)
    if "epsilon" not in settings:
        raise InvalidParameter(f"The {kind} attack needs epsilon, the radius in units of the scale.")
    return from_settings(ATTACKS[kind], settings, f"the {kind} attack")
