"""A home: what stands where, what is to be done there, and how it stands at one moment."""

from dataclasses import dataclass, field

from agentgym.envs.text.household.names import TaskKind
from agentgym.envs.text.household.phrases import CONDITION

__all__ = ["IN_HAND", "NOWHERE", "Home", "State"]

IN_HAND = -1  # in State.where: the item is held
NOWHERE = -1  # in State.at: at no receptacle, in the middle of the room; in State.hand: nothing


@dataclass(frozen=True, slots=True)
class Home:
    """What does not change within an episode. R receptacles, I items and M rooms are numbered from 0.

    Attributes:
        rooms: names [M].
        exits: the rooms next to each [M].
        apart: how many steps lie between two rooms [M][M].
        receptacles, kinds, room_of: name, kind and room of each receptacle [R].
        openable: whether it opens and closes [R].
        items, item_kinds: name and kind of each item [I].
        lamp: the receptacle on which the desklamp stands, or NOWHERE.
        task, item, target: the task, and the kinds of item and receptacle it speaks of.
        wanted: the items of that kind.
        targets: the receptacles of that kind; for "light" the lamp's.
        start: the state in which the episode begins.
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
        """Turns from receptacle ``at`` (or NOWHERE) in ``room`` to receptacle ``goal``."""
        return 0 if at == goal else self.apart[room][self.room_of[goal]] + 1


@dataclass(slots=True)
class State:
    """What changes. The agent is in ``room``, at receptacle ``at`` or NOWHERE, and holds item ``hand`` or NOWHERE.

    Attributes:
        where: each item's receptacle, or IN_HAND [I].
        condition: each item's bits CLEAN, HOT, COOL [I].
        opened: whether one sees into and reaches into each receptacle [R]; always True where nothing opens.
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
        """A copy that shares nothing."""
        return State(
            self.room, self.at, self.hand, self.where.copy(), self.condition.copy(), self.opened.copy(), self.lit
        )

    def key(self) -> tuple[object, ...]:
        """A hashable value that two states of a home share only if they are the same."""
        return (
            self.room, self.at, self.hand, tuple(self.where), tuple(self.condition), tuple(self.opened), self.lit
        )  # fmt: skip


def solved(home: Home, state: State) -> bool:
    """Whether the task is done in this state."""
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
