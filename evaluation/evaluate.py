"""Put agents through suites: common random numbers, one row an episode, nothing lost when something fails."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym import catalog
from agentgym.checkpoint import MANIFEST
from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.evaluation.batches import play_batches
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.rollout import LANES, Job, play_episodes
from agentgym.evaluation.table import AgentRecord, Evaluation, Row, Scene
from agentgym.making import has_exact_batch, has_native_batch, make_env
from agentgym.parallel import map_tasks
from agentgym.progress import bar
from agentgym.runs import Run, provenance
from agentgym.seeding import episode_seed
from agentgym.settings import from_settings, parse_settings

__all__ = ["evaluate", "load_suite"]

JOBS_PER_TASK = 2 * LANES  # the same cut for any number of workers: the same numbers
CALIBRATION_EPISODES = 3


@dataclass(frozen=True)
class _Contestant:
    """One agent: where to load it from, or the object itself."""

    record: AgentRecord
    agent: Any
    trained_in: tuple[str, Mapping[str, Any]] | None

    def sent(self) -> Any:
        """What a worker gets: a path where there is one, since models are cheaper to load than to send."""
        return self.record.source or self.agent


def evaluate(
    agents: Any,
    suites: str | Suite | Sequence[str | Suite],
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    episodes: int = 10,
    seed: int = 0,
    workers: int = 1,
    ray: str | None = None,
    deterministic: bool = True,
    progress: bool = True,
    controllers: Sequence[str] = (),
) -> Evaluation:
    """Evaluate agents under every condition of the suites.

    Args:
        agents: a run's folder, a list of them, or ``{name: folder or agent}``; an agent is anything with
            ``predict`` and spaces in Stable-Baselines3's shape.
        suites: names with settings (``"parameter-grid:points=7"``) or suite objects.
        env: the environment to vary; by default the one that all runs were trained in, in its nominal form.
        env_kwargs: its keyword arguments.
        episodes: episodes a condition. Episode ``e`` has the same seed under all conditions and for all agents.
        seed: root of the episodes' seeds.
        workers: processes; the result does not depend on it.
        ray: address of a Ray cluster to use instead.
        deterministic: evaluate the policy's mode; otherwise samples of it.
        progress: show a progress bar.
        controllers: names of hand-made controllers that the environment brings along, to stand beside the agents.

    Raises:
        UnknownId: no such suite, setting, environment or controller.
        SpaceMismatch: an agent has other spaces than the environment.
        AskError: a suite has no meaning for the environment, or no environment is given and none is shared.
    """
    if episodes < 1:
        raise AskError(f"episodes is {episodes}; it must be at least 1.")
    contestants = _contestants(agents)
    if not contestants and not controllers:
        raise AskError("There is no agent to evaluate.")
    chosen = [load_suite(suite) for suite in ([suites] if isinstance(suites, str | Suite) else suites)]
    env = env or _shared_environment(contestants)
    env_kwargs = dict(env_kwargs or {})
    probe = make_env(env, env_kwargs)
    try:
        contestants += _brought_along(probe, env, controllers)
        _check_names(contestants)
        for contestant in contestants:
            _check_spaces(contestant, probe, env)
        scale = None
        if any(suite.needs_scale for suite in chosen):
            scale = _observation_scale(contestants, env, env_kwargs, probe, seed)
        trained_in = {contestant.record.name: contestant.trained_in for contestant in contestants}
        subject = Subject(env, env_kwargs, probe, scale, trained_in)
        conditions = _conditions(chosen, subject)
        left_out = {name: reason for suite in chosen for name, reason in suite.left_out(subject).items()}
    finally:
        probe.close()
    rows = _play(contestants, conditions, episodes, seed, workers, ray, deterministic, progress)
    meta = {
        **provenance(), "env": env, "env_kwargs": env_kwargs, "episodes": episodes, "seed": seed,
        "deterministic": deterministic, "suites": [repr(suite) for suite in chosen], "left_out": left_out,
        "observation_scale": None if scale is None else scale.tolist(),
    }  # fmt: skip
    return Evaluation(
        suite=" + ".join(suite.name for suite in chosen),
        agents=[contestant.record for contestant in contestants],
        scenes={condition.name: condition.scene for condition in conditions},
        rows=rows,
        meta=meta,
    )


def load_suite(suite: str | Suite) -> Suite:
    """A suite by name with its settings, or the object as it is.

    Raises:
        UnknownId: no such suite or setting.
    """
    if isinstance(suite, Suite):
        return suite
    name, values = parse_settings(suite)
    suite_class: type[Suite] = catalog.load(catalog.find("suite", name))
    return from_settings(suite_class, values, f"suite {name}")


def _contestants(agents: Any) -> list[_Contestant]:
    if isinstance(agents, str | Path) or hasattr(agents, "predict"):
        agents = [agents]
    named = agents.items() if isinstance(agents, Mapping) else ((None, agent) for agent in agents)
    return [_contestant(name, agent) for name, agent in named]


def _brought_along(probe: gymnasium.Env[Any, Any], env: str, names: Sequence[str]) -> list[_Contestant]:
    """The environment's own controllers of these names."""
    known: dict[str, Any] = getattr(probe.unwrapped, "controllers", {})
    for name in names:
        if name not in known:
            raise UnknownId(f"controller of {env}", name, known)
    return [_Contestant(AgentRecord(name, "controller", "", ""), known[name], None) for name in names]


