"""Play episodes: an agent acts in several environments at once, and watchers observe every step.

Evaluation, scores during training, videos, transcripts and recorded datasets all use this module. They differ in the
environments that they step (:mod:`agentgym.play.worlds`) and in their watchers.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from agentgym.contracts.agent import predict_actions, promised_returns
from agentgym.contracts.finite import is_finite, require_finite
from agentgym.errors import InvalidAction
from agentgym.play.worlds import Episode, Result, Worlds, row

__all__ = ["Shown", "Transition", "Watcher", "play", "play_rounds"]


class Transition(NamedTuple):
    """One step of an episode.

    Attributes:
        episode: the episode; its ``length`` includes this step.
        observation: observation passed to the agent, after attacks.
        action: action of the agent.
        reward: observed reward, after perturbations.
        true_reward: reward before perturbations, used for the return.
        next_observation: next observation; the final one if the episode ends.
        terminated, truncated: whether and how the episode ends.
        info: info of the step.
    """

    episode: Episode
    observation: Any
    action: Any
    reward: float
    true_reward: float
    next_observation: Any
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass
class Shown:
    """The input of the agent's next ``predict`` call.

    Attributes:
        observations: observations of all environments, ``[B, ...]``, a dictionary of such arrays, or a list of texts.
            A watcher may replace them but must not modify them in place.
        episodes: running episodes by environment index.
        failures: environments that failed together in a watcher, with the error; their episodes are abandoned.
    """

    observations: Any
    episodes: dict[int, Episode]
    failures: list[tuple[list[int], Exception]] = field(default_factory=list)


class Watcher:
    """Observes episodes while they are played; subclasses override the methods that they need."""

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """Called after the reset of an episode."""

    def shown(self, shown: Shown) -> None:
        """Called before each ``predict``, once for all environments."""

    def stepped(self, transition: Transition) -> None:
        """Called after each step of each environment."""


def play(
    agent: Any,
    worlds: Worlds,
    episodes: Iterable[Episode],
    deterministic: bool = True,
    watchers: Sequence[Watcher] = (),
) -> Iterator[Episode]:
    """Play episodes to their end, and yield each episode as soon as it has ended or failed.

    An exception of an environment or of the agent is stored in ``Episode.error``; the other episodes continue.

    Args:
        agent: a :class:`agentgym.contracts.agent.Player`. Every ``predict`` call covers all environments, including
            idle ones.
        worlds: the environments; they are not closed.
        episodes: episodes to play, started in this order as environments become free.
        deterministic: whether to use the mode of the policy instead of a sample.
        watchers: watchers, called in this order.
    """
    for over in play_rounds(agent, worlds, episodes, deterministic, watchers):
        yield from over


def play_rounds(
    agent: Any,
    worlds: Worlds,
    episodes: Iterable[Episode],
    deterministic: bool = True,
    watchers: Sequence[Watcher] = (),
) -> Iterator[list[Episode]]:
    """Like :func:`play`, but yield after every step the list of episodes that are over, which may be empty.

    The caller may stop iterating at any time.
    """
    game = _Game(agent, worlds, deterministic, watchers)
    waiting = iter(episodes)
    while True:
        game.begin(waiting)
        if not game.playing and not game.over:
            return
        if game.playing:
            game.step()
        over, game.over = game.over, []
        yield over


class _Game:
    """The running episodes and the agent's state."""

    def __init__(self, agent: Any, worlds: Worlds, deterministic: bool, watchers: Sequence[Watcher]) -> None:
        self.agent, self.worlds, self.deterministic = agent, worlds, deterministic
        self.on_begun = [watcher for watcher in watchers if type(watcher).begun is not Watcher.begun]
        self.on_shown = [watcher for watcher in watchers if type(watcher).shown is not Watcher.shown]
        self.on_stepped = [watcher for watcher in watchers if type(watcher).stepped is not Watcher.stepped]
        self.playing: dict[int, Episode] = {}  # by environment index, in ascending order
        self.over: list[Episode] = []
        self.state: Any = None
        self.rewards = np.zeros(worlds.count)

    def begin(self, waiting: Iterator[Episode]) -> None:
        """Start episodes in idle environments."""
        free = [world for world in range(self.worlds.count) if world not in self.playing]
        for world in free:
            while world not in self.playing and (episode := next(waiting, None)) is not None:
                episode.world = world
                try:
                    self.worlds.start(world, episode)
                    self.playing[world] = episode
                except Exception as error:
                    self._fail([episode], error)
        if free:
            self.playing = dict(sorted(self.playing.items()))

    def step(self) -> None:
        """Call ``predict`` once and step the environments once."""
        shown = self._observe()
        if shown is None or (prediction := self._predict(shown)) is None:
            return
        actions, promised = prediction
        finite = is_finite(actions)
        for world, episode in list(self.playing.items()):
            try:
                if promised is not None and not episode.length:
                    require_finite("the promised return", promised[world], episode.at(0))
                    episode.promised = float(promised[world])
                if episode.length >= episode.max_steps:
                    episode.require_end(self.worlds.time_limit(world))
                if not finite:
                    require_finite("the action", actions[world], episode.at(episode.length + 1))
                _require_action(self.worlds.action_space(world), actions[world], episode)
            except Exception as error:
                self._fail([episode], error)
        try:
            results = self.worlds.step(actions, list(self.playing))
        except Exception as error:
            self._fail(list(self.playing.values()), error)
            return
        for world, episode in list(self.playing.items()):
            try:
                result = results[world]
                if isinstance(result, Exception):
                    raise result
                self._record(episode, result, shown, actions[world])
            except Exception as error:
                self._fail([episode], error)

    def _observe(self) -> Shown | None:
        """Observations of the running episodes; None if the agent must not be called in this round."""
        try:
            observations = self.worlds.observe(list(self.playing))
        except Exception as error:
            self._fail(list(self.playing.values()), error)
            return None
        if not is_finite(observations):
            for world, episode in list(self.playing.items()):
                try:
                    require_finite("the observation", row(observations, world), episode.at(episode.length))
                except Exception as error:
                    self._fail([episode], error)
            return None  # the next round continues without them
        for world, episode in self.playing.items() if self.on_begun else ():
            if not episode.length:
                for watcher in self.on_begun:
                    watcher.begun(episode, row(observations, world), self.worlds.info(world))
        shown = Shown(observations, self.playing)
        for watcher in self.on_shown:
            watcher.shown(shown)
        for failed, reason in shown.failures:
            self._fail([self.playing[world] for world in failed], reason)
        return shown if self.playing else None

    def _predict(self, shown: Shown) -> tuple[Any, np.ndarray | None] | None:
        """Actions ``[B, ...]`` and promised returns ``[B]`` of starting episodes; None if the agent fails."""
        count, commands = self.worlds.count, self.worlds.commands(list(self.playing))
        fresh = [world for world, episode in self.playing.items() if not episode.length]
        starts = np.full(count, commands is None)  # idle environments count as starting, except text environments
        starts[list(self.playing)] = False
        starts[fresh] = True
        try:
            actions, self.state = predict_actions(
                self.agent, shown.observations, self.state, starts, self.rewards, self.deterministic, commands
            )
            _require_count(actions, count)
            return actions, promised_returns(self.agent, self.state, count) if fresh else None
        except Exception as error:
            self._fail(list(self.playing.values()), error)
            return None

    def _record(self, episode: Episode, result: Result, shown: Shown, action: Any) -> None:
        """Add the result of a step to its episode and call the watchers."""
        world = episode.world
        episode.length += 1
        self.rewards[world] = result.reward
        if not math.isfinite(result.reward + result.true_reward):
            require_finite("the reward", (result.reward, result.true_reward), episode.at(episode.length))
        episode.episode_return += result.true_reward
        ended = result.terminated or result.truncated
        over = ended or episode.length == episode.cut_after
        if over or self.on_stepped:
            episode.info = self.worlds.info(world)
        for watcher in self.on_stepped:
            watcher.stepped(
                Transition(
                    episode, row(shown.observations, world), action, result.reward, result.true_reward,
                    result.observation, result.terminated, result.truncated, episode.info,
                )
            )  # fmt: skip
        if over:
            require_finite("the observation", result.observation, episode.at(episode.length))
            require_finite("the return", episode.episode_return)
            episode.terminated, episode.truncated, episode.state = result.terminated, result.truncated, self.state
            self._leave(episode)

    def _fail(self, episodes: Sequence[Episode], error: Exception) -> None:
        for episode in episodes:
            episode.error, episode.shared = error, len(episodes) > 1
            if not episode.shared:
                self.worlds.drop(episode.world)
            self._leave(episode)

    def _leave(self, episode: Episode) -> None:
        self.playing.pop(episode.world, None)
        self.over.append(episode)


