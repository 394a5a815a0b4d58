"""Evaluation of offline agents during training, with separate records of the latest and the best result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium

from agentgym.data.recorded_env import check_same_world
from agentgym.errors import InvalidParameter
from agentgym.make import make_env
from agentgym.play.player import play
from agentgym.play.worlds import Environments, Episode

__all__ = ["EvaluationEnvs", "Played", "Scores"]

LONGEST = 100_000  # maximum number of steps of an episode, for environments without a time limit


class Played(NamedTuple):
    """One episode: its return, its length, and the return that the agent predicted at its start, if any."""

    episode_return: float
    length: int
    promised: float | None


class EvaluationEnvs:
    """Environments for evaluation, created on first use. They have no state that a run would have to save.

    Args:
        env: a Gymnasium id, an environment (episodes are then played in sequence), or a function that makes one.
    """

    def __init__(self, env: str | gymnasium.Env[Any, Any] | Callable[[], gymnasium.Env[Any, Any]]) -> None:
        self.alone = isinstance(env, gymnasium.Env)
        self._make: Callable[[], gymnasium.Env[Any, Any]]
        if isinstance(env, gymnasium.Env):
            self._make = lambda: env
        elif isinstance(env, str):
            self._make = partial(make_env, env)
        elif callable(env):
            self._make = env
        else:
            raise InvalidParameter(
                f"env is a {type(env).__name__}; an offline agent is evaluated in single environments: give an id, a "
                "gymnasium.Env, or a function that makes one."
            )
        self.envs = [self._make()]

    @property
    def spaces(self) -> tuple[gymnasium.Space, gymnasium.Space]:
        """The observation and action space."""
        return self.envs[0].observation_space, self.envs[0].action_space

    def play(self, agent: Any, seeds: Sequence[int]) -> list[Played]:
        """Play one episode per seed, with the policy's mode.

        Raises:
            NonFinite: an observation, an action or a reward is NaN or infinite.
            EpisodeTooLong: an episode does not end within the maximum number of steps.
        """
        while len(self.envs) < (1 if self.alone else len(seeds)):
            self.envs.append(self._make())
        worlds = Environments(self.envs[: len(seeds)], self.envs[0].observation_space)
        episodes = [Episode(seed, max_steps=LONGEST, of=f" of the evaluation with seed {seed}") for seed in seeds]
        for episode in play(agent, worlds, episodes):
            if episode.error is not None:
                raise episode.error
        return [Played(episode.episode_return, episode.length, episode.promised) for episode in episodes]

    def close(self) -> None:
        """Close all environments."""
        for env in self.envs:
            env.close()

    def check(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, name: str) -> None:
        """Check that a dataset has the same spaces.

        Raises:
            SpaceMismatch: the message shows both.
        """
        check_same_world(name, (observation_space, action_space), self.spaces)


@dataclass
class Scores:
    """The results of evaluations during training.

    The best is a maximum over noisy means and therefore biased upwards, so it is recorded beside the latest one, never
    instead of it.

    Attributes:
        final, best: mean return and gradient step of the latest evaluation and of the one with the highest mean.
        final_promised, best_promised: mean of the returns predicted in these; None if the agent predicts none.
        episodes: number of episodes per evaluation.
    """

    final_return: float | None = None
    final_promised: float | None = None
    final_step: int = 0
    best_return: float | None = None
    best_promised: float | None = None
    best_step: int = 0
    episodes: int = 0

    def add(self, step: int, mean: float, promised: float | None, episodes: int) -> None:
        """Record an evaluation: mean return, and mean predicted return."""
        self.final_return, self.final_promised, self.final_step, self.episodes = mean, promised, step, episodes
        if self.best_return is None or mean > self.best_return:
            self.best_return, self.best_promised, self.best_step = mean, promised, step
