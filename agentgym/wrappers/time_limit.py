"""Base class of environments that truncate their own episodes and report the limit in ``spec``."""

from dataclasses import replace
from typing import Any, TypeVar

import gymnasium
from gymnasium.envs.registration import EnvSpec

__all__ = ["OwnTimeLimit"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")


class OwnTimeLimit(gymnasium.Env[Obs, Act]):
    """An environment that truncates after :attr:`time_limit` steps and reports it as ``spec.max_episode_steps``.

    The limit depends on the environment's arguments, so it cannot be registered: Gymnasium would add a ``TimeLimit`` of
    the wrong length. Instead, the limit is added to the ``spec`` that ``gymnasium.make`` assigns.
    """

    _spec: EnvSpec | None = None

    @property
    def time_limit(self) -> int:
        """Steps after which an episode is truncated."""
        raise NotImplementedError

    @property
    def spec(self) -> EnvSpec | None:
        """The environment's spec, with the time limit as ``max_episode_steps``."""
        return self._spec

    @spec.setter
    def spec(self, spec: Any) -> None:
        self._spec = None if spec is None else replace(spec, max_episode_steps=self.time_limit)
