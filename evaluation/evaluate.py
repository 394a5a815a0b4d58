"""Evaluation of agents through suites, with common random numbers, one row per episode, and errors kept as rows."""

import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym import catalog
from agentgym.contracts.agent import traits_of
from agentgym.contracts.check_env import check_interface
from agentgym.contracts.settings import from_settings, parse_settings, whole_number
from agentgym.errors import AskError
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.report.pictures import png
from agentgym.evaluation.rollout import MAX_STEPS, SIDE_BY_SIDE, Job, message, play_batches, play_episodes
from agentgym.evaluation.table import Evaluation, Row, Rows, Scene
from agentgym.make import has_exact_batch, has_native_batch, make_env
from agentgym.parallel import connect_to_ray, map_tasks
from agentgym.play.worlds import close
from agentgym.runs.run import provenance
from agentgym.seeding import LARGEST_SEED, episode_seed

if TYPE_CHECKING:
    from agentgym.evaluation.entrants import Entrant

__all__ = ["evaluate", "load_suite", "play_jobs"]

JOBS_PER_TASK = 2 * SIDE_BY_SIDE  # independent of the number of workers, so the results are too
TURN_BY_TURN = 3  # episodes shown turn by turn, per agent and condition
CALIBRATION_EPISODES = 3
CALIBRATION_FROM = 1 << 30  # number of the first episode of a suite's calibration, apart from all of the evaluation


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
    max_steps: int = MAX_STEPS,
) -> Evaluation:
    """Evaluate agents under every condition of the suites.

    Args:
        agents: a run's folder, a list of them, or ``{name: folder or agent}``; an agent is any object with
            ``predict`` and spaces, as in Stable-Baselines3.
        suites: names with settings (``"parameter-grid:points=7"``) or suite objects; without any, the unperturbed
            environment is played.
        env: the environment to vary; by default the one that all runs were trained in.
        env_kwargs: its keyword arguments; by default those that all runs trained in this environment have in common.
            Arguments that differ keep the environment's default and are listed in ``meta["env_kwargs_not_shared"]``.
        episodes: episodes per condition. Episode ``e`` has the same seed in all conditions and for all agents.
        seed: root of the episodes' seeds, from 0 to 2**32 - 1.
        workers: number of processes; -1: one per processor. The result does not depend on it.
        ray: address of a Ray cluster to use instead of processes.
        deterministic: evaluate the policy's mode instead of samples.
        progress: show a progress bar.
        controllers: names of the environment's hand-made controllers to evaluate too.
        max_steps: maximum length of an episode in environments without a declared time limit (``max_episode_steps``).
            A longer episode becomes a row with an error.

    Raises:
        UnknownId: no such suite, setting, environment or controller.
        SpaceMismatch: an agent's spaces differ from the environment's.
        InvalidParameter: an agent was trained on normalised observations whose statistics are unknown.
        AskError: a suite does not apply to the environment, no environment is given or shared, or the workers do not
            know it.
    """
    # Imported here since it imports torch, which the report of rows that are there does not need.
    from agentgym.evaluation.entrants import read_entrants, shared_environment

    episodes, seed = whole_number("episodes", episodes, 1), whole_number("seed", seed, 0, LARGEST_SEED)
    workers, max_steps = whole_number("workers", workers, -1), whole_number("max_steps", max_steps, 1)
    if workers == 0:
        raise AskError("workers is 0; it must be at least 1, or -1 for one per processor.")
    chosen = [load_suite(suite) for suite in ([suites] if isinstance(suites, str | Suite) else suites)]
    entrants = read_entrants(agents)
    if not entrants and not controllers:
        raise AskError("There is no agent to evaluate.")
    env, env_kwargs, not_shared = shared_environment(entrants, env or None, env_kwargs)
    if not_shared:
        warnings.warn(
            f"The runs were trained with different {', '.join(not_shared)}, which therefore keep the default of {env}. "
            "Choose values with env_kwargs (--env-kwargs).",
            stacklevel=2,
        )
    if ray is not None:
        connect_to_ray(ray)
    plan = _plan(entrants, controllers, chosen, env, env_kwargs, seed, max_steps, deterministic)
    if workers != 1 or ray is not None:
        _ask_workers(plan.entrants, plan.conditions, workers, ray)
    tasks = _Tasks(plan.entrants, plan.conditions, episodes, seed, max_steps, deterministic)
    rows = Rows.of(_play(tasks, workers, ray, progress))
    turns = _timelines(plan, min(episodes, TURN_BY_TURN), seed, max_steps, deterministic)
    meta = {
        **provenance(), "env": env, "env_kwargs": env_kwargs, "env_kwargs_not_shared": not_shared,
        "episodes": episodes, "seed": seed, "deterministic": deterministic,
        "suites": [repr(suite) for suite in chosen], **plan.meta, **({"timelines": turns} if turns else {}),
    }  # fmt: skip
    return Evaluation(
        suite=" + ".join(suite.name for suite in chosen) or "nominal",
        agents=[entrant.record for entrant in plan.entrants],
        scenes={condition.name: condition.scene for condition in plan.conditions},
        rows=rows.ordered([name for name, _ in tasks.agents], [condition.name for condition in plan.conditions]),
        meta=meta,
    )


