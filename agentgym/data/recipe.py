"""Recipes: names with settings, such as ``hopper-medium:noise=0.5,size=200000``, of reproducible datasets."""

import dataclasses
import json
import numbers
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agentgym import catalog
from agentgym.contracts.settings import from_settings, parse_settings
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import LARGEST_SEED
from agentgym.stochasticity import Stochasticity

__all__ = ["Recipe", "find_recipe", "is_recipe", "whole"]


@dataclass(frozen=True)
class Recipe:
    """How to make one dataset. Subclasses are frozen dataclasses; the fields are the settings, checked on construction.

    Attributes:
        fixed: fields set by the catalog entry rather than by the user; they tell recipes of one class apart.
        percent: settings written in hundredths in the dataset's name.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    percent: ClassVar[tuple[str, ...]] = ()

    @property
    def stem(self) -> tuple[str, str]:
        """Family and variant: ``("hopper", "medium")`` is ``agentgym/hopper/medium-v0``."""
        raise NotImplementedError

    def make(self, runs: Path, progress: bool = True) -> OfflineDataset:
        """Make the dataset in memory; only the runs of behaviour policies are written to disk.

        Args:
            runs: folder for the runs of behaviour policies.
            progress: show progress bars.
        """
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """All settings."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if name not in self.fixed}

    @property
    def dial(self) -> Stochasticity:
        """The level of stochasticity of the environment."""
        return Stochasticity.of(self.settings)

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        return {name: value for name, value in self.settings.items() if value != self.default(name)}

    def default(self, setting: str) -> Any:
        """The default of a setting."""
        return {field.name: field.default for field in dataclasses.fields(self)}[setting]

    @property
    def text(self) -> str:
        """The name with the settings that differ from their defaults, as typed on the command line."""
        given = ",".join(f"{name.replace('_', '-')}={json.dumps(value)}" for name, value in self.chosen.items())
        return self.name + (f":{given}" if given else "")

    @property
    def name(self) -> str:
        """Its name in the catalog."""
        return "-".join(part for part in self.stem if part)

    @property
    def dataset_id(self) -> str:
        """The Minari id of what it makes."""
        family, variant = self.stem
        parts = [variant] if variant else []
        for name, value in self.chosen.items():
            if isinstance(value, bool):
                parts.append(f"{'' if value else 'not-'}{name}")
                continue
            number = f"{100 * value if name in self.percent else value:.10g}".replace(".", "_")
            parts.append(f"{name.replace('_', '-')}{number}")
        return f"agentgym/{family}/{'-'.join(parts) or 'standard'}-v0"

    @property
    def command(self) -> str:
        """The command that makes the dataset."""
        return shlex.join(["agentgym", "data", "make", self.text])


def is_recipe(text: str) -> bool:
    """Whether the catalog has a recipe of that name."""
    return text.partition(":")[0] in {entry.id for entry in catalog.entries("recipe")}


def find_recipe(text: str) -> Recipe:
    """The recipe of a name with settings.

    Raises:
        UnknownId: no such recipe or setting; the message gives the nearest.
        InvalidParameter: a setting is out of its range.
    """
    name, values = parse_settings(text)
    entry = catalog.find("recipe", name)
    recipe_class: type[Recipe] = catalog.load(entry)
    known = [field.name for field in dataclasses.fields(recipe_class) if field.name not in recipe_class.fixed]
    for key in values:
        if key not in known:
            raise UnknownId(f"setting of recipe {name}", key, known)
    return from_settings(recipe_class, {**entry.kwargs, **values}, f"recipe {name}")


def whole(owner: Recipe, field: str, least: int = 0) -> None:
    """Check that a setting is a whole number (also written 1e6), at least ``least`` and below 2**32; keep it as an int.

    Raises:
        InvalidParameter: it is not.
    """
    value = getattr(owner, field)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value // 1
    if not number or not least <= value <= LARGEST_SEED:
        bounds = f"at least {least}" if not number or value < least else f"at most {LARGEST_SEED}"
        raise InvalidParameter(f"{owner.name}: {field} is {value!r}; it must be a whole number, {bounds}.")
    object.__setattr__(owner, field, int(value))