def _require_count(actions: Any, count: int) -> None:
    """Refuse a prediction without exactly one action per environment.

    Raises:
        InvalidAction: there are more or fewer actions.
    """
    given = len(actions) if hasattr(actions, "__len__") and np.ndim(actions) else 0
    if given != count:
        raise InvalidAction(f"predict() returned {given} actions for {count} observations; it must return one each.")


def _require_action(space: gymnasium.Space[Any], action: Any, episode: Episode) -> None:
    """Refuse an action of the wrong shape or outside a discrete space.

    The bounds of a Box are left to the environment: many clip actions, others accept values outside. Texts are left to
    the environment as well.

    Raises:
        InvalidAction: the shape is wrong, or the action is not in the space.
    """
    if isinstance(space, gymnasium.spaces.Box):
        if np.shape(action) != space.shape:
            where = episode.at(episode.length + 1)
            raise InvalidAction(f"the action {where} has the shape {np.shape(action)}, not {space.shape}.")
    elif not (isinstance(space, gymnasium.spaces.Text) or _is_choice(space, action) or space.contains(action)):
        raise InvalidAction(f"the action {episode.at(episode.length + 1)} is {action!r}, which is not in {space}.")


def _is_choice(space: gymnasium.Space[Any], action: Any) -> bool:
    """Equivalent to ``contains`` for NumPy integers, ten times as fast."""
    if not isinstance(space, gymnasium.spaces.Discrete) or not isinstance(action, np.integer):
        return False
    return bool(space.start <= action < space.start + space.n)
