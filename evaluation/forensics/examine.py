"""Examine one recorded episode: who failed first, since when, by which evidence, and who was dragged along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import plain
from agentgym.errors import AskError, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.benchmark import return_drops
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.contagion.walk import Finding
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.examiner import STAGE2, Answers, Examiner
from agentgym.evaluation.forensics.team import Team
from agentgym.make import make_env
from agentgym.play.recording import Recording

__all__ = ["Dragged", "Examination", "episodes_of", "examine", "replayed", "require_known", "require_stage2"]

EVIDENCE = {
    "dynamics": "it received what its last observation and command do not predict",
    "policy_nll": "it did what its policy would hardly do",
    "policy_gap": "it did what its policy would not have done",
    "policy_cusum": "over several steps it did what its policy would hardly do",
    "combined": "its observations or actions do not fit the model and the policy",
    "mahalanobis": "its observations are far from those of clean play",
    "jump": "its observation jumped",
    "taylor_move": "its policy bends along the way that its observation moved",
    "taylor_low": "its policy stands where it hardly bends at all",
    "taylor_fixed": "its policy stands where it bends",
    "entropy": "its policy is unusually undecided",
    "td_error": "its rewards are not what the critic expected",
    "return_drop": "its rewards fell behind",
}


def require_stage2(examiner: Examiner, name: str) -> None:
    """Refuse a rule and edges of stage 2 that there are not, or that this team cannot have.

    Raises:
        UnknownId: there is no such stage 2.
        InvalidParameter: the team has no critic that can be used; the message says why, and what can be had.
    """
    require_known(name)
    if name not in examiner.stage2:
        raise InvalidParameter(f"{examiner.refused['critic']} Here stage 2 can be {', '.join(examiner.stage2)}.")


def require_known(name: str) -> None:
    """Refuse a rule and edges of stage 2 that there are not.

    Raises:
        UnknownId: there is no such stage 2.
    """
    known = [f"{rule} {edges}" for rule, edges in STAGE2]
    if name not in known:
        raise UnknownId("stage 2", name, known)


def episodes_of(recording: Recording, team: Team, env: str, env_kwargs: Mapping[str, Any] | None = None) -> Episodes:
    """The recorded episode in a team's terms, E = 1.

    Args:
        recording: the episode.
        team: whose episode it should be.
        env, env_kwargs: what the team is examined in.

    Raises:
        AskError: the episode is of another environment.
        SpaceMismatch: its observations or actions are not those of the team.
    """
    theirs, ours = (recording.env, plain(recording.env_kwargs)), (env, plain(dict(env_kwargs or {})))
    if theirs != ours:
        raise AskError(
            f"The episode is one of {_described(*theirs)}, the team is examined in {_described(*ours)}. Record an "
            "episode there, or name the episode's environment: --env and --env-kwargs."
        )
    layout = team.layout
    shapes = [
        (recording.received.shape[1:], layout.observation_space.shape),
        (recording.commanded.shape[1:], layout.action_space.shape),
        (recording.executed.shape[1:], layout.action_space.shape),
    ]
    for found, wanted in shapes:
        if found != wanted:
            raise SpaceMismatch(f"The episode has steps of shape {found}, the team {wanted}: it is another team's.")
    if recording.agent_rewards is None or recording.alive is None:
        raise InvalidParameter("The episode is not one of a joint environment: it has no rewards of single agents.")
    if recording.alive.shape != recording.agent_rewards.shape or recording.alive.shape[1:] != (layout.agents,):
        raise SpaceMismatch(f"The episode is not one of {layout.agents} agents.")
    received = np.asarray(recording.received, np.float32).reshape(len(recording), -1)[:, layout.windows]
    done = [np.asarray(layout.from_environment(each)) for each in (recording.commanded, recording.executed)]
    rewards, alive = recording.agent_rewards.astype(np.float64), recording.alive.astype(bool)
    return Episodes(
        received[None], done[0][None], done[1][None], rewards[None], alive[None],
        seeds=np.array([recording.seed], np.int64),
    )  # fmt: skip


def _described(env: str, kwargs: Mapping[str, Any]) -> str:
    return f"{env}({', '.join(f'{key}={value}' for key, value in kwargs.items())})" if kwargs else env


@dataclass(frozen=True)
class Dragged:
    """An agent that was flagged after the source.

    Attributes:
        agent: who.
        step: when it was flagged.
        edge: the largest pooled standardised edge from the source to it up to then.
        limit: the edge's clean 95 % quantile.
    """

    agent: int
    step: int
    edge: float
    limit: float

    @property
    def reached(self) -> bool:
        """Whether the source's influence on it was above that of clean play."""
        return self.edge > self.limit


