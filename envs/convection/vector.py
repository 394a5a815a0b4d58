"""The batched door: N convection cells stepped together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agentgym.batching import merge_info, reset_mask, world_seeds
from agentgym.envs.convection.controllers import controllers
from agentgym.envs.convection.presets import Cell, cell
from agentgym.envs.convection.render import Painter
from agentgym.envs.convection.score import EpisodeScore
from agentgym.envs.convection.sensors import mirrored_window, windows
from agentgym.envs.convection.world import Outcome, World
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId
from agentgym.seeding import entropy

__all__ = ["ConvectionVectorEnv", "torch_device"]

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
STARTS = ("two-pair", "one-pair", "random", "mixed")


class ConvectionVectorEnv(VectorEnv):
    """N worlds of :class:`agentgym.envs.convection.env.ConvectionEnv`, whose manual holds here too.

    World i equals the single environment with its seed (``reset(seed=s)`` gives world i the seed s + i), up to the
    rounding of matrix products of other sizes: about 1e-7 of the fields a step in float32, 1e-15 in float64.

    Args:
        num_envs: N.
        preset: "compact" or "vignon2023".
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        device: "cpu", "cuda" or "auto".
        render_mode: "rgb_array" or None.
        changes: settings other than the preset's, see :class:`agentgym.envs.convection.presets.Cell`.

    Attributes:
        cell: all settings.
        agent_windows: int64 [A, F], what of the flattened observation each agent sees.
        agent_mirror: where each entry of a window stands in the mirrored world, and with which sign.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (Gymnasium's shape)

    def __init__(
        self,
        num_envs: int = 1,
        preset: str = "compact",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        device: str = "cpu",
        render_mode: str | None = None,
        **changes: Any,
    ) -> None:
        if num_envs < 1:
            raise InvalidParameter(f"num_envs is {num_envs}; it must be at least 1.")
        self.num_envs, self.render_mode = num_envs, render_mode
        self.cell: Cell = cell(preset, **changes)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.world = World(self.cell, num_envs, torch_device(device))
        self.single_observation_space = Box(-np.inf, np.inf, self.world.probes.shape, np.float32)
        self.single_action_space = Box(-1.0, 1.0, (self.cell.heaters,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.agent_windows, self.agent_mirror = windows(self.cell), mirrored_window(self.cell)
        self.score = EpisodeScore(num_envs, self.cell.actions)
        self._seeds: list[int | None] = [None] * num_envs
        self._over = np.zeros(num_envs, bool)
        self._base = None if self.cell.residual_on == "zero" else controllers(self.cell)[self.cell.residual_on]
        self._shown = np.zeros(self.observation_space.shape or (), np.float32)  # the last observation, which it reads
        self._painter: Painter | None = None

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Each world's seed."""
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in every world, or in those of ``options["reset_mask"]``.

        ``options["start"]`` is the flow to start from, this once: "two-pair", "one-pair", "random" or "mixed".
        """
        start = (options or {}).get("start")
        if start is not None and start not in STARTS:
            raise UnknownId("start", str(start), STARTS)
        chosen = np.flatnonzero(reset_mask(options, self.num_envs))
        for index, given in enumerate(world_seeds(seed, self.num_envs)):
            if index in chosen and (given is not None or self._seeds[index] is None):
                self._seeds[index] = entropy() if given is None else given
                self.world.seed(index, self._seeds[index])  # type: ignore[arg-type]
        self._restart(chosen, start)
        observation = self.world.observe()
        self._shown = observation.copy()
        return observation, {}

    def _restart(self, chosen: NDArray[np.int64], start: str | None = None) -> None:
        self.world.start(chosen.tolist(), start)
        self._over[chosen] = False

    def step(self, actions: Any) -> StepResult:
        """Hold the actions [N, A], or what ``residual_on`` makes of them, for one action time.

        Ended worlds restart as the autoreset mode says.

        Raises:
            InvalidAction: another shape, or a NaN or infinite entry, or one beyond [-1, 1].
            RuntimeError: with autoreset disabled, a world is stepped after its episode ended.
            Diverged: a flow became too fast for the time step.
        """
        commands = checked_commands(actions, (self.num_envs, self.cell.heaters))
        if any(seed is None for seed in self._seeds):
            raise RuntimeError("Call reset before the first step.")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            ended = np.flatnonzero(self._over).tolist()
            raise RuntimeError(f'Worlds {ended} have ended: reset them with options={{"reset_mask": ...}} first.')
        restarting = self._over.copy()
        outcome = self.world.act(self._corrected(commands), ~restarting)
        observation = outcome.observation
        if restarting.any():
            self._restart(np.flatnonzero(restarting))
            observation = np.where(restarting[:, None, None, None], self.world.observe(), observation)
        rewards, infos = self._rewards(outcome, ~restarting)
        self.score.add(self.world.elapsed, ~restarting, outcome.nusselt, outcome.roll_pairs)
        self._over = ~restarting & (self.world.elapsed >= self.cell.actions)
        truncated = self._over.copy()
        if truncated.any():
            self._add_measures(infos, truncated)
        if truncated.any() and self.autoreset_mode == AutoresetMode.SAME_STEP:
            observation, infos = self._restart_at_once(observation, infos, truncated)
        self._shown = observation.copy()
        return observation, rewards, np.zeros(self.num_envs, bool), truncated, infos

    def _corrected(self, actions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Commands [N, A]: the base controller's, which are within [-1, 1] already, plus the actions, cut again."""
        if self._base is None:
            return actions
        return np.clip(self._base.predict(self._shown)[0] + actions, -1.0, 1.0)

    def _rewards(self, outcome: Outcome, active: NDArray[np.bool_]) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """The global reward [N], and what ``info`` says of the action."""
        offset, scale, weight = self.cell.reward_offset, self.cell.reward_scale, self.cell.local_weight
        mixed = (1 - weight) * outcome.rewarded[:, None] + weight * outcome.local
        rewards = np.where(active, scale * (offset - outcome.rewarded), 0.0)
        infos: dict[str, Any] = {}
        merge_info(infos, "nusselt", outcome.nusselt, active)
        merge_info(infos, "roll_pairs", outcome.roll_pairs, active)
        merge_info(infos, "agent_rewards", np.where(active[:, None], scale * (offset - mixed), 0.0), active)
        return rewards, infos

    def _add_measures(self, infos: dict[str, Any], ended: NDArray[np.bool_]) -> None:
        nested: dict[str, Any] = {}
        for index in np.flatnonzero(ended).tolist():
            for name, value in self.score.measures(index, int(self.world.elapsed[index])).items():
                nested.setdefault(name, np.full(self.num_envs, np.nan))[index] = value
        infos["measures"] = nested | {f"_{name}": ended.copy() for name in nested}
        infos["_measures"] = ended.copy()

    def _restart_at_once(
        self, observation: NDArray[np.float32], infos: dict[str, Any], ended: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """SAME_STEP: the last observation and info become ``final_obs`` and ``final_info``."""
        final = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended).tolist():
            final[index] = observation[index].copy()
        self._restart(np.flatnonzero(ended))
        running = {}
        if not ended.all():
            running = {f"_{name}": infos[f"_{name}"] & ~ended for name in ("nusselt", "roll_pairs", "agent_rewards")}
            running |= {name[1:]: infos[name[1:]] for name in tuple(running)}
        last = {**infos, **{name: mask & ended for name, mask in infos.items() if name.startswith("_")}}
        again = {"final_obs": final, "_final_obs": ended, "final_info": last, "_final_info": ended.copy()}
        return self.world.observe(), running | again

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Each world's picture, uint8 [height, width, 3]: temperature, velocity arrows and the heaters below."""
        if self.render_mode is None:
            return None
        self._painter = self._painter or Painter(self.cell, self.world.solver)
        return tuple(self._painter.frame(self.world, index) for index in range(self.num_envs))

    def get_state(self) -> dict[str, Any]:
        """Everything that the future depends on, as nested dictionaries of arrays and plain values."""
        shown = {} if self._base is None else {"shown": self._shown.copy()}
        return {
            "world": self.world.get_state(), "over": self._over.copy(), "seeds": list(self._seeds),
            "nusselt": self.score.nusselt.copy(), "pairs": self.score.pairs.copy(), **shown,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave.

        Raises:
            InvalidParameter: it is another cell's or another number of worlds'.
        """
        self.world.set_state(state["world"])
        self._over, self._seeds = np.array(state["over"]), list(state["seeds"])
        self.score.nusselt, self.score.pairs = np.array(state["nusselt"]), np.array(state["pairs"])
        if self._base is not None:
            self._shown = np.array(state["shown"])


def torch_device(name: str) -> torch.device:
    """The device of that name; "auto" takes a GPU where there is one.

    Raises:
        InvalidParameter: the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidParameter(f"There is no device {name!r} here ({str(error).splitlines()[0]}).") from error
    return device


def checked_commands(actions: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Actions as an array of ``shape``.

    Raises:
        InvalidAction: another shape, no numbers, or an entry that is not within [-1, 1].
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
