"""CUDA graphs: record the kernel launches of a whole update once and replay them without Python overhead."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["graphed"]

Update = Callable[..., tuple[Tensor, ...]]
WARM_UP = 3  # calls before recording, in which libraries choose kernels and optimisers create their state


def graphed(update: Update, optimizers: Sequence[torch.optim.Optimizer]) -> Update:
    """Wrap ``update`` so that it is replayed as a CUDA graph from the fourth call with the same shapes on.

    Args:
        update: takes and returns CUDA tensors; it may change parameters and optimiser state in place.
        optimizers: the optimisers it steps. Their learning rates become tensors, which a recorded graph can read.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)
    recordings: dict[tuple[torch.Size, ...], _Recording] = {}

    def replayed(*inputs: Tensor) -> tuple[Tensor, ...]:
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in recordings:
            recordings[shapes] = _Recording(update)
        return recordings[shapes](*inputs)

    return replayed


class _Recording:
    def __init__(self, update: Update) -> None:
        self.update = update
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.outputs: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._on_side_stream(inputs)
        if self.graph is None:
            self._record(inputs)
        for static, tensor in zip(self.inputs, inputs, strict=True):
            static.copy_(tensor)
        assert self.graph is not None
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)

    def _on_side_stream(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run one warm-up call. CUDA requires that it is not on the default stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = self.update(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def _record(self, inputs: Sequence[Tensor]) -> None:
        """Record the graph. Recording runs no kernel, so the first replay does the update of this call."""
        self.inputs = [tensor.clone() for tensor in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.update(*self.inputs)
