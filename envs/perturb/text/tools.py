"""Tool faults: commands that fail, and commands without an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from agentgym.envs.perturb.base import check_whole
from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View

__all__ = ["ToolFailure", "ToolTimeout"]

FAILED = "Nothing happens: the tool failed."
NO_ANSWER = "Nothing happens: no answer yet."


@dataclass(frozen=True, kw_only=True)
class ToolFailure(TextPerturbation):
    """A command is not executed. The observation reports the failure, and the turn is lost; the agent may try again.

    The world receives an empty command instead, which costs a turn and changes nothing. ``info["problem"]`` is "failed"
    and ``info["valid"]`` true, since it is not the agent's fault. ``info["measures"]`` counts ``failures``.

    Args:
        rate: probability that a command fails.
    """

    rate: float = 0.1

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        return _Failing(self.rate, 1, FAILED)


@dataclass(frozen=True, kw_only=True)
class ToolTimeout(TextPerturbation):
    """A command gets no answer for some turns, and commands given meanwhile are lost. Otherwise as ToolFailure.

    Args:
        rate: probability that a command gets no answer.
        turns: number of commands lost, including the first.
    """

    rate: float = 0.05
    turns: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, "turns", 1)

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        return _Failing(self.rate, self.turns, NO_ANSWER)


class _Failing(TextProcess):
    def __init__(self, rate: float, turns: int, message: str) -> None:
        super().__init__()
        self.rate, self.turns, self.message = rate, turns, message

    @override
    def begin(self) -> None:
        self.left = self.count = 0
        self.lost = False

    @override
    def act(self, command: str) -> str:
        strikes = self.generator.random() < self.rate
        if strikes and not self.left:
            self.left = self.turns
        self.lost = self.left > 0
        if not self.lost:
            return command
        self.left -= 1
        self.count += 1
        self.fired = True
        return ""

    @override
    def see(self, view: View) -> None:
        if self.lost:
            view.text = self.message
            view.info |= {"valid": True, "problem": "failed"}
            self.lost = False
        measures = view.info.get("measures")
        if measures is not None:
            # The world received an empty command instead of the lost one, and reports it as the agent's.
            mistaken = {"invalid_turns": measures["invalid_turns"] - self.count} if "invalid_turns" in measures else {}
            view.info["measures"] = {**measures, **mistaken, "failures": measures.get("failures", 0.0) + self.count}