class _Plan(NamedTuple):
    """Who plays what, and what the report says about it."""

    entrants: "list[Entrant]"
    conditions: list[Condition]
    by_turns: list[Condition]  # those shown turn by turn
    meta: dict[str, Any]


def _plan(
    entrants: "list[Entrant]",
    controllers: Sequence[str],
    suites: list[Suite],
    env: str,
    env_kwargs: dict[str, Any],
    seed: int,
    max_steps: int,
    deterministic: bool,
) -> _Plan:
    """Ask one environment of the kind who can play in it and under which conditions."""
    from agentgym.evaluation.entrants import brought_along, fitted

    probe = make_env(env, env_kwargs)
    try:
        entrants = fitted([*entrants, *brought_along(probe, env, controllers)], probe, env)
        check_interface(env, env_kwargs)
        scale = None
        if any(suite.needs_scale for suite in suites):
            scale = _observation_scale(entrants, env, env_kwargs, probe, seed, max_steps)
        trained_in = {entrant.record.name: entrant.trained_in for entrant in entrants}
        subject = Subject(env, env_kwargs, probe, scale, trained_in)
        asked = [(suite, _calibrated(suite, subject, entrants, seed, max_steps, deterministic)) for suite in suites]
        conditions = _conditions(subject, asked)
        by_turns = [one for suite in suites for one in suite.shown_by_turns(conditions)]
        left_out = {name: reason for suite, known in asked for name, reason in suite.left_out(known).items()}
        pictures = {name: png(one) for suite, known in asked for name, one in suite.pictures(known).items()}
    finally:
        close(probe)
    meta = {"left_out": left_out, "observation_scale": None if scale is None else scale.tolist()}
    return _Plan(entrants, conditions, by_turns, {**meta, "pictures": pictures} if pictures else meta)


def _timelines(
    plan: _Plan, episodes: int, seed: int, max_steps: int, deterministic: bool
) -> list[dict[str, Any]]:  # fmt: skip
    """The first episodes of the suites that show them turn by turn."""
    from agentgym.evaluation.timeline import timeline

    return [
        told for entrant in plan.entrants if plan.by_turns
        for told in timeline(
            entrant.agent, entrant.record.name, plan.by_turns, episodes, seed, max_steps, deterministic
        )
    ]  # fmt: skip


def load_suite(suite: str | Suite) -> Suite:
    """Make a suite from its name and settings. A suite object is returned as it is.

    Raises:
        UnknownId: no such suite or setting.
        AskError: a setting has the wrong type or is out of range.
    """
    if isinstance(suite, Suite):
        return suite
    if not isinstance(suite, str):
        raise AskError(f"suites must be names with settings or Suite objects, not {suite!r}. See: agentgym list suites")
    name, values = parse_settings(suite)
    suite_class: type[Suite] = catalog.load(catalog.find("suite", name))
    return from_settings(suite_class, values, f"suite {name}")


