"""The search for hyperparameters: trials that several processes share, and the best one trained again.

    runs/STUDY-tune/
        trials.journal    Optuna's journal, one JSON object a line
        trial-0, ...      the runs of each trial
        winner-N/         runs and rows of the best trial's setting with fresh seeds, and of the agent as it stood
        tune.html         history, importance, slices

A trial belongs to the process that holds the lock of its folder. A process that dies leaves its trial running in the
journal; the next one to ask takes it over, and its runs go on from their checkpoints.
"""

import dataclasses
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agentgym.errors import AskError, CorruptFile, InvalidParameter, MissingExtra, RunInUse
from agentgym.parallel import map_tasks, require_workers
from agentgym.progress import bar
from agentgym.runs.locks import locked
from agentgym.runs.run import Run, command_line
from agentgym.study.cells import Cell, cells_of
from agentgym.study.checks import check_study
from agentgym.study.judging import Finished, judged, make_cell
from agentgym.study.ranges import Tuning, plan_of, refuse_other_plan, tuning_of
from agentgym.study.runner import Results, run_study
from agentgym.study.schema import Question, Study
from agentgym.wrappers.preprocessing import as_trained

__all__ = ["Search", "open_search", "tune"]

NAME = "agentgym"  # of Optuna's study in the journal
TUNED, BEFORE = "tuned", "as it stood"


