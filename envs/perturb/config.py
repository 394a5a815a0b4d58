"""Perturbations by name, to and from plain values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agentgym import catalog
from agentgym.envs.perturb.base import Perturbation
from agentgym.errors import InvalidParameter

__all__ = ["from_config"]


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
    effect: type[Perturbation] = catalog.load(catalog.find("perturbation", name))
    known = [field.name for field in fields(effect)]
    if unknown := sorted(set(settings) - set(known)):
        raise InvalidParameter(f"{name} has no setting {unknown[0]!r}. Its settings are: {', '.join(known)}.")
    return effect(**settings)
