"""ODICE's networks: V, its target, and a policy."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.agents.offline.actors import Actor
from agentgym.agents.offline.networks import Normalizer, OfflinePolicy

__all__ = ["ODICEPolicy", "ValueNetwork"]


class ValueNetwork(nn.Module):
    """V_1 to V_n, multilayer perceptrons with or without layer normalisation before each ReLU.

    They are initialised as ``nn.Linear`` and ``nn.LayerNorm``. The graph is differentiated several times, so this uses
    autograd instead of the shared stack, which reuses its memory.

    Args:
        observations: size of a flat observation.
        layers: units of each hidden layer.
        members: number of networks, n.
        layer_norm: whether to use layer normalisation.
    """

    def __init__(self, observations: int, layers: Sequence[int], members: int, layer_norm: bool) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.scales, self.shifts = nn.ParameterList(), nn.ParameterList()
        for width, following in itertools.pairwise([observations, *layers, 1]):
            bound = 1 / math.sqrt(width)
            self.weights.append(nn.Parameter(torch.empty(members, following, width).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, following).uniform_(-bound, bound)))
        for width in layers if layer_norm else ():
            self.scales.append(nn.Parameter(torch.ones(members, 1, width)))
            self.shifts.append(nn.Parameter(torch.zeros(members, 1, width)))
        self.members, self.layer_norm = members, layer_norm

    def forward(self, states: Tensor) -> Tensor:
        """V_i(s), ``[n, B]``, of normalised states ``[B, D]``."""
        hidden = states.expand(self.members, -1, -1)
        for k in range(len(self.weights) - 1):
            hidden = torch.baddbmm(self.biases[k], hidden, self.weights[k].mT)
            if self.layer_norm:
                hidden = torch.addcmul(self.shifts[k], F.layer_norm(hidden, hidden.shape[2:]), self.scales[k])
            hidden = hidden.relu()
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1].mT).squeeze(2)


class ODICEPolicy(OfflinePolicy):
    """All of ODICE's networks."""

    def __init__(self, normalizer: Normalizer, actor: Actor, value: ValueNetwork, target: ValueNetwork) -> None:
        super().__init__()
        self.normalizer = normalizer
        self.actor = actor
        self.value = value
        self.value_target = target.requires_grad_(False)
        self.value_target.load_state_dict(value.state_dict())
