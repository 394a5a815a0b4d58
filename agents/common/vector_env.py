"""A Gymnasium ``VectorEnv`` as a Stable-Baselines3 ``VecEnv``.

The two differ in when a finished environment is reset. A VecEnv returns the first observation of the next episode in
the last step of an episode. A VectorEnv does so only in SAME_STEP mode; otherwise the reset comes a step later or is
left to the caller. The adapter resets finished environments at once in every mode, so the agent sees no extra steps.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from agentgym.errors import InvalidParameter
from agentgym.vector import NativeVectorEnv
from agentgym.vector.infos import split_infos

__all__ = ["VectorEnvAdapter", "split_infos"]


class VectorEnvAdapter(VecEnv):
    """Adapts a ``VectorEnv`` so that it gives the same transitions as a ``DummyVecEnv`` of the same environments.

    Args:
        env: in any autoreset mode. With NEXT_STEP or DISABLED and more than one environment, its ``reset`` must
            support ``options={"reset_mask": ...}``, as Gymnasium's vector environments do.

    Raises:
        InvalidParameter: ``env`` ignores the reset mask and would restart unfinished episodes.
    """

    def __init__(self, env: VectorEnv) -> None:
        self.env = env
        self.autoreset = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: np.ndarray | None = None

    def reset(self) -> VecEnvObs:
        """Start all episodes, with the seeds and options set since the last reset."""
        if any(options != self._options[0] for options in self._options):
            raise InvalidParameter("a VectorEnv takes the same reset options for all its environments")
        seed: Any = self._next_seed()
        observations, infos = self.env.reset(seed=seed, options=self._options[0] or None)
        self.reset_infos = split_infos(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return _copy(observations)

    def _next_seed(self) -> int | list[int | None] | None:
        """A single number if the seeds are consecutive, because natively batched environments often take no list."""
        first = self._seeds[0]
        if first is None:
            return None
        return first if self._seeds == list(range(first, first + self.num_envs)) else list(self._seeds)

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions ``[n, A...]`` for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all environments and reset those that have finished."""
        observations, *told, batched_infos = self.env.step(self._actions)
        rewards, terminated, truncated = map(np.array, told)  # copies: reset() may overwrite the arrays
        dones = np.logical_or(terminated, truncated)
        over = dones.any()
        if over:
            batched_infos = deepcopy(batched_infos)
        observations, infos = _copy(observations), split_infos(batched_infos, self.num_envs)
        if over:
            observations = self._start_over(observations, infos, dones)
        for info, end, cut in zip(infos, terminated, truncated, strict=True):
            info["TimeLimit.truncated"] = bool(cut and not end)
        return observations, rewards.astype(np.float32), dones, infos

    def _start_over(self, last: VecEnvObs, infos: list[dict[str, Any]], dones: np.ndarray) -> VecEnvObs:
        """Write finished environments' last observations into their infos, and return all current observations."""
        finished = np.flatnonzero(dones).tolist()
        if self.autoreset is AutoresetMode.SAME_STEP:
            for index in finished:
                after_reset, infos[index] = infos[index], infos[index].pop("final_info", {})
                infos[index]["terminal_observation"] = after_reset.pop("final_obs")
                self.reset_infos[index] = after_reset
            return last
        for index in finished:
            infos[index]["terminal_observation"] = _row(last, index)
        if dones.all():
            first, reset_infos = self.env.reset()
        else:
            first, reset_infos = self.env.reset(options={"reset_mask": dones.copy()})
            self._check_others_unmoved(last, first, ~dones)
        for row, info in enumerate(split_infos(reset_infos, self.num_envs)):
            if dones[row]:
                self.reset_infos[row] = info
        return _merge(last, first, dones)

    def _check_others_unmoved(self, last: VecEnvObs, first: VecEnvObs, running: np.ndarray) -> None:
        if isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv, NativeVectorEnv)):
            return  # native batches respect the mask; wrappers may change how an equal state is shown
        for before, after in zip(_arrays(last), _arrays(first), strict=True):
            if not np.array_equal(before[running], np.asarray(after)[running], equal_nan=True):
                raise InvalidParameter(
                    f"{self.env} ignored options['reset_mask'] and restarted unfinished episodes. Make it with "
                    "autoreset_mode=AutoresetMode.SAME_STEP, or use a single environment or SyncVectorEnv."
                )

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each environment, or of the batch if it has the attribute."""
        base = self.env.unwrapped
        if attr_name != "render_mode" and isinstance(base, (SyncVectorEnv, AsyncVectorEnv)):
            values: Sequence[Any] = base.get_attr(attr_name)
        else:
            owner = self.env if hasattr(self.env, attr_name) else base  # wrappers do not forward attributes
            values = [getattr(owner, attr_name)] * self.num_envs
        return [values[index] for index in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all environments.

        Raises:
            InvalidParameter: only some environments are selected.
        """
        self._require_all(indices, "set_attr")
        base = self.env.unwrapped
        if isinstance(base, (SyncVectorEnv, AsyncVectorEnv)):
            base.set_attr(attr_name, value)
        else:
            setattr(base, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of every environment.

        Raises:
            InvalidParameter: only some environments are selected, or the batch is native and has no single ones.
        """
        self._require_all(indices, "env_method")
        base = self.env.unwrapped
        if not isinstance(base, (SyncVectorEnv, AsyncVectorEnv)):
            raise InvalidParameter(f"{base} is one batch: call {method_name} on it directly")
        return list(base.call(method_name, *method_args, **method_kwargs))

    def _require_all(self, indices: VecEnvIndices, what: str) -> None:
        if sorted(self._get_indices(indices)) != list(range(self.num_envs)):
            raise InvalidParameter(f"a VectorEnv's {what} applies to all environments or none: leave out indices")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Whether each environment has the wrapper, as far as this process can tell."""
        envs: Iterable[gymnasium.Env] = getattr(self.env.unwrapped, "envs", [])
        wrapped = [is_wrapped(env, wrapper_class) for env in envs] or [False] * self.num_envs
        return [wrapped[index] for index in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame per environment."""
        frames: Any = self.env.render()
        return [None] * self.num_envs if frames is None else list(frames)


def _copy(observations: Any) -> Any:
    """Copy observations, because the environment may overwrite the arrays in its next step."""
    if isinstance(observations, dict):
        return {key: np.array(part) for key, part in observations.items()}
    return np.array(observations)


def _row(observations: Any, index: int) -> Any:
    if isinstance(observations, dict):
        return {key: part[index].copy() for key, part in observations.items()}
    return observations[index].copy()


def _arrays(observations: Any) -> list[np.ndarray]:
    return list(observations.values()) if isinstance(observations, dict) else [observations]


def _merge(last: Any, first: Any, fresh: np.ndarray) -> Any:
    """Rows of ``first`` where ``fresh`` is true, and of ``last`` elsewhere."""
    for into, source in zip(_arrays(last), _arrays(first), strict=True):
        into[fresh] = np.asarray(source)[fresh]
    return last
