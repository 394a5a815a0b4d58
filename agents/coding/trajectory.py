"""Records of runs: written turn by turn, read again after a crash, and exchanged with mini-swe-agent."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentgym.agents.coding.costs import Cost, Price, Usage, cost_of
from agentgym.agents.coding.models import Reply
from agentgym.errors import CorruptFile, InvalidParameter

__all__ = ["EXITS", "Trajectory", "Turn", "from_mini_swe_agent", "read_record", "to_mini_swe_agent", "truncated"]

# Why a run ended. Only "done" is the agent's own submission; "limit" was submitted for it where it says so.
EXITS = ("done", "limit", "environment", "format", "cost", "time", "model")


@dataclass(frozen=True)
class Turn:
    """A turn: one model call and its tool call.

    Attributes:
        reply: the model's answer.
        tool: "bash", "edit", "done", "extend", or "" for an answer that was no tool call.
        observation: what the model was told next, without reminders.
        reminder: the reminder before this turn.
        extended: turns that were added before this turn.
    """

    reply: Reply
    tool: str
    observation: str
    reminder: str = ""
    extended: int = 0


@dataclass
class Trajectory:
    """A run.

    Attributes:
        seed: of the environment's episode.
        model, kind: the model's name and kind; results of different kinds share no table.
        turns: the turns.
        exit: one of :data:`EXITS`.
        solved: whether the task is solved; None if there is no verdict.
        submitted: "agent", "auto" (graded as it was when something else ended the run), or "" if nothing was graded.
        reward: sum of the environment's rewards.
        detail: more about the exit.
        level: of the sandbox in which commands ran; "" if the environment has none.
    """

    seed: int
    model: str
    kind: str
    turns: list[Turn] = field(default_factory=list)
    exit: str = ""
    solved: bool | None = None
    submitted: str = ""
    reward: float = 0.0
    detail: str = ""
    level: str = ""

    @property
    def usage(self) -> Usage | None:
        """All tokens; None if those of a turn are unknown."""
        total = Usage(0)
        for turn in self.turns:
            if turn.reply.usage is None:
                return None
            total = total + turn.reply.usage
        return total

    def cost(self, price: Price | None) -> Cost | None:
        """What the run has cost; None if tokens or price are unknown."""
        return cost_of(self.usage, price)

    @property
    def reminders(self) -> int:
        """How often the agent was reminded."""
        return sum(bool(turn.reminder) for turn in self.turns)

    @property
    def extensions(self) -> int:
        """How often the limit was extended."""
        return sum(turn.extended > 0 for turn in self.turns)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def truncated(run: Trajectory, limit: int) -> Trajectory:
    """What a silent limit would have made of an unrestricted run: exact, because the agent is told nothing.

    A run that was done within the limit is untouched. Of the others, whether their unfinished work would pass is not
    known, so they count as not solved and not submitted.

    Raises:
        InvalidParameter: the run had a limit, or reminders, and so was not silent and unrestricted.
    """
    if run.reminders or run.extensions or run.exit == "limit":
        raise InvalidParameter(
            "Only an unrestricted run without reminders can be cut: it must not depend on the limit."
        )
    if len(run.turns) <= limit:
        return run
    return Trajectory(run.seed, run.model, run.kind, run.turns[:limit], "limit", False, "", 0.0, "cut")


class Record:
    """A file that grows by a line for each answer and each result, each safe on the disk before the run goes on.

    Args:
        path: of the file; None keeps no record.
        start: what identifies the run; a record of another one is refused.

    Attributes:
        replies: answers that are on record and need not be asked again.

    Raises:
        InvalidParameter: the file is of another run.
        CorruptFile: a line other than the last is damaged.
    """

    def __init__(self, path: Path | str | None, start: dict[str, Any]) -> None:
        self.replies: list[Reply] = []
        self._file: Any = None
        if path is None:
            return
        path = Path(path)
        known = read_record(path) if path.exists() else []
        if known and known[0] != {"start": start}:
            raise InvalidParameter(f"{path} is the record of another run: choose another file, or delete it.")
        for line in known[1:]:
            usage = line["reply"]["usage"]
            self.replies.append(Reply(line["reply"]["text"], None if usage is None else Usage(**usage)))
        self._file = path.open("w", encoding="utf-8") if not known else path.open("r+", encoding="utf-8")
        if known:
            whole = "".join(json.dumps(line) + "\n" for line in known)
            self._file.seek(0)
            self._file.write(whole)
            self._file.truncate()
        else:
            self._write({"start": start})

    def add(self, reply: Reply) -> None:
        """Record an answer, before it is acted on."""
        self._write({"reply": asdict(reply)})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def read_record(path: Path) -> list[dict[str, Any]]:
    """The lines of a record. A last line that was cut by a crash is left out.

    Raises:
        CorruptFile: another line is damaged.
    """
    found = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        try:
            if not line.endswith("\n"):
                raise ValueError
            found.append(json.loads(line))
        except ValueError:
            if number == len(lines) - 1:
                break
            raise CorruptFile(f"{path} is damaged in line {number + 1}.") from None
    return found


# mini-swe-agent's format of trajectories, version 1.1


def to_mini_swe_agent(run: Trajectory, price: Price | None = None) -> dict[str, Any]:
    """A run in mini-swe-agent's format "mini-swe-agent-1.1". An unknown cost is None, not 0."""
    messages: list[dict[str, Any]] = []
    for turn in run.turns:
        usage = None if turn.reply.usage is None else asdict(turn.reply.usage)
        messages.append({"role": "assistant", "content": turn.reply.text, "extra": {"usage": usage}})
        messages.append({"role": "user", "content": turn.observation})
    cost = run.cost(price)
    return {
        "trajectory_format": "mini-swe-agent-1.1",
        "info": {
            "model_stats": {"instance_cost": None if cost is None else cost.cached, "api_calls": len(run.turns)},
            "config": {"model": {"model_name": run.model}},
            "exit_status": {"done": "Submitted", "limit": "LimitsExceeded", "time": "TimeExceeded"}.get(
                run.exit, run.exit
            ),
            "submission": "",
        },
        "messages": messages,
    }


