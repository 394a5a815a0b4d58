"""Record episodes of a behaviour policy in parallel environments as arrays."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.play.player import Shown, Transition, Watcher, play_rounds
from agentgym.play.worlds import Environments, Episode
from agentgym.seeding import episode_seed, stream

__all__ = ["SIDE_BY_SIDE", "Act", "Recording", "joined", "record", "uniform"]

SIDE_BY_SIDE = (
    16  # environments side by side; a recording depends on it, since a behaviour draws for all of them at once
)
LONGEST = 1_000_000  # steps of an episode

Act = Callable[[np.ndarray, Sequence[int]], np.ndarray]
"""``(observations [B, ...], episode numbers [B]) -> actions [B, ...]``."""


class Recording(NamedTuple):
    """Episodes end to end, laid out as in :class:`~agentgym.data.dataset.OfflineDataset`.

    Attributes:
        returns: float64, returns of the complete episodes: sums of the true rewards, even if a perturbation changes
            the recorded ones.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    starts: np.ndarray
    returns: np.ndarray

    def dataset(self, env: gymnasium.Env[Any, Any], description: Description) -> OfflineDataset:
        """Convert the recording to a dataset of the environment."""
        return OfflineDataset(
            *self[:-1], observation_space=env.observation_space, action_space=env.action_space, description=description
        )


class _Recorded:
    """One episode: lists while it is being played, then arrays, which take a fifth of the memory."""

    def __init__(self, observations: Any = (), actions: Any = (), rewards: Any = ()) -> None:
        self.observations, self.actions, self.rewards = list(observations), list(actions), list(rewards)
        self.true_return, self.over, self.terminated = 0.0, False, False

    def __len__(self) -> int:
        return len(self.rewards)

    def pack(self) -> "_Recorded":
        self.observations, self.actions = _compact(self.observations), _compact(self.actions)  # type: ignore[assignment]
        self.rewards = np.array(self.rewards, np.float32)  # type: ignore[assignment]
        return self


class _Recorder(Watcher):
    """A behaviour policy as a player, queried only for running episodes; records what it does."""

    def __init__(self, act: Act) -> None:
        self.act, self.steps = act, 0
        self.begun_episodes: list[_Recorded] = []
        self.playing: dict[int, int] = {}  # episode number (in order of starts) -> environment

    def shown(self, shown: Shown) -> None:
        self.playing = dict(sorted((episode.job, world) for world, episode in shown.episodes.items()))

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        worlds = list(self.playing.values())
        actions = np.asarray(self.act(observation[worlds], list(self.playing)))
        all_actions = np.zeros((len(observation), *actions.shape[1:]), actions.dtype)
        all_actions[worlds] = actions
        return all_actions, state

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        self.begun_episodes[episode.job].observations.append(observation)

    def stepped(self, transition: Transition) -> None:
        recorded = self.begun_episodes[transition.episode.job]
        recorded.observations.append(transition.next_observation)
        recorded.actions.append(np.array(transition.action))
        recorded.rewards.append(transition.reward)
        self.steps += 1

    def finish(self, episode: Episode) -> None:
        """Keep the episode as arrays."""
        if episode.error is not None:
            raise episode.error
        recorded = self.begun_episodes[episode.job].pack()
        recorded.true_return, recorded.terminated, recorded.over = episode.episode_return, episode.terminated, True


def record(
    make: Callable[[], gymnasium.Env[Any, Any]],
    act: Act,
    seed: Sequence[int],
    steps: int = 0,
    episodes: int = 0,
    title: str = "",
    num_envs: int = SIDE_BY_SIDE,
) -> Recording:
    """Record a number of steps or of episodes.

    Episodes are kept in the order of their starts, not of their ends, so that the data is not biased towards short
    ones. With ``steps``, the last episode may be cut; it is then marked as truncated.

    Args:
        make: makes one environment.
        act: the behaviour policy.
        seed: root seed, then the labels of this recording; episode ``e`` is reset with
            ``episode_seed(*seed, e)``.
        steps: total number of steps.
        episodes: number of episodes, if ``steps`` is 0.
        title: title of the progress bar; empty for none.
        num_envs: environments side by side.

    Raises:
        EpisodeTooLong: an environment without a time limit played an episode of a million steps.
        NonFinite: an observation, an action or a reward is NaN or infinite.
    """
    from agentgym.progress import bar  # imports torch, which looking at datasets does without

    envs = [make() for _ in range(min(num_envs, episodes or num_envs))]
    recorder = _Recorder(act)
    begun, kept, finished = recorder.begun_episodes, _Prefix(recorder.begun_episodes), 0

    def to_play() -> Iterator[Episode]:
        while recorder.steps < steps or len(begun) < episodes:
            begun.append(_Recorded())
            number = len(begun) - 1
            yield Episode(episode_seed(*seed, number), max_steps=LONGEST, job=number)

    worlds = Environments(envs, envs[0].observation_space)
    with bar(title, steps or episodes, shown=bool(title)) as shown:
        for over in play_rounds(recorder, worlds, to_play(), watchers=[recorder]):
            for episode in over:
                recorder.finish(episode)
            finished += len(over)
            shown.update(min(kept.steps(), steps) if steps else finished)
            if steps and kept.steps() >= steps:
                break
    for env in envs:
        env.close()
    return _cut(begun, steps) if steps else _as_arrays(begun)


class _Prefix:
    """Counts the steps of all episodes up to and including the first unfinished one: what could be kept now."""

    def __init__(self, episodes: list[_Recorded]) -> None:
        self.episodes, self.first, self.before = episodes, 0, 0

    def steps(self) -> int:
        while self.first < len(self.episodes) and self.episodes[self.first].over:
            self.before += len(self.episodes[self.first])
            self.first += 1
        return self.before + (len(self.episodes[self.first]) if self.first < len(self.episodes) else 0)


def _cut(episodes: list[_Recorded], steps: int) -> Recording:
    """The first ``steps`` steps."""
    kept: list[_Recorded] = []
    left = steps
    for episode in episodes:
        if not episode.over or len(episode) > left:
            observations, actions = episode.observations[: left + 1], episode.actions[:left]
            episode = _Recorded(observations, actions, episode.rewards[:left]).pack()
        kept.append(episode)
        left -= len(episode)
        if left == 0:
            break
    return _as_arrays(kept)


def _as_arrays(episodes: list[_Recorded]) -> Recording:
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
    """Concatenate recordings."""
    whole = Recording(*(np.concatenate(parts) for parts in zip(*recordings, strict=True)))
    lengths = np.concatenate([np.diff(recording.starts) for recording in recordings])
    return whole._replace(starts=np.cumsum([0, *lengths]))


def uniform(space: spaces.Space, seed: Sequence[int]) -> Act:
    """Uniformly random actions; each episode has its own stream."""
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
