"""One cell from nothing to rows: train or go on training, judge the final policy, take the learning curves.

A study may name functions of its own, ``module:function``, in a file beside it or in an installed module:

- ``judge`` takes a :class:`Finished` and returns rows: dictionaries of measures, with a ``case`` where there
  are several;
- ``made_by`` of an agent takes a :class:`agentgym.study.cells.Cell` and saves an agent in the folder ``cell.saved``.
"""

import importlib
import importlib.util
import math
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.entrants import brought_along, load_agent
from agentgym.evaluation.evaluate import evaluate, play_jobs
from agentgym.evaluation.rollout import Job
from agentgym.evaluation.summary import summaries
from agentgym.evaluation.table import Evaluation, Row, Scene
from agentgym.make import make_env
from agentgym.play.worlds import close
from agentgym.runs.metrics import Table
from agentgym.runs.run import Run, provenance
from agentgym.runs.train import resume, train
from agentgym.seeding import episode_seed
from agentgym.study.cells import Cell
from agentgym.study.rows import RESERVED, stamp

__all__ = ["Finished", "Made", "function_of", "judged", "make_cell", "play_final"]

EVALUATION = "evaluation"  # folder of the suites' results in the folder of a run
POINTS = 100  # of a learning curve


@dataclass(frozen=True)
class Finished:
    """What is judged: a trained agent, or a controller.

    Attributes:
        cell: the cell.
        run: the finished run; None for what was not trained here.
    """

    cell: Cell
    run: Run | None

    @cached_property
    def agent(self) -> Any:
        """The agent, which takes raw observations; a controller of the cell's environment."""
        cell = self.cell
        if not cell.spec.controller:
            return load_agent(cell.saved)
        probe = make_env(cell.world.env, cell.env_kwargs)
        try:
            (entrant,) = brought_along(probe, cell.world.env, [cell.spec.controller])
        finally:
            close(probe)
        return entrant.agent

    @property
    def own_world(self) -> Condition:
        """The environment of the training with its perturbations; for offline agents, that of the dataset."""
        scene = Scene("Own world", "own world", "nominal")
        if self.run is None:
            world = self.cell.world
            return Condition("own world", scene, world.env, self.cell.env_kwargs, perturbations=world.perturbations)
        config = self.run.config
        return Condition(
            "own world", scene, config.env, config.env_kwargs, perturbations=tuple(config.perturbations)
        )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """The rows of a cell and the points of its curves."""

    rows: list[dict[str, Any]]
    curves: list[dict[str, Any]] = field(default_factory=list)


def make_cell(cell: Cell, callbacks: Sequence[BaseCallback] = ()) -> Made:
    """Make one cell; what there is of it already is not made again.

    Args:
        cell: the cell.
        callbacks: called during training, as in Stable-Baselines3.
    """
    run = trained(cell, callbacks) if cell.is_run else None
    if cell.spec.made_by and not cell.saved.is_dir():
        function_of(cell.spec.made_by, cell.modules)(cell)
    about = _about(run)
    rows = [{"case": "", **row, **about, "plan": cell.plan()} for row in judged(Finished(cell, run))]
    return Made(rows, curve_of(cell, run) if run else [])


def judged(finished: Finished) -> list[dict[str, Any]]:
    """The rows that the protocol's judge gives.

    Raises:
        InvalidParameter: it gives none, or a measure with the name of another column.
    """
    cell = finished.cell
    judge = function_of(cell.protocol.judge, cell.modules) if cell.protocol.judge else judge_final
    rows = [dict(row) for row in judge(finished)]
    for row in rows:
        if taken := (row.keys() & RESERVED) - {"case", "returns"}:
            raise InvalidParameter(
                f"The judge gave a measure named {sorted(taken)[0]!r}, which is a column of its own."
            )
    if not rows:
        raise InvalidParameter(f"The judge {cell.protocol.judge} gave no row.")
    return rows


def trained(cell: Cell, callbacks: Sequence[BaseCallback] = ()) -> Run:
    """The finished run: trained from the beginning, from its checkpoint, or long ago."""
    if not (cell.folder / "config.json").is_file():
        return train(cell.run_config(), cell.folder.name, cell.folder.parent, progress=False, callbacks=callbacks)
    run = Run.open(cell.folder)
    if run.record()["finished_steps"] == cell.steps:
        return run
    return resume(cell.folder, progress=False, callbacks=callbacks)


def _about(run: Run | None) -> dict[str, Any]:
    """Where the rows come from, with what the reader should know of it."""
    now = provenance()
    if run is None:
        return {"steps": 0, "seconds": "", **stamp(now)}
    record, made = run.record(), stamp(run.provenance)
    notes = [f"resumed, but not bit for bit: {'; '.join(each['reasons'])}" for each in record["resumes"]
             if not each["exact"]]  # fmt: skip
    if (made["git"], made["versions"]) != (stamp(now)["git"], stamp(now)["versions"]):
        notes.append(f"judged by other code than trained: {stamp(now)['git']} {stamp(now)['versions']}".rstrip())
    return {
        "steps": record["learned_steps"], "seconds": round(record["seconds"], 1), "note": "; ".join(notes), **made
    }  # fmt: skip


def judge_final(finished: Finished) -> Iterable[dict[str, Any]]:
    """The judge of a study without one: episodes in the own world, then the suites."""
    cell = finished.cell
    row: dict[str, Any] = {}
    for policy in cell.protocol.policy:
        own = play_final(finished, deterministic=policy == "mode")
        prefix = "" if policy == "mode" else "sampled_"
        returns = [one.episode_return for one in own]
        row |= {f"{prefix}return": float(np.mean(returns)), f"{prefix}length": float(np.mean([o.length for o in own]))}
        row |= {f"{prefix}{name}": value for name, value in _mean_measures(own).items()}
        row.setdefault("returns", ";".join(f"{value:.6g}" for value in returns))
    yield {**row, **_of_dataset(finished, row)}
    if cell.protocol.suites:
        yield from _in_suites(finished)


