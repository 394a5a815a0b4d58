"""The batched robust environments."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.contracts.settings import whole_number
from agentgym.envs.robust import env as single
from agentgym.envs.robust.batched_tasks import JUDGES
from agentgym.envs.robust.env import RobustEnv, checked_action
from agentgym.envs.robust.parameters import Range
from agentgym.errors import InvalidParameter
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import infos_of
from agentgym.vector.native import Seeds

__all__ = [
    "RobustAntVectorEnv", "RobustHalfCheetahVectorEnv", "RobustHopperVectorEnv", "RobustHumanoidStandupVectorEnv",
    "RobustInvertedPendulumVectorEnv", "RobustVectorEnv", "RobustWalker2dVectorEnv",
]  # fmt: skip


class RobustVectorEnv(NativeVectorEnv):
    """A batch of N worlds of one task of :class:`agentgym.envs.robust.env.RobustEnv`, each with its own parameters.

    World i is bit-equal to the single environment with its seed, over any number of episodes. Each world has its own
    model and state; observations, rewards, terminations and infos of all worlds are computed together. Seeds, masks and
    autoreset modes are as in :class:`agentgym.vector.native.NativeVectorEnv`.

    ``reset(options=...)`` takes ``"parameters"`` with numbers (for all worlds) or arrays [N] as values.

    Args:
        num_envs: number of worlds, N.
        max_episode_steps: the time limit in steps.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        threads: number of threads that step the worlds. MuJoCo releases Python's lock, so more are faster on idle
            cores; the results do not depend on it.
        parameters: fixed values, each a number, None, or an array [N].
        arguments: all other arguments of the single environment.

    Raises:
        InvalidParameter: N or ``threads`` is below 1, or a parameter's array is not [N].
    """

    task: ClassVar[str]
    reset_options = ("parameters",)
    exact = True

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = 1000,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        self.num_envs = whole_number("num_envs", num_envs, 1)
        whole_number("threads", threads, 1)
        make: type[RobustEnv] = getattr(single, f"Robust{self.task}Env")
        self.worlds = [make(parameters=each, **arguments) for each in self._per_world(parameters)]
        first = self.worlds[0]
        super().__init__(
            num_envs, first.observation_space, first.action_space, autoreset_mode, max_episode_steps,
            first.metadata, first.render_mode,
        )  # fmt: skip
        self._task = JUDGES[self.task](self.worlds)
        self._observe_more = first.observing.observe
        self._warnings = [world.state_warnings for world in self.worlds]
        # Strided shares, because neighbouring worlds often have similar costs.
        self._shares = [range(first, num_envs, threads) for first in range(min(threads, num_envs))]
        self._pool = ThreadPoolExecutor(threads) if len(self._shares) > 1 else None

    @property
    def parameter_ranges(self) -> dict[str, Range]:
        """The lowest and highest value of each parameter of the chosen set, including forces."""
        return self.worlds[0].parameter_ranges

    @property
    def known_parameters(self) -> dict[str, Range]:
        """The ranges of all parameters that can be set by name, in the chosen set or beyond it."""
        return self.worlds[0].known_parameters

    @property
    def nominal_parameters(self) -> dict[str, float]:
        """Each known parameter's value in the compiled model."""
        return self.worlds[0].nominal_parameters

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The current values, [N] each; NaN in worlds that have not set the parameter."""
        values = [world.uncertainty.values for world in self.worlds]
        names = dict.fromkeys(name for each in values for name in each)
        return {name: np.array([each.get(name, np.nan) for each in values]) for name in names}

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Change values (numbers or arrays [N]) from the next step until the end of each world's episode."""
        checked = [
            world.uncertainty.checked(each) for world, each in zip(self.worlds, self._per_world(values), strict=True)
        ]
        for world, each in zip(self.worlds, checked, strict=True):
            world.set_parameters(each)

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """See :meth:`agentgym.vector.native.NativeVectorEnv.step`; actions [N, A]."""
        outcome = super().step(actions)
        if self.render_mode == "human":
            self.render()
        return outcome

    def _checked(self, actions: Any) -> np.ndarray:
        return np.ascontiguousarray(
            checked_action(actions, (self.num_envs, self.worlds[0].model.nu), f"Robust{self.task} batch")
        )

    def _checked_options(self, options: dict[str, Any], chosen: np.ndarray) -> dict[str, Any]:
        """Options with one dictionary per world under ``"worlds"``, if parameters are given."""
        if "parameters" not in options:
            return {}
        given = self._per_world(options["parameters"])
        for index in np.flatnonzero(chosen).tolist():
            self.worlds[index].uncertainty.checked(given[index])
        return {"worlds": [{"parameters": each} for each in given]}

    def _start(self, chosen: np.ndarray, seeds: Seeds, options: dict[str, Any]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for index in np.flatnonzero(chosen).tolist():
            own = options["worlds"][index] if options else None
            self._add_info(infos, self.worlds[index].reset(seed=seeds[index], options=own)[1], index)
        self._task.read()
        return infos

    def _advance(self, actions: np.ndarray, active: np.ndarray) -> Step:
        before = self._task.track()
        if self._observe_more == "transition":
            seen = self._task.observe()
            for index in np.flatnonzero(active).tolist():
                self.worlds[index].observing.remember(seen[index], actions[index])
        self._simulate(actions, active)
        lost = np.zeros(self.num_envs, bool)
        if np.concatenate(self._warnings).any():  # rare, and cheaper to test for all worlds at once
            lost = np.array([world.lost_state for world in self.worlds]) & active
            for index in np.flatnonzero(lost).tolist():
                self.worlds[index].mend()
        self._task.read()
        outcome = self._task.judge(before, actions)
        infos = infos_of(active, **outcome.info)
        if lost.any():
            outcome.rewards = np.where(lost, 0.0, outcome.rewards)
            outcome.terminated = outcome.terminated | lost
            infos |= infos_of(lost, simulation_unstable=lost)
        infos["parameters"], infos["_parameters"] = {}, active
        for name, values in self.parameters.items():
            infos["parameters"] |= infos_of(active & ~np.isnan(values), **{name: values})
        if self.worlds[0].uncertainty.physics.contact_friction is not None:
            friction = np.array([world.uncertainty.physics.contact_friction for world in self.worlds])
            infos |= infos_of(active, contact_friction=friction)
        return Step(outcome.rewards, outcome.terminated, None, infos)

    def _observe(self) -> np.ndarray:
        seen = self._task.observe()
        if self._observe_more == "state":
            return seen
        return np.stack([world.extended(row) for world, row in zip(self.worlds, seen, strict=True)])

    def _simulate(self, actions: np.ndarray, active: np.ndarray) -> None:
        def work(share: Iterable[int]) -> None:
            for index in share:
                if active[index]:
                    world = self.worlds[index]
                    world.begin_step()
                    world.simulate(actions[index], world.frame_skip)

        if self._pool is None:
            work(self._shares[0])
        else:
            list(self._pool.map(work, self._shares))

    def _state(self) -> dict[str, Any]:
        return {"worlds": [world.snapshot() for world in self.worlds]}

    def _set_state(self, state: dict[str, Any]) -> None:
        for world, taken in zip(self.worlds, state["worlds"], strict=True):
            world.restore(taken)
        self._task.read()

    def _frame(self, world: int) -> Any:
        return self.worlds[world].render()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds' renderers and the threads."""
        if self._pool is not None:
            self._pool.shutdown()
        for world in self.worlds:
            world.close()

    def _per_world(self, values: Mapping[str, Any] | None) -> list[dict[str, Any] | None]:
        """One dict of numbers for each world."""
        if values is None:
            return [None] * self.num_envs
        if not isinstance(values, Mapping):
            raise InvalidParameter(f"parameters must be a dict of names and numbers, not {values!r}.")
        columns: dict[str, list[Any]] = {}
        for name, value in values.items():
            if np.ndim(value) == 0:
                columns[name] = [value] * self.num_envs
            elif np.shape(value) == (self.num_envs,):
                columns[name] = list(value)
            else:
                raise InvalidParameter(
                    f"{name} must be a number or an array of shape ({self.num_envs},), one value per world, "
                    f"not of shape {np.shape(value)}."
                )
        return [{name: column[index] for name, column in columns.items()} for index in range(self.num_envs)]


class RobustAntVectorEnv(RobustVectorEnv):
    """A batch of RobustAnt worlds; see :class:`RobustVectorEnv`."""

    task = "Ant"


class RobustHalfCheetahVectorEnv(RobustVectorEnv):
    """A batch of RobustHalfCheetah worlds; see :class:`RobustVectorEnv`."""

    task = "HalfCheetah"


class RobustHopperVectorEnv(RobustVectorEnv):
    """A batch of RobustHopper worlds; see :class:`RobustVectorEnv`."""

    task = "Hopper"


class RobustHumanoidStandupVectorEnv(RobustVectorEnv):
    """A batch of RobustHumanoidStandup worlds; see :class:`RobustVectorEnv`."""

    task = "HumanoidStandup"


class RobustInvertedPendulumVectorEnv(RobustVectorEnv):
    """A batch of RobustInvertedPendulum worlds; see :class:`RobustVectorEnv`."""

    task = "InvertedPendulum"


class RobustWalker2dVectorEnv(RobustVectorEnv):
    """A batch of RobustWalker2d worlds; see :class:`RobustVectorEnv`."""

    task = "Walker2d"
