"""Even and odd parts along z: between equal plates, derivatives take each to one of them, with matrices half the size.

A field on P points, those of :class:`agentgym.envs.convection.chebyshev.Collocation` with or without the plates, has
h = (P + 1) // 2 of them from the bottom to the mid plane: its first half. Each is paired with its mirror image, the one
in the middle of an odd number with itself.

    even(z) = (f(z) + f(-z)) / 2,    odd(z) = (f(z) - f(-z)) / 2,    f(z) = even(z) + odd(z),   f(-z) = even(z) - odd(z)
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["at_pairs", "blocks", "joined", "over_pairs", "split"]


def blocks(matrix: np.ndarray) -> np.ndarray:
    """A matrix [Q, P] that keeps parity, or turns it, as the two [2, (Q + 1) // 2, h] for even and for odd parts."""
    rows, columns = ((size + 1) // 2 for size in matrix.shape)
    near, far = matrix[:rows, :columns], matrix[:rows, ::-1][:, :columns]
    even, odd = near + far, near - far
    if matrix.shape[1] % 2:
        even[:, -1] /= 2  # the middle counts once
    return np.stack((even, odd))


def over_pairs(weights: np.ndarray) -> np.ndarray:
    """Weights [P, ...] of a field's points as weights [2 h, ...] of its first half and their mirror images."""
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
    """Values [..., 2, h] on the first half and at its mirror images, from parts [..., h]."""
    return torch.stack((even + odd, even - odd), dim=-2)


def joined(halves: Sequence[Tensor], points: int) -> Tensor:
    """Values [..., P] from those on the first half and at its mirror images, [..., h] each."""
    first, mirrored = halves
    return torch.cat((first, mirrored[..., : points // 2].flip(-1)), dim=-1)