@dataclass(eq=False)
class Examination:
    """What was found in one episode.

    Attributes:
        episodes: the episode, with its clean twin.
        examiner: detectors and graphs.
        answers: by detector; the first one decides.
        stage2: the rule and edges that confirm or correct it.
        finding: of stage 2; None for no detection.
        dragged: the other agents that were flagged later, in order.
        pooled: standardised edges pooled over the causal window, [T, A, A], by kind.
        sentences: the answer in words.
    """

    episodes: Episodes
    examiner: Examiner
    answers: dict[str, Answers]
    stage2: str
    finding: Finding | None
    dragged: list[Dragged]
    pooled: dict[str, NDArray[np.float64]]
    sentences: list[str] = field(default_factory=list)

    @property
    def detector(self) -> str:
        """The detector that decides."""
        return next(iter(self.answers))

    @property
    def edges(self) -> str:
        """The kind of edges that decide."""
        return self.stage2.split()[1]


def examine(
    examiner: Examiner, episodes: Episodes, env: str, env_kwargs: Mapping[str, Any] | None = None, noise: float = 0.0,
    stage2: str = "walk action_gap",
) -> Examination:  # fmt: skip
    """Examine an episode.

    Args:
        examiner: fitted on clean episodes of the same team; its first detector decides, the others are evidence.
        episodes: one episode, E = 1.
        env, env_kwargs, noise: where its clean twin is played, with the same seed.
        stage2: rule and edges.

    Raises:
        UnknownId: there is no such stage 2.
        InvalidParameter: stage 2 needs a critic that the team lacks, or there are several episodes.
    """
    require_stage2(examiner, stage2)
    if len(episodes) != 1:
        raise InvalidParameter(f"One episode can be examined at a time, not {len(episodes)}.")
    assert episodes.seeds is not None
    twin = collect(examiner.team, env, episodes.seeds.tolist(), None, env_kwargs, noise)
    episodes = with_twin(episodes, twin)
    series = examiner.series(episodes)
    answers = {name: examiner.answers(name, episodes, series) for name in examiner.monitors}
    pooled = {}
    for kind, graph in examiner.graphs.items():
        assert graph.scale is not None
        pooled[kind] = graph.scale.pooled(series[kind])[0]
    first = next(iter(answers.values()))
    finding = first.findings[stage2][0]
    found = Examination(episodes, examiner, answers, stage2, finding, [], pooled)
    if finding is not None:
        found.dragged = _dragged(found, finding)
    found.sentences = _words(found)
    return found


def with_twin(episodes: Episodes, twin: Episodes) -> Episodes:
    """The episode with its clean twin, cut or padded to its length."""
    count = min(twin.steps, episodes.steps)
    arrays = {}
    for name in ("received", "commanded", "executed", "rewards", "alive"):
        own = getattr(episodes, name)
        arrays[name] = np.zeros_like(own)
        arrays[name][:, :count] = getattr(twin, name)[:, :count]
    return Episodes(**{**vars(episodes), "twin": Episodes(**arrays)})


def _dragged(found: Examination, finding: Finding) -> list[Dragged]:
    onsets = found.answers[found.detector].verdicts.onsets[0]
    scale = found.examiner.graphs[found.edges].scale
    assert scale is not None
    others = []
    for agent, step in enumerate(onsets.tolist()):
        if agent == finding.agent or step < finding.since:
            continue
        edge = float(found.pooled[found.edges][finding.since : step + 1, finding.agent, agent].max())
        others.append(Dragged(agent, step, edge, float(scale.limit[finding.agent, agent])))
    return sorted(others, key=lambda each: each.step)


