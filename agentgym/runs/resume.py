"""Checkpointing and exact resume of runs: the state besides that of the agent, and when it is saved and restored.

The state of a Stable-Baselines3 agent is consistent only at the start of a rollout: ``on_step`` is called before the
transition is stored, ``on_rollout_end`` before the update. Checkpoints are written at this point, and state that
``learn()`` changes before it (random generators) is restored there.
"""

import hashlib
import os
import platform
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize, VecTransposeImage
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvWrapper
from torch.optim.optimizer import register_optimizer_step_post_hook

from agentgym.contracts.environment import Adapter
from agentgym.errors import InvalidParameter, Stopped
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.files import FULL_DISK
from agentgym.runs.locks import RunLock
from agentgym.runs.metrics import MetricsFile
from agentgym.runs.processes import largest, place
from agentgym.runs.run import PACKAGES, installed_version
from agentgym.runs.state import Inventory, Item
from agentgym.seeding import restore, state_of
from agentgym.wrappers.replay import RecordedBatch, RecordedEnv

__all__ = ["Checkpointer", "Follower", "fingerprint", "run_inventory"]


def run_inventory(agent: Any, metrics: MetricsFile | None) -> Inventory:
    """The complete state of a run; without that of its log for a process that writes none."""
    own: Inventory = agent.inventory()
    log = () if metrics is None else _log(agent, metrics)
    return own + Inventory([*_generators(agent), *_environments(agent.get_env()), *log])


# Random generators


def _generators(agent: Any) -> list[Item]:
    actions = agent.action_space
    items = [
        Item("random.python", _python_state, _set_python_state, "first rollout"),
        Item("random.numpy", _numpy_state, _set_numpy_state, "first rollout"),
        Item("random.torch", torch.get_rng_state, torch.set_rng_state, "first rollout"),
        Item(
            "random.action_space",
            lambda: state_of(actions.np_random), lambda state: restore(actions.np_random, state), "first rollout",
        ),
    ]  # fmt: skip
    if torch.cuda.is_available():
        items.append(Item("random.cuda", torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all, "first rollout"))
    return items


def _python_state() -> dict[str, Any]:
    kind, words, gauss = random.getstate()
    return {"kind": kind, "words": list(words), "gauss": gauss}


def _set_python_state(state: Mapping[str, Any]) -> None:
    random.setstate((state["kind"], tuple(state["words"]), state["gauss"]))


def _numpy_state() -> dict[str, Any]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002  (Stable-Baselines3 draws from the global generator)
    assert isinstance(state, dict)
    return state


def _set_numpy_state(state: Mapping[str, Any]) -> None:
    np.random.set_state(dict(state))  # noqa: NPY002


# Environments


def _environments(env: VecEnv | None) -> Iterator[Item]:
    """State of the stack of VecEnvs, outermost first; empty for an agent without environments.

    Raises:
        InvalidParameter: the state of a wrapper is not known.
    """
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecNormalize):
            yield from _normalizer(env)
        elif isinstance(env, VecMonitor):
            yield _fields("env.monitor", env, ("episode_returns", "episode_lengths", "episode_count"))
        elif not isinstance(env, VecTransposeImage):  # which has no state
            raise InvalidParameter(f"A run with {type(env).__name__} cannot be resumed: its state is not known.")
        env = env.venv
    if env is None:
        return
    batch = env.env if isinstance(env, Adapter) else None
    if isinstance(batch, RecordedBatch):
        yield Item("env.batch", batch.state, batch.restore)
        return
    if not isinstance(env, DummyVecEnv) or not all(isinstance(each, RecordedEnv) for each in env.envs):
        raise InvalidParameter(f"A run in {type(env).__name__} cannot be resumed: its environments are not recorded.")
    for recorded in env.envs:
        assert isinstance(recorded, RecordedEnv)
        yield Item(f"env.{recorded.index}", recorded.state, recorded.restore)


def _fields(name: str, owner: object, fields: tuple[str, ...]) -> Item:
    def write(state: Mapping[str, Any]) -> None:
        for field in fields:
            setattr(owner, field, state[field])

    return Item(name, lambda: {field: getattr(owner, field) for field in fields}, write)


def _normalizer(env: VecNormalize) -> Iterator[Item]:
    statistics = ("mean", "var", "count")
    if env.norm_obs and not isinstance(env.obs_rms, dict):
        yield _fields("env.observation_statistics", env.obs_rms, statistics)
    elif env.norm_obs:
        raise InvalidParameter("A run that normalises Dict observations cannot be resumed exactly.")
    if env.norm_reward:
        yield _fields("env.return_statistics", env.ret_rms, statistics)
    yield _fields("env.normalizer", env, ("returns", "old_obs", "old_reward"))


# Metrics


def _log(agent: Any, metrics: MetricsFile) -> Iterator[Item]:
    logger = agent.logger

    def read() -> dict[str, Any]:
        agent.logger  # noqa: B018  (some agents log their latest losses when this property is read)
        return {
            "values": dict(logger.name_to_value),
            "counts": dict(logger.name_to_count),
            "excluded": dict(logger.name_to_excluded),
        }

    def write(state: Mapping[str, Any]) -> None:
        logger.name_to_value.update(state["values"])
        logger.name_to_count.update(state["counts"])
        logger.name_to_excluded.update({key: tuple(value or ()) for key, value in state["excluded"].items()})

    yield Item("log.pending", read, write)
    yield Item("log.metrics", metrics.metrics.content, metrics.restore)


