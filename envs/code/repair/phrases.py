"""The words of code repair: names to draw from, and all sentences."""

from functools import cache

from agentgym.envs.code.faults.edits import OPERATORS
from agentgym.envs.code.faults.lines import LINE_WORDS
from agentgym.envs.code.faults.running import KINDS
from agentgym.envs.text.language import REFUSALS, words

__all__ = ["FILES", "FUNCTIONS", "NUMBERS", "SITES", "TESTS", "vocabulary_of_repair"]

# Names are drawn anew in each episode, so that none means anything and unseen repositories bring no unknown word.
FILES = ("amber", "basalt", "copper", "denim", "ebony", "felt", "garnet", "hemp", "ivory", "jade")
_PLANTS = (
    "acorn almond aspen bamboo barley birch bramble cedar clover fennel fern ginger harbor hazel heather juniper larch "
    "laurel linden lupin maple mint myrtle nectar nettle olive poplar rowan sage sorrel thistle thyme tulip willow"
)
FUNCTIONS = tuple(_PLANTS.split())
TESTS = tuple(f"{first}{letter}" for first in "ts" for letter in "abcdefghijklmnopqrstuvwxyz")
SITES = tuple(f"q{second}{third}" for second in "aeiou" for third in "bdfhlmn")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "many")
_SENTENCES = (
    "failing files run all search open edit undo submit fails passes in ran is tests fail pass done undone second "
    "third fourth nothing right wrong it . , : "
    + " ".join(KINDS)
    + " less more order turned first last length so not default"
)


@cache
def vocabulary_of_repair() -> tuple[str, ...]:
    """All words of observations and commands, sorted."""
    names = (*FILES, *FUNCTIONS, *TESTS, *SITES, *NUMBERS, *LINE_WORDS, *OPERATORS)
    return tuple(sorted({word for text in (*names, _SENTENCES, *REFUSALS.values()) for word in words(text)}))
