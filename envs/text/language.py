"""What all text worlds share about language: words, alphabets and what is wrong with a command."""

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

# Digits stand alone, so that every number is made of ten words; so does each punctuation mark.
_WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")
PUNCTUATION = tuple(".,:?+-*/()")
OBSERVATION_CHARACTERS = frozenset(string.ascii_letters + string.digits + " " + "".join(PUNCTUATION))

# What `info["problem"]` may say of a command, and the observation that an agent gets for it. The world is unchanged.
# All but "failed" are the agent's fault.
REFUSALS = {
    "empty": "Nothing happens: the command is empty.",
    "overlong": "Nothing happens: the command is too long.",
    "unparsable": "Nothing happens: that is not a command here.",
    "impossible": "Nothing happens: that is not possible now.",
    "failed": "Nothing happens: the tool failed.",
}


@dataclass(frozen=True)
class Rewording:
    """A sentence that a world says, and how else it may be said.

    Attributes:
        pattern: matches the whole sentence; its groups are what stays.
        others: with ``{0}``, ``{1}``, ... for the groups, each of them once.
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
    """A command as it was understood: a verb and the names or text that it is about."""

    verb: str
    first: str = ""
    second: str = ""


def words(text: str) -> list[str]:
    """Split into the words of a vocabulary: lower-case words, single digits, single punctuation marks.

    >>> words("You take mug 12.")
    ['you', 'take', 'mug', '1', '2', '.']
    """
    return _WORD.findall(text.lower())


def vocabulary(*texts: Iterable[str]) -> tuple[str, ...]:
    """Every word of ``texts``, the digits and the punctuation, sorted, each once."""
    found = {word for part in texts for text in part for word in words(text)}
    return tuple(sorted(found.union("0123456789", PUNCTUATION)))


def tidy(command: str) -> str:
    """A command in lower case with single spaces and without a final period; "" if nothing is left."""
    return " ".join(command.lower().split()).removesuffix(".").rstrip()


def refusal(problem: str) -> str:
    """The observation for a command that did nothing."""
    return REFUSALS[problem]


def listed(names: Iterable[str]) -> str:
    """``a, b, c``, or ``nothing``."""
    return ", ".join(names) or "nothing"


def a(name: str) -> str:
    """A noun with its indefinite article."""
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def split_checked(split: str) -> str:
    """The name of a split, checked.

    Raises:
        UnknownId: it is none of "train", "seen", "unseen".
    """
    splits: Sequence[str] = ("train", "seen", "unseen")
    if not isinstance(split, str) or split not in splits:
        raise UnknownId("split", str(split), splits)
    return split
