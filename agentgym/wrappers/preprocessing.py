"""Observation preprocessing of training environments, reproduced for evaluation.

An agent expects observations as transformed by the wrappers of its training environments: ``VecNormalize``,
``VecFrameStack``, ``VecTransposeImage`` and ``VecExtractDictObs`` of Stable-Baselines3, and ``NormalizeObservation`` of
Gymnasium. Evaluation uses environments without wrappers; :func:`as_trained` applies the same steps before ``predict``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import torch
from gymnasium import Env, Wrapper, spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import NormalizeObservation
from gymnasium.wrappers.vector import NormalizeObservation as NormalizeBatch
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecNormalize,
    VecTransposeImage,
)
from torch import Tensor

from agentgym.contracts.environment import Adapter
from agentgym.errors import InvalidParameter

__all__ = ["AsTrained", "Preprocessing", "as_trained", "preprocessing_of"]

WHOLE = ""  # the key of an observation that is one array


class Step(Protocol):
    """The transformation of one wrapper."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``from_json`` of the class is the inverse."""

    def __call__(self, batch: Any, memory: Any, starts: np.ndarray) -> tuple[Any, Any]:
        """Transform a batch of observations; also return the memory for the next call."""


@dataclass(frozen=True)
class Normalize:
    """Normalisation to zero mean and unit variance, with clipping.

    Attributes:
        moments: mean and variance by key.
        epsilon: constant added to the variance.
        clip: bound of the normalised values; infinity for none.
    """

    moments: Mapping[str, tuple[np.ndarray, np.ndarray]]
    epsilon: float
    clip: float
    kind: ClassVar[str] = "normalize"

    def __call__(self, batch: Any, memory: Any, starts: np.ndarray) -> tuple[Any, Any]:
        """See :class:`Step`."""
        return _changed(batch, {key: self._one(key, part) for key, part in _parts(batch, self.moments)}), None

    def _one(self, key: str, values: np.ndarray) -> np.ndarray:
        mean, variance = self.moments[key]
        scaled = (values - mean) / np.sqrt(variance + self.epsilon)
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def differentiable(self, observations: Tensor) -> Tensor:
        """The same for a tensor ``[B, ...]``, differentiable."""
        mean, variance = (torch.as_tensor(part, device=observations.device).double() for part in self.moments[WHOLE])
        scaled = (observations.double() - mean) / (variance + self.epsilon).sqrt()
        return scaled.clamp(-self.clip, self.clip).float()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, lossless."""
        moments = {key: [[part.tolist(), str(part.dtype)] for part in pair] for key, pair in self.moments.items()}
        return {"kind": self.kind, "moments": moments, "epsilon": self.epsilon, "clip": self.clip}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse."""
        moments = {key: tuple(np.array(*part) for part in pair) for key, pair in values["moments"].items()}
        return cls({key: (mean, variance) for key, (mean, variance) in moments.items()}, values["epsilon"],
                   values["clip"])  # fmt: skip


@dataclass(frozen=True)
class Stack:
    """Frame stacking: the last ``frames`` observations of the episode, zeros before its start.

    Attributes:
        frames: number of frames.
        first: by key, whether frames are stacked along the first axis of an observation instead of the last.
    """

    frames: int
    first: Mapping[str, bool]
    kind: ClassVar[str] = "stack"

    def __call__(self, batch: Any, memory: Any, starts: np.ndarray) -> tuple[Any, Any]:
        """See :class:`Step`."""
        stacks = {key: self._one(key, part, (memory or {}).get(key), starts) for key, part in _parts(batch, self.first)}
        return _changed(batch, stacks), stacks

    def _one(self, key: str, values: np.ndarray, before: np.ndarray | None, starts: np.ndarray) -> np.ndarray:
        axis = 1 if self.first[key] else -1
        if before is None:
            before = np.zeros_like(np.concatenate([values] * self.frames, axis))
        before = np.where(starts.reshape(-1, *[1] * (values.ndim - 1)), np.zeros_like(before), before)
        kept = np.delete(before, np.s_[: values.shape[axis]], axis)
        return np.concatenate([kept, values], axis)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "frames": self.frames, "first": dict(self.first)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse."""
        return cls(values["frames"], values["first"])


@dataclass(frozen=True)
class Transpose:
    """Transposition of images from channels last to channels first."""

    keys: tuple[str, ...]
    kind: ClassVar[str] = "transpose"

    def __call__(self, batch: Any, memory: Any, starts: np.ndarray) -> tuple[Any, Any]:
        """See :class:`Step`."""
        return _changed(batch, {key: np.moveaxis(part, -1, 1) for key, part in _parts(batch, self.keys)}), None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "keys": list(self.keys)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse."""
        return cls(tuple(values["keys"]))


