"""Controls of turns by name, as on a command line."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from agentgym.contracts.settings import field_names, finite_number, from_settings, parse_settings
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.turns.control import Control, Dynamic, Fixed, Learned, Reminders, Unrestricted, limits_of, percentile
from agentgym.turns.policies import load_policy

__all__ = ["control_named"]

CONTROLS: dict[str, Any] = {"unrestricted": Unrestricted, "fixed": Fixed, "dynamic": Dynamic, "learned": Learned}
EXAMPLES = {"fixed": "fixed:limit=20", "dynamic": "dynamic:start=10,step=5,cap=20", "learned": "learned:policy=RUN"}


def control_named(text: str, turns_of: Callable[[Path], Sequence[int]]) -> Control:
    """The control of ``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``; keys are the fields of its class and of Reminders.

    ``of=FOLDER`` takes limits from the turns of unrestricted runs, the paper's way: of ``fixed`` at ``percent`` (75),
    of ``dynamic`` from the median, by steps from there to the 75th percentile, up to the longest run.

    Args:
        text: the name and settings.
        turns_of: the turns of the unrestricted runs in a folder.

    Raises:
        UnknownId: there is no such control or setting.
        InvalidParameter: a setting is missing, has the wrong type or is out of range.
    """
    name, values = parse_settings(text)
    if name not in CONTROLS:
        raise UnknownId("control of turns", name, CONTROLS)
    if "reminders" in values:
        raise InvalidParameter("Reminders of a control are every=true, shares=0.75+0.9 or last=3.")
    said = {key: values.pop(key) for key in field_names(Reminders) if key in values}
    if "of" in values:
        values = _calibrated(name, values, turns_of)
    if "rule" in values:
        values["rule_name"] = values.pop("rule")
    if "policy" in values:
        values["policy"] = load_policy(str(values["policy"]))
    if said:
        values["reminders"] = from_settings(Reminders, said, f"the reminders of {name}")
    needed = [each.name for each in fields(CONTROLS[name]) if each.default is each.default_factory is MISSING]
    if missing := [each for each in needed if each not in values]:
        raise InvalidParameter(f"The control {name} needs {', '.join(missing)}, as in {EXAMPLES[name]}.")
    control: Control = from_settings(CONTROLS[name], values, f"the control {name}")
    return control


def _calibrated(name: str, values: dict[str, Any], turns_of: Callable[[Path], Sequence[int]]) -> dict[str, Any]:
    """The settings with limits from a folder of runs; what is given beside it comes first."""
    values = dict(values)
    turns = turns_of(Path(str(values.pop("of"))))
    if name == "fixed":
        percent = finite_number("percent of the control fixed", values.pop("percent", 75), 0)
        return {"limit": percentile(turns, percent), **values}
    if name == "dynamic":
        limits = limits_of(turns)
        return {"start": limits[50], "step": max(1, limits[75] - limits[50]), "cap": max(turns), **values}
    raise InvalidParameter(f"The control {name} has no limits to take from runs: leave out of=.")