def _observation_scale(
    entrants: "list[Entrant]",
    env: str,
    env_kwargs: Mapping[str, Any],
    probe: gymnasium.Env[Any, Any],
    seed: int,
    max_steps: int,
) -> np.ndarray | None:
    """Standard deviation of each entry of the observation over nominal episodes of all agents.

    Raises:
        AskError: no agent completes such an episode.
    """
    if not isinstance(probe.observation_space, gymnasium.spaces.Box):
        return None
    condition = Condition("nominal", Scene("", "", "nominal"), env, env_kwargs)
    jobs = [Job(condition, e, episode_seed(seed, e), max_steps) for e in range(CALIBRATION_EPISODES)]
    seen: list[np.ndarray] = []
    errors: list[str] = []
    for entrant in entrants:
        own: list[np.ndarray] = []
        playable = jobs
        while playable:  # repeated after failures, since observations before one depend on the agent's neighbours
            own = []
            rows = list(play_jobs(entrant.agent, entrant.record.name, playable, watch=own.append))
            if not any(row.error for row in rows):
                break
            errors += [f"{entrant.record.name} cannot play {env}: {row.error}" for row in rows if row.error]
            finished = {row.episode for row in rows if not row.error}
            playable = [job for job in playable if job.episode in finished]
        seen += own if playable else []
    if not seen:
        raise AskError(f"No nominal episode could be played. {errors[0]}")
    return np.concatenate(seen).astype(np.float64).std(axis=0)


def _calibrated(
    suite: Suite, subject: Subject, entrants: "list[Entrant]", seed: int, max_steps: int, deterministic: bool
) -> Subject:
    """The subject with the rows of the suite's calibration."""
    asked = suite.calibration(subject)
    if asked is None:
        return subject
    condition, episodes = asked
    jobs = [Job(condition, e, episode_seed(seed, CALIBRATION_FROM + e), max_steps) for e in range(episodes)]
    found = {}
    for entrant in entrants:
        name = entrant.record.name
        found[name] = list(play_jobs(entrant.agent, name, jobs, deterministic=deterministic))
        if failed := [row for row in found[name] if row.error]:
            raise AskError(f"{name} cannot play the calibration of {suite.name}: {failed[0].error}")
    return replace(subject, calibration=found)


def _conditions(subject: Subject, subjects: Sequence[tuple[Suite, Subject]]) -> list[Condition]:
    """The conditions of all suites, preceded by the nominal one, which every plot refers to."""
    nominal = not subjects or any(suite.with_nominal for suite, _ in subjects)
    listed = [subject.nominal("Overview")] if nominal else []
    for suite, known in subjects:
        listed += suite.conditions(known)
    names = [condition.name for condition in listed]
    if twice := {name for name in names if names.count(name) > 1}:
        raise AskError(f"Two conditions have the name {sorted(twice)[0]!r}: is a suite named twice?")
    return listed


def _ask_workers(entrants: "list[Entrant]", conditions: list[Condition], workers: int, ray: str | None) -> None:
    """Check before playing that workers can make every environment and receive every agent.

    Raises:
        AskError: they cannot.
    """
    ids = list(dict.fromkeys(condition.env for condition in conditions))
    try:
        (outcome,) = map_tasks(_unknown_ids, [(ids, [entrant.sent() for entrant in entrants])], workers, ray)
    except (pickle.PicklingError, TypeError) as error:
        raise AskError(
            f"An agent cannot be sent to workers ({message(error)}). Use workers=1, or save it and name its folder."
        ) from error
    if outcome.error:
        raise AskError(f"Workers cannot start: {outcome.error}")
    for env_id, reason in (outcome.value or {}).items():
        raise AskError(
            f"{env_id} is not known to worker processes ({reason}). If a module registers it, add the module's name: "
            f"module:{env_id.rpartition(':')[2]}. Otherwise use workers=1."
        )


def _unknown_ids(question: tuple[list[str], list[Any]]) -> dict[str, str]:
    """The environments that this worker does not know, with the reason. Receiving the agents is a test as well."""
    reasons = {}
    for env_id in question[0]:
        try:
            has_native_batch(env_id)
        except AskError as error:
            reasons[env_id] = str(error)
    return reasons


@dataclass(frozen=True)
class _Task:
    name: str
    agent: Any
    jobs: list[Job]
    deterministic: bool


