"""The batched door: N worlds with their own parameters, judged together."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agentgym.batching import reset_mask, world_seeds
from agentgym.envs.robust import env as single
from agentgym.envs.robust.batched_tasks import Outcome, batched_task
from agentgym.envs.robust.env import RobustEnv, checked_action
from agentgym.envs.robust.parameters import Range
from agentgym.errors import InvalidParameter

__all__ = [
    "RobustAntVectorEnv",
    "RobustHalfCheetahVectorEnv",
    "RobustHopperVectorEnv",
    "RobustHumanoidStandupVectorEnv",
    "RobustInvertedPendulumVectorEnv",
    "RobustVectorEnv",
    "RobustWalker2dVectorEnv",
]

StepResult = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class RobustVectorEnv(VectorEnv):
    """N worlds of one task of :class:`agentgym.envs.robust.env.RobustEnv`, whose manual holds here too.

    World i equals the single environment with its seed bit for bit, over any number of episodes; ``reset(seed=s)``
    gives world i the seed s + i. Each world has a model and a state of its own; observations, rewards, terminations and
    infos of all worlds are computed together.

    ``reset(options=...)`` takes ``"parameters"`` whose values are numbers (for all worlds) or arrays [N], and
    ``"reset_mask"`` (bool [N]) to reset some worlds only, as Gymnasium's vector environments do.

    Args:
        num_envs: N.
        max_episode_steps: the time limit in steps.
        autoreset_mode: Gymnasium's ``AutoresetMode``: NEXT_STEP, SAME_STEP or DISABLED.
        threads: how many threads step the worlds. MuJoCo releases Python's lock, so on idle cores more are quicker;
            results do not depend on it.
        parameters: fixed values, each a number, None, or an array [N].
        arguments: everything else that the single environment takes.

    Raises:
        InvalidParameter: N or ``threads`` is below 1, or a parameter's array is not [N].
    """

    task: ClassVar[str]

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = 1000,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        if num_envs < 1 or threads < 1 or max_episode_steps < 1:
            raise InvalidParameter("num_envs, threads and max_episode_steps must each be at least 1.")
        self.num_envs = num_envs
        make: type[RobustEnv] = getattr(single, f"Robust{self.task}Env")
        self.worlds = [make(parameters=each, **arguments) for each in self._per_world(parameters)]
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.worlds[0].metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = self.worlds[0].render_mode
        self.single_observation_space = self.worlds[0].observation_space
        self.single_action_space = self.worlds[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.max_episode_steps = max_episode_steps
        self._action_shape = (num_envs, self.worlds[0].model.nu)
        self._task = batched_task(self.task, self.worlds)
        self._state_warnings = [world.state_warnings for world in self.worlds]
        self._elapsed = np.zeros(num_envs, dtype=int)
        self._over = np.zeros(num_envs, dtype=bool)
        # Strided shares: neighbouring worlds often cost alike.
        self._shares = [range(first, num_envs, threads) for first in range(min(threads, num_envs))]
        self._pool = ThreadPoolExecutor(threads) if len(self._shares) > 1 else None

    @property
    def parameter_ranges(self) -> dict[str, Range]:
        """The chosen set: lowest and highest value of each parameter, forces included."""
        return self.worlds[0].parameter_ranges

    @property
    def known_parameters(self) -> dict[str, Range]:
        """Everything that can be set by name, in the chosen set or beyond it, with its range."""
        return self.worlds[0].known_parameters

    @property
    def nominal_parameters(self) -> dict[str, float]:
        """Each known parameter's value in the model as compiled."""
        return self.worlds[0].nominal_parameters

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The values in force, each [N]; NaN where a world has not set it."""
        values = [world.uncertainty.values for world in self.worlds]
        names = dict.fromkeys(name for each in values for name in each)
        return {name: np.array([each.get(name, np.nan) for each in values]) for name in names}

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Each world's seed."""
        return tuple(world.np_random_seed for world in self.worlds)

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Change values (numbers or arrays [N]) from the next step on, until each world's episode ends."""
        checked = [
            world.uncertainty.checked(each) for world, each in zip(self.worlds, self._per_world(values), strict=True)
        ]
        for world, each in zip(self.worlds, checked, strict=True):
            world.set_parameters(each)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every world, or in those of ``options["reset_mask"]``."""
        seeds = world_seeds(seed, self.num_envs)
        chosen = np.flatnonzero(reset_mask(options, self.num_envs))
        settings: list[dict[str, Any] | None] = [None] * self.num_envs
        if options is not None and "parameters" in options:
            given = self._per_world(options["parameters"])
            for world in chosen:  # refuse all before changing any
                self.worlds[world].uncertainty.checked(given[world])
            settings = [{"parameters": each} for each in given]
        infos: dict[str, Any] = {}
        self._restart(chosen, infos, seeds, settings)
        self._task.read()
        return self._task.observe(), infos

    def step(self, actions: Any) -> StepResult:
        """Advance every world; ended ones restart as the autoreset mode says.

        Args:
            actions: [N, A].

        Raises:
            InvalidAction: another shape, or a NaN or infinite entry.
            RuntimeError: with autoreset disabled, a world is stepped after its episode ended.
        """
        actions = np.ascontiguousarray(checked_action(actions, self._action_shape, f"Robust{self.task} batch"))
        if self.autoreset_mode == AutoresetMode.DISABLED and self._over.any():
            ended = np.flatnonzero(self._over).tolist()
            raise RuntimeError(f'Worlds {ended} have ended: reset them with options={{"reset_mask": ...}} first.')
        restarting = self._over.copy()
        before = self._task.track()
        self._simulate(actions, ~restarting)
        infos: dict[str, Any] = {}
        self._restart(np.flatnonzero(restarting), infos)
        self._task.read()
        outcome = self._task.judge(before, actions)
        truncated = self._finish(outcome, ~restarting)
        self._report(outcome.info, infos, ~restarting)
        self._over = outcome.terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._over.any():
            infos = self._restart_at_once(np.flatnonzero(self._over), outcome, infos)
        if self.render_mode == "human":
            self.render()
        return outcome.observations, outcome.rewards, outcome.terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """Each world's frame, as the single environment renders it."""
        return tuple(world.render() for world in self.worlds)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the worlds' renderers and the threads."""
        if self._pool is not None:
            self._pool.shutdown()
        for world in self.worlds:
            world.close()

    def _simulate(self, actions: np.ndarray, active: np.ndarray) -> None:
        def work(share: Iterable[int]) -> None:
            for index in share:
                if active[index]:
                    world = self.worlds[index]
                    world.begin_step()
                    world._step_mujoco_simulation(actions[index], world.frame_skip)

        if self._pool is None:
            work(self._shares[0])
        else:
            list(self._pool.map(work, self._shares))

    def _finish(self, outcome: Outcome, active: np.ndarray) -> np.ndarray:
        """Lost states, the time limit, and worlds that only restarted; returns who is truncated."""
        if np.concatenate(self._state_warnings).any():  # rare, and cheaper to ask of all at once
            lost = np.array([world.lost_state for world in self.worlds]) & active
            outcome.rewards = np.where(lost, 0.0, outcome.rewards)
            outcome.terminated = outcome.terminated | lost
            outcome.info["simulation_unstable"] = lost
        outcome.rewards = np.where(active, outcome.rewards, 0.0)
        outcome.terminated = outcome.terminated & active
        self._elapsed[active] += 1
        return active & (self._elapsed >= self.max_episode_steps)

    def _report(self, entries: dict[str, np.ndarray], infos: dict[str, Any], active: np.ndarray) -> None:
        """Merge a step's info entries and the parameters into ``infos``, with masks as Gymnasium has them."""
        for name, values in entries.items():
            shown = active & values if name == "simulation_unstable" else active
            self._merge(infos, name, values, shown)
        nested = infos.setdefault("parameters", {})
        for name, values in self.parameters.items():
            self._merge(nested, name, values, ~np.isnan(values))
        infos["_parameters"] = np.ones(self.num_envs, dtype=bool)
        if self.worlds[0].uncertainty.physics.contact_friction is not None:
            friction = np.array([world.uncertainty.physics.contact_friction for world in self.worlds])
            self._merge(infos, "contact_friction", friction, np.ones(self.num_envs, dtype=bool))

    @staticmethod
    def _merge(infos: dict[str, Any], name: str, values: np.ndarray, shown: np.ndarray) -> None:
        if shown.all():
            infos[name], infos[f"_{name}"] = values, shown
        elif shown.any():
            infos[name] = np.where(_column(shown, values), values, infos.get(name, np.zeros_like(values)))
            infos[f"_{name}"] = shown | infos.get(f"_{name}", False)

    def _restart(
        self,
        chosen: np.ndarray,
        infos: dict[str, Any],
        seeds: Sequence[int | None] | None = None,
        settings: Sequence[dict[str, Any] | None] | None = None,
    ) -> None:
        for index in chosen.tolist():
            _, info = self.worlds[index].reset(
                seed=seeds[index] if seeds else None, options=settings[index] if settings else None
            )
            self._add_info(infos, info, index)
        self._elapsed[chosen] = 0
        self._over[chosen] = False

    def _restart_at_once(self, ended: np.ndarray, outcome: Outcome, infos: dict[str, Any]) -> dict[str, Any]:
        """SAME_STEP: keep the last observation and info as ``final_obs`` and ``final_info``, then start anew."""
        final = np.full(self.num_envs, None, dtype=object)
        for index in ended.tolist():
            final[index] = outcome.observations[index].copy()
        was_ended = np.isin(np.arange(self.num_envs), ended)
        final_info = _masked(infos, was_ended)
        infos = _masked(infos, ~was_ended)
        self._restart(ended, infos)
        self._task.read()
        outcome.observations = self._task.observe()
        return infos | {
            "final_obs": final,
            "_final_obs": was_ended,
            "final_info": final_info,
            "_final_info": was_ended.copy(),
        }

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
                    f"{name} must be a number or an array of shape ({self.num_envs},), one value a world, "
                    f"not of shape {np.shape(value)}."
                )
        return [{name: column[index] for name, column in columns.items()} for index in range(self.num_envs)]


def _column(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A mask [N] shaped to select rows of ``values`` [N, ...]."""
    return mask.reshape(-1, *[1] * (values.ndim - 1))


def _masked(infos: dict[str, Any], shown: np.ndarray) -> dict[str, Any]:
    """The part of ``infos`` that belongs to the shown worlds."""
    kept: dict[str, Any] = {}
    for name, values in infos.items():
        if f"_{name}" not in infos:
            continue
        mask = infos[f"_{name}"] & shown
        if not mask.any():
            continue
        if isinstance(values, dict):
            kept[name] = _masked(values, shown)
        else:
            kept[name] = np.where(_column(mask, values), values, np.zeros_like(values))
        kept[f"_{name}"] = mask
    return kept


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
