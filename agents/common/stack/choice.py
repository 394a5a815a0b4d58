"""Whether an agent's updates run on stacks or by autograd."""

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from agentgym.agents.common.optim import FusedAdam
from agentgym.errors import InvalidParameter

__all__ = ["UpdateBy", "on_stacks"]

UpdateBy = Literal["auto", "stack", "autograd"]

_log = logging.getLogger(__name__)


def on_stacks(
    agent: str, wanted: str, device: torch.device, layers: Sequence[int],
    activations: Sequence[type[nn.Module]], optimizers: Sequence[torch.optim.Optimizer], recorded: bool,
) -> bool:  # fmt: skip
    """Choose between stacks (True) and autograd, and say so in the log (level INFO).

    Args:
        agent: its name.
        wanted: "auto" takes stacks where they can be used; the others force one way.
        device: of the networks.
        layers: how many hidden ones each network has.
        activations: between layers, of each network.
        optimizers: of the networks.
        recorded: ``compile`` or ``cuda_graphs`` is on.

    Raises:
        InvalidParameter: "stack" is forced and cannot be; the message says why.
    """
    against = ""
    if device.type != "cpu":
        against = f"the device is {device}"
    elif recorded:
        against = "compile and cuda_graphs need autograd"
    elif not all(layers):
        against = "a network has no hidden layer"
    elif any(activation is not nn.ReLU for activation in activations):
        against = "the activation is not ReLU"
    elif not all(_plain_adam(optimizer) for optimizer in optimizers):
        against = "the optimiser is not Adam without weight decay and amsgrad"
    if wanted == "stack" and against:
        raise InvalidParameter(f'{agent}: update_by="stack" cannot be, for {against}. Use "auto" or "autograd".')
    chosen = wanted != "autograd" and not against
    _log.info("%s updates %s", agent, "on stacks" if chosen else f"by autograd: {against or 'as asked for'}")
    return chosen


def _plain_adam(optimizer: torch.optim.Optimizer) -> bool:
    plain = type(optimizer) is FusedAdam and len(optimizer.param_groups) == 1
    return plain and not any(optimizer.param_groups[0][name] for name in ("weight_decay", "amsgrad", "maximize"))