@dataclass(frozen=True)
class Search:
    """A search; plain data that can be sent to a worker.

    Attributes:
        tuning: the table of the study.
        folder: its folder.
        cells: the runs of a trial, without the trial's hyperparameters.
    """

    tuning: Tuning
    folder: Path
    cells: tuple[Cell, ...]

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which values of trials are better; where scores are fractions of references, higher ones always."""
        cell = self.cells[0]
        return "maximize" if cell.world.reference or cell.protocol.better == "higher" else "minimize"

    def optuna(self) -> Any:
        """Optuna's study, which every process opens for itself.

        Raises:
            MissingExtra: Optuna is not installed.
            CorruptFile: the journal is damaged.
        """
        optuna = _optuna()
        storages = optuna.storages
        self.folder.mkdir(parents=True, exist_ok=True)
        journal = self.folder / "trials.journal"
        try:
            storage = storages.JournalStorage(storages.journal.JournalFileBackend(str(journal)))
            pruner = optuna.pruners.MedianPruner(n_startup_trials=self.tuning.startup)
            return optuna.create_study(
                storage=storage, pruner=pruner, study_name=NAME, direction=self.direction,
                load_if_exists=True,
            )  # fmt: skip
        except (ValueError, KeyError) as error:
            raise CorruptFile(f"{journal} is damaged ({error}). Remove its last line, or the folder.") from error

    def sampler(self, trial: int) -> Any:
        """What draws the settings of a trial: equal for equal trials before it, whichever process asks."""
        (seed,) = np.random.SeedSequence([self.tuning.seed, trial]).generate_state(1)
        return _optuna().samplers.TPESampler(
            n_startup_trials=self.tuning.startup, constant_liar=True, seed=int(seed)
        )  # fmt: skip


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra("optuna", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_search(study: Study, root: Path | str = "runs") -> Search:
    """The search of a study, checked; nothing is written.

    Raises:
        AskError: something in the study is wrong.
    """
    tuning = tuning_of(study)
    folder = Path(root) / f"{study.name}-tune"
    question = Question(title="Trial", agents=(tuning.agent,), envs=tuning.envs)
    trial = _restricted(study, study.name, {tuning.agent: study.agents[tuning.agent]}, tuning.envs, question)
    cells = cells_of(trial, folder, tuning.seeds)
    check_study(trial, cells)
    return Search(tuning, folder, tuple(cells))


def _restricted(study: Study, name: str, agents: dict[str, Any], envs: Sequence[str], question: Question) -> Study:
    return dataclasses.replace(
        study, name=name, agents=agents, envs={env: study.envs[env] for env in envs}, groups={}, tables=(), rows="",
        questions={"tune": question}, baseline="", pictures="", tune={},
    )  # fmt: skip


def tune(
    study: Study, root: Path | str = "runs", workers: int = 1, ray: str | None = None, progress: bool = True
) -> tuple[Search, Results]:
    """Try settings until there are as many as the study asks for, then train the best one again with fresh seeds.

    Args:
        study: with a table ``tune``.
        root: folder of the runs.
        workers: processes on this machine, each with one trial at a time.
        ray: address of a Ray cluster to use instead; its nodes must share the folder.
        progress: show a progress bar.

    Raises:
        AskError: something in the study is wrong, or the folder holds trials of other settings.
        Stopped: a signal stopped the search; the same command goes on.
    """
    _optuna()
    require_workers(workers, ray)
    search = open_search(study, root)
    trials, plan = search.optuna(), plan_of(study, search.tuning)
    if before := trials.user_attrs.get("plan"):
        refuse_other_plan(before, plan, str(search.folder))
    trials.set_user_attr("plan", plan)
    missing = search.tuning.trials - sum(trial.state.is_finished() for trial in trials.trials)
    with bar("tune", search.tuning.trials, shown=progress) as shown:
        for done, outcome in enumerate(map_tasks(run_trial, [search] * max(0, missing), workers, ray), 1):
            if outcome.error:
                raise AskError(f"The search stopped: {outcome.error}")
            shown.update(search.tuning.trials - missing + done)
    return search, _winner(study, search, root, workers, ray, progress)


def best_of(search: Search, trials: Any) -> Any:
    """The best finished trial.

    Raises:
        AskError: none has finished.
    """
    optuna = _optuna()
    if not trials.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]):
        errors = [trial.user_attrs["error"] for trial in trials.trials if "error" in trial.user_attrs]
        raise AskError(f"No trial has finished. {errors[-1] if errors else ''}".strip())
    return trials.best_trial


def settings_of(search: Search, trial: Any) -> dict[str, Any]:
    """The hyperparameters of a trial."""
    return {name: each.suggest(trial, name) for name, each in search.tuning.ranges.items()}


def _winner(study: Study, search: Search, root: Path | str, workers: int, ray: str | None, progress: bool) -> Results:
    """Train the best setting again, and the agent as it stands in the study, with seeds that selected nothing."""
    best = best_of(search, search.optuna())
    spec = study.agents[search.tuning.agent]
    found = settings_of(search, _optuna().trial.FixedTrial(best.params))
    agents = {TUNED: dataclasses.replace(spec, config={**spec.config, **found}, name=TUNED), BEFORE: spec}
    agents[BEFORE] = dataclasses.replace(spec, name=BEFORE)
    question = Question(title="Fresh seeds", agents=tuple(agents), envs=search.tuning.envs, baseline=BEFORE)
    own = _restricted(study, f"{search.folder.name}/winner-{best.number}", agents, search.tuning.envs, question)
    own = dataclasses.replace(own, protocol=dataclasses.replace(study.protocol, seed=study.protocol.seed + 1))
    return run_study(own, root, search.tuning.fresh_seeds, workers=workers, ray=ray, progress=progress)


def run_trial(search: Search) -> int | None:
    """Play one trial, an abandoned one first. Its number, or None where there are enough."""
    optuna = _optuna()
    study = search.optuna()
    with _claimed(search, study) as trial:
        if trial is None:
            return None
        try:
            trial_value = _value(search, trial)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except (AskError, ValueError, ArithmeticError, RuntimeError) as error:  # of this setting, such as a NaN
            trial.set_user_attr("error", f"{type(error).__name__}: {' '.join(str(error).split())}")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, trial_value)
        return int(trial.number)


@contextmanager
def _claimed(search: Search, study: Any) -> Iterator[Any]:
    """A trial that no other process plays: one whose process has died, or a new one."""
    optuna = _optuna()
    running = optuna.trial.TrialState.RUNNING
    with ExitStack() as held:

        def is_mine(number: int) -> bool:
            try:
                held.enter_context(locked(search.folder / f"trial-{number}", command_line()))
            except RunInUse:
                return False
            if study.get_trials(deepcopy=False)[number].state is running:
                study.sampler = search.sampler(number)
                return True
            held.close()  # finished meanwhile
            return False

        for found in study.get_trials(deepcopy=False, states=[running]):
            if is_mine(found.number):
                yield optuna.trial.Trial(study, found._trial_id)
                return
        while len(study.get_trials(deepcopy=False)) < search.tuning.trials:
            trial = study.ask()
            if is_mine(trial.number):  # unless another process has taken it for abandoned
                yield trial
                return
        yield None


def _value(search: Search, trial: Any) -> float:
    """The mean score of a trial's runs, each as a fraction of its environment's references where there are any."""
    settings, folder = settings_of(search, trial), search.folder / f"trial-{trial.number}"
    scores: list[float] = []
    for place, plain in enumerate(search.cells):
        cell = dataclasses.replace(plain, config={**plain.config, **settings}, runs=folder)
        made = make_cell(cell, [_Rungs(search, trial, cell, place, scores)] if search.tuning.rungs else [])
        scores.append(_score(cell, made.rows))
    return float(np.mean(scores))


def _score(cell: Cell, rows: Sequence[dict[str, Any]]) -> float:
    """The score of a run by its rows.

    Raises:
        InvalidParameter: no row has it.
    """
    protocol = cell.protocol
    found = [row[protocol.score] for row in rows if row.get("case", "") == protocol.case and protocol.score in row]
    if not found or not math.isfinite(float(found[0])):
        raise InvalidParameter(f"The rows have no score {protocol.score!r} of the case {protocol.case!r}.")
    low, high = cell.world.reference or (0.0, 1.0)
    return (float(found[0]) - low) / (high - low)


class _Rungs(BaseCallback):
    """Evaluates the policy during a run and gives the trial up if it does worse than most did by then."""

    def __init__(self, search: Search, trial: Any, cell: Cell, place: int, before: Sequence[float]) -> None:
        super().__init__()
        self.search, self.trial, self.place, self.before = search, trial, place, list(before)
        own = dataclasses.replace(cell.protocol, suites=())
        self.cell = dataclasses.replace(cell, protocol=own)

    def _on_step(self) -> bool:
        count = self.search.tuning.rungs
        rung = self.num_timesteps * (count + 1) // self.cell.steps  # the last is the end of the run
        step = self.place * count + rung - 1
        if not 1 <= rung <= count or step in self._reported():
            return True
        with _same_generators():
            finished = Finished(self.cell, Run.open(self.cell.folder))
            finished.__dict__["agent"] = as_trained(self.model)
            score = _score(self.cell, judged(finished))
        self.trial.report(float(np.mean([*self.before, score])), step)
        if self.trial.should_prune():
            raise _optuna().TrialPruned
        return True

    def _reported(self) -> dict[int, float]:
        study = self.trial.study
        found: dict[int, float] = study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        return found


@contextmanager
def _same_generators() -> Iterator[None]:
    """Leave the global generators as they were, so that a run does not depend on evaluations."""
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        torch.set_rng_state(kept[2])
