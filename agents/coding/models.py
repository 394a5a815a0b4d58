"""Models that answer in the loop: scripted, replayed, simulated, an agent of the house, an endpoint."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentgym.agents.coding.costs import Usage
from agentgym.errors import AskError
from agentgym.seeding import stream

__all__ = ["AgentModel", "ChatModel", "Model", "ModelError", "Replayed", "Reply", "Scripted", "Simulated"]

Messages = list[dict[str, str]]


class ModelError(AskError):
    """A model gave no answer; the message says why."""


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: a tool call: ``bash COMMAND``, ``edit PATH`` with its blocks, ``done`` or ``extend``.
        usage: its tokens; None if unknown.
    """

    text: str
    usage: Usage | None = None


class Model(Protocol):
    """Answers a conversation.

    Attributes:
        name: as in price tables.
        kind: "scripted", "replayed", "simulated", "learned" or "real"; results of different kinds share no table.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> str: ...  # noqa: D102

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The next answer.

        Args:
            messages: the conversation so far.
            commands: the environment's list of possible commands; may be empty.

        Raises:
            ModelError: there is none.
        """


class Scripted:
    """Gives listed answers, whatever it is told; ``tokens`` counts words for a bill that can be checked by hand."""

    def __init__(self, replies: Iterable[str], name: str = "scripted", tokens: bool = True) -> None:
        self.name, self.kind, self._replies, self._tokens = name, "scripted", iter(replies), tokens
        self.calls = 0

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The next of the list."""
        self.calls += 1
        text = next(self._replies, None)
        if text is None:
            raise ModelError("The script has no further answer.")
        prompt = sum(len(message["content"].split()) for message in messages)
        return Reply(text, Usage(prompt, output=len(text.split())) if self._tokens else None)


class Replayed(Scripted):
    """Gives the answers of a recorded run with their recorded tokens."""

    def __init__(self, replies: Iterable[Reply], name: str) -> None:
        super().__init__((), name)
        self.kind, self._recorded = "replayed", iter(replies)

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The next recorded answer."""
        self.calls += 1
        reply = next(self._recorded, None)
        if reply is None:
            raise ModelError("The recorded run has no further answer.")
        return reply


class Simulated:
    """One of a population: it acts at random among the commands on offer, and gives up or submits at random.

    A population serves to test mechanics only: nothing follows from it about real models.

    Args:
        seed: of its draws.
        patience: mean number of turns before it submits.
    """

    def __init__(self, seed: int, patience: float = 12.0) -> None:
        self.name, self.kind, self.calls = f"simulated-{seed}", "simulated", 0
        self._draw, self._stop = stream(seed, "simulated model"), 1 / patience

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """A random command."""
        self.calls += 1
        others = [command for command in commands if command != "submit"]
        prompt = sum(len(message["content"].split()) for message in messages)
        done = not others or self._draw.random() < self._stop
        text = "done" if done else f"bash {others[int(self._draw.integers(len(others)))]}"
        return Reply(text, Usage(prompt, output=len(text.split())))


class AgentModel:
    """An agent of the house, for instance a tiny policy, or any object with ``predict(observation, state, commands=)``.

    Args:
        agent: the agent.
        kind: "learned", or "scripted" for a hand-made player.
    """

    def __init__(self, agent: Any, name: str = "agent", kind: str = "learned") -> None:
        self.agent, self.name, self.kind, self.calls = agent, name, kind, 0
        self._state: Any = None
        self._read = 0

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The agent's command for the latest observation.

        Raises:
            ModelError: it has not read what came before, because the run was resumed.
        """
        self.calls += 1
        if len(messages) <= 2:
            self._state = None
        elif len(messages) != self._read + 2:
            raise ModelError("An agent of the house cannot go on in the middle of a run: delete the record.")
        self._read = len(messages)
        command, self._state = self.agent.predict(
            messages[-1]["content"], self._state, deterministic=False, commands=list(commands)
        )
        prompt = sum(len(message["content"].split()) for message in messages)
        text = "done" if command == "submit" else f"bash {command}"
        return Reply(text, Usage(prompt, output=len(text.split())))


class ChatModel:
    """A model that is asked through a function: an OpenAI-compatible endpoint or a local model.

    Args:
        ask: takes the messages and returns OpenAI's answer: ``choices`` and, if known, ``usage``.
        name: of the model.
    """

    def __init__(self, ask: Callable[[Messages], dict[str, Any]], name: str) -> None:
        self._ask, self.name, self.kind, self.calls = ask, name, "real", 0

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The answer's text and tokens."""
        self.calls += 1
        answer = self._ask(messages)
        try:
            text = answer["choices"][0]["message"]["content"] or ""
            usage = Usage.of_openai(answer["usage"]) if answer.get("usage") else None
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(f"The model {self.name} gave an answer that is not OpenAI's ({error!r}).") from error
        return Reply(text, usage)