# Saving and restoring


class Checkpointer(BaseCallback):
    """Writes checkpoints at the start of rollouts, and restores one at the start of the first rollout.

    If rollouts or updates take long, every rollout starts with a checkpoint, so that a signal can stop the run within a
    rollout and only that rollout is lost.

    Args:
        checkpoints: the checkpoints of the run.
        inventory: the state of the run.
        every: environment steps between checkpoints; 0 writes them on a signal and at the end only.
        saved: the checkpoint to resume from; items restored before ``learn()`` are restored already.
        lock: the lock of the run, checked before every write.
    """

    LONG = 5.0  # seconds; on a signal, a rollout with its update that takes longer is stopped midway
    LONGEST = 60.0  # maximum seconds between checkpoints, however few steps are taken
    COST = 0.05  # maximum share of the time for checkpoints in addition to those of ``every``

    def __init__(
        self, checkpoints: Checkpoints, inventory: Inventory, every: int, saved: Saved | None = None,
        lock: RunLock | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.checkpoints, self.inventory, self.every = checkpoints, inventory, every
        self.saved, self.lock = saved, lock
        self.seconds = 0.0  # spent on writing
        self.signal_number = 0
        self._next = every + (saved.step if saved else 0)
        self._began = self._written = time.monotonic()
        self._cost = 0.0  # seconds that the last write took
        self._first = True
        self._kept: int | None = saved.step if saved else 0  # step of the rollout's start if it has a checkpoint

    def _on_rollout_start(self) -> None:
        if self.saved is not None:
            self.inventory.write(self.saved.state, "first rollout")
            self.saved = None
        self.signal_number = largest(self.signal_number)  # several processes stop at the same rollout
        if self.signal_number:
            self.write()
            raise self._stopped(self.num_timesteps)
        now = time.monotonic()
        lasted, self._began = now - self._began, now
        if self._first:
            self._first = False
        elif largest(self.every and (self.num_timesteps >= self._next or self._is_time(now, lasted))):
            self.write()
            self._next = (self.num_timesteps // self.every + 1) * self.every
            self._kept = self.num_timesteps
        else:
            self._kept = None

    def _is_time(self, now: float, lasted: float) -> bool:
        """Whether to write a checkpoint because of the elapsed time.

        Not if all checkpoints are kept, because these are meant to be policies at regular steps.
        """
        since = now - self._written
        worth = self.checkpoints.keep > 0 and self._cost <= self.COST * since
        return worth and (lasted > self.LONG or since > self.LONGEST)

    def _on_step(self) -> bool:
        if self.signal_number:
            self._stop_within_rollout()
        return True

    def _stop_within_rollout(self, *_: Any) -> None:
        alone = place()[1] == 1  # others would wait for this process in the midst of a rollout
        if self.signal_number and alone and self._kept is not None and time.monotonic() - self._signalled > self.LONG:
            raise self._stopped(self._kept)

    def _stopped(self, step: int) -> Stopped:
        return Stopped(self.signal_number, step, str(self.checkpoints.folder.parent))

    def write(self) -> None:
        """Write a checkpoint of the current state.

        Raises:
            OSError: the disk is full; the message names the last intact checkpoint.
            RunInUse: another process has taken over the run.
        """
        began = time.monotonic()
        if self.lock is not None:
            self.lock.require()
        try:
            self.checkpoints.write(self.model.num_timesteps, self.inventory)
        except OSError as error:
            steps = self.checkpoints.steps()
            last = f"the last intact one is of step {steps[-1]}" if steps else "there is none yet"
            full = error.errno in FULL_DISK
            cause = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
            raise OSError(
                error.errno,
                f"The checkpoint of step {self.model.num_timesteps} could not be written ({cause}); {last}. "
                f"{'Free disk space' if full else 'Mend that'} and continue with agentgym resume",
            ) from error
        self._written = time.monotonic()
        self._cost = self._written - began
        self.seconds += self._cost

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """Stop the run on SIGTERM and SIGINT at the start of the next rollout, or within a rollout that takes long.

        A second signal stops it at once. Signals can be handled in the main thread only; in others, nothing changes.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signal_number:
                raise KeyboardInterrupt
            self.signal_number, self._signalled = number, time.monotonic()
            print("\nStopping with a checkpoint. A second signal stops at once, without a checkpoint.", file=sys.stderr)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        updates = register_optimizer_step_post_hook(self._stop_within_rollout)  # updates may take minutes as well
        try:
            yield
        finally:
            updates.remove()
            for number, handler in before.items():
                signal.signal(number, handler)


class Follower(Checkpointer):
    """What a process does that trains with the one that writes the run: restore, stop when it stops, write nothing."""

    def write(self) -> None:
        """Leave it to the process that writes the run, which may need this one's part of the state."""
        self.inventory.read()


def fingerprint() -> dict[str, Any]:
    """Everything that floating-point results depend on: runs with equal fingerprints resume bit for bit."""
    return {
        "versions": {name: installed_version(name) for name in PACKAGES},
        "source": _source(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


@cache
def _source() -> str:
    """A hash of the source code that training uses, because version numbers do not change during development."""
    digest = hashlib.blake2b(digest_size=8)
    for folder, folders, files in os.walk(Path(__file__).parents[1], followlinks=True):
        folders[:] = sorted({*folders} - {"evaluation", "cli"})
        for name in sorted(name for name in files if name.endswith(".py")):
            digest.update(name.encode() + (Path(folder) / name).read_bytes())
    return digest.hexdigest()
