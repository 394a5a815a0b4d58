"""Train agents of the catalog by name, and resume their runs."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor
from torch.utils.tensorboard import SummaryWriter

from agentgym import catalog
from agentgym.contracts.agent import traits_of
from agentgym.contracts.check_env import check_interface
from agentgym.contracts.environment import single_spaces
from agentgym.contracts.settings import AgentConfig, from_settings, whole_number
from agentgym.errors import AskError, InvalidParameter, Stopped
from agentgym.make import has_exact_batch, make_env, make_native_batch, perturbed, preserve_dynamics
from agentgym.progress import TrainingProgress, bar
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.locks import RunLock, locked
from agentgym.runs.metrics import MetricsFile
from agentgym.runs.processes import agree, gathered, place
from agentgym.runs.resume import Checkpointer, Follower, fingerprint, run_inventory
from agentgym.runs.run import Run, RunConfig, command_line, run_folder
from agentgym.runs.state import Inventory, Item
from agentgym.runs.state_files import require_replaceable
from agentgym.wrappers.replay import RecordedBatch, RecordedEnv

__all__ = ["resume", "train"]


def train(
    config: RunConfig,
    name: str | None = None,
    root: Path | str = "runs",
    overwrite: bool = False,
    progress: bool = True,
    callbacks: Sequence[BaseCallback] = (),
) -> Run:
    """Train one agent and write ``root/name``.

    Args:
        config: configuration of the run.
        name: name of the run's folder; by default made of agent, environment and seed.
        root: folder of the runs.
        overwrite: replace an existing run of the same name.
        progress: show a progress bar.
        callbacks: called during training, as in Stable-Baselines3.

    Raises:
        UnknownId: there is no such agent, environment, perturbation or hyperparameter.
        InvalidParameter: a value of the configuration or the name is invalid.
        AskError: the run exists, or the environment rejects its arguments.
        RunInUse: another process is writing a run of this name.
        NotWritable: the folder is not writable.
        Stopped: a signal stopped the run after a checkpoint was written.
    """
    number, config.processes = place()

    def prepare() -> tuple[Any, Path]:
        config.check()
        path = run_folder(root, "run" if name is None else name)  # the default name needs the dataset, loaded below
        if name is not None and number == 0:
            Run.require_free(path, overwrite)
        agent = build(config)  # raises errors before anything is written
        return agent, run_folder(root, _default_name(config) if name is None else name)

    agent, path = agree(prepare)
    if number:
        return _follow(Run(path, config, {}), agent, None, callbacks)
    with ExitStack() as stack:

        def opened() -> _Session:
            lock = stack.enter_context(locked(path, command_line()))
            run = Run.create(path, config, overwrite)
            stack.enter_context(_discarded_unless_learned(run))
            return _Session(run, agent, progress, lock)

        return agree(opened).finish(callbacks)


@contextmanager
def _discarded_unless_learned(run: Run) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, Stopped) and not run.has_learned():
            run.discard()
        raise


def resume(path: Path | str, more: int = 0, progress: bool = True, callbacks: Sequence[BaseCallback] = ()) -> Run:
    """Continue a stopped run, or train a finished run for longer.

    With the same versions, processor and number of threads, the weights and metrics equal those of an uninterrupted run
    bit for bit. Otherwise the run continues with a warning, which is noted in record.json.

    Args:
        path: folder of the run.
        more: steps to train beyond the original end of the run: beyond the requested steps, or beyond the trained
            steps if the last rollout made them more. Schedules over the length of the run (a decaying learning rate)
            have used the shorter length until then.
        progress: show a progress bar.
        callbacks: called during training, as in Stable-Baselines3.

    Raises:
        FileNotFoundError: there is no run.
        AskError: the run is finished and ``more`` is 0, or its configuration differs from that of the checkpoint.
        CorruptFile: all checkpoints or the records are damaged.
        RunInUse: another process is writing the run.
        Stopped: a signal stopped the run after a checkpoint was written.
    """
    more = whole_number("steps (to add)", more, 0)
    number, count = place()
    run = agree(lambda: _resumable(path, count))
    with ExitStack() as stack:
        # The checkpoints are looked at by process 0 first, which mends what a killed process left.
        saved, checkpoints, lock = agree(lambda: _opened(run, more, stack) if number == 0 else (None, None, None))
        run.config.steps = gathered([run.config.steps])[0]
        if number:
            saved = Checkpoints(run.path / "checkpoints").newest()
            return _follow(run, agree(lambda: build(run.config)), saved, callbacks)
        assert lock is not None
        agent = agree(lambda: build(run.config))

        def restored() -> _Session:
            session = _Session(run, agent, progress, lock, checkpoints, saved)
            session.restore()
            if more:
                run.write_config()
            return session

        return agree(restored).finish(callbacks)


def _resumable(path: Path | str, processes: int) -> Run:
    """The run at a path.

    Raises:
        FileNotFoundError, CorruptFile: as :func:`resume`.
        AskError: it was trained by another number of processes.
    """
    run = Run.open(path)
    if run.config.processes != processes:
        raise AskError(
            f"{run.path} is trained by {run.config.processes} processes, not {processes}, which would play other "
            f"episodes. Resume it with torchrun --nproc-per-node {run.config.processes} -m agentgym resume {run.path}"
            if run.config.processes > 1
            else f"{run.path} is trained by one process, not {processes}. Resume it with agentgym resume {run.path}"
        )
    return run


def _opened(run: Run, more: int, stack: ExitStack) -> tuple[Saved | None, Checkpoints, RunLock]:
    """Lock a run until the stack is left, read its newest checkpoint and set its steps.

    Raises:
        as :func:`resume`.
    """
    lock = stack.enter_context(locked(run.path, command_line()))
    run.config = Run.open(run.path).config  # read again now that no other process writes it
    finished = run.record()["finished_steps"]  # a damaged record is reported before anything is written
    if not more and finished == run.config.steps:
        raise AskError(f"{run.path} is finished ({run.config.steps} steps). Train it for longer with --steps MORE.")
    checkpoints = Checkpoints(run.path / "checkpoints", run.config.keep_checkpoints)
    saved = checkpoints.newest()
    if saved is not None:
        _refuse_other_configuration(run, saved)
    if more:
        learned = 0 if saved is None else saved.step
        run.config.steps = max(run.config.steps, learned) + more
    return saved, checkpoints, lock


def _follow(run: Run, agent: Any, saved: Saved | None, callbacks: Sequence[BaseCallback]) -> Run:
    """Train together with process 0, which writes the run."""
    agent.set_logger(Logger(None, []))
    inventory = run_inventory(agent, None)
    follower = Follower(Checkpoints(run.path / "checkpoints"), inventory, run.config.checkpoint_every, saved)

    def restored() -> None:
        if saved is not None:
            inventory.write(saved.state, "before")
            saved.restore_rows(inventory.rows)
        follower.init_callback(agent)

    agree(restored)
    steps = run.config.steps - agent.num_timesteps
    if steps > 0:
        with follower.stopping_on_signals():
            agent.learn(steps, callback=[follower, *callbacks], reset_num_timesteps=saved is None)
    follower.write()
    agent.inventory().of_saved_agent.read()
    gathered([None])  # wait until process 0 has written everything
    if env := agent.get_env():
        env.close()
    return Run.open(run.path)


def build(config: RunConfig) -> Any:
    """Make the untrained agent with its environments, each with its own seeds.

    Raises:
        as :func:`train`.
    """
    config.check()
    _check_device(config.device)
    agent_class = catalog.load(catalog.find("agent", config.agent))
    if config.threads:
        torch.set_num_threads(config.threads)
    settings = _settings(config, agent_class.Config)
    traits = traits_of(agent_class)
    if config.processes > 1 and not traits.several_processes:
        raise InvalidParameter(
            f"{config.agent} trains in one process, not {config.processes}: start it without torchrun."
        )
    if _check_source(config, traits.learns_from) == "dataset":
        return _build_offline(config, agent_class, settings)
    if config.num_envs == 1 and traits.sets_worlds:
        config.num_envs = max(1, settings.worlds // config.processes)
    check_interface(config.env, config.env_kwargs)
    env = training_environments(config)
    images = traits.sees_images and is_image_space(single_spaces(env)[0])
    policy = settings.policy if traits.names_policy else "CnnPolicy" if images else "MlpPolicy"
    return agent_class(policy, env, seed=config.seed, device=config.device, **settings.to_kwargs())


def _settings(config: RunConfig, config_class: type[AgentConfig]) -> Any:
    """The hyperparameters of the agent; also completes ``config.config``."""
    given = config_class.with_preset(config.preset, config.config)
    settings = from_settings(config_class, given, f"agent {config.agent}")
    config.config = asdict(settings)
    config.__post_init__()
    return settings


def _check_device(name: str) -> None:
    """Refuse a device that is not available.

    Raises:
        InvalidParameter: the name is invalid, or CUDA is not available.
    """
    try:
        device = torch.device("cpu" if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise InvalidParameter(f"device is {name!r}; it must be auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidParameter(f"device is {name!r}, but PyTorch finds {torch.cuda.device_count()} CUDA devices here.")


def _check_source(config: RunConfig, source: str) -> str:
    """Check that the configuration has what the agent learns from: a dataset or an environment.

    Raises:
        AskError: it has not.
    """
    if source == "dataset" and not config.dataset:
        raise AskError(f"{config.agent} learns from a dataset: give --dataset NAME. See: agentgym list recipes")
    if source == "environment" and config.dataset:
        raise AskError(f"{config.agent} learns in an environment, not from a dataset. See: agentgym list agents")
    if source == "environment" and not config.env:
        raise AskError(f"{config.agent} learns in an environment: give --env ID. See: agentgym list envs")
    return source


def _build_offline(config: RunConfig, agent_class: Any, settings: Any) -> Any:
    """Make the untrained agent with its dataset. The default for evaluations is the environment of the dataset."""
    from agentgym.data.recorded_env import check_world
    from agentgym.data.storage import load_dataset

    dataset = load_dataset(config.dataset)
    about = dataset.description
    config.dataset = about.name  # replaces a recipe by its dataset
    if not config.env:
        if about.env:
            check_world(about)
        config.env, config.env_kwargs = about.env, {**about.env_kwargs, **config.env_kwargs}
        config.perturbations = config.perturbations or [dict(each) for each in about.perturbations]
    config.dataset_sha256 = dataset.digest
    if config.env:
        check_interface(config.env, config.env_kwargs)
    env = partial(make_env, config.env, config.env_kwargs, config.perturbations) if config.env else None
    return agent_class("MlpPolicy", env, dataset, seed=config.seed, device=config.device, **settings.to_kwargs())


def training_environments(config: RunConfig) -> VecEnv | RecordedBatch:
    """Make the environments of a run: a native batch if its state can be restored, else a list of single environments.

    Perturbed environments use exact batches only, and only if the perturbations preserve the dynamics. A batch of one
    is replaced by a single environment if it is exact, because single environments are faster.
    """
    exact = has_exact_batch(config.env, config.env_kwargs)
    fits = config.num_envs > 1 and preserve_dynamics(config.perturbations) if exact else not config.perturbations
    if fits:
        mode = AutoresetMode.DISABLED if exact else AutoresetMode.SAME_STEP
        batch = make_native_batch(config.env, config.env_kwargs, config.num_envs, mode)
        if batch is not None:  # agents wrap and monitor a VectorEnv themselves
            return RecordedBatch(perturbed(batch, config.perturbations), config.seed)

    def maker(index: int) -> Callable[[], RecordedEnv]:
        return lambda: RecordedEnv(make_env(config.env, config.env_kwargs, config.perturbations), config.seed, index)

    return VecMonitor(DummyVecEnv([maker(index) for index in range(config.num_envs)]))


class _Session:
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
            reasons = [*_differences(about["fingerprint"], fingerprint()), *self._inexact_replays()]
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


def _refuse_other_configuration(run: Run, saved: Saved) -> None:
    """Refuse a configuration that differs from that of the checkpoint in more than the number of steps."""
    now, before = asdict(run.config), asdict(RunConfig(**saved.state["run"]["config"]))
    if differences := _differences({**before, "steps": 0}, {**now, "steps": 0}):
        raise AskError(
            f"{run.path / 'config.json'} is not what the checkpoint of step {saved.step} was trained with: "
            f"{'; '.join(differences)}. Restore it, or train a new run."
        )


def _differences(before: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """The differences between two nested dictionaries, as "key was x, is y"."""
    differences = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            differences += _differences(old, new, f"{path}{key}.")
        elif _plain(old) != _plain(new):
            differences.append(f"{path}{key} was {old}, is {new}")
    return differences


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _default_name(config: RunConfig) -> str:
    source = config.dataset.removeprefix("agentgym/").replace("/", "-") or config.env.rpartition("/")[2]
    return f"{config.agent}-{source}-seed{config.seed}"


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