def _check_names(contestants: list[_Contestant]) -> None:
    names = [contestant.record.name for contestant in contestants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise AskError(
            f"Two agents have the name {twice.pop()!r}. Give names: evaluate({{'first': ..., 'second': ...}}, ...)."
        )


def _contestant(name: str | None, agent: Any) -> _Contestant:
    if not isinstance(agent, str | Path):
        algorithm = type(agent).__name__
        return _Contestant(AgentRecord(name or algorithm.lower(), algorithm, "", ""), agent, None)
    path = Path(agent)
    if (path / MANIFEST).is_file():  # a saved agent without its run
        model = load_agent(path)
        return _Contestant(AgentRecord(name or path.name, type(model).__name__, "", str(path)), model, None)
    run = Run.open(path)
    if not run.final.is_dir():
        raise AskError(f"{path} has no trained agent yet (no final/). Let its training end first.")
    record = AgentRecord(name or run.name, run.config.agent, _described(run), str(run.final), run.config.steps)
    return _Contestant(record, load_agent(run.final), (run.config.env, run.config.env_kwargs))


def load_agent(path: Path | str) -> Any:
    """The agent saved at ``path``, found by the name its folder holds."""
    saving: Any = catalog.resolve("agentgym.agents.common.saving:load_agent")
    return saving(path)


def _described(run: Run) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in run.config.env_kwargs.items())
    return f"{run.config.env}({arguments})" if arguments else run.config.env


def _shared_environment(contestants: list[_Contestant]) -> str:
    ids = {contestant.trained_in[0] for contestant in contestants if contestant.trained_in}
    if len(ids) == 1:
        return ids.pop()
    if not ids:
        raise AskError("The agents do not say what they were trained in. Name the environment: env=... (--env ID).")
    raise AskError(
        f"The agents were trained in different environments ({', '.join(sorted(ids))}). Name one: env=... (--env ID)."
    )


def _check_spaces(contestant: _Contestant, probe: gymnasium.Env[Any, Any], env: str) -> None:
    for kind in ("observation_space", "action_space"):
        own, its = getattr(contestant.agent, kind), getattr(probe, kind)
        if isinstance(own, spaces.Text) and isinstance(its, spaces.Text):
            _check_readable(contestant, own, its, probe, env)
        elif own != its:
            raise SpaceMismatch(
                f"{contestant.record.name} has the {kind.replace('_', ' ')} {own}, but {env} has {its}. "
                "Evaluate it on an environment like the one it was trained in (--env ID)."
            )


def _check_readable(
    contestant: _Contestant, own: spaces.Text, its: spaces.Text, probe: gymnasium.Env[Any, Any], env: str
) -> None:
    """Texts may be of any length; letters and, for who reads word by word, most words must be known.

    Raises:
        SpaceMismatch: they are not.
    """
    name = contestant.record.name
    advice = "Evaluate it on an environment like the one it was trained in (--env ID)."
    known, words = getattr(contestant.agent, "words", None), getattr(probe.unwrapped, "vocabulary", None)
    if known is not None:
        missing = sorted(set(words or ()) - set(known))
        if words is None or 2 * len(missing) > len(words):
            told = (
                "does not list its words"
                if words is None
                else f"has {len(missing)} of {len(words)} words unknown to it"
            )
            raise SpaceMismatch(f"{name} reads word by word, and {env} {told}. {advice}")
    elif not its.character_set <= own.character_set:
        strange = "".join(sorted(its.character_set - own.character_set))
        raise SpaceMismatch(f"{name} has never read the characters {strange!r} of {env}. {advice}")