@dataclass(frozen=True)
class Extract:
    """Selection of one entry of a dictionary."""

    key: str
    kind: ClassVar[str] = "extract"

    def __call__(self, batch: Any, memory: Any, starts: np.ndarray) -> tuple[Any, Any]:
        """See :class:`Step`."""
        return batch[self.key], None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, "key": self.key}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse."""
        return cls(values["key"])


def _parts(batch: Any, keys: Any) -> list[tuple[str, np.ndarray]]:
    return [(key, np.asarray(batch[key] if isinstance(batch, dict) else batch)) for key in keys]


def _changed(batch: Any, parts: Mapping[str, np.ndarray]) -> Any:
    return {**batch, **parts} if isinstance(batch, dict) else parts[WHOLE]


@dataclass(frozen=True)
class Preprocessing:
    """All preprocessing steps between environment and agent.

    Attributes:
        space: observation space of the environment without wrappers.
        steps: the steps, innermost first.
        lost: why the steps cannot be reproduced; empty if they can.
    """

    space: spaces.Space[Any]
    steps: tuple[Step, ...]
    lost: str = ""

    def to_json(self) -> dict[str, Any]:
        """The steps as plain JSON values, without the space."""
        return {"steps": [step.to_json() for step in self.steps], "lost": self.lost}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], space: spaces.Space[Any]) -> Self:
        """The inverse."""
        kinds: dict[str, Any] = {kind.kind: kind for kind in (Normalize, Stack, Transpose, Extract)}
        steps = tuple(kinds[step["kind"]].from_json(step) for step in values["steps"])
        return cls(space, steps, values["lost"])


@dataclass(frozen=True)
class AsTrained:
    """An agent with its preprocessing: takes the environment's raw observations, otherwise equals the agent."""

    agent: Any
    preprocessing: Preprocessing

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Observation space of the environment without wrappers."""
        return self.preprocessing.space

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False, **heard: Any
    ) -> tuple[Any, Any]:
        """Like the agent's ``predict``, for a raw observation or a batch of them."""
        single = np.shape(_first(observation)) == _first(self.preprocessing.space).shape
        batch = _each(observation, lambda part: np.asarray(part)[None]) if single else observation
        memories, own = state or ([None] * len(self.preprocessing.steps), None)
        count = len(_first(batch))
        starts = np.zeros(count, bool) if episode_start is None else np.asarray(episode_start, bool).reshape(count)
        remembered = []
        for step, memory in zip(self.preprocessing.steps, memories, strict=True):
            batch, memory = step(batch, memory, starts)
            remembered.append(memory)
        actions, own = self.agent.predict(
            batch, state=own, episode_start=episode_start, deterministic=deterministic, **heard
        )
        return (actions[0] if single else actions), (remembered, own)

    def differentiable(self, observations: Tensor) -> Tensor:
        """Preprocess a tensor ``[B, ...]`` of raw observations differentiably.

        Raises:
            InvalidParameter: a step is not differentiable, or has memory.
        """
        for step in self.preprocessing.steps:
            if not isinstance(step, Normalize) or WHOLE not in step.moments:
                raise InvalidParameter(
                    f"No gradient reaches the observation through {type(step).__name__}. Use the random attack instead."
                )
            observations = step.differentiable(observations)
        return observations

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "agent":  # avoids endless recursion during unpickling
            raise AttributeError(name)
        return getattr(self.agent, name)

    def acting_in(self, env: Any) -> "AsTrained":
        """The same for another environment, if the agent is resizable."""
        return replace(self, agent=self.agent.acting_in(env))


def _first(parts: Any) -> Any:
    return next(iter(parts.values())) if isinstance(parts, dict | spaces.Dict) else parts


def _each(observation: Any, change: Any) -> Any:
    if isinstance(observation, dict):
        return {key: change(part) for key, part in observation.items()}
    return change(observation)


