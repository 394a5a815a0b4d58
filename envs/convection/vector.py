"""The batched convection environment."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from agentgym.contracts.settings import whole_number
from agentgym.envs.convection.controllers import controllers
from agentgym.envs.convection.presets import Cell, cell
from agentgym.envs.convection.render import Painter
from agentgym.envs.convection.score import EpisodeScore
from agentgym.envs.convection.sensors import mirrored_window, windows
from agentgym.envs.convection.world import World
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import infos_of
from agentgym.vector.native import Seeds

__all__ = ["ConvectionVectorEnv", "torch_device"]

STARTS = ("two-pair", "one-pair", "random", "mixed")


class ConvectionVectorEnv(NativeVectorEnv):
    """A batch of N :class:`agentgym.envs.convection.env.ConvectionEnv`, stepped together.

    World i equals the single environment with its seed, up to the rounding of matrix products of other sizes: about
    1e-7 of the fields per step in float32, 1e-15 in float64. Seeds, masks and autoreset modes are as in
    :class:`agentgym.vector.NativeVectorEnv`. ``reset(options={"start": ...})`` uses another initial flow for one
    episode: "two-pair", "one-pair", "random" or "mixed".

    Args:
        num_envs: number of worlds, N.
        preset: "compact" or "vignon2023".
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        device: "cpu", "cuda" or "auto".
        render_mode: "rgb_array" or None.
        max_episode_steps: a time limit, if it is below the cell's ``actions``; passed by Gymnasium's ``make_vec``.
        changes: settings that override the preset's, see :class:`agentgym.envs.convection.presets.Cell`.

    Attributes:
        cell: all settings.
        agent_windows: int64 [A, F], the entries of the flattened observation that each agent observes.
        agent_mirror: for each entry of a window, its index in the mirrored window and its sign.
        agent_pattern: the entries of the flattened observation that tell the number of rolls.

    Raises:
        agentgym.envs.convection.world.Diverged: raised by ``step`` if a flow became too fast for the time step.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (Gymnasium's shape)
    reset_options = ("start",)

    def __init__(
        self,
        num_envs: int = 1,
        preset: str = "compact",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        device: str = "cpu",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **changes: Any,
    ) -> None:
        whole_number("num_envs", num_envs, 1)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownId("render mode", str(render_mode), self.metadata["render_modes"])
        self.cell: Cell = cell(preset, **changes)
        if max_episode_steps is not None:
            limit = min(self.cell.actions, whole_number("max_episode_steps", max_episode_steps, 1))
            self.cell = replace(self.cell, actions=limit)
        self.world = World(self.cell, num_envs, torch_device(device))
        seen = Box(-np.inf, np.inf, self.world.probes.shape, np.float32)
        commands = Box(-1.0, 1.0, (self.cell.heaters,), np.float32)
        super().__init__(num_envs, seen, commands, autoreset_mode, self.cell.actions, render_mode=render_mode)
        self.agent_windows, self.agent_mirror = windows(self.cell), mirrored_window(self.cell)
        self.score = EpisodeScore(num_envs, self.cell.actions)
        self._base = None if self.cell.residual_on == "zero" else controllers(self.cell)[self.cell.residual_on]
        # The last observations: they are means over the end of an action and cannot be computed from the current flows.
        self._shown = np.zeros(self.observation_space.shape or (), np.float32)
        self._painter: Painter | None = None

    def _checked(self, actions: Any) -> NDArray[np.float64]:
        return checked_commands(actions, (self.num_envs, self.cell.heaters))

    def _checked_options(self, options: dict[str, Any], chosen: NDArray[np.bool_]) -> dict[str, Any]:
        start = options.get("start")
        if start is not None and not (isinstance(start, str) and start in STARTS):
            raise UnknownId("start", str(start), STARTS)
        return options

    def _start(self, chosen: NDArray[np.bool_], seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        rows = np.flatnonzero(chosen).tolist()
        for index in rows:
            if (seed := seeds[index]) is not None:
                self.world.seed(index, seed)
        self.world.start(rows, options.get("start"))
        self._shown[rows] = self.world.observe()[rows]
        return {}

    def _advance(self, actions: NDArray[np.float64], active: NDArray[np.bool_]) -> Step:
        """Hold the actions [N, A], corrected according to ``residual_on``, for one action time."""
        outcome = self.world.act(self._corrected(actions), active)
        self._shown[active] = outcome.observation[active]
        self.score.add(self.world.elapsed, active, outcome.nusselt, outcome.roll_pairs)
        offset, scale, weight = self.cell.reward_offset, self.cell.reward_scale, self.cell.local_weight
        mixed = (1 - weight) * outcome.rewarded[:, None] + weight * outcome.local
        infos = infos_of(
            active, nusselt=outcome.nusselt, roll_pairs=outcome.roll_pairs, agent_rewards=scale * (offset - mixed)
        )
        truncated = active & (self.world.elapsed >= self.cell.actions)
        if truncated.any():
            infos["measures"], infos["_measures"] = self._measures(truncated), truncated
        return Step(scale * (offset - outcome.rewarded), np.zeros(self.num_envs, bool), truncated, infos)

    def _corrected(self, actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Commands [N, A]: the base controller's, already within [-1, 1], plus the actions, clipped again."""
        if self._base is None:
            return actions
        return np.clip(self._base.predict(self._shown)[0] + actions, -1.0, 1.0)

    # Gradients

    @property
    def agent_pattern(self) -> NDArray[np.int64]:
        """The entries of w nearest to mid height: one pair of rolls has wavenumber 1."""
        _, heights, columns = self.world.probes.shape
        middle = int(np.abs(np.array(self.cell.heights)).argmin())
        return (heights + middle) * columns + np.arange(columns)

    def differentiable_state(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """As :class:`agentgym.contracts.environment.Differentiable`.

        Raises:
            InvalidParameter: actions correct a controller (``residual_on``), which has no gradient here.
        """
        if self._base is not None:
            raise InvalidParameter(
                f"residual_on={self.cell.residual_on!r} has no differentiable step; make the cell with 'zero'."
            )
        return self.world.tensors(), self.world.solver.tensor(self._shown)

    def differentiable_step(
        self, state: tuple[Tensor, ...], actions: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """As :class:`agentgym.contracts.environment.Differentiable`; the rewards are those of whole worlds."""
        state, seen, nusselt = self.world.tensors_after(state, actions)
        return state, seen, self.cell.reward_scale * (self.cell.reward_offset - nusselt)

    def _measures(self, ended: NDArray[np.bool_]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index in np.flatnonzero(ended).tolist():
            for name, value in self.score.measures(index, int(self.world.elapsed[index])).items():
                found.setdefault(name, np.full(self.num_envs, np.nan))[index] = value
        infos: dict[str, Any] = {}
        for name, values in found.items():
            infos |= infos_of(~np.isnan(values), **{name: values})  # a world may have no value
        return infos

    def _observe(self) -> NDArray[np.float32]:
        return self._shown.copy()

    def _state(self) -> dict[str, Any]:
        return {
            "world": self.world.get_state(), "nusselt": self.score.nusselt.copy(), "pairs": self.score.pairs.copy(),
            "shown": self._shown.copy(),
        }  # fmt: skip

    def _set_state(self, state: dict[str, Any]) -> None:
        self.world.set_state(state["world"])
        self.score.nusselt, self.score.pairs = np.array(state["nusselt"]), np.array(state["pairs"])
        self._shown = np.array(state["shown"])

    def _frame(self, world: int) -> NDArray[np.uint8]:
        """A frame, uint8 [height, width, 3]: temperature, velocity arrows and the heaters below."""
        self._painter = self._painter or Painter(self.cell, self.world.solver)
        return self._painter.frame(self.world, world)


def torch_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is a GPU if there is one.

    Raises:
        InvalidParameter: no such device.
    """
    if isinstance(name, str) and name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidParameter(f"There is no device {name!r} here ({str(error).splitlines()[0]}).") from error
    return device


def checked_commands(actions: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Convert actions to an array of ``shape``.

    Raises:
        InvalidAction: another shape, not numeric, or an entry outside [-1, 1].
    """
    try:
        commands = np.asarray(actions, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidAction(f"Convection takes an array of numbers of shape {shape}, not {actions!r}.") from error
    if commands.shape != shape:
        raise InvalidAction(f"Convection takes actions of shape {shape}, not {commands.shape}.")
    within = np.abs(commands) <= 1.0 + 1e-6
    if not within.all():
        where = tuple(int(entry) for entry in np.argwhere(~within)[0])
        raise InvalidAction(f"action{list(where)} is {commands[where]}; heaters take numbers from -1 to 1.")
    return commands
