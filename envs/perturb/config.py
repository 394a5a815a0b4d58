"""Conversion of perturbations from plain values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agentgym import catalog
from agentgym.envs.perturb.base import Perturbation
from agentgym.errors import InvalidParameter

__all__ = ["from_config"]


def from_config(config: Mapping[str, Any]) -> Perturbation:
    """Create a perturbation from its ``to_config()``. Omitted settings have their defaults.

    >>> from_config({"type": "ObservationDelay", "steps": 2}).steps
    2

    Raises:
        UnknownId: no such effect.
        InvalidParameter: "type" is missing, the effect has no such setting, or a value is not allowed.
    """
    settings = dict(config)
    name = settings.pop("type", None)
    if not isinstance(name, str):
        raise InvalidParameter(f"A perturbation's configuration needs a 'type'; this one has none: {dict(config)!r}.")
    effect: type[Perturbation] = catalog.load(catalog.find("perturbation", name))
    known = [field.name for field in fields(effect)]
    if unknown := sorted(set(settings) - set(known)):
        raise InvalidParameter(f"{name} has no setting {unknown[0]!r}. Its settings are: {', '.join(known)}.")
    return effect(**settings)
