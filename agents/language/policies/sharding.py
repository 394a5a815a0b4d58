"""A model whose weights, gradients and optimiser's moments are divided among processes: PyTorch's FSDP2."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

__all__ = ["shard", "shared_out", "whole", "whole_tensors"]


def shard(model: Any, embeddings: set[nn.Parameter]) -> None:
    """Divide a transformers model among the processes of ``torch.distributed``, layer by layer.

    The embeddings stay whole in every process: the head is called apart from the model, and often has their weights.
    Gradients of what is divided come out of the backward pass as **means** over the processes.
    """
    for layer in model.base_model.layers:
        fully_shard(layer)
    fully_shard(model.base_model, ignored_params=embeddings)


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Within it every process holds all weights, so that processes may call the model different numbers of times."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.unshard()
        part.set_reshard_after_forward(False)
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True)
            part.reshard()


def whole_tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, with divided tensors put together. All processes must call it."""
    return {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in values.items()}


def shared_out(values: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors by name, divided as those of the same name in ``like``; the inverse of :func:`whole_tensors`."""

    def divided(value: Tensor, own: Tensor) -> Tensor:
        if not isinstance(own, DTensor) or isinstance(value, DTensor) or value.shape != own.shape:
            return value
        with torch.no_grad():
            return distribute_tensor(value.to(own.device), own.device_mesh, own.placements)

    return {name: divided(value, like[name]) if name in like else value for name, value in values.items()}
