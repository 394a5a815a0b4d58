"""Train agents of the catalog by name, and resume their runs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agentgym.contracts.settings import whole_number
from agentgym.errors import AskError, Stopped
from agentgym.runs.build import build
from agentgym.runs.checkpoints import Checkpoints, Saved
from agentgym.runs.locks import RunLock, locked
from agentgym.runs.processes import agree, gathered, place
from agentgym.runs.resume import Follower, run_inventory
from agentgym.runs.run import Run, RunConfig, command_line, run_folder
from agentgym.runs.session import Session, differences

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

        def opened() -> Session:
            lock = stack.enter_context(locked(path, command_line()))
            run = Run.create(path, config, overwrite)
            stack.enter_context(_discarded_unless_learned(run))
            return Session(run, agent, progress, lock)

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

        def restored() -> Session:
            session = Session(run, agent, progress, lock, checkpoints, saved)
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


def _refuse_other_configuration(run: Run, saved: Saved) -> None:
    """Refuse a configuration that differs from that of the checkpoint in more than the number of steps."""
    now, before = asdict(run.config), asdict(RunConfig(**saved.state["run"]["config"]))
    if found := differences({**before, "steps": 0}, {**now, "steps": 0}):
        raise AskError(
            f"{run.path / 'config.json'} is not what the checkpoint of step {saved.step} was trained with: "
            f"{'; '.join(found)}. Restore it, or train a new run."
        )


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


def _default_name(config: RunConfig) -> str:
    source = config.dataset.removeprefix("agentgym/").replace("/", "-") or config.env.rpartition("/")[2]
    return f"{config.agent}-{source}-seed{config.seed}"
