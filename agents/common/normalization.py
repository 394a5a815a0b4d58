"""Normalisation of observations and rewards with running statistics, as in VecNormalize of OpenAI Baselines.

Observations are normalised inside the policy, so a saved agent takes the environment's raw observations. Rewards are
scaled only for the learner.
"""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn
from torch import Tensor, nn

from agentgym.errors import InvalidParameter

__all__ = ["LearnersView", "NormalizedFeatures", "RunningMoments"]

CLIP = 10.0  # in standard deviations; as in VecNormalize, like the two below
EPSILON = 1e-8
PRIOR_COUNT = 1e-4  # weight of the initial mean 0 and variance 1


class RunningMoments(nn.Module):
    """Running mean and variance in float64; ``state_dict`` holds all of its state."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(PRIOR_COUNT, dtype=torch.float64))

    @torch.no_grad()
    def update(self, batch: np.ndarray) -> None:
        """Add a batch ``[N, *shape]`` (Chan, Golub and LeVeque 1983, equation 2.1)."""
        values = torch.as_tensor(batch, dtype=torch.float64, device=self.mean.device)
        size, difference = len(values), values.mean(0) - self.mean
        total = self.count + size
        squares = self.variance * self.count + values.var(0, correction=0) * size
        self.variance.copy_((squares + difference.square() * self.count * size / total) / total)
        self.mean.add_(difference * size / total)
        self.count.copy_(total)


class NormalizedFeatures(BaseFeaturesExtractor):
    """Flattened observations, normalised to zero mean and unit variance and clipped to [-10, 10].

    Args:
        observation_space: a Box.

    Raises:
        InvalidParameter: another space.
    """

    def __init__(self, observation_space: spaces.Space) -> None:
        if not isinstance(observation_space, spaces.Box):
            raise InvalidParameter(
                f"Observations of {observation_space} cannot be normalised, only those of a Box. Use normalize=False."
            )
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.moments = RunningMoments((size,))

    def forward(self, observations: Tensor) -> Tensor:
        """Normalise [B, ...] to [B, D]."""
        flat = observations.flatten(1)
        scale = (self.moments.variance + EPSILON).rsqrt().to(flat.dtype)
        return ((flat - self.moments.mean.to(flat.dtype)) * scale).clamp(-CLIP, CLIP)


class LearnersView(VecEnvWrapper):
    """The environments as an on-policy learner sees them. Episode statistics still use the unchanged rewards.

    Args:
        venv: the environments.
        moments: if given, rewards are divided by its standard deviation, which is that of the discounted sum of the
            rewards so far in each episode. It is updated at every step.
        gamma: discount of that sum.
        bootstrap_time_limits: if False, truncated episodes are reported as terminated.

    Attributes:
        discounted_sums: the discounted sum of each environment's current episode, ``[n]``.
    """

    def __init__(self, venv: VecEnv, moments: RunningMoments | None, gamma: float, bootstrap_time_limits: bool) -> None:
        super().__init__(venv)
        self.moments, self.gamma, self.bootstrap_time_limits = moments, gamma, bootstrap_time_limits
        self.discounted_sums = np.zeros(venv.num_envs)

    def reset(self) -> VecEnvObs:
        """Start all episodes."""
        self.discounted_sums[:] = 0.0
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Step all environments."""
        observations, rewards, dones, infos = self.venv.step_wait()
        if self.moments is not None:
            self.discounted_sums = self.discounted_sums * self.gamma + rewards
            self.moments.update(self.discounted_sums)
            deviation = np.sqrt(self.moments.variance.item() + EPSILON)
            rewards = np.clip(rewards / deviation, -CLIP, CLIP).astype(np.float32)
            self.discounted_sums[dones] = 0.0
        if not self.bootstrap_time_limits:
            infos = [_ended(info) if done else info for info, done in zip(infos, dones, strict=True)]
        return observations, rewards, dones, infos


def _ended(info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "TimeLimit.truncated": False}
