"""The one player of episodes: an agent acts in worlds side by side, and watchers see every step.

Evaluation, scores while training, films, transcripts and recorded datasets all play their episodes here. What they
differ in is which worlds they step (:mod:`agentgym.play.worlds`) and what their watchers keep.
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
    """One step of one episode.

    Attributes:
        episode: its ``length`` counts this step.
        observation: what the agent was shown, after attacks.
        action: the agent's.
        reward: as the agent is told it, after perturbations.
        true_reward: as it counts.
        next_observation: the world's; the episode's last one where it ends.
        terminated, truncated: whether it ends.
        info: of the step.
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
    """What the agent is about to be asked.

    Attributes:
        observations: of all worlds, ``[B, ...]``, a dictionary of such arrays, or a list of texts. A watcher may put
            others in their place; it does not write into them.
        episodes: those that are played now, by world.
        failures: worlds that a watcher fails at together, each time with the error; they are not played on.
    """

    observations: Any
    episodes: dict[int, Episode]
    failures: list[tuple[list[int], Exception]] = field(default_factory=list)


class Watcher:
    """Sees episodes while they are played; a subclass has the methods that it needs."""

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """An episode was reset."""

    def shown(self, shown: Shown) -> None:
        """The agent is about to be asked; called once a round for all worlds."""

    def stepped(self, transition: Transition) -> None:
        """A world was stepped."""


def play(
    agent: Any,
    worlds: Worlds,
    episodes: Iterable[Episode],
    deterministic: bool = True,
    watchers: Sequence[Watcher] = (),
) -> Iterator[Episode]:
    """Play episodes to their ends, and give each as soon as it is over or has failed.

    What an environment or the agent fails at is kept in ``Episode.error``, and the other episodes go on.

    Args:
        agent: a :class:`agentgym.contracts.agent.Player`; it is always asked for all worlds at once, those that wait
            included.
        worlds: where. They are not closed.
        episodes: begun in this order, as worlds become free.
        deterministic: the policy's mode instead of a sample.
        watchers: called in this order.
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
    """As :func:`play`, but give after every step of the worlds the episodes that are over, if only an empty list.

    A caller that has seen enough just stops.
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
    """The episodes that are being played, and what the agent remembers of them."""

    def __init__(self, agent: Any, worlds: Worlds, deterministic: bool, watchers: Sequence[Watcher]) -> None:
        self.agent, self.worlds, self.deterministic = agent, worlds, deterministic
        self.on_begun = [watcher for watcher in watchers if type(watcher).begun is not Watcher.begun]
        self.on_shown = [watcher for watcher in watchers if type(watcher).shown is not Watcher.shown]
        self.on_stepped = [watcher for watcher in watchers if type(watcher).stepped is not Watcher.stepped]
        self.playing: dict[int, Episode] = {}  # by world, in the worlds' order
        self.over: list[Episode] = []
        self.state: Any = None
        self.rewards = np.zeros(worlds.count)

    def begin(self, waiting: Iterator[Episode]) -> None:
        """Begin episodes in the worlds that are free."""
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
        """Ask the agent once and step the worlds once."""
        shown = self._seen()
        if shown is None or (answer := self._ask(shown)) is None:
            return
        actions, promised = answer
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
                self._take(episode, result, shown, actions[world])
            except Exception as error:
                self._fail([episode], error)

    def _seen(self) -> Shown | None:
        """What the worlds show; None where nobody is left to be asked for it."""
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
            return None  # the next round asks without them
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

    def _ask(self, shown: Shown) -> tuple[Any, np.ndarray | None] | None:
        """Actions ``[B, ...]`` and promised returns ``[B]`` of episodes that begin; None where the agent fails."""
        count, commands = self.worlds.count, self.worlds.commands(list(self.playing))
        fresh = [world for world, episode in self.playing.items() if not episode.length]
        starts = np.full(count, commands is None)  # an episode that waits always begins, but of texts it stays as it is
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

    def _take(self, episode: Episode, result: Result, shown: Shown, action: Any) -> None:
        """Take in what a step gave."""
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
    """Refuse a prediction that is not one action a world.

    Raises:
        InvalidAction: there are more or fewer.
    """
    found = len(actions) if hasattr(actions, "__len__") and np.ndim(actions) else 0
    if found != count:
        raise InvalidAction(f"predict() gave {found} actions for {count} observations; it must give one for each.")


def _require_action(space: gymnasium.Space[Any], action: Any, episode: Episode) -> None:
    """Refuse an action that no environment of this action space can take.

    A Box's bounds are left to the environment: many cut what lies outside, some take it. Texts are left to it, too.

    Raises:
        InvalidAction: it has another shape, or is none of those to choose from.
    """
    if isinstance(space, gymnasium.spaces.Box):
        if np.shape(action) != space.shape:
            where = episode.at(episode.length + 1)
            raise InvalidAction(f"the action {where} has the shape {np.shape(action)}, not {space.shape}.")
    elif not (isinstance(space, gymnasium.spaces.Text) or _is_choice(space, action) or space.contains(action)):
        raise InvalidAction(f"the action {episode.at(episode.length + 1)} is {action!r}, which is not in {space}.")


def _is_choice(space: gymnasium.Space[Any], action: Any) -> bool:
    """What ``contains`` finds of NumPy's integers, in a tenth of the time."""
    if not isinstance(space, gymnasium.spaces.Discrete) or not isinstance(action, np.integer):
        return False
    return bool(space.start <= action < space.start + space.n)
