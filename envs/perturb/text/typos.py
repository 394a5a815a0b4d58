"""Typing errors: letters swapped, dropped, doubled or replaced by a neighbouring key."""

import re
from collections.abc import Callable

import numpy as np

__all__ = ["KINDS", "mistyped"]

WORD = re.compile(r"[A-Za-z]{3,}")  # an error in a shorter word, or in a number, may produce another valid one
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """The neighbours of each letter on a QWERTY keyboard, in its row and the rows above and below."""
    at = {letter: (row, column) for row, letters in enumerate(_ROWS) for column, letter in enumerate(letters)}
    return {
        letter: "".join(
            other
            for other, (its_row, its_column) in at.items()
            if other != letter and abs(its_row - row) <= 1 and abs(its_column - column) <= 1
        )
        for letter, (row, column) in at.items()
    }


NEIGHBOURS = _neighbours()


def _swap(word: str, at: int, chance: float) -> str:
    at = min(at, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _drop(word: str, at: int, chance: float) -> str:
    return word[:at] + word[at + 1 :]


def _double(word: str, at: int, chance: float) -> str:
    return word[:at] + word[at] + word[at:]


def _neighbour(word: str, at: int, chance: float) -> str:
    near = NEIGHBOURS[word[at].lower()]
    letter = near[int(chance * len(near))]
    return word[:at] + (letter.upper() if word[at].isupper() else letter) + word[at + 1 :]


KINDS: dict[str, Callable[[str, int, float], str]] = {
    "swap": _swap, "drop": _drop, "double": _double, "neighbour": _neighbour,
}  # fmt: skip


def mistyped(text: str, rate: float, generator: np.random.Generator) -> str:
    """``text`` with an error in each word of three letters or more, with probability ``rate``.

    A word uses four random numbers whether or not it is changed, so a higher rate makes the same errors plus others. A
    swap of two equal letters changes nothing.
    """
    kinds = list(KINDS.values())

    def one(found: re.Match[str]) -> str:
        word = found.group()
        happens, kind, place, chance = generator.random(4).tolist()
        return kinds[int(kind * len(kinds))](word, int(place * len(word)), chance) if happens < rate else word

    return WORD.sub(one, text)
