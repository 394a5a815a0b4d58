"""Multilayer perceptrons of offline agents, and what they see: normalised observations, flat."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.mlp import stacked_mlp

__all__ = ["MLP", "Normalizer", "OfflinePolicy"]


class MLP(nn.Module):
    """``members`` networks of one shape, evaluated together; initial values are those of ``nn.Linear``.

    Args:
        inputs: width of the input.
        layers: widths of the hidden layers, ReLU between them.
        outputs: width of the linear output.
        members: how many networks.
    """

    def __init__(self, inputs: int, layers: Sequence[int], outputs: int, members: int = 1) -> None:
        super().__init__()
        widths = [inputs, *layers, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for width, following in itertools.pairwise(widths):
            bound = 1 / math.sqrt(width)
            self.weights.append(nn.Parameter(torch.empty(members, following, width).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, following).uniform_(-bound, bound)))

    def forward(self, *inputs: Tensor, frozen: bool = False, members: slice = slice(None)) -> Tensor:
        """Outputs ``[members, B, outputs]``.

        Args:
            inputs: parts of the input, ``[B, ...]`` each, to be joined.
            frozen: gradients reach the inputs but not the networks' parameters.
            members: which networks; all by default.
        """
        weights: list[Any] = [weight.detach() if frozen else weight for weight in self.weights]
        biases: list[Any] = [bias.detach() if frozen else bias for bias in self.biases]
        if members != slice(None):
            weights, biases = [weight[members] for weight in weights], [bias[members] for bias in biases]
        return stacked_mlp(inputs, weights, biases)


class Normalizer(nn.Module):
    """(s - mean) / (std + 1e-3), entry by entry, as TD3+BC normalises; saved with the agent.

    Args:
        width: entries of a flat observation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, observations: Tensor) -> None:
        """Take mean and standard deviation from ``[N, width]``."""
        self.mean.copy_(observations.mean(0))
        self.scale.copy_(observations.std(0, correction=0) + 1e-3)

    def forward(self, observations: Tensor) -> Tensor:
        """Normalised, ``[B, width]``, from observations of any shape ``[B, ...]``."""
        flat: Tensor = (observations.flatten(1).float() - self.mean) / self.scale
        return flat


class OfflinePolicy(nn.Module):
    """All networks of an agent, in Stable-Baselines3's manner."""

    def set_training_mode(self, mode: bool) -> None:
        """Dropout and the like on or off."""
        self.train(mode)
