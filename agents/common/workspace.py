"""Memory that is used again: large intermediate results keep their pages from one update to the next.

A network of 256 units on a batch of 256 makes results of a quarter to half a megabyte, which the C library asks
the kernel for and gives back each time. Touching fresh pages can then cost more than the arithmetic of a ReLU.
"""

from math import prod

import torch

__all__ = ["WORKSPACE", "Workspace"]


class Workspace:
    """Free float32 CPU buffers by number of elements.

    A buffer that was taken belongs to the taker alone until it is given back, so a graph that is kept, dropped
    or run twice never sees its values overwritten; a buffer that is never given back is merely freed.

    Args:
        keep: how many free buffers of one size are kept.
    """

    def __init__(self, keep: int = 8) -> None:
        self.keep = keep
        self._free: dict[int, list[torch.Tensor]] = {}

    def take(self, *shape: int) -> torch.Tensor:
        """A contiguous tensor of that shape with arbitrary content."""
        buffers = self._free.get(prod(shape))
        return buffers.pop().view(shape) if buffers else torch.empty(shape)

    def give(self, *buffers: torch.Tensor) -> None:
        """Take back buffers that nobody will read any more."""
        for buffer in buffers:
            free = self._free.setdefault(buffer.numel(), [])
            if len(free) < self.keep:
                free.append(buffer)


WORKSPACE = Workspace()  # one for all networks: buffers of one size serve them in turn
