"""Named sizes of the generated worlds, and settings of TextWorld's games.

The four single-room sizes are those on which the tiny policies of the language agents were developed; they are not
from a paper. ALFWorld (arXiv 2010.03768) allows 50 turns, as "flat" does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from agentgym.contracts.settings import plain
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["ARCHIVES", "HOUSEHOLDS", "TEXTWORLD", "Archive", "Household", "sized"]


@dataclass(frozen=True)
class Household:
    """Size of a home.

    Attributes:
        rooms: 1-16.
        receptacles: 4-40, at least one per room.
        items: 3-60.
        closed: share of openable receptacles that start closed, 0-1.
        max_turns: commands after which the episode is truncated.
        far_apart: the rooms form a row with the wanted items at one end, and the target and the agent at the other.
    """

    rooms: int
    receptacles: int
    items: int
    closed: float
    max_turns: int
    far_apart: bool = False

    def check(self) -> None:
        """Check that a home of this size is possible.

        Raises:
            InvalidParameter: it is not; the message names the setting.
        """
        _within("rooms", self.rooms, 1, 16)
        _within("receptacles", self.receptacles, max(4, self.rooms + 2 if self.far_apart else self.rooms), 40)
        _within("items", self.items, 3, 60)
        _within("closed", self.closed, 0, 1)
        _within("max_turns", self.max_turns, 1, 10_000)


HOUSEHOLDS: dict[str, Household] = {
    "tiny": Household(rooms=1, receptacles=4, items=3, closed=0.0, max_turns=12),
    "small": Household(rooms=1, receptacles=6, items=5, closed=1.0, max_turns=20),
    "medium": Household(rooms=1, receptacles=8, items=6, closed=1.0, max_turns=24),
    "large": Household(rooms=1, receptacles=10, items=8, closed=1.0, max_turns=28),
    "flat": Household(rooms=4, receptacles=14, items=14, closed=1.0, max_turns=50),
    "house": Household(rooms=8, receptacles=24, items=24, closed=1.0, max_turns=100),
    "manor": Household(rooms=16, receptacles=32, items=32, closed=1.0, max_turns=200, far_apart=True),
}


@dataclass(frozen=True)
class Archive:
    """Size of a corpus, length of its questions, and rate of failures.

    Attributes:
        entities: number of articles about people, companies, cities, ..., 12-200.
        distractors: number of further articles whose titles share a word with others, 0-200.
        hops: number of articles that must be read to answer, 1-4.
        calculation: share of questions that combine two numbers, 0-1.
        failure_rate: probability that a search, an opening or a calculation fails, 0-0.9.
        results: number of titles that a search shows, 1-10.
        max_turns: commands after which the episode is truncated.
    """

    entities: int
    distractors: int
    hops: int
    calculation: float
    failure_rate: float
    results: int
    max_turns: int

    def check(self) -> None:
        """Check that an archive of this size is possible.

        Raises:
            InvalidParameter: it is not; the message names the setting.
        """
        _within("entities", self.entities, 12, 200)
        _within("distractors", self.distractors, 0, 200)
        _within("hops", self.hops, 1, 4)
        _within("calculation", self.calculation, 0, 1)
        _within("failure_rate", self.failure_rate, 0, 0.9)
        _within("results", self.results, 1, 10)
        _within("max_turns", self.max_turns, 1, 10_000)


ARCHIVES: dict[str, Archive] = {
    "small": Archive(entities=20, distractors=0, hops=1, calculation=0.0, failure_rate=0.0, results=3, max_turns=10),
    "medium": Archive(entities=40, distractors=20, hops=2, calculation=0.3, failure_rate=0.0, results=3, max_turns=20),
    "large": Archive(entities=80, distractors=80, hops=4, calculation=0.3, failure_rate=0.1, results=5, max_turns=40),
}

# TextWorld's challenges with the arguments of `tw-make`; "custom" is its plain generator.
TEXTWORLD: dict[str, dict[str, Any]] = {
    "simple": {"rewards": "dense", "goal": "detailed", "test": False},
    "coin-collector": {"level": 5},
    "treasure-hunter": {"level": 5},
    "cooking": {
        "recipe": 1, "take": 1, "go": 1, "open": False, "cook": False, "cut": False, "drop": False, "recipe_seed": 1,
    },
    "custom": {"rooms": 5, "objects": 10, "quest_length": 5},
}  # fmt: skip


class Checked(Protocol):
    """A dataclass that can check itself."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def check(self) -> None:
        """Check the values.

        Raises:
            InvalidParameter: one is out of range.
        """


Size = TypeVar("Size", bound=Checked)


def sized(presets: Mapping[str, Size], what: str, name: str, dials: Mapping[str, Any]) -> Size:
    """A preset with some fields overridden.

    Raises:
        UnknownId: no such preset or field.
        InvalidParameter: a value has the wrong type or is out of range.
    """
    if not isinstance(name, str) or name not in presets:
        raise UnknownId(what, str(name), presets)
    dials = plain(dict(dials))
    known = {field.name: getattr(presets[name], field.name) for field in fields(presets[name])}
    for dial, value in dials.items():
        if dial not in known:
            raise UnknownId(f"dial of the {what}", dial, known)
        right = isinstance(value, (int, float) if isinstance(known[dial], float) else type(known[dial]))
        if not right or isinstance(value, bool) != isinstance(known[dial], bool):
            raise InvalidParameter(f"{dial} must be of type {type(known[dial]).__name__}, not {value!r}.")
    changed = replace(presets[name], **dials)
    changed.check()
    return changed


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise InvalidParameter(f"{name} must be from {low} to {high}, not {value!r}.")
