"""Observations and rewards brought to unit scale by running statistics, as VecNormalize of OpenAI Baselines does.

Observations are normalised inside the policy, so that a saved agent takes the environment's own observations;
rewards are scaled on their way from the environments to the learner, and nowhere else.
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

CLIP = 10.0  # in standard deviations; VecNormalize's, like the two below
EPSILON = 1e-8
PRIOR_COUNT = 1e-4  # weight of the initial mean 0 and variance 1


class RunningMoments(nn.Module):
    """Mean and variance of everything seen, in float64; its ``state_dict`` is the whole of it."""

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
    """Flattened observations less their mean, by their standard deviation, within 10 of it.

    Args:
        observation_space: a Box.

    Raises:
        InvalidParameter: another space.
    """

    def __init__(self, observation_space: spaces.Space) -> None:
        if not isinstance(observation_space, spaces.Box):
            raise InvalidParameter(
                f"Observations of {observation_space} cannot be normalised: only a Box's. Use normalize=False."
            )
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.moments = RunningMoments((size,))

    def forward(self, observations: Tensor) -> Tensor:
        """[B, ...] to [B, D]."""
        flat = observations.flatten(1)
        scale = (self.moments.variance + EPSILON).rsqrt().to(flat.dtype)
        return ((flat - self.moments.mean.to(flat.dtype)) * scale).clamp(-CLIP, CLIP)


class LearnersView(VecEnvWrapper):
    """Environments as an on-policy learner sees them; episode statistics underneath stay the environment's own.

    Args:
        venv: the environments.
        moments: if given, rewards are divided by the standard deviation that it holds: that of the discounted sum
            of the rewards so far in the episode, and it is updated with every step.
        gamma: the discount of that sum.
        bootstrap_time_limits: False shows an episode that a time limit cut as one that ended.

    Attributes:
        discounted_sums: the sum of each environment's running episode, ``[n]``.
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