class _Tasks(Sequence[_Task]):
    """All tasks, each made when it is sent: a million jobs at once would be large."""

    def __init__(
        self, entrants: "list[Entrant]", conditions: list[Condition], episodes: int, seed: int, max_steps: int,
        deterministic: bool,
    ) -> None:  # fmt: skip
        self.agents = [(entrant.record.name, entrant.sent()) for entrant in entrants]
        self.conditions, self.max_steps, self.deterministic = conditions, max_steps, deterministic
        self.seeds = [episode_seed(seed, e) for e in range(episodes)]
        self.jobs_per_agent = len(conditions) * episodes
        self.per_agent = -(-self.jobs_per_agent // JOBS_PER_TASK)

    def __len__(self) -> int:
        return len(self.agents) * self.per_agent

    @overload
    def __getitem__(self, index: int) -> _Task: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Task]: ...
    def __getitem__(self, index: int | slice) -> _Task | list[_Task]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        which, task = divmod(index, self.per_agent)
        first, (name, agent) = task * JOBS_PER_TASK, self.agents[which]
        places = range(first, min(first + JOBS_PER_TASK, self.jobs_per_agent))
        jobs = [self._job(name, *divmod(place, len(self.seeds))) for place in places]
        return _Task(name, agent, jobs, self.deterministic)

    def _job(self, agent: str, condition: int, episode: int) -> Job:
        return Job(self.conditions[condition].played_by(agent), episode, self.seeds[episode], self.max_steps)


def _play(tasks: _Tasks, workers: int, ray: str | None, progress: bool) -> Iterator[Row]:
    from agentgym.progress import bar

    done = 0
    with bar("evaluate", len(tasks.agents) * tasks.jobs_per_agent, shown=progress) as shown:
        for outcome in map_tasks(_play_task, tasks, workers, ray):
            task = tasks[outcome.index]
            for row in outcome.value or [_lost(task.name, job, outcome.error) for job in task.jobs]:
                yield replace(row, note=outcome.note) if outcome.note else row
            done += len(task.jobs)
            shown.update(done)


def _lost(name: str, job: Job, error: str) -> Row:
    return Row(name, job.condition.name, job.episode, job.seed, float("nan"), 0, error)


def _play_task(task: _Task) -> list[Row]:
    """Play the jobs of one task, in a worker."""
    from agentgym.evaluation.entrants import load_agent

    agent = load_agent(task.agent) if isinstance(task.agent, str) else task.agent
    from_config = catalog.resolve("agentgym.evaluation.attacks:from_config")
    attacks, refused = {}, {}
    for condition in {job.condition.name: job.condition for job in task.jobs}.values():
        if condition.attack is not None:
            try:
                attacks[condition.name] = from_config(condition.attack)
            except Exception as error:  # a suite of another package; this package's suites check their settings early
                refused[condition.name] = message(error)
    rows = [_lost(task.name, job, refused[job.condition.name]) for job in task.jobs if job.condition.name in refused]
    jobs = [job for job in task.jobs if job.condition.name not in refused]
    return rows + list(play_jobs(agent, task.name, jobs, attacks=attacks, deterministic=task.deterministic))


def play_jobs(agent: Any, name: str, jobs: list[Job], **how: Any) -> Iterator[Row]:
    """Play jobs in batches if the environment is natively batched or a text one, otherwise in single environments."""
    texts = isinstance(agent.observation_space, spaces.Text)
    conditions = {job.condition.name: job.condition for job in jobs}
    batched = {key: texts or _is_batched(one) for key, one in conditions.items()}
    alone: dict[str, list[Job]] = {}
    together: dict[str, list[Job]] = {}
    of_any_size = traits_of(agent).resizable
    for job in jobs:
        condition = job.condition
        if batched[condition.name]:
            continue
        made = repr((condition.env, sorted(condition.env_kwargs.items())))
        if _is_shared(condition, **how):
            together.setdefault(made, []).append(job)
        else:
            alone.setdefault(made if of_any_size else "", []).append(job)
    for same in alone.values():
        yield from play_episodes(agent, name, same, **how)
    for same in together.values():
        yield from play_episodes(agent, name, same, **how, together=True)
    yield from play_batches(agent, name, [job for job in jobs if batched[job.condition.name]], **how)


def _is_batched(condition: Condition) -> bool:
    """Whether to play in batches. If the environment cannot be made, its rows report that."""
    made = condition.env, condition.env_kwargs
    try:
        return has_native_batch(*made) and not has_exact_batch(*made)
    except AskError:
        return False


def _is_shared(
    condition: Condition, attacks: Mapping[str, Any] | None = None, deterministic: bool = True, watch: Any = None
) -> bool:
    """Whether the condition can share a native batch with others of equal arguments, without a change in any row.

    With attacks or sampled actions, results depend on which episodes are side by side, so the order must stay.
    """
    if attacks or not deterministic or condition.perturbations:
        return False
    try:
        return has_exact_batch(condition.env, condition.env_kwargs)
    except AskError:  # reported in the rows
        return False