def _words(found: Examination) -> list[str]:
    monitor = found.examiner.monitors[found.detector]
    ratios = found.answers[found.detector].verdicts.ratios[0]
    guarantee = f"at most {100 * monitor.alpha:g} % of clean episodes have an alarm"
    if found.finding is None:
        step, agent = divmod(int(ratios.argmax()), ratios.shape[1])
        return [
            f"No detection: no agent passed the threshold of {found.detector} (by its guarantee {guarantee}).",
            f"The largest score is {ratios.max():.2f} of the threshold: agent {agent} at step {step}.",
        ]
    said = [_who(found, found.finding, guarantee), *_evidence(found, found.finding.agent)]
    reached = [f"agent {each.agent} from step {each.step} (edge {each.edge:.1f}, clean limit {each.limit:.1f})"
               for each in found.dragged if each.reached]  # fmt: skip
    apart = [f"agent {each.agent} from step {each.step}" for each in found.dragged if not each.reached]
    if reached:
        said.append(f"Dragged along by agent {found.finding.agent}: {_listed(reached)}.")
    if apart:
        said.append(f"Flagged later without a raised influence of agent {found.finding.agent} on it: {_listed(apart)}.")
    if not found.dragged:
        said.append("Nobody was dragged along: no other agent passed its threshold afterwards.")
    drop = int(return_drops(found.episodes)[0])
    lost = "did not fall behind its clean twin's by 5 %" if drop < 0 else (
        f"fell behind its clean twin's by 5 % at step {drop}"
    )  # fmt: skip
    return [*said, f"The team's return {lost}."]


def _who(found: Examination, finding: Finding, guarantee: str) -> str:
    verdicts = found.answers[found.detector].verdicts
    named, step = int(verdicts.agent[0]), int(verdicts.step[0])
    ratio = float(verdicts.ratios[0, step, named])
    flag = f"at step {step} by {found.detector}, {_times(ratio, 'its')} ({guarantee})"
    if not finding.steps:
        return f"Agent {finding.agent} failed first: it was flagged {flag}. Stage 2 ({found.stage2}) keeps it."
    moves = [
        f"from agent {each.blamed} to agent {each.source}, whose influence on it was {each.edge:.1f} at step "
        f"{each.when} (clean limit {each.limit:.1f})"
        for each in finding.steps
    ]
    return (
        f"Agent {finding.agent} failed first, since step {finding.since}. Stage 1 flagged agent {named} {flag}; "
        f"stage 2 ({found.stage2}) moved the blame {', then '.join(moves)}."
    )


def _evidence(found: Examination, agent: int) -> list[str]:
    said = []
    for name, answers in found.answers.items():
        over = answers.verdicts.ratios[0, :, agent]
        if name == "combined" and len(found.answers) > 1:
            continue  # its parts say more
        if (over > 1).any():
            first = int((over > 1).argmax())
            why = EVIDENCE.get(name, "its score is unusual")
            said.append(f"{name}: {why}, from step {first} on, {_times(over.max(), 'the', 'up to ')}.")
    return said


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def replayed(recording: Recording) -> tuple[list[np.ndarray], list[NDArray[np.float64] | None], int] | None:
    """Frames of the recorded episode, from its seed and executed actions.

    Returns:
        T + 1 frames, where each agent is in them ([A, 2] columns and rows; None if the environment does not tell), and
        frames per second. None if the environment has no frames, or does not repeat the recorded rewards.
    """
    try:
        world: Any = make_env(recording.env, {**recording.env_kwargs, "render_mode": "rgb_array"})
    except AskError:
        return None  # it has no such render mode
    try:
        world.reset(seed=recording.seed)
        frames, places = [np.asarray(world.render())], [_places(world)]
        for action, reward in zip(recording.executed, recording.rewards, strict=True):
            _, paid, _, _, _ = world.step(action)
            if not np.isclose(paid, reward, rtol=1e-6, atol=1e-9):
                return None
            frames.append(np.asarray(world.render()))
            places.append(_places(world))
        fps = world.metadata.get("render_fps") or 10
        shown = all(frame.ndim == 3 and frame.dtype == np.uint8 for frame in frames)
        return (frames, places, max(1, round(fps))) if shown else None
    except gymnasium.error.Error:  # a package that draws is missing
        return None
    finally:
        world.close()


def _places(world: Any) -> NDArray[np.float64] | None:
    found = getattr(world.unwrapped, "agent_pixels", None)
    return None if found is None else np.array(found, np.float64)


def _times(ratio: float, whose: str, upto: str = "") -> str:
    """How far a score is above a threshold. In clean play some scores are exactly 0, so their thresholds are tiny."""
    return f"far above {whose} threshold" if ratio > 1e4 else f"at {upto}{ratio:.1f} times {whose} threshold"
