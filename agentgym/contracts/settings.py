"""Parsing and validation of settings: hyperparameters, presets and texts such as ``ObservationNoise:std=0.1``."""

import dataclasses
import inspect
import json
import math
import numbers
import os
import sys
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from agentgym.contracts.finite import is_finite, non_finite_settings, require_finite
from agentgym.errors import AskError, InvalidParameter, NonFinite, UnknownId

__all__ = [
    "AgentConfig", "Preset", "Range", "check_settings", "finite_number", "flag", "from_settings", "number_of_steps",
    "parse_settings", "parse_values", "plain", "whole_number",
]  # fmt: skip

Settings = TypeVar("Settings")


class Range(NamedTuple):
    """The allowed range of a numeric setting, or of each entry of a tuple: from ``low`` (exclusive if ``above``) to
    ``high``.
    """

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, tuple):
            return all(entry in self for entry in value)
        return (
            isinstance(value, int | float) and self.low <= value <= self.high and (value > self.low or not self.above)
        )

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return low if self.high == math.inf else f"{low} and at most {self.high:g}"


class Preset(NamedTuple):
    """Named settings: their purpose and source, and the fields that differ from the defaults."""

    about: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        changed = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"{self.about} ({changed})" if changed else self.about


@dataclasses.dataclass
class AgentConfig:
    """Base of an agent's ``Config``, a dataclass whose fields are the agent's hyperparameters.

    The fields define the constructor's keywords, the ``--config.FIELD`` options, their help, and what a run records.

    Attributes:
        presets: presets by name, for ``--preset NAME``, ``Agent(..., preset=NAME)`` and :meth:`preset`.
    """

    presets: ClassVar[Mapping[str, Preset]] = {}

    @classmethod
    def preset(cls, name: str, **settings: Any) -> Self:
        """The settings of a preset, overridden by ``settings``.

        Raises:
            UnknownId: there is no such preset or field; the message suggests the nearest names.
            InvalidParameter, NonFinite: a value is not allowed.
        """
        return from_settings(cls, cls.with_preset(name, settings), cls.agent_name())

    @classmethod
    def with_preset(cls, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """``settings`` with missing fields filled in from the preset; ``settings`` alone if ``name`` is empty.

        Raises:
            UnknownId: there is no such preset; the message suggests the nearest names.
        """
        if name and name not in cls.presets:
            hint = f"Presets: {', '.join(cls.presets)}." if cls.presets else f"{cls.agent_name()} has none."
            raise UnknownId(f"preset of {cls.agent_name()}", str(name), cls.presets, hint)
        return {**(cls.presets[name].settings if name else {}), **settings}

    @classmethod
    def agent_name(cls) -> str:
        """The agent's name in messages."""
        return cls.__name__.removesuffix("Config")

    @classmethod
    def in_signature(cls, constructor: Any) -> inspect.Signature:
        """The signature of a constructor with ``**settings`` replaced by the fields."""
        own = [parameter for name, parameter in inspect.signature(constructor).parameters.items() if name != "self"]
        hints, names = get_type_hints(cls), {parameter.name for parameter in own}
        fields = [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                              annotation=hints[field.name])
            for field in dataclasses.fields(cls) if field.name not in names
        ]  # fmt: skip
        return inspect.Signature([*(each for each in own if each.kind is not each.VAR_KEYWORD), *fields])

    def to_kwargs(self) -> dict[str, Any]:
        """The fields as keyword arguments for the agent's constructor."""
        return {name: getattr(self, name) for name in field_names(type(self))}


def field_names(settings_class: Any) -> list[str]:
    """Names of a dataclass's fields that its constructor takes."""
    return [field.name for field in dataclasses.fields(settings_class) if field.init]


