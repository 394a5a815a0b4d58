"""Names with settings as one types them: ``parameter-grid:points=7,endpoint=false`` or ``ObservationNoise:std=0.1``."""

import dataclasses
import json
from typing import Any, TypeVar, get_origin, get_type_hints

from agentgym.errors import AskError, UnknownId

__all__ = ["from_settings", "parse_settings", "parse_values"]

Settings = TypeVar("Settings")


def parse_settings(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value``; a value is JSON where it can be, a list ``a+b+c``, text otherwise.

    >>> parse_settings("parameter-grid:points=7,endpoint=false")
    ('parameter-grid', {'points': 7, 'endpoint': False})
    """
    name, _, rest = text.partition(":")
    return name, parse_values(rest.split(",") if rest else [])


def parse_values(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Turn ``key=value`` texts into a dictionary.

    Raises:
        AskError: a text has no ``=``.
    """
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise AskError(f"{pair!r} is not of the form key=value.")
        values[key.strip().replace("-", "_")] = _value(value.strip())
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [_value(part) for part in text.split("+")] if "+" in text else text


def from_settings(settings_class: type[Settings], values: dict[str, Any], what: str) -> Settings:
    """Build a settings dataclass, refusing fields it does not have.

    Raises:
        UnknownId: a field that ``settings_class`` does not have; the message gives the nearest.
    """
    types = get_type_hints(settings_class)
    known = [field.name for field in dataclasses.fields(settings_class) if field.init]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UnknownId(f"setting of {what}", key, known)
    return settings_class(**{key: _as_type(value, types[key]) for key, value in values.items()})


def _as_type(value: Any, wanted: Any) -> Any:
    """A tuple where the field is one, also from a single value."""
    if get_origin(wanted) is not tuple:
        return value
    return tuple(value) if isinstance(value, list) else (value,)
