"""The data of a home: its layout and task, and its changing state."""

from dataclasses import dataclass, field

from agentgym.envs.text.household.names import TaskKind
from agentgym.envs.text.household.phrases import CONDITION

__all__ = ["IN_HAND", "NOWHERE", "Home", "State"]

IN_HAND = -1  # value of State.where: the item is held
NOWHERE = -1  # value of State.at: in the middle of the room; of State.hand: nothing


@dataclass(frozen=True, slots=True)
class Home:
    """The constant part of an episode. R receptacles, I items and M rooms are numbered from 0.

    Attributes:
        rooms: names [M].
        exits: the neighbours of each room [M].
        apart: number of steps between two rooms [M][M].
        receptacles, kinds, room_of: name, kind and room of each receptacle [R].
        openable: whether it can be opened and closed [R].
        items, item_kinds: name and kind of each item [I].
        lamp: the receptacle with the desklamp, or NOWHERE.
        task, item, target: the task, and its kinds of item and receptacle.
        wanted: the items of that kind.
        targets: the receptacles of that kind; for "light" the lamp's.
        start: the state at the start of the episode.
    """

    rooms: list[str]
    exits: list[list[int]]
    apart: list[list[int]]
    receptacles: list[str]
    kinds: list[str]
    room_of: list[int]
    openable: list[bool]
    items: list[str]
    item_kinds: list[str]
    lamp: int
    task: TaskKind
    item: str
    target: str
    wanted: list[int]
    targets: list[int]
    start: "State"
    index: dict[str, int] = field(default_factory=dict)  # numbers of receptacles and items by name

    def steps_between(self, room: int, at: int, goal: int) -> int:
        """The number of turns from receptacle ``at`` (or NOWHERE) in ``room`` to receptacle ``goal``."""
        return 0 if at == goal else self.apart[room][self.room_of[goal]] + 1


@dataclass(slots=True)
class State:
    """The changing part. The agent is in ``room``, at receptacle ``at`` or NOWHERE, and holds ``hand`` or NOWHERE.

    Attributes:
        where: each item's receptacle, or IN_HAND [I].
        condition: each item's bits CLEAN, HOT, COOL [I].
        opened: whether each receptacle is open [R]; always True if it cannot be closed.
        lit: whether the desklamp is on.
    """

    room: int
    at: int
    hand: int
    where: list[int]
    condition: list[int]
    opened: list[bool]
    lit: bool

    def copy(self) -> "State":
        """An independent copy."""
        return State(
            self.room, self.at, self.hand, self.where.copy(), self.condition.copy(), self.opened.copy(), self.lit
        )

    def key(self) -> tuple[object, ...]:
        """A hashable value that is equal only for equal states of a home."""
        return (
            self.room, self.at, self.hand, tuple(self.where), tuple(self.condition), tuple(self.opened), self.lit
        )  # fmt: skip


def solved(home: Home, state: State) -> bool:
    """Whether the task is solved in this state."""
    if home.task == "light":
        return state.lit and state.at == home.lamp and state.hand in home.wanted
    if home.task == "two":
        places = [state.where[item] for item in home.wanted]
        return any(places.count(target) >= 2 for target in home.targets)
    for item in home.wanted:
        if state.where[item] in home.targets:
            needed = CONDITION.get(home.task, 0)
            if state.condition[item] & needed == needed:
                return True
    return False