def as_trained(agent: Any, space: spaces.Space[Any] | None = None) -> Any:
    """Combine an agent with the preprocessing of its training environments; return the agent itself if there is none.

    Args:
        agent: anything with ``predict`` and spaces.
        space: observation space of the environment. If an agent was loaded without environments and expects images with
            channels first, images with channels last are transposed, as Stable-Baselines3 does.

    Raises:
        InvalidParameter: the agent was trained on observations that its environments normalised separately.

    A zip file of Stable-Baselines3 does not record its ``VecNormalize``; pass it when loading:
    ``PPO.load(zip, env=VecNormalize.load(file, venv))``.
    """
    if isinstance(agent, AsTrained):
        return agent
    preprocessing = preprocessing_of(agent)
    if preprocessing is None and space is not None and (keys := _transposed(agent.observation_space, space)):
        preprocessing = Preprocessing(space, (Transpose(keys),))
    if preprocessing is not None and preprocessing.lost:
        raise InvalidParameter(
            f"This {type(agent).__name__} cannot be evaluated as it was trained: {preprocessing.lost}"
        )
    return agent if preprocessing is None else AsTrained(agent, preprocessing)


@runtime_checkable
class Learner(Protocol):
    """An agent that has training environments."""

    def get_env(self) -> Any:
        """The training environments, a ``VecEnv``; None if there are none."""


@runtime_checkable
class Remembering(Protocol):
    """An agent that was saved with the preprocessing of its training environments."""

    saved_preprocessing: Preprocessing | None


def preprocessing_of(agent: Any) -> Preprocessing | None:
    """The preprocessing of an agent's training environments, or the saved one; None if there is none."""
    env = agent.get_env() if isinstance(agent, Learner) else None
    if env is None:
        return agent.saved_preprocessing if isinstance(agent, Remembering) else None
    steps, space = [], None
    while isinstance(env, VecEnvWrapper):
        if (step := _step(env)) is not None:
            steps.append(step)
            space = env.venv.observation_space
        env = env.venv
    lost = ""
    for wrapper, worlds in _gymnasium_wrappers(env):
        if isinstance(wrapper, NormalizeObservation | NormalizeBatch):
            moments = {WHOLE: (np.asarray(wrapper.obs_rms.mean), np.asarray(wrapper.obs_rms.var))}
            steps.append(Normalize(moments, wrapper.epsilon, np.inf))
            inner: Any = wrapper.env
            space = inner.single_observation_space if isinstance(inner, VectorEnv) else inner.observation_space
            if worlds > 1:
                lost = f"each of its {worlds} environments had its own NormalizeObservation. Use VecNormalize."
    return None if space is None else Preprocessing(space, tuple(reversed(steps)), lost)


def _step(env: VecEnvWrapper) -> Step | None:
    if isinstance(env, VecNormalize) and env.norm_obs:
        statistics: Any = env.obs_rms
        moments = statistics if isinstance(statistics, dict) else {WHOLE: statistics}
        return Normalize({key: (rms.mean, rms.var) for key, rms in moments.items()}, env.epsilon, env.clip_obs)
    if isinstance(env, VecFrameStack):
        stacked: Any = env.stacked_obs
        parts = getattr(stacked, "sub_stacked_observations", {WHOLE: stacked})
        return Stack(stacked.n_stack, {key: bool(part.channels_first) for key, part in parts.items()})
    if isinstance(env, VecTransposeImage) and not env.skip:
        return Transpose(tuple(getattr(env, "image_space_keys", (WHOLE,))))
    if isinstance(env, VecExtractDictObs):
        return Extract(env.key)
    return None


def _gymnasium_wrappers(env: Any) -> list[tuple[Any, int]]:
    """Gymnasium wrappers of the first environment, outermost first, each with the number of environments."""
    if isinstance(env, DummyVecEnv):
        world: Env[Any, Any] | VectorEnv[Any, Any, Any] = env.envs[0]
        worlds = len(env.envs)
    else:
        world, worlds = (env.env if isinstance(env, Adapter) else env), 1  # a VectorEnv, or a VecEnv of another kind
    wrappers = []
    while isinstance(world, Wrapper | VectorWrapper):
        wrappers.append((world, worlds))
        world = world.env
    return wrappers


def _transposed(own: spaces.Space[Any], space: spaces.Space[Any]) -> tuple[str, ...]:
    """Keys of images that must be transposed to match the agent's space ``own``; empty if that is not enough."""
    pairs = [(WHOLE, own, space)]
    if isinstance(own, spaces.Dict) and isinstance(space, spaces.Dict) and own.keys() == space.keys():
        pairs = [(key, own[key], space[key]) for key in own]
    other = [(key, a, b) for key, a, b in pairs if a != b]
    explained = all(
        isinstance(b, spaces.Box) and is_image_space(b) and not is_image_space_channels_first(b)
        and a == VecTransposeImage.transpose_space(b) for _, a, b in other
    )  # fmt: skip
    return tuple(key for key, _, _ in other) if explained else ()
