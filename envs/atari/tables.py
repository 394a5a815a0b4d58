"""What a game's RAM and screen hold: labels, objects and regions. One module per game fills a :class:`Table`.

Bytes are decimal, 0 to 127. Pixels are columns x0 to x1 and rows y0 to y1 of the screen, both inclusive.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Label", "Object", "Patch", "Table"]

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Label:
    """A quantity in the RAM.

    Attributes:
        name: its name.
        byte: where it stands.
        low, high: the values that become -1 and 1; the range over whole games.
        kind: how to read the byte: "plain", "signed" (two's complement) or "bcd" (two decimal digits).
        bits: if given, the label stands for one entry per bit (-1 or 1) instead of a number.
        absent: the value of the byte (or of ``absent_byte``) at which the object is not there. The entry is 0 then, and
            a second entry, which is 1 if the object is there, is -1.
        axis: "x" or "y" if the byte moves something on the screen.
    """

    name: str
    byte: int
    low: int = 0
    high: int = 255
    kind: Literal["plain", "signed", "bcd"] = "plain"
    bits: tuple[int, ...] = ()
    absent: int | None = None
    absent_byte: int | None = None
    axis: Literal["", "x", "y"] = ""

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of its entries in the observation."""
        if self.bits:
            return tuple(f"{self.name}[{bit}]" for bit in self.bits)
        return (self.name,) if self.absent is None else (self.name, f"{self.name} there")


@dataclass(frozen=True)
class Object:
    """Something that can be hidden.

    Attributes:
        pokes: bytes and values that make it disappear from the picture of the next frame.
        labels: names of the labels that describe it.
        only: pokes happen only where the byte has this value now; None for always.
        keeps: bits of the byte that keep their value.
    """

    pokes: Mapping[int, int]
    labels: tuple[str, ...]
    only: int | None = None
    keeps: int = 0

    def active(self, ram: NDArray[np.uint8]) -> dict[int, int]:
        """The pokes for the present RAM."""
        return {
            byte: value | (int(ram[byte]) & self.keeps)
            for byte, value in self.pokes.items() if self.only is None or ram[byte] == self.only
        }  # fmt: skip


@dataclass(frozen=True)
class Patch:
    """A rectangle of the screen and the colour that it is painted with."""

    x0: int
    x1: int
    y0: int
    y1: int
    colour: Colour = (0, 0, 0)


@dataclass(frozen=True)
class Table:
    """Everything that is known of one game.

    Attributes:
        labels: the observation of type 0, in this order.
        objects: what type 3.2 can hide by RAM.
        regions: what type 3.2 can paint over.
        events: the modes of type 2.1 by their published number, classes of :mod:`agentgym.envs.atari.events`.
    """

    labels: tuple[Label, ...]
    objects: Mapping[str, Object]
    regions: Mapping[str, tuple[Patch, ...]]
    events: Mapping[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = {"plain": np.arange(256), "signed": (np.arange(256) + 128) % 256 - 128,
                 "bcd": np.arange(256) // 16 * 10 + np.arange(256) % 16}  # fmt: skip
        names: list[str] = []
        owners: list[int] = []
        columns: list[NDArray[np.float32]] = []
        bytes_: list[int] = []
        for owner, label in enumerate(self.labels):
            for entry, name in enumerate(label.entries):
                if label.bits:
                    column = (np.arange(256) >> label.bits[entry] & 1) * 2.0 - 1.0
                    byte = label.byte
                elif entry == 0:
                    column = (kinds[label.kind] - label.low) / (label.high - label.low) * 2.0 - 1.0
                    byte = label.byte
                else:
                    byte = label.byte if label.absent_byte is None else label.absent_byte
                    column = np.where(np.arange(256) == label.absent, -1.0, 1.0)
                names.append(name)
                owners.append(owner)
                columns.append(column.astype(np.float32))
                bytes_.append(byte)
        set_ = object.__setattr__
        set_(self, "names", tuple(names))
        set_(self, "_owners", np.array(owners))
        set_(self, "_values", np.array(columns))
        set_(self, "_bytes", np.array(bytes_))
        set_(self, "_rows", np.arange(len(names)))
        flagged = [row for row, label in enumerate(owners) if self.labels[label].absent is not None]
        set_(self, "_flagged", np.array(flagged[::2], dtype=np.int64))  # the values; their flags follow them

    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _owners: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _values: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _bytes: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _rows: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    _flagged: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def read(self, ram: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The labelled values, float32 [F], scaled; see :attr:`names` for the entries."""
        values = self._values[self._rows, ram[self._bytes]]
        gone = self._flagged[values[self._flagged + 1] < 0]
        values[gone] = 0.0
        return values

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The lowest and highest possible entry of each label, [F] each."""
        low, high = self._values.min(axis=1), self._values.max(axis=1)
        return np.minimum(low, 0.0), np.maximum(high, 0.0)

    def entries_of(self, objects: tuple[str, ...]) -> NDArray[np.int64]:
        """Indices of the entries of the given objects or labels."""
        wanted = {name for each in objects for name in (self.objects[each].labels if each in self.objects else (each,))}
        return np.array([row for row, owner in enumerate(self._owners) if self.labels[owner].name in wanted])
