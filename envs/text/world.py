"""The interface of text worlds, on which the environments are built. It is independent of Gymnasium."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from agentgym.envs.text.language import OBSERVATION_CHARACTERS, Rewording, split_checked
from agentgym.errors import InvalidParameter

__all__ = ["Answer", "Explorer", "World", "checked_numbers"]


class Answer(NamedTuple):
    """The result of a command.

    Attributes:
        text: the observation.
        problem: None, or why nothing happened, a key of :data:`agentgym.envs.text.language.REFUSALS`.
        reward: reward of this step.
        over: whether the task has ended, with success or without.
        won: whether the task is solved.
    """

    text: str
    problem: str | None
    reward: float
    over: bool
    won: bool


class Explorer(Protocol):
    """An expert for one episode that uses only what the agent could have observed."""

    def command(self) -> str:
        """The next command. Must be called in every turn, because it also records what is visible."""


class World(ABC):
    """Base of text worlds. A world plays one episode at a time.

    Attributes:
        split: "train", "seen" or "unseen".
        max_turns: commands after which the environments truncate an episode; the world itself continues.
        max_observation_length, max_command_length: maximum lengths in characters.
        max_observation_words, max_command_words: the same in words of :func:`agentgym.envs.text.language.words`.
        task, task_kind: the episode's task in words, and its kind.
        verbs: the first words of commands.
        synonyms: a synonym for each verb that the world itself does not understand; verbs without one are not renamed.
        rewordings: paraphrases of all of the world's sentences; empty if these cannot be listed.
        judges_commands: whether :meth:`shortens` is supported.
        can_explore: whether :meth:`explorer` is supported.
        instructions: an overview of the commands for new players; "" if the observations give one.
        characters: the characters of observations.
    """

    max_turns: int
    max_observation_length: int
    max_command_length: int
    max_observation_words: int
    max_command_words: int
    task: str
    task_kind: str
    verbs: tuple[str, ...]
    synonyms: Mapping[str, str] = MappingProxyType({})
    rewordings: tuple[Rewording, ...] = ()
    judges_commands: bool = True
    can_explore: bool = False
    instructions: str = ""
    characters: frozenset[str] = OBSERVATION_CHARACTERS

    def __init__(self, split: str) -> None:
        self.split = split_checked(split)

    @property
    @abstractmethod
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words of observations and useful commands, sorted; None if they cannot be listed."""

    @property
    def dials(self) -> Mapping[str, Any]:
        """The parameters of the worlds' size, by name; empty if there are none."""
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """The world's arguments as text, which a snapshot has to match."""

    @abstractmethod
    def begin(self, seed: int, episode: int) -> str:
        """Start the episode with this seed and number. Returns the first observation, which contains the task."""

    @abstractmethod
    def act(self, command: str) -> Answer:
        """Execute a command, which may be any string. Invalid or impossible commands change nothing."""

    @abstractmethod
    def commands(self) -> list[str]:
        """The commands that are possible now, in a fixed order."""

    @abstractmethod
    def anchor(self) -> Hashable:
        """A hashable value that distinguishes the states of an episode."""

    @abstractmethod
    def plan(self) -> list[str]:
        """Commands from the current state to success; empty if there is nothing left to do."""

    @abstractmethod
    def distance(self) -> int:
        """The number of commands in :meth:`plan`."""

    def explorer(self) -> Explorer:
        """An expert for the episode that has just started.

        Raises:
            InvalidParameter: this world does not support it.
        """
        raise InvalidParameter(f"{type(self).__name__} has no explorer: only households have one. Use the oracle.")

    def shortens(self, command: str) -> bool:
        """Whether the command would bring success nearer, found by trying and undoing it."""
        taken, before = self.state_values(), self.distance()
        answer = self.act(command)
        after = 0 if answer.won else self.distance()
        self.set_state_values(taken)
        return after < before and (answer.won or not answer.over)

    @abstractmethod
    def state_values(self) -> dict[str, Any]:
        """All changes since :meth:`begin`, as plain JSON values."""

    @abstractmethod
    def set_state_values(self, values: dict[str, Any]) -> None:
        """Restore a state of the same episode that :meth:`state_values` returned.

        Raises:
            InvalidParameter: the values are not a state of this world; nothing has changed then.
        """

    def close(self) -> None:  # noqa: B027
        """Release resources outside of Python, if any."""


def checked_numbers(name: str, values: Any, low: int, high: int, length: int | None = None) -> list[int]:
    """Check and copy a snapshot's list of whole numbers.

    Raises:
        InvalidParameter: not a list, of another length, or with a number outside [low, high].
    """
    right = isinstance(values, list) and (length is None or len(values) == length)
    if not right or not all(isinstance(n, int) and low <= n <= high for n in values):
        size = "" if length is None else f"{length} "
        raise InvalidParameter(f"The snapshot's {name!r} must be a list of {size}numbers from {low} to {high}.")
    return [int(n) for n in values]