def parse_settings(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,key=value``. A value is parsed as JSON, else as a list ``a+b+c``, else kept as text.

    >>> parse_settings("parameter-grid:points=7,endpoint=false")
    ('parameter-grid', {'points': 7, 'endpoint': False})
    """
    name, _, rest = text.partition(":")
    return name, parse_values(rest.split(",") if rest else [])


def parse_values(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Turn ``key=value`` texts into a dictionary.

    Raises:
        AskError: a text has no key or no ``=``, or a key is repeated.
        NonFinite: a value is NaN or infinite.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise AskError(f"{pair!r} is not of the form key=value.")
        if key in values:
            raise AskError(f"{key} is given twice, as {pair!r} the second time.")
        values[key] = _value(value.strip())
    if bad := non_finite_settings(values):
        raise NonFinite(f"{bad[0]} is not a finite number.")
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [_value(part) for part in text.split("+")] if "+" in text else text
    except RecursionError:
        raise AskError(f"{text[:20]}... is nested too deeply.") from None


def from_settings(settings_class: type[Settings], values: dict[str, Any], what: str) -> Settings:
    """Build a settings dataclass; refuse unknown fields and values of the wrong type.

    Raises:
        UnknownId: ``settings_class`` has no such field; the message suggests the nearest names.
        NonFinite: a value is NaN or infinite.
        InvalidParameter: a value has the wrong type.
    """
    hints = get_type_hints(settings_class)
    known = field_names(settings_class)
    for key in values:
        if key not in known:
            raise UnknownId(f"setting of {what}", str(key), known)
    if bad := non_finite_settings(values):
        raise NonFinite(f"{bad[0]} is not a finite number, as a setting of {what}.")
    return settings_class(**{key: _as_type(value, hints[key], key, what) for key, value in values.items()})


def check_settings(settings: Any, ranges: Mapping[str, Range], what: str) -> None:
    """Check the types and ranges of a settings dataclass and normalise its fields in place.

    NumPy scalars become Python numbers, paths become strings, and integers become floats in float fields, so that
    equal settings are recorded identically.

    Args:
        settings: a dataclass.
        ranges: allowed ranges of numeric fields; a field may also be None if its type allows it.
        what: owner of the settings, for messages.

    Raises:
        NonFinite: a field is NaN or infinite.
        InvalidParameter: a field has the wrong type or is outside its range.
        UnknownId: a field is not one of its choices.
    """
    hints = get_type_hints(type(settings))
    for name in field_names(type(settings)):
        given, wanted = plain(getattr(settings, name)), hints[name]
        if not is_finite(given):
            raise NonFinite(f"{name} of {what} is {given!r}; it must be finite.")
        value = _as_type(os.fspath(given) if isinstance(given, os.PathLike) else given, wanted, name, what)
        if name in ranges and value is not None and value not in ranges[name]:
            raise InvalidParameter(f"{name} of {what} is {given!r}; it must be {ranges[name]}.")
        if type(value) is int and float in (wanted, *get_args(wanted)):
            if abs(value) > sys.float_info.max:
                raise InvalidParameter(f"{name} of {what} is too large.")
            value = float(value)
        object.__setattr__(settings, name, value)  # works for frozen dataclasses too


SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _as_type(value: Any, wanted: Any, name: str, what: str) -> Any:
    """Convert ``value`` to the type ``wanted``: a list or a single value to a tuple, 1e6 to an int.

    Only numbers, strings, choices and tuples of them are checked.
    """
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType) and type(None) in parts and len(parts) == 2:
        return None if value is None else _as_type(value, parts[parts[0] is type(None)], name, what)
    if origin is tuple:
        items = value if isinstance(value, list | tuple | np.ndarray) else (value,)
        return tuple(_as_type(item, parts[0], name, what) for item in items)
    if origin is Literal:
        if value not in parts:
            raise UnknownId(f"{name} of {what}", str(value), map(str, parts))
        return value
    if wanted not in SCALARS:
        return value
    value = plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and wanted is str:
        return str(value)  # a text that JSON parsed as a number
    if is_number and wanted is int and value == int(value):
        return int(value)
    if is_number if wanted is float else type(value) is wanted:
        return value
    raise InvalidParameter(f"{name} of {what} is {value!r}; it must be {SCALARS[wanted]}.")


def plain(value: Any) -> Any:
    """Convert NumPy scalars to Python numbers and arrays to lists, also inside lists, tuples and dictionaries."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def whole_number(what: str, value: Any, least: int, most: int = 2**63 - 1) -> int:
    """``value`` as an int, from any integer type.

    Raises:
        InvalidParameter: it is not a whole number, or is below ``least`` or above ``most``.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        bounds = f"of at least {least}" if most == 2**63 - 1 else f"from {least} to {most}"
        raise InvalidParameter(f"{what} is {value!r}; it must be a whole number {bounds}.")
    return int(value)


def number_of_steps(total: Any) -> int:
    """``total_timesteps`` as an int, also from a float such as 1e5.

    Raises:
        InvalidParameter: it is not a whole number, or is negative.
        NonFinite: it is NaN or infinite.
    """
    require_finite("total_timesteps", total)
    number = plain(total)
    return whole_number("total_timesteps", int(number) if isinstance(number, float) and not number % 1 else number, 0)


def finite_number(
    what: str, value: Any, least: float = -math.inf, most: float = math.inf, *, above: bool = False
) -> float:
    """``value`` as a float, from any numeric type.

    Raises:
        InvalidParameter: it is not a finite number between ``least`` (exclusive if ``above``) and ``most``.
    """
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int with more than 300 digits
            number = float(value)
    if math.isfinite(number) and least <= number <= most and not (above and number == least):
        return number
    bounds = f" {'above' if above else 'of at least'} {least:g}" if least > -math.inf else ""
    bounds += f"{' and' if bounds else ''} of at most {most:g}" if most < math.inf else ""
    raise InvalidParameter(f"{what} is {value!r}; it must be a finite number{bounds}.")


def flag(what: str, value: Any) -> bool:
    """``value`` as a bool.

    Raises:
        InvalidParameter: it is neither True nor False.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise InvalidParameter(f"{what} is {value!r}; it must be True or False.")
