"""Recording: a behaviour plays many episodes side by side, and what it saw, did and got is kept as arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.seeding import episode_seed, stream

__all__ = ["LANES", "Act", "Recording", "joined", "record", "uniform"]

LANES = 16  # environments side by side; a recording depends on it, since a behaviour draws for all of them at once

Act = Callable[[np.ndarray, Sequence[int]], np.ndarray]
"""``(observations [B, ...], which episodes they are of [B]) -> actions [B, ...]``."""


class Recording(NamedTuple):
    """Episodes end to end, laid out as in :class:`~agentgym.data.dataset.OfflineDataset`.

    Attributes:
        returns: float64, of the episodes that were played to their end: sums of the true rewards, also where a
            perturbation changes those that are recorded.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    starts: np.ndarray
    returns: np.ndarray

    def dataset(self, env: gymnasium.Env[Any, Any], description: Description) -> OfflineDataset:
        """As a dataset of that environment."""
        return OfflineDataset(
            *self[:-1], observation_space=env.observation_space, action_space=env.action_space, description=description
        )


@dataclass
class _Episode:
    """Lists while it is played, arrays afterwards, which take a fifth of the memory."""

    observations: Any
    actions: Any = field(default_factory=list)
    rewards: Any = field(default_factory=list)
    true_return: float = 0.0
    terminated: bool = False
    truncated: bool = False

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated

    def __len__(self) -> int:
        return len(self.rewards)

    def step(self, env: gymnasium.Env[Any, Any], action: Any) -> None:
        observation, reward, self.terminated, self.truncated, info = env.step(action)
        self.observations.append(observation)
        self.actions.append(np.array(action))
        self.rewards.append(float(reward))
        self.true_return += float(info.get("true_reward", reward))
        if self.over:
            self.pack()

    def pack(self) -> None:
        self.observations, self.actions = _compact(self.observations), _compact(self.actions)
        self.rewards = np.array(self.rewards, np.float32)


def record(
    make: Callable[[], gymnasium.Env[Any, Any]],
    act: Act,
    seed: Sequence[int],
    steps: int = 0,
    episodes: int = 0,
    title: str = "",
    lanes: int = LANES,
) -> Recording:
    """Play until there are so many steps, or so many episodes.

    Episodes are kept in the order in which they were begun, whichever ends first, so that short ones are not preferred.
    With ``steps``, the last one kept may be cut and is then truncated.

    Args:
        make: makes one environment.
        act: the behaviour.
        seed: root, and what tells this recording from others under it; episode ``e`` is reset with
            ``episode_seed(*seed, e)``.
        steps: how many steps in all.
        episodes: how many episodes instead.
        title: of the progress bar; none is shown without one.
        lanes: environments side by side.

    Raises:
        InvalidParameter: an environment without a time limit played an episode of more than a million steps.
    """
    from agentgym.progress import bar  # imports torch, which looking at datasets does without

    envs = [make() for _ in range(min(lanes, episodes or lanes))]
    begun: list[_Episode] = []
    busy: dict[int, int] = {}  # lane: episode
    taken, kept = 0, _Prefix(begun)
    with bar(title, steps or episodes, shown=bool(title)) as shown:
        while True:
            for lane, env in enumerate(envs):
                if lane not in busy and (taken < steps or len(begun) < episodes):
                    observation, _ = env.reset(seed=episode_seed(*seed, len(begun)))
                    busy[lane] = len(begun)
                    begun.append(_Episode([observation]))
            if not busy or (steps and kept.steps() >= steps):
                break
            numbers = list(busy.values())
            actions = act(np.stack([begun[number].observations[-1] for number in numbers]), numbers)
            for lane, number, action in zip(list(busy), numbers, actions, strict=True):
                begun[number].step(envs[lane], action)
                if begun[number].over:
                    del busy[lane]
                elif len(begun[number]) > 1_000_000:
                    raise InvalidParameter("An episode did not end within a million steps: give it a time limit.")
            taken += len(numbers)
            shown.update(min(kept.steps(), steps) if steps else len(begun) - len(busy))
    for env in envs:
        env.close()
    return _cut(begun, steps) if steps else _as_arrays(begun)


class _Prefix:
    """Steps of the episodes up to the first that is not over, itself included: what could be kept now."""

    def __init__(self, episodes: list[_Episode]) -> None:
        self.episodes, self.first, self.before = episodes, 0, 0

    def steps(self) -> int:
        while self.first < len(self.episodes) and self.episodes[self.first].over:
            self.before += len(self.episodes[self.first])
            self.first += 1
        return self.before + (len(self.episodes[self.first]) if self.first < len(self.episodes) else 0)


def _cut(episodes: list[_Episode], steps: int) -> Recording:
    """The first ``steps`` steps."""
    kept: list[_Episode] = []
    left = steps
    for episode in episodes:
        if not episode.over or len(episode) > left:
            episode = _Episode(episode.observations[: left + 1], episode.actions[:left], episode.rewards[:left])
            episode.pack()
        kept.append(episode)
        left -= len(episode)
        if left == 0:
            break
    return _as_arrays(kept)


def _as_arrays(episodes: list[_Episode]) -> Recording:
    starts = np.cumsum([0, *(len(episode) for episode in episodes)])
    terminated = np.array([episode.terminated for episode in episodes])
    last_steps = np.zeros((2, starts[-1]), bool)
    last_steps[:, starts[1:] - 1] = terminated, ~terminated
    return Recording(
        observations=np.concatenate([episode.observations for episode in episodes]),
        actions=np.concatenate([episode.actions for episode in episodes]),
        rewards=np.concatenate([episode.rewards for episode in episodes]),
        terminations=last_steps[0],
        truncations=last_steps[1],
        starts=starts,
        returns=np.array([episode.true_return for episode in episodes if episode.over]),
    )


def _compact(values: Any) -> np.ndarray:
    """One array; real numbers as float32."""
    whole = np.stack(values)
    return whole.astype(np.float32) if np.issubdtype(whole.dtype, np.floating) else whole


def joined(recordings: Sequence[Recording]) -> Recording:
    """One after the other."""
    whole = Recording(*(np.concatenate(parts) for parts in zip(*recordings, strict=True)))
    lengths = np.concatenate([np.diff(recording.starts) for recording in recordings])
    return whole._replace(starts=np.cumsum([0, *lengths]))


def uniform(space: spaces.Space, seed: Sequence[int]) -> Act:
    """Uniformly random actions, each episode's from a stream of its own."""
    if not isinstance(space, spaces.Discrete | spaces.Box):
        raise InvalidParameter(f"Uniformly random actions are drawn from Discrete and Box spaces, not from {space}.")
    root, *place = seed
    streams: dict[int, np.random.Generator] = {}

    def act(observations: np.ndarray, episodes: Sequence[int]) -> np.ndarray:
        found = []
        for episode in episodes:
            if episode not in streams:
                streams[episode] = stream(root, "uniform", *place, episode)
            if isinstance(space, spaces.Discrete):
                found.append(space.start + streams[episode].integers(space.n))
            else:
                found.append(streams[episode].uniform(space.low, space.high).astype(space.dtype))
        return np.stack(found)

    return act
