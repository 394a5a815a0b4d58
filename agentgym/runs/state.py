"""State as a list of named items: whoever owns some says how to read it and how to put it back, and no more."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from agentgym.errors import CorruptFile
from agentgym.runs.state_files import Contents

__all__ = ["Inventory", "Item", "Rows", "pack", "unpack"]


@dataclass(frozen=True)
class Item:
    """One piece of a run's state.

    Attributes:
        name: unique in the run.
        read: gives it as nested dictionaries and lists of tensors, arrays, NumPy scalars and plain JSON values.
        write: puts back what ``read`` gave.
        when: "before" learning goes on; or at the "first rollout", for what ``learn()`` itself changes on its way there
            (random generators, action noise).
        saved: whether a saved agent holds it, too; otherwise only a run's checkpoint does.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    when: Literal["before", "first rollout"] = "before"
    saved: bool = False


@dataclass(frozen=True)
class Rows:
    """State that only grows at its end, such as a replay buffer: a checkpoint writes what is new.

    Rows are counted from the run's start; of a ring of ``capacity`` rows the last ``capacity`` are alive.

    Attributes:
        name: unique in the run.
        capacity: rows kept.
        count: rows written so far.
        read: arrays of rows ``first`` to ``last`` (exclusive), each with the row as first axis.
        write: puts such arrays back; called in order of rows, after :attr:`count` was restored.
    """

    name: str
    capacity: int
    count: Callable[[], int]
    read: Callable[[int, int], dict[str, np.ndarray]]
    write: Callable[[int, int, Mapping[str, np.ndarray]], None]


@dataclass(frozen=True)
class Inventory:
    """Everything that one part of a run owns."""

    items: Sequence[Item] = ()
    rows: Sequence[Rows] = ()

    def __add__(self, other: "Inventory") -> "Inventory":
        return Inventory([*self.items, *other.items], [*self.rows, *other.rows])

    @property
    def of_saved_agent(self) -> "Inventory":
        """The items that a saved agent holds."""
        return Inventory([item for item in self.items if item.saved])

    def read(self) -> dict[str, Any]:
        """All items by name."""
        return {item.name: item.read() for item in self.items}

    def write(self, state: Mapping[str, Any], when: str) -> None:
        """Put back the items whose time it is.

        Raises:
            CorruptFile: an item is missing, and then none is put back; or one does not fit.
        """
        due = [item for item in self.items if item.when == when]
        if missing := [item.name for item in due if item.name not in state]:
            raise CorruptFile(
                f"what was saved has no {', '.join(missing)}: it was damaged, or written by another agentgym. Install "
                "that one, or train again."
            )
        for item in due:
            try:
                item.write(state[item.name])
            except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
                raise CorruptFile(
                    f"what was saved of {item.name} does not fit this run or agent ({error!r})"
                ) from error


@dataclass
class _Packing:
    contents: Contents = field(default_factory=Contents)

    def pack(self, value: Any, path: str) -> Any:
        """Plain JSON in place of ``value``; tensors and arrays go under ``path``."""
        match value:
            case torch.Tensor():
                self.contents.tensors[path] = value.detach().clone()
                return {"$tensor": path}
            case np.ndarray() | np.generic():
                self.contents.arrays[path] = np.array(value)
                return {"$scalar" if isinstance(value, np.generic) else "$array": path}
            case Mapping():
                return {str(key): self.pack(item, f"{path}/{key}") for key, item in value.items()}
            case None | bool() | int() | float() | str():
                return value
            case Iterable():
                return [self.pack(item, f"{path}/{index}") for index, item in enumerate(value)]
        raise TypeError(f"{path} holds a {type(value).__name__}, which a checkpoint cannot")


def pack(state: Mapping[str, Any]) -> Contents:
    """Nested state as the contents of a checkpoint folder; tuples come back as lists."""
    packing = _Packing()
    packing.contents.values = {name: packing.pack(value, name) for name, value in state.items()}
    return packing.contents


def unpack(contents: Contents) -> dict[str, Any]:
    """What :func:`pack` was given.

    Raises:
        CorruptFile: the values refer to a tensor or array that is not there.
    """

    def restore(value: Any) -> Any:
        match value:
            case {"$tensor": str(path)}:
                return contents.tensors[path]
            case {"$array": str(path)}:
                return contents.arrays[path]
            case {"$scalar": str(path)}:
                return contents.arrays[path][()]
            case dict():
                return {key: restore(item) for key, item in value.items()}
            case list():
                return [restore(item) for item in value]
        return value

    try:
        return {name: restore(value) for name, value in contents.values.items()}
    except KeyError as error:
        raise CorruptFile(f"the checkpoint refers to {error}, which it does not hold") from error
