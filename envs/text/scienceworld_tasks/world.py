"""ScienceWorld's tasks with the interface of text worlds."""

import os
import shutil
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from agentgym.contracts.settings import flag, whole_number
from agentgym.envs.text.language import refusal
from agentgym.envs.text.world import Answer, World
from agentgym.errors import AskError, InvalidParameter, MissingExtra, UnknownId
from agentgym.seeding import stream

__all__ = ["ScienceWorldWorld"]

# Version 1.2 iterates over sets of objects in the order of Java's identity hashes, so equal tasks differ between
# processes. If all hashes are equal, the order is that of creation.
STEADY = "-XX:+UnlockExperimentalVMOptions -XX:hashCode=2"
NOT_UNDERSTOOD = "No known action matches that input."
# These would restart the task within the episode.
FORBIDDEN = "reset task"


class ScienceWorldWorld(World):
    """Implements ``ScienceWorldEnv``, whose docstring is the manual, with one Java process.

    Args:
        tasks: names of ScienceWorld's tasks to draw from; None: all thirty.
        simplifications: ScienceWorld's, separated by commas; "easy" includes all of them.
        split: "train", "seen" (ScienceWorld's development set) or "unseen" (its test set).
        max_turns: commands after which an episode is truncated.
        gold: whether to compute ScienceWorld's solution at each reset, which takes up to half a minute.

    Raises:
        MissingExtra: scienceworld is not installed.
        AskError: Java is not installed.
        UnknownId: no such task, simplification or split.
    """

    judges_commands = False  # the solution is known only from the start
    verbs = ("look", "go", "pick", "put", "open", "close", "focus", "move", "pour", "mix", "use", "wait", "inventory")
    characters = frozenset(string.printable)

    def __init__(
        self,
        tasks: Sequence[str] | None = None,
        simplifications: str = "easy",
        split: str = "train",
        max_turns: int = 100,
        gold: bool = False,
    ) -> None:
        super().__init__(split)
        self._server: Any = None  # set before anything can fail, because close() uses it
        self.max_turns = whole_number("max_turns", max_turns, 1)
        if isinstance(tasks, str) or (tasks is not None and not tasks):
            raise InvalidParameter(f'tasks must be a list of at least one task, such as ["boil"], not {tasks!r}.')
        if not isinstance(simplifications, str):
            raise InvalidParameter(f"simplifications must be a string, separated by commas, not {simplifications!r}.")
        self.simplifications, self.gold = simplifications, flag("gold", gold)
        self._upstream = _started()
        self._server = self._upstream.server
        known = sorted(self._upstream.get_task_names())
        self.tasks = known if tasks is None else [_known(task, known, "ScienceWorld task") for task in tasks]
        possible = ["easy", *self._upstream.get_possible_simplifications()]
        for simplification in filter(None, simplifications.split(",")):
            _known(simplification, possible, "ScienceWorld simplification")
        self.max_command_length, self.max_command_words = 120, 120
        self.max_observation_length = self.max_observation_words = 16_384
        self._variations: dict[str, list[int]] = {}
        self._given: list[str] = []

    @property
    def vocabulary(self) -> None:
        """None: a task's words cannot be listed in advance."""
        return

    @property
    def fingerprint(self) -> str:
        """Tasks, simplifications and split."""
        return repr((self.tasks, self.simplifications, self.split))

    def begin(self, seed: int, episode: int) -> str:
        """Load the task and variation drawn for this seed and episode."""
        draws = stream(seed, "scienceworld", self.split, episode)
        self.task_kind = self.tasks[draws.integers(len(self.tasks))]
        variations = self._variations_of(self.task_kind)
        variation = variations[draws.integers(len(variations))]
        self._upstream.load(self.task_kind, variation, self.simplifications, self.gold)
        self._plan = self._upstream.get_gold_action_sequence() if self.gold else []
        self._server.reset()
        first = self._server.step("look around")
        self._score, self._given, self._over = self._points(), [], False
        self.task = self._server.freeActionTaskDesc().removeprefix("Task Description:").strip()
        return _printable(f"{self.task}\n{first}")

    def act(self, command: str) -> Answer:
        """Execute one command."""
        if len(command) > self.max_command_length:
            return Answer(refusal("overlong"), "overlong", 0.0, False, False)
        command = " ".join(command.split())
        if not command:
            return Answer(refusal("empty"), "empty", 0.0, False, False)
        if not (command.isascii() and command.isprintable()):
            return Answer(refusal("unparsable"), "unparsable", 0.0, False, False)
        if command.lower() == FORBIDDEN:
            return Answer(refusal("impossible"), "impossible", 0.0, False, False)
        text = self._server.step(command)
        self._given.append(command)
        reward = (self._points() - self._score) / 100
        self._score = self._points()
        if text == NOT_UNDERSTOOD:
            return Answer(refusal("unparsable"), "unparsable", reward, False, False)
        self._over = self._score < 0 or bool(self._server.getCompleted())
        return Answer(_printable(text), None, reward, self._over, self._score >= 100)

    def commands(self) -> list[str]:
        """ScienceWorld's valid combinations of actions and objects, sorted: hundreds, in tens of milliseconds."""
        return sorted(set(self._server.getValidActionObjectCombinations()) - {FORBIDDEN})

    def anchor(self) -> tuple[str, str, int]:
        """The agent's view, its inventory and the score. States may differ elsewhere."""
        return str(self._server.freeActionLook()), str(self._server.freeActionInventory()), self._score

    def plan(self) -> list[str]:
        """The rest of ScienceWorld's solution if no other command has been given, else empty."""
        done = len(self._given)
        return [] if self._over or self._given != self._plan[:done] else self._plan[done:]

    def distance(self) -> int:
        """The number of commands in the plan."""
        return len(self.plan())

    def state_values(self) -> dict[str, Any]:
        """The commands given, which reproduce the state."""
        return {"commands": self._given.copy()}

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Repeat the commands."""
        commands = values.get("commands")
        if not isinstance(commands, list) or not all(isinstance(command, str) for command in commands):
            raise InvalidParameter("A snapshot of a ScienceWorld experiment has a list of commands.")
        for command in commands:
            self.act(command)

    def close(self) -> None:
        """End the Java process."""
        if self._server is not None:
            self._server = None
            self._upstream.close()

    def _points(self) -> int:
        """The score, -100 to 100."""
        return round(100 * self._server.getScore())

    def _variations_of(self, task: str) -> list[int]:
        if task not in self._variations:
            self._upstream.load(task, 0, self.simplifications)
            get = {"train": "get_variations_train", "seen": "get_variations_dev", "unseen": "get_variations_test"}
            self._variations[task] = getattr(self._upstream, get[self.split])()
        return self._variations[task]


def _started() -> Any:
    try:
        from scienceworld import ScienceWorldEnv
    except ImportError as error:
        raise MissingExtra("scienceworld", "scienceworld") from error
    if shutil.which("java") is None:
        raise AskError("ScienceWorld needs Java 9 or newer, and there is no java on the PATH. Install it first.")
    with _steady_java():
        # ScienceWorld's own step limit would terminate the episode; the environments truncate instead.
        return ScienceWorldEnv("", envStepLimit=10**9)


@contextmanager
def _steady_java() -> Iterator[None]:
    """Pass options to Java through an environment variable, since ScienceWorld passes none."""
    name = "JDK_JAVA_OPTIONS"
    before = os.environ.get(name)
    os.environ[name] = f"{before} {STEADY}" if before else STEADY
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _known(name: str, known: Sequence[str], what: str) -> str:
    if name not in known:
        raise UnknownId(what, str(name), known)
    return name


def _printable(text: str) -> str:
    return text.strip().encode("ascii", "replace").decode() or "Nothing is said."
