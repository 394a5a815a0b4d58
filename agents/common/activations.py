"""Activation functions by the names used in configurations."""

from typing import Literal

from torch import nn

__all__ = ["ACTIVATIONS", "Activation"]

Activation = Literal["relu", "tanh", "elu", "gelu", "silu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU,
}  # fmt: skip
