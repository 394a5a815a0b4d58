"""What worlds share in which the agent gives shell commands in a sandbox and submits."""

import hashlib
import json
import string
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from agentgym.envs.code.sandbox import Interpreter, Limits, Session
from agentgym.envs.code.shell.grader import Verdict
from agentgym.envs.text.language import refusal
from agentgym.envs.text.world import Answer, World
from agentgym.errors import InvalidParameter

__all__ = ["CHARACTERS", "CommandWorld"]

CHARACTERS = frozenset(string.ascii_letters + string.digits + string.punctuation + " \n\t")


class CommandWorld(World):
    """A folder of files, bash commands, and a verdict at ``submit``.

    A subclass calls :meth:`_fresh` in ``begin``, and grades.

    Attributes:
        limits: of the sandbox.
        level: of the sandbox.
        python: the interpreter of commands; None: the one that runs this process, without packages.
        cost: what a turn costs of the reward of 1.
        verdict: of the episode, once there is one.
    """

    verbs = ("submit",)
    judges_commands = False
    characters = CHARACTERS
    limits: Limits
    level: str
    python: Interpreter | None = None
    cost: float
    verdict: Verdict | None = None
    _session: Session | None = None
    _over = True

    @property
    def vocabulary(self) -> None:
        """Words cannot be listed."""
        return None

    @property
    def session(self) -> Session:
        """The sandbox of the episode."""
        assert self._session is not None
        return self._session

    def _fresh(self, files: Mapping[str, str]) -> None:
        """Begin an episode in a fresh sandbox."""
        self.close()
        self._session = Session(files, self.limits, self.level, python=self.python)
        self._started = files
        self._turns, self._over, self.verdict = 0, False, None

    def act(self, command: str) -> Answer:
        """Run a command, or grade what is there."""
        self._turns += 1
        if len(command) > self.max_command_length:
            return Answer(refusal("overlong"), "overlong", 0.0, False, False)
        if not command.strip():
            return Answer(refusal("empty"), "empty", 0.0, False, False)
        if "\0" in command:
            return Answer(refusal("unparsable"), "unparsable", 0.0, False, False)
        if command.strip() == "submit":
            return self._submit()
        result = self.session.run(command)
        ends = {"exit": f"[exit status {result.code}]", "wall": "[stopped: out of time]", "output": "[stopped: flood]"}
        text = f"{result.output.rstrip()}\n{ends.get(result.ended, '[fresh sandbox, with the files of the start]')}"
        return Answer(shown(text.lstrip("\n"))[: self.max_observation_length], None, 0.0, False, False)

    def _submit(self) -> Answer:
        self._over = True
        self.verdict = self.graded()
        if self.verdict.resolved is None:
            return Answer("There is no verdict.", "failed", 0.0, True, False)
        won = self.verdict.resolved
        reward = max(0.0, 1 - self.cost * self._turns) if won else 0.0
        return Answer("All tests pass." if won else "Not repaired.", None, reward, True, won)

    @abstractmethod
    def graded(self) -> Verdict:
        """Grade the working folder as it is; the episode goes on."""

    def anchor(self) -> str:
        """A digest of the changes."""
        changed, odd = self.session.changes()
        return hashlib.sha256(json.dumps([changed, odd, self._over], sort_keys=True).encode()).hexdigest()[:16]

    def distance(self) -> int:
        """The number of commands in the plan."""
        return len(self.plan())

    def state_values(self) -> dict[str, Any]:
        """The text files that differ from the start, and the turns. The shell's folder and variables are not kept."""
        changed, _ = self.session.changes()
        return {"changed": dict(sorted(changed.items())), "turns": self._turns, "over": self._over}

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_values` returned, in a fresh sandbox."""
        changed = values.get("changed")
        if set(values) != {"changed", "turns", "over"} or not isinstance(changed, dict):
            raise InvalidParameter("The snapshot is not one of code repair.")
        if not all(isinstance(text, str | None) for text in changed.values()):
            raise InvalidParameter("The snapshot's changed files must be texts.")
        self._fresh(self._started)
        self.session.put(changed)
        self._turns, self._over = int(values["turns"]), bool(values["over"])

    def close(self) -> None:
        """End the sandbox."""
        if self._session is not None:
            self._session.close()
            self._session = None


def shown(text: str) -> str:
    """A text in the characters of observations, others as question marks."""
    return "".join(letter if letter in CHARACTERS else "?" for letter in text)
