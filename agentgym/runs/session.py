"""One session of a run: from its start or a checkpoint to its end or a signal, with all that it writes."""

import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.utils.tensorboard import SummaryWriter

from agentgym.contracts.agent import traits_of
from agentgym.progress import TrainingProgress, bar
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.locks import RunLock
from agentgym.runs.metrics import MetricsFile
from agentgym.runs.processes import gathered
from agentgym.runs.resume import Checkpointer, fingerprint, run_inventory
from agentgym.runs.run import Run
from agentgym.runs.state import Inventory, Item
from agentgym.runs.state_files import require_replaceable

__all__ = ["Session", "differences"]


class Session:
    """One session of a run: from its start or a checkpoint to its end or a signal."""

    def __init__(
        self, run: Run, agent: Any, progress: bool, lock: RunLock, checkpoints: Checkpoints | None = None,
        saved: Saved | None = None,
    ) -> None:  # fmt: skip
        require_replaceable(run.final)
        self.run, self.agent, self.progress, self.saved = run, agent, progress, saved
        self.began, self.record = time.monotonic(), run.record()
        self.metrics = _Metrics(run.path)
        if saved is None:
            self.metrics.clear()
        self.has_events = any(file.stat().st_size for file in run.path.glob("events.out.tfevents.*"))
        self.tensorboard = _TensorBoard(str(run.path), None if saved is None else saved.step)
        agent.set_logger(Logger(str(run.path), [self.metrics, self.tensorboard]))
        own = Inventory([Item("run", self._about, lambda _: None)])
        self.inventory = own + run_inventory(agent, self.metrics)
        checkpoints = checkpoints or Checkpoints(run.path / "checkpoints", run.config.keep_checkpoints)
        self.checkpointer = Checkpointer(checkpoints, self.inventory, run.config.checkpoint_every, saved, lock)
        self.checkpointer.init_callback(agent)
        run.write_record(self.record)

    def _about(self) -> dict[str, Any]:
        """Information on the run that is stored in checkpoints in addition to its state."""
        self.tensorboard.writer.flush()  # so that the events of a killed run reach as far as its checkpoint
        return {
            "config": asdict(self.run.config), "fingerprint": fingerprint(), "record": self._record_now(),
            "timing": self.metrics.timing.content(),
        }  # fmt: skip

    def _record_now(self) -> dict[str, Any]:
        return {**self.record, "seconds": self.record["seconds"] + time.monotonic() - self.began}

    def restore(self) -> None:
        """Restore the part of the checkpoint that comes before ``learn()``, and record whether the resume is exact."""
        reasons, restored = [], []
        if self.saved is not None:
            about = self.saved.state["run"]
            self.inventory.write(self.saved.state, "before")
            self.saved.restore_rows(self.inventory.rows)
            reasons = [*differences(about["fingerprint"], fingerprint()), *self._inexact_replays()]
            restored = self._restore_records(about)
        for reason in reasons:
            warnings.warn(f"{self.run.name} is resumed, but not bit for bit: {reason}", stacklevel=3)
        for what in restored:
            warnings.warn(f"{self.run.name}: {what} changed since the checkpoint and restored", stacklevel=3)
        self.record["resumes"].append(
            {
                "step": self.agent.num_timesteps,
                "exact": not reasons,
                "reasons": reasons,
                "restored": restored,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        self.run.write_record(self.record)

    def _restore_records(self, about: dict[str, Any]) -> list[str]:
        """Restore the run's tables if they were changed. (metrics.csv is restored with the state.)

        Returns:
            The files that had changed.
        """
        before, now = about["record"], self.record
        whole = {
            "metrics.csv was": not self.metrics.damaged,
            "timing.csv was": self.metrics.timing.restore(about["timing"]),
            "record.json was": now["resumes"][: len(before["resumes"])] == before["resumes"],
            "TensorBoard's events were": self.has_events or not self.metrics.metrics.columns,
        }
        if not whole["record.json was"]:
            now["resumes"] = before["resumes"]
        now["seconds"] = max(now["seconds"], before["seconds"])  # a killed process has not recorded its time
        if not whole["TensorBoard's events were"]:
            for row in self.metrics.metrics.rows():
                self.tensorboard.write_row(row)
        return [what for what, is_so in whole.items() if not is_so]

    def _inexact_replays(self) -> list[str]:
        env = self.agent.get_env()
        base = env and env.unwrapped
        replayed: list[Any] = base.envs if isinstance(base, DummyVecEnv) else []  # a native batch needs no replay
        return [f"the replay of environment {env.index} differs" for env in replayed if not env.replayed_exactly]

    def finish(self, callbacks: Sequence[BaseCallback] = ()) -> Run:
        """Train up to the run's number of steps and save the agent."""
        agent, run = self.agent, self.run
        try:
            with self.checkpointer.stopping_on_signals(), _warn_of_parallel_training():
                self._learn(callbacks)
            self.checkpointer.write()
        finally:
            record = self._record_now()
            run.write_record(record)
        if agent.logger.name_to_value:
            agent.logger.record("time/seconds", record["seconds"])
            agent.logger.dump(agent.num_timesteps)
        agent.save(run.final)
        if traits_of(agent).learns_from == "dataset":
            record["scores"] = asdict(agent.scores)
        run.write_record({**record, "finished_steps": run.config.steps, "learned_steps": agent.num_timesteps})
        gathered([None])  # other processes wait for it
        if env := agent.get_env():
            env.close()
        return run

    def _learn(self, more: Sequence[BaseCallback]) -> None:
        steps = self.run.config.steps - self.agent.num_timesteps
        if steps <= 0:  # killed between its last step and final/
            return
        with bar(self.run.name, self.run.config.steps, shown=self.progress) as shown:
            callbacks = [self.checkpointer, TrainingProgress(shown), *more]
            self.agent.learn(steps, callback=callbacks, reset_num_timesteps=self.saved is None)


_LEARNING = threading.Lock()


@contextmanager
def _warn_of_parallel_training() -> Iterator[None]:
    """Warn if another thread of this process is training already."""
    first = _LEARNING.acquire(blocking=False)
    if not first:
        warnings.warn(
            "Another run is training in this process. Both use the same global random generators, so neither can be "
            "reproduced from its seed or resumed exactly. Use one process per run.",
            stacklevel=4,
        )
    try:
        yield
    finally:
        if first:
            _LEARNING.release()


def differences(before: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """The differences between two nested dictionaries, as "key was x, is y"."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{path}{key}.")
        elif _plain(old) != _plain(new):
            found.append(f"{path}{key} was {old}, is {new}")
    return found


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


class _Metrics(MetricsFile, KVWriter):
    """metrics.csv as a log format of Stable-Baselines3."""


class _TensorBoard(TensorBoardOutputFormat):
    """Writes TensorBoard events, replacing those of an earlier session from ``purge_step`` on."""

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.writer = SummaryWriter(log_dir=folder, purge_step=purge_step)
        self._is_closed = False

    def write_row(self, row: dict[str, str]) -> None:
        """Write one row of metrics.csv as events."""
        for key in row.keys() - {"step"}:
            with suppress(ValueError):  # texts and empty cells
                self.writer.add_scalar(key, float(row[key]), int(row["step"]))
