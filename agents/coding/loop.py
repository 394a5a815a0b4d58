"""The loop of a coding agent: a model, a text environment, and a control of turns."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentgym.agents.coding.costs import Price, cost_of
from agentgym.agents.coding.models import Messages, Model, ModelError, Reply
from agentgym.agents.coding.tools import Call, FormatError, instructions, parse
from agentgym.agents.coding.trajectory import Record, Trajectory, Turn
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter
from agentgym.turns.control import Control, Unrestricted, View
from agentgym.turns.transcript import Transcript

__all__ = ["solve"]

FORMAT_ERRORS = 3  # in a row, after which a run ends


def solve(
    env: Any,
    seed: int,
    model: Model,
    control: Control | None = None,
    *,
    record: Path | str | None = None,
    price: Price | None = None,
    cost_limit: float | None = None,
    time_limit: float | None = None,
    grade_at_limit: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Trajectory:
    """Let a model work on one task.

    A turn is one model call, also if its answer is no tool call. The tool "done" submits; nothing in an output does.
    When something else ends the run, the work is submitted as it is and labelled "auto".

    Args:
        env: a text environment of the house, whose command ``submit`` ends an episode.
        seed: of the episode.
        model: answers the conversation.
        control: of turns; None: unrestricted.
        record: a file of the run. A run that was killed and is called again with it goes on: answers on record are
            acted on again, in the same environment and with the same seed, and not asked for again.
        price: of the model's tokens, for ``cost_limit``.
        cost_limit: dollars after which the run ends.
        time_limit: seconds after which the run ends.
        grade_at_limit: whether unfinished work is submitted.
        clock: for tests.

    Raises:
        InvalidParameter: a cost limit without a price, or a record of another run.
    """
    control = control or Unrestricted()
    whole_number("seed", seed, 0)
    if cost_limit is not None and (price is None or finite_number("cost_limit", cost_limit, 0) < 0):
        raise InvalidParameter(f"cost_limit needs a price: {model.name} is not in the table of prices.")
    run = _Run(env, seed, model, control, Record(record, {"seed": seed, "model": model.name, "control": repr(control)}))
    began = clock()
    try:
        while not run.over:
            spent = cost_of(run.trajectory.usage, price)
            if time_limit is not None and clock() - began >= time_limit:
                run.end("time", f"{time_limit:g} s")
            elif cost_limit is not None and spent is None:
                run.end("cost", "the tokens of a call are unknown")
            elif cost_limit is not None and spent is not None and spent.cached >= cost_limit:
                run.end("cost", f"{spent.cached:.4f} of {cost_limit:g} dollars")
            else:
                run.turn()
        if grade_at_limit and run.trajectory.exit not in ("done", "environment"):
            run.grade()
    finally:
        run.record.close()
    return run.trajectory


class _Run:
    """One run."""

    def __init__(self, env: Any, seed: int, model: Model, control: Control, record: Record) -> None:
        self.env, self.model, self.control, self.record = env, model, control, record
        self.trajectory = Trajectory(seed, model.name, model.kind)
        control.begin()
        text, self.info = env.reset(seed=seed)
        self.trajectory.level = str(self.info.get("level", ""))
        self.messages: Messages = [
            {"role": "system", "content": instructions(control.takes_requests)},
            {"role": "user", "content": text},
        ]
        self.over = False
        self.transcript = Transcript(text, self.info)
        self._waiting = list(record.replies)
        self._errors, self._requested = 0, False

    def end(self, why: str, detail: str = "") -> None:
        """End the run."""
        self.over = True
        self.trajectory.exit, self.trajectory.detail = why, detail

    def turn(self) -> None:
        """Ask the control, then the model, and do what it says."""
        ruling = self.control.rule(View.of(self.transcript, self._requested))
        self._requested = False
        if not ruling.go:
            self.end("limit", f"{ruling.limit} turns")
            return
        shown = [*self.messages]
        if ruling.reminder:
            shown[-1] = {"role": "user", "content": f"{shown[-1]['content']}\n{ruling.reminder}"}
            self.messages = shown
            self.transcript.said(ruling.reminder)
        try:
            reply = self._ask(shown)
        except ModelError as error:
            self.end("model", str(error))
            return
        tool, command, told = self._act(reply)
        self.transcript.add(command, told, self.info)
        self.trajectory.turns.append(Turn(reply, tool, told, ruling.reminder, ruling.extended))
        self.messages = [
            *self.messages, {"role": "assistant", "content": reply.text}, {"role": "user", "content": told},
        ]  # fmt: skip

    def _ask(self, messages: Messages) -> Reply:
        if self._waiting:
            return self._waiting.pop(0)
        reply = self.model.query(messages, self.info.get("admissible_commands") or [])
        self.record.add(reply)
        return reply

    def _act(self, reply: Reply) -> tuple[str, str, str]:
        """Do what an answer says. Returns its tool, its command, and what the model is told."""
        try:
            call = parse(reply.text)
            if call.tool == "extend" and not self.control.takes_requests:
                raise FormatError("There is no tool extend here.")
        except FormatError as error:
            self._errors += 1
            if self._errors >= FORMAT_ERRORS:
                self.end("format", f"{FORMAT_ERRORS} answers in a row were no tool call")
            return "", reply.text, str(error)
        self._errors = 0
        if call.tool == "extend":
            self._requested = True
            return "extend", "extend", "Noted: more turns are asked for."
        return call.tool, call.command, self._step(call, "agent")

    def _step(self, call: Call, by: str) -> str:
        text, reward, terminated, truncated, self.info = self.env.step(call.command)
        run = self.trajectory
        run.reward += float(reward)
        if terminated or truncated:
            if call.tool == "done":
                run.submitted = by
            if by == "agent":
                self.end("done" if call.tool == "done" else "environment", "terminated" if terminated else "truncated")
            # An environment with verdicts may have none; the others say whether the task is won.
            unknown = call.tool == "done" and "verdict" in self.info and self.info["verdict"] is None
            run.solved = None if unknown else bool(self.info.get("won", False))
            run.detail = self.info.get("reason") or run.detail
        return str(text)

    def grade(self) -> None:
        """Submit the work as it is; that is no turn, because no model was called."""
        self._step(Call("done", "submit"), "auto")
