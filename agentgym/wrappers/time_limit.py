"""Environments that cut their episodes themselves say so where Gymnasium's wrappers look."""

from dataclasses import replace
from typing import Any, TypeVar

import gymnasium
from gymnasium.envs.registration import EnvSpec

__all__ = ["OwnTimeLimit"]

Obs = TypeVar("Obs")
Act = TypeVar("Act")


class OwnTimeLimit(gymnasium.Env[Obs, Act]):
    """An environment that truncates after :attr:`time_limit` steps, as ``spec.max_episode_steps`` says.

    The limit follows from its settings, so it cannot stand in the registry: Gymnasium would put a ``TimeLimit`` of the
    wrong length around it. ``gymnasium.make`` sets ``spec``; what it sets gets the limit.
    """

    _spec: EnvSpec | None = None

    @property
    def time_limit(self) -> int:
        """Steps after which an episode is truncated."""
        raise NotImplementedError

    @property
    def spec(self) -> EnvSpec | None:
        """How it was made, with the time limit as ``max_episode_steps``."""
        return self._spec

    @spec.setter
    def spec(self, spec: Any) -> None:
        self._spec = None if spec is None else replace(spec, max_episode_steps=self.time_limit)
