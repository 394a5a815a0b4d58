"""N games side by side, on threads."""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.envs.atari.emulator import HEIGHT, WIDTH
from agentgym.envs.atari.events import Modification
from agentgym.envs.atari.presets import settings
from agentgym.envs.atari.world import World
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import infos_of
from agentgym.vector.native import Mask, Seeds

__all__ = ["AtariVectorEnv"]


class AtariVectorEnv(NativeVectorEnv):
    """N games of :class:`agentgym.envs.atari.env.AtariEnv`, whose manual holds here too.

    Game i equals the single environment with its seed bit for bit. The emulator releases Python's lock, so the games
    are stepped in threads. Their number has no influence on the results. ``reset(options={"chance": k})`` repeats a
    seed's start with other draws of its effects.

    Args:
        num_envs: N.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        render_mode: "rgb_array" or None.
        max_episode_steps: a time limit in decisions, where it is below ``max_frames``.
        threads: number of threads; None for one per processor, at most N.
        given: settings, see :class:`agentgym.envs.atari.presets.Settings`.

    Attributes:
        setting: all settings.
        worlds: the games.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  (Gymnasium's shape)
    exact = True
    reset_options = ("chance",)

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        threads: int | None = None,
        **given: Any,
    ) -> None:
        whole_number("num_envs", num_envs, 1)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UnknownId("render mode", str(render_mode), self.metadata["render_modes"])
        setting = self.setting = settings(**given)
        if num_envs > 1 and any(isinstance(each, Modification) for each in setting.modifications):
            raise InvalidParameter("A modification object belongs to one game: give its class's name to a batch.")
        limit = setting.max_decisions
        if max_episode_steps is not None:
            limit = min(limit, whole_number("max_episode_steps", max_episode_steps, 1))
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = min(num_envs, processors if threads is None else whole_number("threads", threads, 1))
        self.worlds = [World(setting) for _ in range(num_envs)]
        first = self.worlds[0]
        low, high = first.bounds()
        seen: Box = Box(low, high, dtype=first.dtype.type)
        actions = Discrete(len(first.emulator.actions))
        super().__init__(num_envs, seen, actions, autoreset_mode, limit, render_mode=render_mode)
        self._pool: ThreadPoolExecutor | None = None
        self._episodes, self._chances = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self._actions: list[list[int]] = [[] for _ in range(num_envs)]

    @property
    def meanings(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.worlds[0].emulator.meanings

    def _checked_options(self, options: dict[str, Any], chosen: Mask) -> dict[str, Any]:
        return {name: whole_number(f"The option {name}", value, 0) for name, value in options.items()}

    def _start(self, chosen: Mask, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        indices = np.flatnonzero(chosen).tolist()
        for n in indices:
            self._episodes[n] = self._episodes[n] + 1 if seeds[n] is None else 0
            self._actions[n], self._chances[n] = [], options.get("chance", 0)
        self._in_threads(self._start_one, indices)
        return self._infos(chosen)

    def _start_one(self, n: int) -> None:
        self.worlds[n].start(self._seed_of(n), int(self._episodes[n]), int(self._chances[n]))

    def _seed_of(self, n: int) -> int:
        seed = self._seeds[n]
        assert seed is not None
        return seed

    def _advance(self, actions: NDArray[np.int64], active: Mask) -> Step:
        rewards, over = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        chosen: list[int] = actions.tolist()

        def step(n: int) -> None:
            rewards[n], over[n] = self.worlds[n].step(chosen[n])
            self._actions[n].append(chosen[n])

        self._in_threads(step, np.flatnonzero(active).tolist())
        infos = self._infos(active)
        assert self.max_episode_steps is not None
        cut = active & ~over & (self.elapsed + active >= self.max_episode_steps)
        if (ended := cut | (over & active)).any():
            infos["measures"], infos["_measures"] = self._measures(ended, cut), ended
        return Step(rewards, over, None, infos)

    def step_alone(self, action: int) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """:meth:`step` of a batch of one with an action of its space, without the arrays of a batch."""
        self._require_running()
        world = self.worlds[0]
        reward, over = world.step(action)
        self._actions[0].append(action)
        self.elapsed[0] += 1
        assert self.max_episode_steps is not None
        late = bool(self.elapsed[0] >= self.max_episode_steps)
        self._over[0] = over or late
        info: dict[str, Any] = {
            "lives": world.lives, "frames": world.frames, "executed": world.executed.copy(), "event": world.event,
            "event_chances": world.chances, "concept": world.concept, "masked": world.masked,
        }  # fmt: skip
        if world.unmasked is not None:
            info["unmasked"] = world.unmasked.copy()
        if over or late:
            info["measures"] = _measured(world, late and not over)
        return world.observation.copy(), reward, over, late, info

    def _measures(self, ended: Mask, cut: Mask) -> dict[str, Any]:
        found: dict[str, NDArray[np.float64]] = {}
        for n in np.flatnonzero(ended).tolist():
            for name, value in _measured(self.worlds[n], bool(cut[n])).items():
                found.setdefault(name, np.zeros(self.num_envs))[n] = value
        return infos_of(ended, **found)

    def _infos(self, shown: Mask) -> dict[str, Any]:
        worlds = self.worlds
        values: dict[str, NDArray[Any]] = {
            "lives": np.array([world.lives for world in worlds]),
            "frames": np.array([world.frames for world in worlds]),
            "executed": np.array([world.executed for world in worlds]),
            "event": np.array([world.event for world in worlds]),
            "event_chances": np.array([world.chances for world in worlds]),
            "concept": np.array([world.concept for world in worlds]),
            "masked": np.array([world.masked for world in worlds]),
        }
        if self.setting.unmasked:
            values["unmasked"] = np.array([world.unmasked for world in worlds])
        return infos_of(shown, **values)

    def _in_threads(self, call: Any, indices: Sequence[int]) -> None:
        """Call for every index. Worlds share nothing, so it does not matter which thread takes which."""
        if self.threads == 1 or len(indices) < 2:
            for n in indices:
                call(n)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1, "atari")
        left = deque(indices)

        def run() -> None:
            while left:
                try:
                    n = left.popleft()
                except IndexError:  # another thread took the last one
                    return
                call(n)

        waiting = [self._pool.submit(run) for _ in range(min(self.threads, len(indices)) - 1)]
        run()
        for each in waiting:
            each.result()

    def _observe(self) -> NDArray[Any]:
        return np.stack([world.observation for world in self.worlds])

    def _frame(self, world: int) -> NDArray[np.uint8]:
        """The true screen, uint8 [210, 160, 3]."""
        screen = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self.worlds[world].emulator.ale.getScreenRGB(screen)
        return screen

    def _state(self) -> dict[str, Any]:
        """Seeds, numbers of episodes and actions: the games are played again to restore them."""
        return {
            "episodes": self._episodes.copy(),
            "chances": self._chances.copy(),
            "actions": {str(n): np.array(each, np.int64) for n, each in enumerate(self._actions)},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        actions = [np.asarray(state["actions"][str(n)]) for n in range(self.num_envs)]
        for played in actions:
            if played.ndim != 1 or (played.size and not 0 <= played.min() <= played.max() < len(self.meanings)):
                raise InvalidParameter(f"The state does not belong to a game with {len(self.meanings)} actions.")
        self._episodes, self._chances = (np.array(state[name], np.int64) for name in ("episodes", "chances"))
        seeds = state["batch"]["seeds"]

        def replay(n: int) -> None:
            self._actions[n] = actions[n].tolist()
            if seeds[n] is not None:
                self.worlds[n].start(seeds[n], int(self._episodes[n]), int(self._chances[n]))
                for action in self._actions[n]:
                    self.worlds[n].step(action)

        self._in_threads(replay, range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _measured(world: World, cut: bool) -> dict[str, float]:
    """Of a whole game: the unclipped score, whether the time limit cut it, and how often effects took place."""
    return {
        **world.totals, "frames": float(world.frames), "cut by time": float(cut),
        "replaced actions": world.totals["replaced actions"] / world.frames,
        "masked": world.totals["masked"] / world.decisions,
    }  # fmt: skip
