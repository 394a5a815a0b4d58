"""What a text world offers to its doors: strings in, strings out, and nothing of Gymnasium."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from agentgym.envs.text.language import OBSERVATION_CHARACTERS, Rewording, split_checked
from agentgym.errors import InvalidParameter

__all__ = ["Answer", "Explorer", "World", "checked_numbers"]


class Answer(NamedTuple):
    """What a command brought.

    Attributes:
        text: the observation.
        problem: None, or why nothing happened: a key of :data:`agentgym.envs.text.language.REFUSALS`.
        reward: of this step.
        over: whether the task has ended, won or lost.
        won: whether it is done.
    """

    text: str
    problem: str | None
    reward: float
    over: bool
    won: bool


class Explorer(Protocol):
    """An expert for one episode that knows only what the agent could have seen."""

    def command(self) -> str:
        """The next command. Asked in every turn, since it also takes in what is seen."""


class World(ABC):
    """One text world, an episode at a time.

    Attributes:
        split: "train", "seen" or "unseen".
        max_turns: commands after which an episode is cut off (by the doors; a world itself goes on).
        max_observation_length, max_command_length: in characters.
        max_observation_words, max_command_words: in words of :func:`agentgym.envs.text.language.words`.
        task, task_kind: what is to be done in this episode, in words, and its kind.
        verbs: the first words of commands.
        synonyms: another word for each verb, one that the world itself does not understand; none: not renamed.
        rewordings: every sentence that the world says, in other words; empty where they cannot be listed.
        judges_commands: whether :meth:`shortens` can be told.
        can_explore: whether :meth:`explorer` gives an expert.
        instructions: which commands there are, for who has never played; "" where the observations say it.
        characters: of which observations are made.
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
        """Every word that observations and useful commands are made of, sorted; None where they cannot be listed."""

    @property
    def dials(self) -> Mapping[str, Any]:
        """What the worlds' size is made of, by name; empty where they have no size."""
        return {}

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """What makes a snapshot fit: the world's arguments as text."""

    @abstractmethod
    def begin(self, seed: int, episode: int) -> str:
        """Start the episode of this seed and number; returns the first observation, with the task in it."""

    @abstractmethod
    def act(self, command: str) -> Answer:
        """Carry out a command, any string. One that is no command, or not possible now, changes nothing."""

    @abstractmethod
    def commands(self) -> list[str]:
        """Commands that would be carried out now, in a fixed order."""

    @abstractmethod
    def anchor(self) -> Hashable:
        """A hashable value that tells the states of one episode's world apart."""

    @abstractmethod
    def plan(self) -> list[str]:
        """Commands that lead from here to success; empty when there is nothing more to do."""

    @abstractmethod
    def distance(self) -> int:
        """How many commands :meth:`plan` has."""

    def explorer(self) -> Explorer:
        """An expert for the episode that has just begun.

        Raises:
            InvalidParameter: this world has none.
        """
        raise InvalidParameter(f"{type(self).__name__} has no explorer: only households have one. Take the oracle.")

    def shortens(self, command: str) -> bool:
        """Whether the command would bring success nearer: it is tried out, and taken back."""
        taken, before = self.state_values(), self.distance()
        answer = self.act(command)
        after = 0 if answer.won else self.distance()
        self.set_state_values(taken)
        return after < before and (answer.won or not answer.over)

    @abstractmethod
    def state_values(self) -> dict[str, Any]:
        """All that has changed since :meth:`begin`, as plain JSON values."""

    @abstractmethod
    def set_state_values(self, values: dict[str, Any]) -> None:
        """Put back what :meth:`state_values` gave, in the same episode.

        Raises:
            InvalidParameter: the values are not those of a state of this world; nothing has changed then.
        """

    def close(self) -> None:  # noqa: B027
        """Give back what the world holds outside of Python, if anything."""


def checked_numbers(name: str, values: Any, low: int, high: int, length: int | None = None) -> list[int]:
    """A snapshot's list of whole numbers, copied.

    Raises:
        InvalidParameter: it is no list, has another length, or a number is not in [low, high].
    """
    right = isinstance(values, list) and (length is None or len(values) == length)
    if not right or not all(isinstance(n, int) and low <= n <= high for n in values):
        size = "" if length is None else f"{length} "
        raise InvalidParameter(f"The snapshot's {name!r} must be a list of {size}numbers from {low} to {high}.")
    return [int(n) for n in values]
