"""An expert that uses only what it has observed: it searches, and takes the shortest way once it knows enough.

An oracle goes straight to items that the agent cannot know of, so imitating it teaches guessing. This expert's
commands follow from its observations.
"""

from collections.abc import Callable

from agentgym.envs.text.household.home import IN_HAND, NOWHERE, Home, State
from agentgym.envs.text.household.oracle import NO_WAY, commands, go_to, next_room, shortest

__all__ = ["Explorer"]


class Explorer:
    """Chooses commands for one episode of a household, also if other commands are executed.

    Args:
        home: the home, at the start of an episode.
        state: returns the current state.
    """

    def __init__(self, home: Home, state: Callable[[], State]) -> None:
        self._home, self._state = home, state
        self._rooms: set[int] = set()
        self._looked_into: set[int] = set()

    def command(self) -> str:
        """The next command. Must be called in every turn, because it also records what is visible."""
        home, state = self._home, self._state()
        self._rooms.add(state.room)
        if state.at != NOWHERE and state.opened[state.at]:
            self._looked_into.add(state.at)
        items = [n for n in home.wanted if state.where[n] == IN_HAND or state.where[n] in self._looked_into]
        stand = [n for n, room in enumerate(home.room_of) if room in self._rooms]
        # The lamp's position cannot be seen from a distance.
        places = [n for n in stand if n in self._looked_into] if home.task == "light" else stand
        turns, way = shortest(home, state, items, places)
        if turns < NO_WAY:
            return next(commands(home, state, way))
        return self._search(stand)

    def _search(self, stand: list[int]) -> str:
        """Go to the nearest receptacle not yet searched, or the nearest room not yet entered."""
        home, state = self._home, self._state()
        unknown = [n for n in stand if n not in self._looked_into]
        rooms = [n for n in range(len(home.rooms)) if n not in self._rooms and self._rooms.intersection(home.exits[n])]
        place = min(unknown, key=lambda n: (home.steps_between(state.room, state.at, n), n), default=None)
        room = min(rooms, key=lambda n: (home.apart[state.room][n], n), default=None)
        # One of the two exists: after searching everything, all that is needed would be known.
        if place is None or (
            room is not None and home.apart[state.room][room] < home.steps_between(state.room, state.at, place)
        ):
            assert room is not None
            return f"go to {home.rooms[next_room(home, state.room, room)]}"
        if place == state.at:
            return f"open {home.receptacles[place]}"
        return next(go_to(home, state.room, state.at, place))
