"""The worlds of a native batch, each as an environment of its own, stepped together."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.making import make_native_batch
from agentgym.vector import NativeVectorEnv

__all__ = ["Together", "World"]


class Together:
    """N worlds of an exact native batch.

    :meth:`act` steps all of them that are playing; each :class:`World` then hands out its own part of the outcome. A
    world that is not playing rests and costs nothing.

    Args:
        env: an id that :func:`agentgym.making.has_exact_batch` approves.
        env_kwargs: its keyword arguments.
        count: N.
    """

    def __init__(self, env: str, env_kwargs: dict[str, Any], count: int) -> None:
        batch = make_native_batch(env, env_kwargs, count, AutoresetMode.DISABLED)
        assert isinstance(batch, NativeVectorEnv)
        self.batch = batch
        self.worlds = [World(self, index) for index in range(count)]
        self._outcome: Any = None

    def act(self, actions: Any, playing: np.ndarray) -> None:
        """Take a step in the playing worlds.

        Args:
            actions: one a world and perhaps more, which are not read.
            playing: bool [N].
        """
        try:
            told = np.array(actions)[: self.batch.num_envs]
            if told.shape == self.batch.action_space.shape:  # else no world is stepped
                # Whoever looks after a world refuses an action that is not finite; the others play on.
                able = playing & np.isfinite(told).reshape(len(told), -1).all(axis=1)
                told[~able] = 0.0
                self.batch.rest(~able)
            self._outcome = self.batch.step(told)
        except Exception as error:  # every world raises it, as if each had been stepped alone
            self._outcome = error

    def part(self, world: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """What the step gave one world."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        observations, rewards, terminated, truncated, _ = self._outcome
        return observations[world], float(rewards[world]), bool(terminated[world]), bool(truncated[world]), {}

    def close(self) -> None:
        """Close the batch."""
        self.batch.close()


class World(gymnasium.Env[Any, Any]):
    """One world of a batch; its steps are taken by :meth:`Together.act`."""

    def __init__(self, together: Together, index: int) -> None:
        self.together, self.index = together, index
        self.observation_space = together.batch.single_observation_space
        self.action_space = together.batch.single_action_space
        if together.batch.spec is not None:
            self.spec = replace(together.batch.spec, max_episode_steps=together.batch.max_episode_steps)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, with these options alone."""
        batch = self.together.batch
        mask = np.arange(batch.num_envs) == self.index
        given = dict(options or {})
        if "parameters" in batch.reset_options:
            given.setdefault("parameters", {})  # takes back what an earlier episode was given
        seeds = [seed if chosen else None for chosen in mask.tolist()]
        observations, _ = batch.reset(seed=seeds, options={**given, "reset_mask": mask})
        return observations[self.index], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """This world's part of the step that was taken last."""
        return self.together.part(self.index)
