"""Play and record episodes of a team, many side by side, with or without a fault."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number
from agentgym.contracts.spaces import check_same_spaces
from agentgym.envs.perturb import perturb
from agentgym.errors import EpisodeTooLong, InvalidParameter
from agentgym.evaluation.attacks.team import FaultyTeam, Truth, draw_truth
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.team import Team
from agentgym.make import check_id, make_native_batch

__all__ = ["Attacker", "Repair", "collect", "make_worlds"]

MOST_STEPS = 10_000
Attacker = Callable[[Truth, Sequence[int], int], FaultyTeam]


@dataclass(frozen=True, eq=False)
class Repair:
    """One agent of each episode that is repaired from a step on: it executes the team's action at the true observation.

    Attributes:
        agent: int64 [E]; -1 for nobody.
        since: the first step, int64 [E].
    """

    agent: NDArray[np.int64]
    since: NDArray[np.int64]


def make_worlds(env_id: str, env_kwargs: Mapping[str, Any] | None, count: int) -> VectorEnv[Any, Any, Any]:
    """A batch of joint environments: native if there is one.

    Raises:
        UnknownId: there is no such environment.
    """
    check_id(env_id)
    kwargs = dict(env_kwargs or {})
    native = make_native_batch(env_id, kwargs, count, AutoresetMode.NEXT_STEP)
    return native if native is not None else gymnasium.make_vec(env_id, count, "sync", **kwargs)


def collect(
    team: Team,
    env_id: str,
    seeds: Sequence[int],
    fault: Fault | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
    with_twin: bool = False,
    attacker: Attacker | None = None,
    repair: Repair | None = None,
) -> Episodes:
    """Play one episode for each seed, side by side.

    Args:
        team: who plays.
        env_id: a joint environment, as the team's learners take it.
        seeds: of the episodes.
        fault: of one agent in each episode; None for clean episodes.
        env_kwargs: arguments of the environment.
        noise: standard deviation of a sensor noise that is always there, in the observation's units. It is part of
            what the agents receive, not of the fault.
        generator: to sample actions from the policies; None for greedy play.
        with_twin: also play the same episodes without the fault.
        attacker: makes who plays in place of the team, from the truth, the seeds and the number of live columns, where
            it should not be a :class:`~agentgym.evaluation.attacks.team.FaultyTeam` of the fault's kind.
        repair: agents that are repaired, whatever the fault makes of them.

    Raises:
        InvalidParameter: the fault does not fit the environment or the team, or the repair the episodes.
        SpaceMismatch: the environment's spaces are not the team's.
        EpisodeTooLong: an episode does not end within 10,000 steps.
    """
    finite_number("noise", noise, 0.0)
    if not len(seeds):
        raise InvalidParameter("There are no seeds to play.")
    if repair is not None and {len(repair.agent), len(repair.since)} != {len(seeds)}:
        raise InvalidParameter(f"There are {len(repair.agent)} repairs for {len(seeds)} episodes.")
    env = make_worlds(env_id, env_kwargs, len(seeds))
    try:
        found = _play(team, env, list(seeds), fault, noise, generator, attacker, repair)
    finally:
        env.close()
    if fault is None or not with_twin:
        return found
    twin = collect(team, env_id, seeds, None, env_kwargs, noise, generator)
    return Episodes(**{**vars(found), "twin": _as_long(twin, found.steps)})


class _Repaired(VectorWrapper[Any, Any, Any, Any, Any]):
    """Lets repaired agents execute the team's actions at true observations."""

    def __init__(self, env: VectorEnv[Any, Any, Any], team: Team, repair: Repair) -> None:
        super().__init__(env)
        self.team, self.repair, self.steps = team, repair, 0

    def reset(self, **keywords: Any) -> Any:
        """Reset the environment."""
        self.steps = 0
        self.seen, infos = self.env.reset(**keywords)
        return self.seen, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environment."""
        layout, done = self.team.layout, np.array(actions)
        now = np.flatnonzero((self.repair.agent >= 0) & (self.steps >= self.repair.since))
        nominal = layout.to_environment(self.team.act(torch.as_tensor(_windows(self.seen, layout))))
        done[now, self.repair.agent[now]] = nominal[now, self.repair.agent[now]]
        self.steps += 1
        self.seen, *rest = self.env.step(done)
        return self.seen, *rest


class _Executed(VectorWrapper[Any, Any, Any, Any, Any]):
    """Remembers the actions that reach the environment."""

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step the environment."""
        self.actions = np.array(actions)
        return self.env.step(actions)


