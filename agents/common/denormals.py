"""Denormal numbers count as zero while an agent computes, and only then."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["flushing_denormals"]


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Within, this thread's processor flushes denormals: attention's tiny weights are many times slower otherwise.

    The mode belongs to the whole thread, so it is put back: other arithmetic has to stay as it was, bit for bit.
    """
    before = (torch.tensor([1e-40]) * 1.0).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
