"""Paraphrases of a household's sentences, and synonyms of its verbs."""

from collections.abc import Mapping
from types import MappingProxyType

from agentgym.envs.text.language import REWORDED_REFUSALS, Rewording

__all__ = ["REWORDINGS", "SYNONYMS"]

# Patterns are tried in this order, so more specific ones come first.
REWORDINGS: tuple[Rewording, ...] = (
    Rewording(
        r"Your task: put (.+) and another (.+) (in|on) one (.+)\.",
        (
            "Make sure that {0} and one more {1} end up {2} the same {3}.",
            "Bring {0} and a second {1}, both {2} one {3}.",
        ),
    ),
    Rewording(
        r"Your task: put (.+) (in|on) (.+)\.",
        ("Make sure that {0} ends up {1} {2}.", "What is asked of you: there should be {0} {1} {2}."),
    ),
    Rewording(
        r"Your task: look at (.+) under the lit desklamp\.",
        ("Turn the desklamp on and examine {0} by its light.", "With the desklamp burning, inspect {0} beneath it."),
    ),
    Rewording(r"You are in the (.+)\.", ("This is the {0}.", "Around you is the {0}.")),
    Rewording(r"You see: (.+)\.", ("There are {0} here.", "Within sight: {0}.")),
    Rewording(r"Exits: (.+)\.", ("From here one gets to: {0}.", "Doors lead to {0}.")),
    Rewording(r"You are at (.+) in the (.+)\.", ("You stand before {0}, which is in the {1}.",)),
    Rewording(r"You are at (.+)\.", ("You stand before {0}.", "Here is {0}.")),
    Rewording(r"In it: (.+)\.", ("It contains {0}.", "Inside: {0}.")),
    Rewording(r"On it: (.+)\.", ("It carries {0}.", "On top: {0}.")),
    Rewording(r"It is closed\.", ("It is shut.", "One cannot see what is inside, for it is shut.")),
    Rewording(r"You hold: (.+)\.", ("In your hands: {0}.", "You carry {0}.")),
    Rewording(r"You open (.+)\.", ("Now {0} stands open.", "{0} has been opened.")),
    Rewording(r"You close (.+)\.", ("Now {0} is shut.", "{0} has been closed.")),
    Rewording(r"You take (.+) from (.+)\.", ("You pick {0} up from {1}.", "Now you have {0}, which was at {1}.")),
    Rewording(r"You put (.+) (in|on) (.+)\.", ("You leave {0} {1} {2}.", "Now {0} is {1} {2}.")),
    Rewording(r"You clean (.+) with (.+)\.", ("You wash {0} by means of {1}.", "{0} is washed with {1}.")),
    Rewording(r"You heat (.+) with (.+)\.", ("You warm {0} by means of {1}.", "{0} is warmed with {1}.")),
    Rewording(r"You cool (.+) with (.+)\.", ("You chill {0} by means of {1}.", "{0} is chilled with {1}.")),
    Rewording(r"You turn on (.+)\.", ("You light {0}.", "{0} burns now.")),
    Rewording(r"Well done\.", ("The task is done.",)),
    *REWORDED_REFUSALS,
)

SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "look": "inspect",
        "go": "walk",
        "take": "grab",
        "put": "place",
        "open": "unfasten",
        "close": "shut",
        "clean": "wash",
        "heat": "warm",
        "cool": "chill",
        "use": "operate",
    }
)
