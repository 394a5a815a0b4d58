"""Language utilities of all text worlds: words, alphabets, and refusals of commands."""

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentgym.errors import UnknownId

__all__ = [
    "OBSERVATION_CHARACTERS",
    "PUNCTUATION",
    "REFUSALS",
    "REWORDED_REFUSALS",
    "Command",
    "Rewording",
    "a",
    "listed",
    "refusal",
    "split_checked",
    "tidy",
    "vocabulary",
    "words",
]

# Digits are separate words, so that ten words make up all numbers; punctuation marks are separate too.
_WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")
PUNCTUATION = tuple(".,:?+-*/()")
OBSERVATION_CHARACTERS = frozenset(string.ascii_letters + string.digits + " " + "".join(PUNCTUATION))

# Values of `info["problem"]`, and the observation for each. The world does not change. All but "failed" are the
# agent's fault.
REFUSALS = {
    "empty": "Nothing happens: the command is empty.",
    "overlong": "Nothing happens: the command is too long.",
    "unparsable": "Nothing happens: that is not a command here.",
    "impossible": "Nothing happens: that is not possible now.",
    "failed": "Nothing happens: the tool failed.",
}


@dataclass(frozen=True)
class Rewording:
    """A sentence of a world, and alternative wordings of it.

    Attributes:
        pattern: matches the whole sentence; its groups are kept.
        others: alternatives, with ``{0}``, ``{1}``, ... for the groups, each exactly once.
    """

    pattern: str
    others: tuple[str, ...]


REWORDED_REFUSALS = (
    Rewording(r"Nothing happens: the command is empty\.", ("You said nothing, so nothing is done.",)),
    Rewording(r"Nothing happens: the command is too long\.", ("That was too long to be understood; nothing is done.",)),
    Rewording(
        r"Nothing happens: that is not a command here\.",
        ("That is not understood.", "No such action is known here; nothing is done."),
    ),
    Rewording(
        r"Nothing happens: that is not possible now\.",
        ("It cannot be done at present.", "That has no effect as things stand."),
    ),
    Rewording(r"Nothing happens: the tool failed\.", ("An error occurred, and nothing was done.",)),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command: a verb and its arguments."""

    verb: str
    first: str = ""
    second: str = ""


def words(text: str) -> list[str]:
    """Split a text into vocabulary words: lower-case words, single digits, single punctuation marks.

    >>> words("You take mug 12.")
    ['you', 'take', 'mug', '1', '2', '.']
    """
    return _WORD.findall(text.lower())


def vocabulary(*texts: Iterable[str]) -> tuple[str, ...]:
    """All distinct words of ``texts``, digits and punctuation marks, sorted."""
    found = {word for part in texts for text in part for word in words(text)}
    return tuple(sorted(found.union("0123456789", PUNCTUATION)))


def tidy(command: str) -> str:
    """Normalise a command: lower case, single spaces, no final period. May return ""."""
    return " ".join(command.lower().split()).removesuffix(".").rstrip()


def refusal(problem: str) -> str:
    """The observation for a command that had no effect."""
    return REFUSALS[problem]


def listed(names: Iterable[str]) -> str:
    """``a, b, c``, or ``nothing``."""
    return ", ".join(names) or "nothing"


def a(name: str) -> str:
    """A noun with its indefinite article."""
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def split_checked(split: str) -> str:
    """Check the name of a split.

    Raises:
        UnknownId: not "train", "seen" or "unseen".
    """
    splits: Sequence[str] = ("train", "seen", "unseen")
    if not isinstance(split, str) or split not in splits:
        raise UnknownId("split", str(split), splits)
    return split
