"""Names with settings as one types them: ``parameter-grid:points=7,endpoint=false`` or ``ObservationNoise:std=0.1``."""

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
    """The numbers that a setting may be: from ``low`` (``above``: only above it) to ``high``."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: object) -> bool:
        return (
            isinstance(value, int | float) and self.low <= value <= self.high and (value > self.low or not self.above)
        )

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return low if self.high == math.inf else f"{low} and at most {self.high:g}"


class Preset(NamedTuple):
    """Settings that go by a name: what they are for, with their source, and the fields that differ from the default."""

    about: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        changed = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"{self.about} ({changed})" if changed else self.about


@dataclasses.dataclass
class AgentConfig:
    """Base of an agent's ``Config``, a dataclass whose fields are the agent's hyperparameters.

    Constructor keywords, ``--config.FIELD``, ``--help`` and what a run records come from the fields.

    Attributes:
        presets: settings by name: ``--preset NAME``, ``Agent(..., preset=NAME)``, :meth:`preset`.
    """

    presets: ClassVar[Mapping[str, Preset]] = {}

    @classmethod
    def preset(cls, name: str, **settings: Any) -> Self:
        """The settings of that name, but for those given beside it.

        Raises:
            UnknownId: no such preset or field; the message gives the nearest.
            InvalidParameter, NonFinite: a value cannot be.
        """
        return from_settings(cls, cls.with_preset(name, settings), cls.agent_name())

    @classmethod
    def with_preset(cls, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """``settings``, and those of the preset for the fields that they leave out; without a name only the former.

        Raises:
            UnknownId: no such preset; the message gives the nearest.
        """
        if name and name not in cls.presets:
            hint = f"There are: {', '.join(cls.presets)}." if cls.presets else f"{cls.agent_name()} has none."
            raise UnknownId(f"preset of {cls.agent_name()}", str(name), cls.presets, hint)
        return {**(cls.presets[name].settings if name else {}), **settings}

    @classmethod
    def agent_name(cls) -> str:
        """The agent's, in messages."""
        return cls.__name__.removesuffix("Config")

    @classmethod
    def in_signature(cls, constructor: Any) -> inspect.Signature:
        """The signature of a constructor in which the fields stand in the place of ``**settings``."""
        taken = [one for name, one in inspect.signature(constructor).parameters.items() if name != "self"]
        hints, names = get_type_hints(cls), {one.name for one in taken}
        fields = [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                              annotation=hints[field.name])
            for field in dataclasses.fields(cls) if field.name not in names
        ]  # fmt: skip
        return inspect.Signature([*(one for one in taken if one.kind is not one.VAR_KEYWORD), *fields])

    def to_kwargs(self) -> dict[str, Any]:
        """The fields as keyword arguments of the agent's class."""
        return {name: getattr(self, name) for name in field_names(type(self))}


def field_names(settings_class: Any) -> list[str]:
    """Of a dataclass, the fields that one sets."""
    return [field.name for field in dataclasses.fields(settings_class) if field.init]


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
        AskError: a text has no key or no ``=``, or a key stands there twice.
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
    if found := non_finite_settings(values):
        raise NonFinite(f"{found[0]} is not a finite number.")
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return [_value(part) for part in text.split("+")] if "+" in text else text
    except RecursionError:
        raise AskError(f"{text[:20]}... is nested too deeply.") from None


def from_settings(settings_class: type[Settings], values: dict[str, Any], what: str) -> Settings:
    """Build a settings dataclass, refusing fields it does not have and values of another type than a field's.

    Raises:
        UnknownId: a field that ``settings_class`` does not have; the message gives the nearest.
        NonFinite: a value is NaN or infinite.
        InvalidParameter: a value is of another type.
    """
    hints = get_type_hints(settings_class)
    known = field_names(settings_class)
    for key in values:
        if key not in known:
            raise UnknownId(f"setting of {what}", str(key), known)
    if found := non_finite_settings(values):
        raise NonFinite(f"{found[0]} is not a finite number, as a setting of {what}.")
    return settings_class(**{key: _as_type(value, hints[key], key, what) for key, value in values.items()})


def check_settings(settings: Any, ranges: Mapping[str, Range], what: str) -> None:
    """Hold the fields of a settings dataclass to their types and ranges, in place.

    NumPy's scalars become Python's, paths texts, and whole numbers floats where the field is one: equal settings are
    then written alike.

    Args:
        settings: a dataclass.
        ranges: of fields that are numbers, or None.
        what: what the settings are of, for messages.

    Raises:
        NonFinite: a field is NaN or infinite.
        InvalidParameter: it is of another type, or outside its range.
        UnknownId: it is none of the choices that its type has.
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
        object.__setattr__(settings, name, value)  # also where the dataclass is frozen


SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _as_type(value: Any, wanted: Any, name: str, what: str) -> Any:
    """``value`` as a field of type ``wanted`` holds it: a tuple also from a list or a single value, an int from 1e6.

    Types other than numbers, texts, choices and tuples of them are not checked.
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
        return str(value)  # a text that JSON takes for a number
    if is_number and wanted is int and value == int(value):
        return int(value)
    if is_number if wanted is float else type(value) is wanted:
        return value
    raise InvalidParameter(f"{name} of {what} is {value!r}; it must be {SCALARS[wanted]}.")


def plain(value: Any) -> Any:
    """NumPy's numbers, also within lists, tuples and dictionaries, as Python's own, and arrays as lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value


def whole_number(what: str, value: Any, least: int, most: int = 2**63 - 1) -> int:
    """``value`` as an int, of whichever type of whole numbers it is.

    Raises:
        InvalidParameter: it is no whole number, below ``least`` or above ``most``.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        bounds = f"of at least {least}" if most == 2**63 - 1 else f"from {least} to {most}"
        raise InvalidParameter(f"{what} is {value!r}; it must be a whole number {bounds}.")
    return int(value)


def number_of_steps(total: Any) -> int:
    """``total_timesteps`` as an int, also from a float such as 1e5.

    Raises:
        InvalidParameter: it is no whole number, or negative.
        NonFinite: it is NaN or infinite.
    """
    require_finite("total_timesteps", total)
    number = plain(total)
    return whole_number("total_timesteps", int(number) if isinstance(number, float) and not number % 1 else number, 0)


def finite_number(
    what: str, value: Any, least: float = -math.inf, most: float = math.inf, *, above: bool = False
) -> float:
    """``value`` as a float, of whichever type of numbers it is.

    Raises:
        InvalidParameter: it is no finite number, below ``least`` (``above``: not above it) or above ``most``.
    """
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number of more than 300 digits
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
