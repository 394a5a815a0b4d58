"""All sentences of a household's observations, and the parser of its commands."""

from functools import cache, lru_cache

from agentgym.envs.text.household.names import ITEM_KINDS, LAMP, RECEPTACLES, ROOMS, TaskKind
from agentgym.envs.text.language import REFUSALS, Command, a, tidy, vocabulary

__all__ = ["ADJECTIVES", "CONDITION", "GOALS", "PHRASES", "parse", "task_sentence", "words_of_households"]

TASK = "Your task: {}."
ROOM = "You are in the {}. You see: {}."
EXITS = " Exits: {}."
ARRIVE = "You are at {}. "
ARRIVE_FAR = "You are at {} in the {}. "
CONTENTS = {"in": "In it: {}.", "on": "On it: {}."}
CLOSED = "It is closed."
HANDS = " You hold: {}."
OPEN = "You open {}. In it: {}."
CLOSE = "You close {}."
TAKE = "You take {} from {}."
PUT = "You put {} {} {}."
PROCESS = {"clean": "You clean {} with {}.", "heat": "You heat {} with {}.", "cool": "You cool {} with {}."}
USE = "You turn on {}."
DONE = " Well done."

# The bits of an item's condition and their adjectives; hot and cool exclude each other.
CLEAN, HOT, COOL = 1, 2, 4
CONDITION: dict[str, int] = {"clean": CLEAN, "heat": HOT, "cool": COOL}
ADJECTIVES = tuple(
    ("clean " if bits & CLEAN else "") + ("hot " if bits & HOT else "") + ("cool " if bits & COOL else "")
    for bits in range(8)
)
LIT = "lit " + LAMP

GOALS: dict[TaskKind, str] = {
    "place": "put {} {} {}",
    "clean": "put a clean {} {} {}",
    "heat": "put a hot {} {} {}",
    "cool": "put a cool {} {} {}",
    "two": "put {} and another {} {} one {}",
    "light": "look at {} under the lit desklamp",
}

_COMMANDS = ("go to", "take from", "put in on", "open", "close", "clean heat cool with", "use", "look")
PHRASES: tuple[str, ...] = tuple(
    text.replace("{}", " ")
    for text in (
        TASK, ROOM, EXITS, ARRIVE, ARRIVE_FAR, *CONTENTS.values(), CLOSED, HANDS, OPEN, CLOSE, TAKE, PUT,
        *PROCESS.values(), USE, DONE, *ADJECTIVES, LIT, *GOALS.values(), *_COMMANDS, "nothing a an",
    )
)  # fmt: skip

# Commands with the numbered objects of all homes; the world checks whether this home has them.
_NUMBERED = {f"{kind} {n}" for kind in (*RECEPTACLES, *ITEM_KINDS) for n in range(1, 10)} | {LAMP}
_PLACES = _NUMBERED | set(ROOMS)


def task_sentence(kind: TaskKind, item: str, target: str) -> str:
    """The task in words: "put a hot mug in a cabinet"."""
    if kind == "light":
        return GOALS[kind].format(a(item))
    preposition = RECEPTACLES[target][1]
    if kind == "two":
        return GOALS[kind].format(a(item), item, preposition, target)
    return GOALS[kind].format(a(item) if kind == "place" else item, preposition, a(target))


@lru_cache(maxsize=1 << 16)
def parse(command: str) -> Command | str:
    """Parse a command, or return its problem: "empty", or "unparsable" if it is not a command in any household.

    ``put`` accepts "in", "on" and ALFWorld's "in/on" for any receptacle. The caller limits the length.
    """
    text = tidy(command)
    match text.split():
        case []:
            return "empty"
        case ["look"]:
            return Command("look")
        case ["go", "to", *place] if " ".join(place) in _PLACES:
            return Command("go", " ".join(place))
        case [("open" | "close" | "use") as verb, kind, number] if f"{kind} {number}" in _NUMBERED:
            return Command(verb, f"{kind} {number}")
        case [verb, kind, number, link, other, count]:
            first, second = f"{kind} {number}", f"{other} {count}"
            linked = {"take": ("from",), "put": ("in", "on", "in/on")}.get(verb, ("with",) if verb in PROCESS else ())
            if link in linked and first in _NUMBERED and second in _NUMBERED:
                return Command(verb, first, second)
    return "unparsable"


@cache
def words_of_households() -> tuple[str, ...]:
    """The vocabulary: all words of observations and commands."""
    return vocabulary(ROOMS, RECEPTACLES, ITEM_KINDS, [LAMP], PHRASES, REFUSALS.values())
