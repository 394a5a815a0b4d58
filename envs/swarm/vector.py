"""The batched door: N swarms stepped together."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.envs.swarm.controllers import Controller, controllers
from agentgym.envs.swarm.presets import REGIMES, Swarm, swarm
from agentgym.envs.swarm.render import Painter
from agentgym.envs.swarm.sensors import mirrored, observe, pooled, spread_over_bins, width
from agentgym.envs.swarm.world import World
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import infos_of
from agentgym.vector.native import Seeds

__all__ = ["SwarmVectorEnv"]

Mask = NDArray[np.bool_]


class SwarmVectorEnv(NativeVectorEnv):
    """N worlds of :class:`agentgym.envs.swarm.env.SwarmEnv`, whose manual holds here too.

    World i equals the single environment with its seed bit for bit. Observations are [N, A, F] and actions [N, A, D],
    with ``pooled=True`` [N, B, D + 3] and [N, B, D]. ``reset(options={"regime": ...})`` takes another regime this
    once, ``{"back_pressure": p}`` another back pressure, which :meth:`set_back_pressure` changes within an episode.

    Args:
        num_envs: N.
        preset: "nozzle", "obstacles" or "coverage".
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        render_mode: "rgb_array" or None.
        max_episode_steps: a time limit, where it is below the setting's ``seconds``.
        changes: settings other than the preset's, see :class:`agentgym.envs.swarm.presets.Swarm`.

    Attributes:
        setting: all settings.
        world: the swarms.
        agent_windows: int64 [A, F], what of the flattened observation each agent sees; absent with ``pooled=True``.
        agent_mirror: where each entry of a window stands in the world mirrored about the axis, and with which sign.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (Gymnasium's shape)
    reset_options = ("regime", "back_pressure")
    exact = True

    def __init__(
        self,
        num_envs: int = 1,
        preset: str = "nozzle",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **changes: Any,
    ) -> None:
        whole_number("num_envs", num_envs, 1)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownId("render mode", str(render_mode), self.metadata["render_modes"])
        self.setting: Swarm = swarm(preset, **changes)
        self.world = World(self.setting, num_envs)
        agents, dimensions, bins = self.world.fluid.pool, self.setting.dimensions, self.setting.bins
        rows = (bins, dimensions + 3) if self.setting.pooled else (agents, width(dimensions))
        self._seen = Box(-np.inf, np.inf, rows, np.float32)
        self._moves = Box(-1.0, 1.0, (rows[0], dimensions), np.float32)
        limit = self.world.steps
        if max_episode_steps is not None:
            limit = min(limit, whole_number("max_episode_steps", max_episode_steps, 1))
        super().__init__(num_envs, self._seen, self._moves, autoreset_mode, limit, render_mode=render_mode)
        if not self.setting.pooled:
            self.agent_windows = np.arange(agents * rows[1]).reshape(agents, rows[1])
            self.agent_mirror = mirrored(dimensions)
        self._painter: Painter | None = None

    @property
    def controllers(self) -> dict[str, Controller]:
        """Controllers made by hand, by name."""
        return controllers(self.setting, self._seen, self._moves)

    def set_back_pressure(self, value: float, worlds: Mask | None = None) -> None:
        """Change the back pressure, over the stagnation pressure, from now on, in the worlds [N] or in all.

        Raises:
            InvalidParameter: it is not above 0 and below 1.
        """
        self.world.fluid.set_back_pressure(value, worlds)

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        regime, back = options.get("regime"), options.get("back_pressure")
        if regime is not None and regime not in REGIMES:
            raise UnknownId("regime", str(regime), REGIMES)
        if back is not None and not (isinstance(back, int | float | np.number) and 0 < back < 1):
            raise InvalidParameter(f"back_pressure is {back!r} times the stagnation pressure; it must be in (0, 1).")
        return options

    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        for index in np.flatnonzero(chosen).tolist():
            if (seed := seeds[index]) is not None:
                self.world.seed(index, seed)
        self.world.start(chosen, options.get("regime"), options.get("back_pressure"))
        return {}

    def _advance(self, actions: NDArray[np.float64], active: Mask) -> Step:
        if self.setting.pooled:
            actions = spread_over_bins(self.world, actions)
        outcome = self.world.act(actions, active)
        infos = infos_of(active, agent_inside=outcome.inside, collisions=outcome.collisions)
        if not self.setting.pooled:
            infos |= infos_of(active, agent_rewards=outcome.rewards)
        assert self.max_episode_steps is not None
        ended = active & (self.elapsed + active >= self.max_episode_steps)
        if ended.any():
            infos["measures"], infos["_measures"] = self._measures(ended), ended
        return Step(outcome.means, np.zeros(self.num_envs, bool), None, infos)

    def _measures(self, ended: Mask) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index in np.flatnonzero(ended).tolist():
            for name, value in self.world.measures(index).items():
                found.setdefault(name, np.full(self.num_envs, np.nan))[index] = value
        infos: dict[str, Any] = {}
        for name, values in found.items():
            infos |= infos_of(~np.isnan(values), **{name: values})
        return infos

    def _observe(self) -> NDArray[np.float32]:
        return pooled(self.world) if self.setting.pooled else observe(self.world)

    def _state(self) -> dict[str, Any]:
        return {"world": self.world.get_state()}

    def _set_state(self, state: dict[str, Any]) -> None:
        self.world.set_state(state["world"])

    def _frame(self, world: int) -> NDArray[np.uint8]:
        """Agents coloured by Mach number, beside profiles against the reference."""
        self._painter = self._painter or Painter(self.world)
        return self._painter.frame(world)
