"""Even and odd parts along z. Between equal plates derivatives map one to the other, with matrices of half the size.

A field on P points, those of :class:`agentgym.envs.convection.chebyshev.Collocation` with or without the plates, has
h = (P + 1) // 2 of them from the bottom to the mid plane, its first half. Each is paired with its mirror image; if P is
odd, the middle point is paired with itself.

    even(z) = (f(z) + f(-z)) / 2,    odd(z) = (f(z) - f(-z)) / 2,    f(z) = even(z) + odd(z),   f(-z) = even(z) - odd(z)
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["at_pairs", "blocks", "joined", "over_pairs", "split"]


def blocks(matrix: np.ndarray) -> np.ndarray:
    """Split a matrix [Q, P] that preserves or flips parity into [2, (Q + 1) // 2, h], for even and odd parts."""
    rows, columns = ((size + 1) // 2 for size in matrix.shape)
    near, far = matrix[:rows, :columns], matrix[:rows, ::-1][:, :columns]
    even, odd = near + far, near - far
    if matrix.shape[1] % 2:
        even[:, -1] /= 2  # the middle counts once
    return np.stack((even, odd))


def over_pairs(weights: np.ndarray) -> np.ndarray:
    """Convert weights [P, ...] of a field's points to weights [2 h, ...] of its first half and their mirror images."""
    half = (len(weights) + 1) // 2
    mirrored = weights[::-1][:half].copy()
    if len(weights) % 2:
        mirrored[-1] = 0.0  # the middle counts once
    return np.concatenate((weights[:half], mirrored))


def split(values: Tensor, signs: Tensor) -> Tensor:
    """Even and odd parts [2, ..., h] of values [..., P]; ``signs`` are (1, -1) along the first of as many axes."""
    half, halved = (values.shape[-1] + 1) // 2, values / 2
    return torch.addcmul(halved[..., :half], halved.flip(-1)[..., :half], signs)


def at_pairs(even: Tensor, odd: Tensor) -> Tensor:
    """Values [..., 2, h] on the first half and at its mirror images, from even and odd parts [..., h]."""
    return torch.stack((even + odd, even - odd), dim=-2)


def joined(halves: Sequence[Tensor], points: int) -> Tensor:
    """Values [..., P] from those on the first half and at its mirror images, [..., h] each."""
    first, mirrored = halves
    return torch.cat((first, mirrored[..., : points // 2].flip(-1)), dim=-1)