def play_final(finished: Finished, deterministic: bool = True) -> list[Row]:
    """The protocol's episodes in the own world.

    Raises:
        InvalidParameter: an episode failed; the message has its error.
    """
    protocol, world = finished.cell.protocol, finished.own_world
    if not world.env:
        raise InvalidParameter("The environment of the dataset is unknown: the protocol needs a judge.")
    jobs = [Job(world, e, episode_seed(protocol.seed, e)) for e in range(protocol.episodes)]
    rows = sorted(
        play_jobs(finished.agent, finished.cell.agent, jobs, deterministic=deterministic), key=lambda row: row.episode
    )
    if errors := [row.error for row in rows if row.error]:
        raise InvalidParameter(f"The evaluation failed: {errors[0]}")
    return rows


def _mean_measures(rows: list[Row]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row.measures)
    return {name: float(np.mean([row.measures[name] for row in rows if name in row.measures])) for name in names}


def _of_dataset(finished: Finished, row: Mapping[str, Any]) -> dict[str, Any]:
    """The score by the dataset's references, and the best evaluation during training beside the final one."""
    if finished.run is None or not finished.run.config.dataset:
        return {}
    from agentgym.data.storage import load_dataset

    dataset, record = load_dataset(finished.run.config.dataset), finished.run.record()
    about, scores = dataset.description, record["scores"]
    score = about.score(row["return"]) if "return" in row else None
    return {
        "score": math.nan if score is None else score, "best_return": scores["best_return"],
        "best_step": scores["best_step"], "behaviour_return": float(dataset.returns.mean()),
        "random_return": about.random_return, "expert_return": about.expert_return, "dataset_sha256": dataset.digest,
    }  # fmt: skip


def _in_suites(finished: Finished) -> Iterable[dict[str, Any]]:
    """One row for every plot of the suites; the episodes stay in the folder of the run.

    All agents meet the same environment: keyword arguments of one agent only, such as random parameters, are part of
    its training.
    """
    cell, protocol = finished.cell, finished.cell.protocol
    agents = {cell.agent: finished.agent if cell.spec.controller else cell.saved}

    def played(env_kwargs: dict[str, Any]) -> Evaluation:
        return evaluate(
            agents, list(protocol.suites), cell.world.env or None, env_kwargs,
            protocol.suite_episodes or protocol.episodes, protocol.seed,
            deterministic=protocol.policy[0] == "mode", progress=False,
        )  # fmt: skip

    try:
        result = played(cell.world.env_kwargs)
    except SpaceMismatch:  # keyword arguments of the agent's own decide what it sees
        if not cell.spec.env_kwargs:
            raise
        result = played(cell.env_kwargs)
    result.write(cell.folder / EVALUATION)
    for part in summaries(result):
        if part.scores is None:
            raise InvalidParameter(f"Every episode of {part.tab}: {part.panel} failed.")
        yield {
            "case": f"{part.tab}: {part.panel}", "return": part.scores.mean.value, "iqm": part.scores.iqm.value,
            "cvar": part.scores.cvar.value, "worst": part.scores.worst.value, "worst_condition": part.worst_condition,
            "failed_episodes": part.failed,
        }  # fmt: skip


def curve_of(cell: Cell, run: Run) -> list[dict[str, Any]]:
    """The run's learning curves: means of consecutive logged values, with steps, gradient steps and seconds."""
    logged = Table(run.path / "metrics.csv").rows()
    keys = cell.curves.metrics or {"return": "eval/return_mean" if run.config.dataset else "rollout/ep_rew_mean"}
    logged = [row for row in logged if row.get(next(iter(keys.values())))]
    seconds = _seconds(run)
    every = cell.curves.every or max(1, math.ceil(len(logged) / POINTS))
    points = []
    for first in range(0, len(logged) - every + 1, every):
        part = logged[first : first + every]
        step = int(float(part[-1].get("time/total_timesteps") or part[-1]["step"]))
        means = {name: _mean_of(part, key) for name, key in keys.items()}
        points.append(
            {"step": step, "updates": part[-1].get("train/n_updates", ""), "seconds": seconds.get(part[-1]["step"], ""),
             **means}
        )  # fmt: skip
    return points


def _mean_of(rows: list[dict[str, str]], key: str) -> float:
    values = [float(row[key]) for row in rows if row.get(key)]
    return float(np.mean(values)) if values else math.nan


def _seconds(run: Run) -> dict[str, float]:
    """The time at every logged step: of all sessions together, without what a killed one did after its checkpoint."""
    found: dict[str, float] = {}
    before = last = 0.0
    for row in Table(run.path / "timing.csv").rows():
        if now := float(row.get("time/time_elapsed") or 0.0):
            before += last if now < last else 0.0
            last = now
            found[row["step"]] = before + now
    return found


def function_of(target: str, folder: Path) -> Any:
    """Import ``module:function``: from a file in the study's folder if there is one, else from the Python path.

    Raises:
        InvalidParameter: there is no such module or function, or the module cannot be imported.
    """
    module, _, name = target.partition(":")
    file = folder / f"{module}.py"
    try:
        return getattr(_module_in(file.resolve()) if file.is_file() else importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidParameter(f"{target} cannot be imported (from {folder} or the Python path): {error}.") from error


@cache
def _module_in(file: Path) -> ModuleType:
    """A module from its file, under a name of its own: two studies may have modules of the same name."""
    spec = importlib.util.spec_from_file_location(f"agentgym_study_{file.stem}_{zlib.crc32(str(file).encode())}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
