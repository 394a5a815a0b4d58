"""The transcript of an episode of text: its cost in words, and features for a policy that controls turns."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEATURES", "Transcript"]

FEATURES = (
    "turns / 40",
    "words / 1000",
    "prompt words sent / 10,000",
    "share of turns that brought a new state",
    "last turn brought a new state",
    "turns since the last new state / 10",
    "equal commands in a row / 3",
    "edits / 10",
    "tests run / 10",
    "last observation: passes",
    "last observation: fails",
    "tests passed since the last edit / 3",
    "commands on offer / 20",
    "edits on offer / 20",
    "files on offer / 3",
)
_SCALES = np.array([40, 1e3, 1e4, 1, 1, 10, 3, 10, 10, 1, 1, 3, 20, 20, 3], np.float64)


class Transcript:
    """What has been said and done in an episode.

    A turn sends everything said before once more, so the words of all prompts grow quadratically with turns. With a
    cache, only the words that were not in the prompt before are fresh.

    Attributes:
        turns: commands given.
        prompts: words of the prompts of all turns.
        fresh: of these, words that no earlier prompt had; the rest can be read from a cache.
        answers: words of all commands.
        states: keys of the states seen, from ``info["anchor"]``.
        new_state: for each turn, whether it brought a state that had not been seen.
    """

    def __init__(self, text: str, info: Mapping[str, Any]) -> None:
        self.turns = self.prompts = self.fresh = self.answers = 0
        self._said = self._new = len(text.split())
        self.states: set[Hashable] = {info.get("anchor")}
        self.new_state: list[bool] = []
        self.repeats = 0
        self._last = ""
        self._counts = dict.fromkeys(("edit", "run"), 0)
        self._passed = 0
        self._ending = (False, False)
        self._offered = list(info.get("admissible_commands") or ())

    def add(self, command: str, text: str, info: Mapping[str, Any]) -> None:
        """One turn: a command and its observation."""
        said, told = len(command.split()), len(text.split())
        self.turns += 1
        self.prompts += self._said
        self.fresh += self._new
        self.answers += said
        self._new = said + told
        self._said += self._new
        state = info.get("anchor")
        self.new_state.append(state not in self.states)
        self.states.add(state)
        self.repeats = self.repeats + 1 if command == self._last else 1
        self._last = command
        verb = command.partition(" ")[0]
        if verb in self._counts:
            self._counts[verb] += 1
        passes = "passes" in text or "no tests fail" in text
        self._passed = 0 if verb in ("edit", "undo") else self._passed + passes
        self._ending = passes, "fail" in text and not passes
        self._offered = list(info.get("admissible_commands") or ())

    def said(self, text: str) -> None:
        """Words added to the last observation, such as a reminder."""
        self._new += len(text.split())
        self._said += len(text.split())

    @property
    def features(self) -> NDArray[np.float32]:
        """The values named in :data:`FEATURES`, float32 [15]; most are between 0 and 1."""
        new = self.new_state
        since = next((n for n, fresh in enumerate(reversed(new)) if fresh), len(new))
        verbs = [command.partition(" ")[0] for command in self._offered]
        values = [
            self.turns, self._said, self.prompts, sum(new) / max(1, len(new)), bool(new and new[-1]), since,
            self.repeats, self._counts["edit"], self._counts["run"], *self._ending, self._passed, len(verbs),
            verbs.count("edit"), verbs.count("open"),
        ]  # fmt: skip
        return (np.array(values, np.float64) / _SCALES).astype(np.float32)
