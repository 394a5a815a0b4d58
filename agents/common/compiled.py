"""CUDA graphs: the launches of a whole update recorded once and replayed, so that Python is out of the loop."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["graphed"]

Update = Callable[..., tuple[Tensor, ...]]
WARM_UP = 3  # calls before recording, in which libraries choose kernels and optimisers make their state


def graphed(update: Update, optimizers: Sequence[torch.optim.Optimizer]) -> Update:
    """A function that does what ``update`` does, from its fourth call with the same shapes on by replay.

    Args:
        update: takes CUDA tensors and returns some; it may change parameters and optimiser state in place.
        optimizers: those it steps. Their learning rates become tensors, which a recorded graph can follow.
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
        """CUDA asks for warm-up off the default stream."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = self.update(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def _record(self, inputs: Sequence[Tensor]) -> None:
        """Recording launches nothing: the first replay is the update of this call."""
        self.inputs = [tensor.clone() for tensor in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.update(*self.inputs)
