"""The nouns of a household, their possible tasks, and the pairs held out of training.

Which items can be heated, cooled, cleaned or examined under a lamp follows ALFWorld (Shridhar et al., arXiv
2010.03768), which has the same six kinds of tasks. Nouns are shortened to one word each.
"""

import zlib
from functools import cache
from typing import Literal, get_args

__all__ = [
    "APPLIANCES",
    "ITEM_KINDS",
    "LAMP",
    "PROCESSES",
    "RECEPTACLES",
    "ROOMS",
    "TASKS",
    "TaskKind",
    "can",
    "goals",
    "held_out",
]

TaskKind = Literal["place", "light", "clean", "heat", "cool", "two"]
TASKS: tuple[TaskKind, ...] = get_args(TaskKind)
LAMP = "desklamp 1"

# kind: (maximum number in a home, "in" or "on", whether it opens)
RECEPTACLES: dict[str, tuple[int, str, bool]] = {
    "fridge": (1, "in", True),
    "microwave": (1, "in", True),
    "sink": (2, "in", False),
    "cabinet": (6, "in", True),
    "drawer": (6, "in", True),
    "safe": (2, "in", True),
    "chest": (3, "in", True),
    "counter": (3, "on", False),
    "table": (4, "on", False),
    "desk": (3, "on", False),
    "shelf": (6, "on", False),
    "bed": (3, "on", False),
    "sofa": (2, "on", False),
    "dresser": (3, "on", False),
    "armchair": (3, "on", False),
    "bin": (3, "in", False),
    "cart": (2, "on", False),
    "bathtub": (1, "in", False),
}
ROOMS = (
    "kitchen", "hall", "bedroom", "bathroom", "study", "pantry", "garage", "attic", "cellar", "nursery", "library",
    "laundry", "workshop", "porch", "parlour", "den",
)  # fmt: skip
APPLIANCES: dict[TaskKind, str] = {"clean": "sink", "heat": "microwave", "cool": "fridge"}
PROCESSES: tuple[TaskKind, ...] = tuple(APPLIANCES)

_ITEMS: dict[str, str] = {
    "apple": "clean heat cool", "bread": "heat cool", "egg": "clean heat cool", "lettuce": "clean cool",
    "potato": "clean heat cool", "tomato": "clean heat cool", "cup": "clean heat cool", "mug": "clean heat cool light",
    "plate": "clean heat cool light", "bowl": "clean cool light", "pan": "clean cool", "pot": "clean cool",
    "bottle": "cool", "kettle": "clean", "knife": "clean", "fork": "clean", "spoon": "clean", "ladle": "clean",
    "spatula": "clean", "sponge": "clean", "soap": "clean", "cloth": "clean", "towel": "", "candle": "",
    "book": "light", "box": "light", "card": "light", "clock": "light", "disc": "light", "keys": "light",
    "laptop": "light", "newspaper": "light", "pen": "light", "pencil": "light", "phone": "light", "pillow": "light",
    "remote": "light", "statue": "light", "vase": "light", "watch": "light",
}  # fmt: skip
ITEM_KINDS = tuple(_ITEMS)
_CAN = {kind: frozenset(("place", "two", *abilities.split())) for kind, abilities in _ITEMS.items()}


def can(kind: str, task: TaskKind) -> bool:
    """Whether an item of this kind can be the object of a task (and therefore be heated, cooled, cleaned)."""
    return task in _CAN[kind]


def held_out(item: str, target: str) -> bool:
    """Whether this pair of item and target kinds is held out of training: a fifth of all pairs, in every task."""
    # The low bits of CRC-32, which is linear, would be similar for similar names; a middle byte mixes both names.
    return (zlib.crc32(f"{item} to {target}".encode()) >> 11) % 5 == 0


@cache
def goals(task: TaskKind, unseen: bool) -> tuple[tuple[str, str], ...]:
    """The (item kind, target kind) pairs of a task: the held-out ones or the others.

    The target of "light" is the lamp; a task's own appliance is never its target.
    """
    targets = ["desklamp"] if task == "light" else [kind for kind in RECEPTACLES if kind != APPLIANCES.get(task)]
    return tuple((i, t) for i in ITEM_KINDS if can(i, task) for t in targets if held_out(i, t) == unseen)
