"""Base class of natively batched environments. A subclass adds the dynamics."""

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
"""One seed per sub-environment; None continues its current random streams."""


class NativeVectorEnv(VectorEnv[Any, Any, Any], ABC):
    """N sub-environments that are stepped together, each in its own episode.

    ``reset(seed=s)`` seeds sub-environment i with s + i. A list gives one seed per sub-environment, and None continues
    the current random streams. ``reset(options={"reset_mask": mask})``, bool [N], resets only some of them.
    ``np_random_seed`` holds their seeds. In NEXT_STEP mode, a sub-environment whose episode has ended is reset by the
    next step, with reward 0. In SAME_STEP mode it restarts within the step, and ``infos["final_obs"]`` and
    ``infos["final_info"]`` hold the last observation and info of the old episode.

    Subclasses implement :meth:`_start`, :meth:`_advance`, :meth:`_observe`, :meth:`_state` and :meth:`_set_state`, and
    may override :meth:`_checked`, :meth:`_checked_options` and :meth:`_frame`.

    Args:
        num_envs: number N of sub-environments.
        observation_space: observation space of one sub-environment.
        action_space: action space of one sub-environment.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        max_episode_steps: time limit in steps; None for no limit.
        metadata: Gymnasium's metadata; by default that of the class.
        render_mode: render mode of one sub-environment.

    Attributes:
        reset_options: options that ``reset`` takes besides ``"reset_mask"``.
        exact: whether the batch can replace single environments in training and evaluation: every sub-environment
            equals the single environment bit for bit, independently of the others, and a reset with a seed does not
            depend on earlier episodes.
        elapsed: steps since the episode of each sub-environment began, [N].

    Raises:
        InvalidParameter: N or the time limit is not a positive whole number.
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

    # Methods for subclasses to implement

    @abstractmethod
    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        """Begin an episode in the sub-environments of the mask ``chosen`` [N] and return their infos."""

    @abstractmethod
    def _advance(self, actions: Any, active: Mask) -> Step:
        """Step the sub-environments of the mask ``active`` [N]; the others keep their state."""

    @abstractmethod
    def _observe(self) -> Any:
        """The current observations of all sub-environments, as arrays that the caller may keep."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """The state of the subclass as nested dictionaries of arrays and plain JSON values."""

    @abstractmethod
    def _set_state(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`_state`; reject an unsuitable state before changing anything."""

    def _checked(self, actions: Any) -> Any:
        """Convert actions for :meth:`_advance`; reject invalid ones before any sub-environment is stepped."""
        return checked_actions(actions, self.action_space)

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        """Convert reset options for :meth:`_start`; reject invalid values before any sub-environment changes."""
        return options

    def _frame(self, world: int) -> Any:
        """Render one sub-environment according to the render mode."""
        raise NotImplementedError(f"{type(self).__name__} does not render.")

    # Methods that subclasses inherit

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Seed of each sub-environment; None before its first reset."""
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every sub-environment, or in those of ``options["reset_mask"]``.

        Raises:
            UnknownId: there is no such option.
            InvalidParameter: the value of an option, the mask or a seed is invalid.
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
        """Step every sub-environment; those whose episode has ended restart according to the autoreset mode.

        Raises:
            InvalidAction: an action is not in the action space; no sub-environment was stepped.
            ResetNeeded: a sub-environment was never reset, or its episode has ended with autoreset disabled.
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
        """Render the given sub-environments, by default all; None without a render mode.

        Raises:
            InvalidParameter: there is no such sub-environment.
        """
        if wrong := [world for world in worlds or () if not 0 <= world < self.num_envs]:
            raise InvalidParameter(f"Sub-environments {wrong} do not exist, only 0 to {self.num_envs - 1}.")
        if self.render_mode is None:
            return None
        return tuple(self._frame(world) for world in (range(self.num_envs) if worlds is None else worlds))

    def rest(self, worlds: Mask) -> None:
        """Exclude the sub-environments in ``worlds`` [N] from stepping, with reward 0, until they are reset."""
        self._resting |= worlds

    def _require_running(self) -> None:
        if None in self._seeds:
            worlds = [world for world, seed in enumerate(self._seeds) if seed is None and not self._resting[world]]
            if worlds:
                raise ResetNeeded(f"Sub-environments {worlds} have no episode yet: call reset() first.")
        if self.autoreset_mode is AutoresetMode.DISABLED and (self._over & ~self._resting).any():
            ended = np.flatnonzero(self._over & ~self._resting).tolist()
            raise ResetNeeded(
                f'The episodes of sub-environments {ended} have ended: reset them with options={{"{MASK}": ...}} first.'
            )

    def _restart_at_once(self, last: Any, infos: dict[str, Any], ended: Mask) -> tuple[Any, dict[str, Any]]:
        """Restart in SAME_STEP mode: the last observation and info become ``final_obs`` and ``final_info``."""
        final = np.full(self.num_envs, None, dtype=object)
        for world in np.flatnonzero(ended).tolist():
            final[world] = last[world].copy() if isinstance(last, np.ndarray) else last[world]
        running = combine_infos(only_infos(infos, ~ended), self._restart(ended, [None] * self.num_envs, {}))
        return self._observe(), {
            **running, "final_obs": final, "_final_obs": ended,
            "final_info": only_infos(infos, ended), "_final_info": ended.copy(),
        }  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        """The complete state of the batch as nested dictionaries of arrays and plain JSON values."""
        counters = {
            "seeds": list(self._seeds), "elapsed": self.elapsed.tolist(), "over": self._over.tolist(),
            "resting": self._resting.tolist(),
        }  # fmt: skip
        return {"batch": counters, **self._state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`get_state`, also of another batch made with the same arguments.

        Raises:
            InvalidParameter: the state belongs to another kind of environment or another number of sub-environments.
        """
        try:
            counters = {name: list(state["batch"][name]) for name in ("seeds", "elapsed", "over", "resting")}
        except (KeyError, TypeError) as error:
            raise InvalidParameter(f"This is not a state of {type(self).__name__} ({error!r}).") from error
        if any(len(each) != self.num_envs for each in counters.values()):
            raise InvalidParameter(f"The state does not have {self.num_envs} sub-environments.")
        self._set_state(state)
        self._seeds = counters["seeds"]
        self.elapsed, self._over = np.array(counters["elapsed"], np.int64), np.array(counters["over"], bool)
        self._resting = np.array(counters["resting"], bool)
