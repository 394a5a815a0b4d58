"""The native batch: what every natively batched environment shares; a family adds its physics."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.errors import InvalidParameter, ResetNeeded
from agentgym.seeding import entropy
from agentgym.vector.actions import checked_actions
from agentgym.vector.infos import combine_infos, only_infos
from agentgym.vector.resets import MASK, autoreset, check_options, reset_mask, world_seeds
from agentgym.vector.step import Mask, Step

__all__ = ["NativeVectorEnv", "Seeds"]

Seeds = Sequence[int | None]
"""One a world; None goes on with the random streams that the world has."""


class NativeVectorEnv(VectorEnv[Any, Any, Any], ABC):
    """N worlds that are stepped together, each in its own episode.

    ``reset(seed=s)`` gives world i the seed s + i; a list gives each its own, and None goes on with the streams that a
    world has. ``reset(options={"reset_mask": mask})``, bool [N], resets some worlds only. ``np_random_seed`` is each
    world's seed. In NEXT_STEP mode a world whose episode ended spends the next step on its reset, with reward 0; in
    SAME_STEP mode it restarts at once, and ``infos["final_obs"]`` and ``infos["final_info"]`` have the last observation
    and info of its old episode.

    A family writes :meth:`_start`, :meth:`_advance`, :meth:`_observe`, :meth:`_state` and :meth:`_set_state`, and where
    it needs to :meth:`_checked`, :meth:`_checked_options` and :meth:`_frame`.

    Args:
        num_envs: N.
        observation_space: of one world.
        action_space: of one world.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        max_episode_steps: the time limit in steps; None where episodes end by themselves.
        metadata: Gymnasium's; the class's own by default.
        render_mode: of one world.

    Attributes:
        reset_options: the options that ``reset`` takes, beside ``"reset_mask"``.
        exact: whether the batch may stand in for single environments in training and evaluation: world i equals the
            single environment bit for bit whatever the others do, and a reset with a seed depends on nothing before it.
        elapsed: [N], steps since each world's episode began.

    Raises:
        InvalidParameter: N or the time limit is no whole number from 1 up.
        UnknownId: there is no such autoreset mode.
    """

    reset_options: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = False

    def __init__(
        self,
        num_envs: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        metadata: dict[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = whole_number("num_envs", num_envs, 1)
        if max_episode_steps is not None:
            whole_number("max_episode_steps", max_episode_steps, 1)
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = autoreset(autoreset_mode)
        self.metadata = {**(metadata or self.metadata), "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.elapsed = np.zeros(num_envs, np.int64)
        self._seeds: list[int | None] = [None] * num_envs
        self._over = np.zeros(num_envs, bool)
        self._resting = np.zeros(num_envs, bool)

    # What a family writes

    @abstractmethod
    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        """Begin an episode in the chosen worlds [N] and return their infos."""

    @abstractmethod
    def _advance(self, actions: Any, active: Mask) -> Step:
        """Step the active worlds [N] and leave the others where they are."""

    @abstractmethod
    def _observe(self) -> Any:
        """All worlds' observations, those that were shown last, as arrays that the caller may keep."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What the family's future depends on, as nested dictionaries of arrays and plain JSON values."""

    @abstractmethod
    def _set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`_state` gave; refuse what does not fit before anything is changed."""

    def _checked(self, actions: Any) -> Any:
        """The actions as :meth:`_advance` takes them; refuse what is none before any world moves."""
        return checked_actions(actions, self.action_space)

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        """The reset options as :meth:`_start` takes them; refuse wrong values before any world changes."""
        return options

    def _frame(self, world: int) -> Any:
        """One world's picture, or its text, as the render mode says."""
        raise NotImplementedError(f"{type(self).__name__} draws nothing.")

    # What the family gets

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Each world's seed; None before its first reset."""
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every world, or in those of ``options["reset_mask"]``.

        Raises:
            UnknownId: there is no option of that name.
            InvalidParameter: an option's value, the mask or a seed is not what it may be.
        """
        seeds = world_seeds(seed, self.num_envs)
        checked = check_options(type(self).__name__, options, (MASK, *self.reset_options))
        chosen = reset_mask(checked, self.num_envs)
        checked.pop(MASK, None)
        infos = self._restart(chosen, seeds, self._checked_options(checked, chosen))
        return self._observe(), infos

    def _restart(self, chosen: Mask, seeds: list[int | None], options: dict[str, Any]) -> dict[str, Any]:
        for world in np.flatnonzero(chosen).tolist():
            if seeds[world] is None and self._seeds[world] is None:
                seeds[world] = entropy()
            self._seeds[world] = self._seeds[world] if seeds[world] is None else seeds[world]
        infos = self._start(chosen, seeds, options)
        self.elapsed[chosen] = 0
        self._over[chosen] = self._resting[chosen] = False
        return infos

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], Mask, Mask, dict[str, Any]]:
        """Step every world; ended ones restart as the autoreset mode says.

        Raises:
            InvalidAction: the actions are not what the action space has; no world was stepped.
            ResetNeeded: a world was never reset, or with autoreset disabled its episode has ended.
        """
        actions = self._checked(actions)
        self._require_running()
        active = ~(self._over | self._resting)
        restarting = self._over & ~self._resting
        step = self._advance(actions, active)
        rewards, infos = np.where(active, step.rewards, 0.0), step.infos
        self.elapsed += active
        terminated = step.terminated & active
        truncated = np.zeros(self.num_envs, bool) if step.truncated is None else step.truncated & active
        if self.max_episode_steps is not None:
            truncated = truncated | (active & (self.elapsed >= self.max_episode_steps))
        if restarting.any():
            infos = combine_infos(infos, self._restart(restarting, [None] * self.num_envs, {}))
        ended = terminated | truncated
        self._over |= ended
        observations = self._observe()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            observations, infos = self._restart_at_once(observations, infos, ended)
        return observations, rewards, terminated, truncated, infos

    def render(self, worlds: Sequence[int] | None = None) -> tuple[Any, ...] | None:
        """The pictures of the chosen worlds, of all by default; None without a render mode.

        Raises:
            InvalidParameter: there is no such world.
        """
        if wrong := [world for world in worlds or () if not 0 <= world < self.num_envs]:
            raise InvalidParameter(f"There are no worlds {wrong} to draw, only 0 to {self.num_envs - 1}.")
        if self.render_mode is None:
            return None
        return tuple(self._frame(world) for world in (range(self.num_envs) if worlds is None else worlds))

    def rest(self, worlds: Mask) -> None:
        """Leave the worlds [N] out of every step, with reward 0, until they are reset."""
        self._resting |= worlds

    def _require_running(self) -> None:
        if None in self._seeds:
            worlds = [world for world, seed in enumerate(self._seeds) if seed is None and not self._resting[world]]
            if worlds:
                raise ResetNeeded(f"Worlds {worlds} have no episode yet: call reset() first.")
        if self.autoreset_mode is AutoresetMode.DISABLED and (self._over & ~self._resting).any():
            ended = np.flatnonzero(self._over & ~self._resting).tolist()
            raise ResetNeeded(f'Worlds {ended} have ended: reset them with options={{"{MASK}": ...}} first.')

    def _restart_at_once(self, last: Any, infos: dict[str, Any], ended: Mask) -> tuple[Any, dict[str, Any]]:
        """SAME_STEP: the last observation and info become ``final_obs`` and ``final_info``."""
        final = np.full(self.num_envs, None, dtype=object)
        for world in np.flatnonzero(ended).tolist():
            final[world] = last[world].copy() if isinstance(last, np.ndarray) else last[world]
        running = combine_infos(only_infos(infos, ~ended), self._restart(ended, [None] * self.num_envs, {}))
        return self._observe(), {
            **running, "final_obs": final, "_final_obs": ended,
            "final_info": only_infos(infos, ended), "_final_info": ended.copy(),
        }  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        """Everything that the worlds' future depends on, as nested dictionaries of arrays and plain JSON values."""
        counters = {
            "seeds": list(self._seeds), "elapsed": self.elapsed.tolist(), "over": self._over.tolist(),
            "resting": self._resting.tolist(),
        }  # fmt: skip
        return {"batch": counters, **self._state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave, also in another batch made with the same arguments.

        Raises:
            InvalidParameter: it is the state of other worlds, or of another number of them.
        """
        try:
            counters = {name: list(state["batch"][name]) for name in ("seeds", "elapsed", "over", "resting")}
        except (KeyError, TypeError) as error:
            raise InvalidParameter(f"This is no state of {type(self).__name__} ({error!r}).") from error
        if any(len(each) != self.num_envs for each in counters.values()):
            raise InvalidParameter(f"The state is of another number of worlds than these {self.num_envs}.")
        self._set_state(state)
        self._seeds = counters["seeds"]
        self.elapsed, self._over = np.array(counters["elapsed"], np.int64), np.array(counters["over"], bool)
        self._resting = np.array(counters["resting"], bool)
