"""Multilayer perceptrons of offline agents, and the normalisation of flat observations."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.mlp import stacked_mlp
from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack.memory import Scratch

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["MLP", "Normalizer", "OfflinePolicy"]


class MLP(nn.Module):
    """``members`` networks of equal shape, evaluated together and initialised as ``nn.Linear``.

    Args:
        inputs: size of the input.
        layers: units of each hidden layer, with ReLU in between.
        outputs: size of the linear output.
        members: number of networks.
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
            inputs: parts of the input, ``[B, ...]`` each, to be concatenated.
            frozen: gradients reach the inputs but not the networks' parameters.
            members: which networks; all by default.
        """
        weights: list[Any] = [weight.detach() if frozen else weight for weight in self.weights]
        biases: list[Any] = [bias.detach() if frozen else bias for bias in self.biases]
        if members != slice(None):
            weights, biases = [weight[members] for weight in weights], [bias[members] for bias in biases]
        return stacked_mlp(inputs, weights, biases)

    def stack(self, scratch: Scratch, optimizer: FusedAdam | None = None, beside: Sequence[Tensor] = ()) -> "Stack":
        """These networks as a stack; see there for the arguments."""
        from agentgym.agents.common.stack.stack import Stack  # not before it is used: it imports Numba

        parameters = [tensor for layer in zip(self.weights, self.biases, strict=True) for tensor in layer]
        sizes = [self.weights[0].shape[2], *(weight.shape[1] for weight in self.weights)]
        return Stack(len(self.weights[0]), sizes, parameters, scratch, optimizer, beside)


class Normalizer(nn.Module):
    """(s - mean) / (std + 1e-3), entry by entry, as in TD3+BC. It is saved with the agent.

    Args:
        width: size of a flat observation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, observations: Tensor) -> None:
        """Compute mean and standard deviation of ``[N, width]``."""
        self.mean.copy_(observations.mean(0))
        self.scale.copy_(observations.std(0, correction=0) + 1e-3)

    def forward(self, observations: Tensor) -> Tensor:
        """Flatten and normalise observations ``[B, ...]`` to ``[B, width]``."""
        flat: Tensor = (observations.flatten(1).float() - self.mean) / self.scale
        return flat


class OfflinePolicy(nn.Module):
    """Container of an agent's networks, with the interface of Stable-Baselines3's policies."""

    def set_training_mode(self, mode: bool) -> None:
        """Switch dropout and similar layers on or off."""
        self.train(mode)
