"""A context in which the CPU treats denormal numbers as zero."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["flushing_denormals"]


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Flush denormals to zero in this thread. Attention produces many, and they slow it down by a large factor.

    The mode applies to the whole thread, so it is restored on exit to keep all other arithmetic bit-equal.
    """
    before = (torch.tensor([1e-40]) * 1.0).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
