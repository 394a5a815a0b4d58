"""The rules of a household: the effects and observations of all commands."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agentgym.contracts.settings import plain
from agentgym.envs.text.household import oracle
from agentgym.envs.text.household.explorer import Explorer
from agentgym.envs.text.household.generator import build
from agentgym.envs.text.household.home import IN_HAND, NOWHERE, Home, State, solved
from agentgym.envs.text.household.names import (
    APPLIANCES,
    ITEM_KINDS,
    LAMP,
    RECEPTACLES,
    ROOMS,
    TASKS,
    TaskKind,
    can,
)
from agentgym.envs.text.household.phrases import (
    ADJECTIVES,
    ARRIVE,
    ARRIVE_FAR,
    CLEAN,
    CLOSE,
    CLOSED,
    CONDITION,
    CONTENTS,
    DONE,
    EXITS,
    HANDS,
    LIT,
    OPEN,
    PROCESS,
    PUT,
    ROOM,
    TAKE,
    TASK,
    USE,
    parse,
    task_sentence,
    words_of_households,
)
from agentgym.envs.text.household.rewordings import REWORDINGS, SYNONYMS
from agentgym.envs.text.language import Command, listed, refusal
from agentgym.envs.text.presets import HOUSEHOLDS, Household, sized
from agentgym.envs.text.world import Answer, World, checked_numbers
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["HouseholdWorld"]


class HouseholdWorld(World):
    """Implements :class:`agentgym.envs.text.env.HouseholdEnv`, whose docstring is the manual.

    Args:
        size: a name of :data:`agentgym.envs.text.presets.HOUSEHOLDS`.
        tasks: the kinds of task to draw from; None: all six.
        split: "train", "seen" or "unseen".
        dials: fields of the size to override, e.g. ``items=12``.

    Raises:
        UnknownId: no such size, task or split.
        InvalidParameter: a dial is out of range, or no task is given.
    """

    verbs = ("look", "go", "take", "put", "open", "close", "clean", "heat", "cool", "use")
    synonyms = SYNONYMS
    rewordings = REWORDINGS
    can_explore = True
    instructions = (
        "Commands: look; go to PLACE; open PLACE; close PLACE; take THING from PLACE; put THING in PLACE; "
        "clean, heat or cool THING with PLACE; use desklamp 1."
    )

    def __init__(
        self, size: str = "small", tasks: Sequence[TaskKind] | None = None, split: str = "train", **dials: Any
    ) -> None:
        super().__init__(split)
        self.size: Household = sized(HOUSEHOLDS, "household size", size, dials)
        self.tasks = _checked(tasks)
        self.max_turns = self.size.max_turns
        self.max_command_length = 48
        self.max_observation_length = _longest_text(self.size)
        self.max_observation_words = 45 + 3 * self.size.receptacles + 5 * self.size.items
        self.max_command_words = 6
        self._act = {verb: getattr(self, f"_{verb}") for verb in ("go", "take", "put", "open", "close", "use", "look")}
        self._act.update(dict.fromkeys(APPLIANCES, self._process))
        self.home: Home
        self.state: State

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words of observations and commands."""
        return words_of_households()

    @property
    def dials(self) -> Mapping[str, Any]:
        """The size of its homes, see :class:`agentgym.envs.text.presets.Household`."""
        return asdict(self.size)

    @property
    def fingerprint(self) -> str:
        """Size, tasks and split."""
        return repr((self.size, self.tasks, self.split))

    def begin(self, seed: int, episode: int) -> str:
        """Start an episode in its home and return the task and the first view."""
        self.home = build(self.size, self.tasks, self.split, seed, episode)
        self.state = self.home.start.copy()
        self._labels = self.home.items.copy()
        self._walks_from: dict[tuple[int, int], list[str]] = {}
        self.task = task_sentence(self.home.task, self.home.item, self.home.target)
        self.task_kind = self.home.task
        return f"{TASK.format(self.task)} {self._room_text()}"

    def act(self, command: str) -> Answer:
        """Execute a command if it is possible."""
        # The length is checked first, because the parser's cache should not store megabytes.
        read = parse(command) if len(command) <= self.max_command_length else "overlong"
        if isinstance(read, str):
            return Answer(refusal(read), read, 0.0, False, False)
        said = self._act[read.verb](read)
        if said is None:
            return Answer(refusal("impossible"), "impossible", 0.0, False, False)
        if solved(self.home, self.state):
            return Answer(said + DONE, None, 1.0, True, True)
        return Answer(said, None, 0.0, False, False)

    def commands(self) -> list[str]:
        """All possible commands in a fixed order, starting with "look"."""
        home, state = self.home, self.state
        found = self._walks(state.room, state.at).copy()
        at = state.at
        if at == NOWHERE:
            return found
        name, kind = home.receptacles[at], home.kinds[at]
        if home.openable[at]:
            found.append(f"close {name}" if state.opened[at] else f"open {name}")
        held = state.hand
        if state.opened[at]:
            if held == NOWHERE:
                found += [f"take {home.items[n]} from {name}" for n, place in enumerate(state.where) if place == at]
            else:
                found.append(f"put {home.items[held]} {RECEPTACLES[kind][1]} {name}")
        if held != NOWHERE:
            for task, appliance in APPLIANCES.items():
                if appliance == kind and can(home.item_kinds[held], task):
                    found.append(f"{task} {home.items[held]} with {name}")
        if at == home.lamp and not state.lit:
            found.append(f"use {LAMP}")
        return found

    def _walks(self, room: int, at: int) -> list[str]:
        """Movement commands, preceded by "look". They depend only on the position, so they are cached."""
        walks = self._walks_from.get((room, at))
        if walks is None:
            home = self.home
            near = [n for n, where in enumerate(home.room_of) if where == room and n != at]
            names = [home.rooms[n] for n in home.exits[room]] + [home.receptacles[n] for n in near]
            walks = self._walks_from[room, at] = ["look", *(f"go to {name}" for name in names)]
        return walks

    def anchor(self) -> tuple[object, ...]:
        """The state's key."""
        return self.state.key()

    def plan(self) -> list[str]:
        """The commands of a shortest plan from the current state."""
        return oracle.plan(self.home, self.state)

    def distance(self) -> int:
        """The minimum number of turns to success."""
        return oracle.distance(self.home, self.state)

    def explorer(self) -> Explorer:
        """An expert that uses only what it has observed."""
        return Explorer(self.home, lambda: self.state)

    def state_values(self) -> dict[str, Any]:
        """The state as plain values."""
        state = self.state
        return {
            "room": state.room, "at": state.at, "hand": state.hand, "where": state.where.copy(),
            "condition": state.condition.copy(), "opened": state.opened.copy(), "lit": state.lit,
        }  # fmt: skip

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_values` returned."""
        home, last = self.home, len(self.home.receptacles) - 1
        if set(values) != set(State.__slots__):
            raise InvalidParameter(f"A snapshot of a household has the values {', '.join(State.__slots__)}.")
        items = len(home.items)
        where = checked_numbers("where", values["where"], IN_HAND, last, items)
        condition = checked_numbers("condition", values["condition"], 0, len(ADJECTIVES) - 1, items)
        opened = checked_numbers("opened", values["opened"], 0, 1, last + 1)
        room, lit = checked_numbers("room", [values["room"]], 0, len(home.rooms) - 1)[0], bool(values["lit"])
        at = checked_numbers("at", [values["at"]], NOWHERE, last)[0]
        hand = checked_numbers("hand", [values["hand"]], NOWHERE, items - 1)[0]
        held = [n for n, place in enumerate(where) if place == IN_HAND]
        if held != ([] if hand == NOWHERE else [hand]) or (at != NOWHERE and home.room_of[at] != room):
            raise InvalidParameter("The snapshot contradicts itself about what is held or where the agent is.")
        self.state = State(room, at, hand, where, condition, [bool(n) for n in opened], lit)
        self._labels = [ADJECTIVES[bits] + name for bits, name in zip(condition, home.items, strict=True)]

    # Effects of commands. Each returns the observation, or None if the command is not possible and changed nothing.

    def _go(self, command: Command) -> str | None:
        home, state = self.home, self.state
        place = home.index.get(command.first, NOWHERE)
        if place == NOWHERE:
            for room in home.exits[state.room]:
                if home.rooms[room] == command.first:
                    state.room, state.at = room, NOWHERE
                    return self._room_text()
            return None
        if place == state.at or not self._is_place(place, command.first) or home.room_of[place] != state.room:
            return None
        state.at = place
        return ARRIVE.format(command.first) + self._contents(place)

    def _open(self, command: Command) -> str | None:
        at = self._here(command.first)
        if at == NOWHERE or not self.home.openable[at] or self.state.opened[at]:
            return None
        self.state.opened[at] = True
        return OPEN.format(command.first, self._things(at))

    def _close(self, command: Command) -> str | None:
        at = self._here(command.first)
        if at == NOWHERE or not self.home.openable[at] or not self.state.opened[at]:
            return None
        self.state.opened[at] = False
        return CLOSE.format(command.first)

    def _take(self, command: Command) -> str | None:
        at, state = self._here(command.second), self.state
        item = self.home.index.get(command.first, NOWHERE)
        if at == NOWHERE or item == NOWHERE or state.hand != NOWHERE or not state.opened[at]:
            return None
        if not self._is_item(item, command.first) or state.where[item] != at:
            return None
        state.where[item] = IN_HAND
        state.hand = item
        return TAKE.format(self._labels[item], command.second)

    def _put(self, command: Command) -> str | None:
        at, state = self._here(command.second), self.state
        item = self._held(command.first)
        if at == NOWHERE or item == NOWHERE or not state.opened[at]:
            return None
        state.where[item] = at
        state.hand = NOWHERE
        return PUT.format(self._labels[item], RECEPTACLES[self.home.kinds[at]][1], command.second)

    def _process(self, command: Command) -> str | None:
        at, item = self._here(command.second), self._held(command.first)
        if at == NOWHERE or item == NOWHERE or self.home.kinds[at] != APPLIANCES[command.verb]:  # type: ignore[index]
            return None
        if not can(self.home.item_kinds[item], command.verb):  # type: ignore[arg-type]
            return None
        before = self.state.condition[item]
        new = CONDITION[command.verb]
        bits = before | CLEAN if new == CLEAN else before & CLEAN | new
        self.state.condition[item] = bits
        said = PROCESS[command.verb].format(command.first, command.second)
        self._labels[item] = ADJECTIVES[bits] + command.first
        return said

    def _use(self, command: Command) -> str | None:
        if command.first != LAMP or self.state.at == NOWHERE or self.state.at != self.home.lamp or self.state.lit:
            return None
        self.state.lit = True
        return USE.format(LAMP)

    def _look(self, command: Command) -> str:
        state = self.state
        if state.at == NOWHERE:
            view = self._room_text()
        else:
            place = ARRIVE_FAR.format(self.home.receptacles[state.at], self.home.rooms[state.room])
            view = place + self._contents(state.at)
        return view + HANDS.format("nothing" if state.hand == NOWHERE else self._labels[state.hand])

    # Look-up of names

    def _here(self, name: str) -> int:
        """The number of the receptacle with this name if the agent is at it, else NOWHERE."""
        at = self.state.at
        return at if at != NOWHERE and self.home.receptacles[at] == name else NOWHERE

    def _held(self, name: str) -> int:
        """The number of the item with this name if the agent holds it, else NOWHERE."""
        hand = self.state.hand
        return hand if hand != NOWHERE and self.home.items[hand] == name else NOWHERE

    def _is_place(self, n: int, name: str) -> bool:
        return n < len(self.home.receptacles) and self.home.receptacles[n] == name

    def _is_item(self, n: int, name: str) -> bool:
        return n < len(self.home.items) and self.home.items[n] == name

    def _things(self, at: int) -> str:
        names = [label for label, place in zip(self._labels, self.state.where, strict=True) if place == at]
        if at == self.home.lamp:
            names.append(LIT if self.state.lit else LAMP)
        return listed(names)

    def _contents(self, at: int) -> str:
        if not self.state.opened[at]:
            return CLOSED
        return CONTENTS[RECEPTACLES[self.home.kinds[at]][1]].format(self._things(at))

    def _room_text(self) -> str:
        home, room = self.home, self.state.room
        seen = [name for name, where in zip(home.receptacles, home.room_of, strict=True) if where == room]
        text = ROOM.format(home.rooms[room], listed(seen))
        return text + EXITS.format(listed(home.rooms[n] for n in home.exits[room])) if home.exits[room] else text


def _checked(tasks: Sequence[TaskKind] | None) -> tuple[TaskKind, ...]:
    if tasks is None:
        return TASKS
    tasks = plain(tasks)
    if not isinstance(tasks, list | tuple) or not tasks:
        raise InvalidParameter(f"tasks must be a list of at least one of {', '.join(TASKS)}, not {tasks!r}.")
    for task in tasks:
        if task not in TASKS:
            raise UnknownId("household task", str(task), TASKS)
    return tuple(tasks)


def _longest_text(size: Household) -> int:
    """An upper bound in characters: all receptacles in one view, all items in one place with all adjectives."""
    receptacle = max(map(len, RECEPTACLES)) + 4
    item = max(map(len, ITEM_KINDS)) + len("clean cool ") + 4
    return 200 + 4 * max(map(len, ROOMS)) + size.receptacles * receptacle + (size.items + 1) * item
