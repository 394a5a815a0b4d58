"""Reusable memory for large intermediate results, which keep their pages from one update to the next.

A network of 256 units on a batch of 256 produces results of 256 to 512 KiB, which the C library requests from the
kernel and returns each time. Touching fresh pages can then cost more than computing a ReLU.
"""

from math import prod

import torch

__all__ = ["WORKSPACE", "Workspace"]


class Workspace:
    """Free float32 CPU buffers by number of elements.

    A taken buffer belongs to its taker until it is given back, so values are never overwritten in a graph that is
    kept, dropped or run twice. A buffer that is never given back is simply freed.

    Args:
        keep: maximum number of free buffers per size.
    """

    def __init__(self, keep: int = 8) -> None:
        self.keep = keep
        self._free: dict[int, list[torch.Tensor]] = {}

    def take(self, *shape: int) -> torch.Tensor:
        """A contiguous tensor of that shape with arbitrary contents."""
        buffers = self._free.get(prod(shape))
        return buffers.pop().view(shape) if buffers else torch.empty(shape)

    def give(self, *buffers: torch.Tensor) -> None:
        """Take back buffers that are no longer read."""
        for buffer in buffers:
            free = self._free.setdefault(buffer.numel(), [])
            if len(free) < self.keep:
                free.append(buffer)


WORKSPACE = Workspace()  # shared by all networks