def from_mini_swe_agent(data: dict[str, Any], solved: bool | None = None) -> Trajectory:
    """A run of mini-swe-agent. Whether it solved its task stands in other files.

    Args:
        data: the content of a ``.traj.json`` file.
        solved: the verdict, if it is known.

    Raises:
        InvalidParameter: it is not in version 1.1 of the format.
    """
    if data.get("trajectory_format") != "mini-swe-agent-1.1" or not isinstance(data.get("messages"), list):
        raise InvalidParameter("This is no trajectory in the format mini-swe-agent-1.1.")
    info = data.get("info", {})
    model = info.get("config", {}).get("model", {}).get("model_name", "unknown")
    run = Trajectory(0, model, "replayed", solved=solved)
    messages: Sequence[dict[str, Any]] = data["messages"]
    for number, message in enumerate(messages):
        if message.get("role") == "assistant":
            after = messages[number + 1] if number + 1 < len(messages) else {}
            extra = message.get("extra") or {}
            tool = "bash" if extra.get("actions", True) else ""
            reply = Reply(_text(message), _usage(extra))
            run.turns.append(Turn(reply, tool, _text(after) if after.get("role") != "assistant" else ""))
    status = info.get("exit_status", "")
    run.exit = {"Submitted": "done", "LimitsExceeded": "limit", "TimeExceeded": "time"}.get(status, "model")
    run.submitted = "agent" if run.exit == "done" else ""
    run.detail = status
    return run


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def _usage(extra: dict[str, Any]) -> Usage | None:
    own = extra.get("usage")
    if isinstance(own, dict):
        return Usage(**own)
    answered = (extra.get("response") or {}).get("usage")
    return Usage.of_openai(answered) if isinstance(answered, dict) and "prompt_tokens" in answered else None