def _play(
    team: Team, env: VectorEnv[Any, Any, Any], seeds: list[int], fault: Fault | None, noise: float,
    generator: torch.Generator | None, attacker: Attacker | None, repair: Repair | None,
) -> Episodes:  # fmt: skip
    layout = team.layout
    check_same_spaces(
        (layout.observation_space, layout.action_space), (env.single_observation_space, env.single_action_space)
    )
    live = _live(env, layout.windows)
    executed = _Executed(env)
    inner = executed if repair is None else _Repaired(executed, team, repair)
    effects = _effects(fault, noise, live, layout)
    world: Any = perturb(inner, *effects, true_observation=True) if effects else inner
    player = _faulty(team, fault, seeds, live, generator, attacker)
    observation, infos = world.reset(seed=seeds)
    truth = _truth(infos) if player is None else player.truth
    alive = np.ones((len(seeds), layout.agents), bool)
    kept: dict[str, list[np.ndarray]] = {name: [] for name in _KEPT}
    while alive.any():
        if len(kept["alive"]) >= MOST_STEPS:
            raise EpisodeTooLong(f"An episode has no end within {MOST_STEPS} steps. Give the environment a time limit.")
        true = _windows(infos.get("true_observation", observation), layout)
        received = _windows(observation, layout)
        if player is None:
            commanded = team.act(torch.as_tensor(received), generator)
            joint = layout.to_environment(commanded)
        else:
            joint, _ = player.predict(observation)
            received, commanded = player.seen, layout.from_environment(joint)
        observation, paid, ends, cuts, infos = world.step(joint)
        done = layout.from_environment(executed.actions)
        row = (received, true, commanded.numpy(), done.numpy(), _rewards(paid, infos, layout.agents), alive)
        for name, value in zip(_KEPT, row, strict=True):
            kept[name].append(value)
        left = _flag(infos, "agent_terminated", alive) | _flag(infos, "agent_truncated", alive)
        alive = alive & ~left & ~(ends | cuts)[:, None]
    arrays: dict[str, Any] = {name: np.stack(rows, axis=1) for name, rows in kept.items()}
    return Episodes(**arrays, seeds=np.array(seeds, np.int64), fault="" if fault is None else fault.name, truth=truth)


_KEPT = ("received", "true", "commanded", "executed", "rewards", "alive")


def _effects(fault: Fault | None, noise: float, live: np.ndarray, layout: Any) -> list[dict[str, Any]]:
    """The perturbations: noise next to the environment, then the fault."""
    effects: list[dict[str, Any]] = []
    if noise:
        std = np.zeros(int(np.prod(layout.observation_space.shape)))
        std[np.unique(layout.windows[:, live])] = noise
        effects.append({"type": "ObservationNoise", "std": std.reshape(layout.observation_space.shape).tolist()})
    settings = None if fault is None else fault.perturbation(_columns(live), layout.discrete)
    return effects if settings is None else [*effects, settings]


def _faulty(
    team: Team, fault: Fault | None, seeds: list[int], live: np.ndarray, generator: torch.Generator | None,
    attacker: Attacker | None,
) -> FaultyTeam | None:  # fmt: skip
    if fault is None or fault.of_network is None:
        return None
    agent = getattr(team, "agent", None)
    if agent is None:
        raise InvalidParameter(f"The fault {fault.kind!r} needs the networks of a team that agentgym trained.")
    if generator is not None:
        raise InvalidParameter(f"The fault {fault.kind!r} is for greedy play.")
    kind: Any = fault.of_network
    truth = draw_truth(seeds, team.layout.agents, fault.size, fault.earliest, fault.latest)
    if attacker is not None:
        return attacker(truth, seeds, _columns(live))
    return FaultyTeam(agent, kind, truth, seeds, _columns(live))


def _truth(infos: Mapping[str, Any]) -> Truth | None:
    told = list(infos.get("faults", {}).values())
    return Truth(**{name: np.array(value) for name, value in told[-1].items()}) if told else None


def _live(env: Any, windows: np.ndarray) -> np.ndarray:
    """The columns of a window that can change, as the environment says; otherwise all."""
    found = getattr(env, "live", None)
    return np.arange(windows.shape[1]) if found is None else np.asarray(found)


def _columns(live: np.ndarray) -> int:
    if not np.array_equal(live, np.arange(len(live))):
        raise InvalidParameter(f"The live columns of a window must be its first ones for faults, not {live.tolist()}.")
    return len(live)


def _windows(observation: Any, layout: Any) -> np.ndarray:
    seen = np.asarray(observation, np.float32)
    return seen.reshape(len(seen), -1)[:, layout.windows]


def _rewards(paid: Any, infos: Mapping[str, Any], agents: int) -> np.ndarray:
    """Each agent's, or an equal share of the team's."""
    if "agent_rewards" in infos:
        return np.array(infos["agent_rewards"], np.float64)
    return np.repeat(np.asarray(paid, np.float64)[:, None] / agents, agents, axis=1)


def _flag(infos: Mapping[str, Any], name: str, like: np.ndarray) -> np.ndarray:
    return np.asarray(infos[name], bool) if name in infos else np.zeros_like(like)


def _as_long(episodes: Episodes, steps: int) -> Episodes:
    """The episodes with steps cut off, or with empty ones added at the end."""
    count = min(steps, episodes.steps)
    arrays = {name: getattr(episodes, name)[:, :count] for name in _KEPT}
    if count < steps:
        padded = {n: [(0, 0), (0, steps - count), *[(0, 0)] * (a.ndim - 2)] for n, a in arrays.items()}
        arrays = {name: np.pad(array, padded[name]) for name, array in arrays.items()}
    return Episodes(**{**vars(episodes), **arrays})
