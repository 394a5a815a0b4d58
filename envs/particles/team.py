"""The base of batched worlds in which a team acts."""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import restore, state_of
from agentgym.vector.native import NativeVectorEnv, Seeds

__all__ = ["Mask", "TeamVectorEnv"]

Mask = NDArray[np.bool_]


class TeamVectorEnv(NativeVectorEnv):
    """N worlds, each with its own generator, whose state is a dictionary of arrays [N, ...].

    A subclass names its arrays in ``memory`` and draws the start of a world in :meth:`_place`.

    Args:
        num_envs: N.
        observation_space: a Box [A, F].
        action_space: a Box [A, a] or MultiDiscrete [A].
        autoreset_mode: Gymnasium's ``AutoresetMode``.
        max_episode_steps: the time limit.
        render_mode: "rgb_array" or None.

    Attributes:
        agent_windows: int64 [A, F], what of the flattened observation each agent sees.
    """

    exact = True
    memory: ClassVar[tuple[str, ...]]
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (Gymnasium's shape)

    def __init__(
        self,
        num_envs: int,
        observation_space: spaces.Box,
        action_space: spaces.Space[Any],
        autoreset_mode: AutoresetMode | str,
        max_episode_steps: int,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownId("render mode", str(render_mode), self.metadata["render_modes"])
        super().__init__(
            num_envs, observation_space, action_space, autoreset_mode, max_episode_steps, render_mode=render_mode
        )
        agents, width = observation_space.shape
        self.agent_windows = np.arange(agents * width).reshape(agents, width)
        self._generators = [np.random.default_rng(0) for _ in range(num_envs)]

    def _place(self, world: int, generator: np.random.Generator) -> None:
        """Draw the start of an episode."""
        raise NotImplementedError

    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        for world in np.flatnonzero(chosen).tolist():
            if (seed := seeds[world]) is not None:
                self._generators[world] = np.random.default_rng(seed)
            self._place(world, self._generators[world])
        return {}

    def _state(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name).copy() for name in self.memory}
        return {"arrays": arrays, "generators": [state_of(each) for each in self._generators]}

    def _set_state(self, state: dict[str, Any]) -> None:
        try:
            arrays = {name: np.asarray(state["arrays"][name], getattr(self, name).dtype) for name in self.memory}
            generators = list(state["generators"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidParameter(f"This is not a state of {type(self).__name__} ({error!r}).") from error
        if len(generators) != self.num_envs or any(
            array.shape != getattr(self, name).shape for name, array in arrays.items()
        ):
            raise InvalidParameter("The state has other numbers of worlds or agents.")
        for name, array in arrays.items():
            setattr(self, name, array.copy())
        for own, saved in zip(self._generators, generators, strict=True):
            restore(own, saved)