def _observation_scale(
    contestants: list[_Contestant],
    env: str,
    env_kwargs: Mapping[str, Any],
    probe: gymnasium.Env[Any, Any],
    seed: int,
) -> np.ndarray | None:
    """Standard deviation of each entry of the observation over nominal episodes of all agents together."""
    if not isinstance(probe.observation_space, gymnasium.spaces.Box):
        return None
    condition = Condition("nominal", Scene("", "", "nominal"), env, env_kwargs)
    jobs = [Job(condition, e, episode_seed(seed, e)) for e in range(CALIBRATION_EPISODES)]
    seen: list[np.ndarray] = []
    for contestant in contestants:
        for row in _play_jobs(contestant.agent, contestant.record.name, jobs, watch=seen.append):
            if row.error:
                raise AskError(f"{contestant.record.name} cannot play a nominal episode in {env}: {row.error}")
    return np.concatenate(seen).astype(np.float64).std(axis=0)


def _conditions(suites: list[Suite], subject: Subject) -> list[Condition]:
    """All suites' conditions after the nominal one, which every plot refers to."""
    listed = [subject.nominal("Overview")]
    for suite in suites:
        listed += suite.conditions(subject)
    names = [condition.name for condition in listed]
    if twice := {name for name in names if names.count(name) > 1}:
        raise AskError(f"Two conditions have the name {sorted(twice)[0]!r}: is a suite named twice?")
    return listed


@dataclass(frozen=True)
class _Task:
    name: str
    agent: Any
    jobs: list[Job]
    deterministic: bool


def _play(
    contestants: list[_Contestant], conditions: list[Condition], episodes: int, seed: int,
    workers: int, ray: str | None, deterministic: bool, progress: bool,
) -> list[Row]:  # fmt: skip
    jobs = [Job(condition, e, episode_seed(seed, e)) for condition in conditions for e in range(episodes)]
    tasks = [
        _Task(contestant.record.name, contestant.sent(), jobs[first : first + JOBS_PER_TASK], deterministic)
        for contestant in contestants
        for first in range(0, len(jobs), JOBS_PER_TASK)
    ]
    rows: dict[tuple[str, str, int], Row] = {}
    with bar("evaluate", len(contestants) * len(jobs), shown=progress) as shown:
        for outcome in map_tasks(_play_task, tasks, workers, ray):
            task = tasks[outcome.index]
            for row in outcome.value or _failed(task, outcome.error):
                rows[row.agent, row.condition, row.episode] = replace(row, note=outcome.note)
            shown.update(len(rows))
    order = itertools.product((c.record.name for c in contestants), (c.name for c in conditions), range(episodes))
    return [rows[key] for key in order]


def _failed(task: _Task, error: str) -> list[Row]:
    return [Row(task.name, job.condition.name, job.episode, job.seed, float("nan"), 0, error) for job in task.jobs]


def _play_task(task: _Task) -> list[Row]:
    """One worker's share."""
    agent = load_agent(task.agent) if isinstance(task.agent, str) else task.agent
    attacks = {}
    for condition in {job.condition.name: job.condition for job in task.jobs}.values():
        if condition.attack is not None:
            attacks[condition.name] = catalog.resolve("agentgym.evaluation.attacks:from_config")(condition.attack)
    return list(_play_jobs(agent, task.name, task.jobs, attacks=attacks, deterministic=task.deterministic))


def _play_jobs(agent: Any, name: str, jobs: list[Job], **how: Any) -> Iterator[Row]:
    """Side by side in single environments, or in batches where an environment is natively batched or one of texts."""
    texts = isinstance(agent.observation_space, spaces.Text)
    conditions = {job.condition.name: job.condition for job in jobs}
    batched = {
        key: texts or (has_native_batch(one.env, one.env_kwargs) and not has_exact_batch(one.env, one.env_kwargs))
        for key, one in conditions.items()
    }
    yield from play_episodes(agent, name, [job for job in jobs if not batched[job.condition.name]], **how)
    yield from play_batches(agent, name, [job for job in jobs if batched[job.condition.name]], **how)
