"""Memory of stacks: matrices with the views that passes need, and scratch that stacks use in turn."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["FEW", "Matrix", "Scratch"]

FEW = 4  # rows up to which a layer's own loop is faster than the call of a matrix product


class Matrix:
    """A contiguous tensor ``[rows, columns]``, its transposed view and the same memory as an array, made once."""

    __slots__ = ("array", "tensor", "turned")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.turned, self.array = tensor, tensor.T, tensor.numpy()

    def first(self, rows: int) -> Tensor:
        """The first rows."""
        return self.tensor[:rows]


class Scratch:
    """Memory that all stacks of an agent use in turn: nothing in it outlives a method of a stack."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, torch.dtype], Tensor] = {}
        self._matrices: dict[tuple[str, int, int, torch.dtype], Matrix] = {}
        self._hidden: dict[tuple[int, Sequence[int], torch.dtype], list[Matrix]] = {}

    def __reduce__(self) -> tuple[type["Scratch"], tuple[()]]:
        return Scratch, ()  # a copy has its own memory

    def take(self, place: str, rows: int, columns: int, dtype: torch.dtype) -> Matrix:
        """A matrix of arbitrary content; another call with the same ``place`` gets the same memory."""
        key = (place, rows, columns, dtype)
        if key not in self._matrices:
            flat = self._flat.get((place, dtype))
            if flat is None or len(flat) < rows * columns:
                flat = self._flat[place, dtype] = torch.empty(rows * columns, dtype=dtype)
            self._matrices[key] = Matrix(flat[: rows * columns].view(rows, columns))
        return self._matrices[key]

    def hidden(self, rows: int, widths: Sequence[int], dtype: torch.dtype) -> list[Matrix]:
        """Hidden layers of those widths."""
        key = (rows, widths, dtype)
        if key not in self._hidden:
            self._hidden[key] = [self.take(f"hidden {k}", rows, width, dtype) for k, width in enumerate(widths)]
        return self._hidden[key]
