"""The state of a run as a list of named items, each with a function to read it and a function to restore it."""

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
    """An item of a run's state.

    Attributes:
        name: name of the item, unique in the run.
        read: returns the item as nested dictionaries and lists of tensors, arrays, NumPy scalars and JSON values.
        write: restores the item from the result of ``read``.
        when: when to restore it: "before" ``learn()``, or at the start of the "first rollout" if ``learn()`` changes it
            before (random generators, action noise).
        saved: whether it is part of a saved agent; otherwise it is part of checkpoints only.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    when: Literal["before", "first rollout"] = "before"
    saved: bool = False


@dataclass(frozen=True)
class Rows:
    """State that only grows at its end, such as a replay buffer; checkpoints write new rows only.

    Rows are counted from the start of the run. A ring buffer holds the last ``capacity`` of them.

    Attributes:
        name: name of the rows, unique in the run.
        capacity: maximum number of rows.
        count: returns the number of rows written so far.
        read: returns arrays of rows ``first`` to ``last`` (exclusive), with rows along the first axis.
        write: restores such arrays; called in order, after :attr:`count` was restored.
    """

    name: str
    capacity: int
    count: Callable[[], int]
    read: Callable[[int, int], dict[str, np.ndarray]]
    write: Callable[[int, int, Mapping[str, np.ndarray]], None]


@dataclass(frozen=True)
class Inventory:
    """The state of a part of a run."""

    items: Sequence[Item] = ()
    rows: Sequence[Rows] = ()

    def __add__(self, other: "Inventory") -> "Inventory":
        return Inventory([*self.items, *other.items], [*self.rows, *other.rows])

    @property
    def of_saved_agent(self) -> "Inventory":
        """The items of a saved agent."""
        return Inventory([item for item in self.items if item.saved])

    def read(self) -> dict[str, Any]:
        """All items by name."""
        return {item.name: item.read() for item in self.items}

    def write(self, state: Mapping[str, Any], when: str) -> None:
        """Restore the items with the given ``when``.

        Raises:
            CorruptFile: an item is missing (then none is restored), or an item does not fit.
        """
        due = [item for item in self.items if item.when == when]
        if missing := [item.name for item in due if item.name not in state]:
            raise CorruptFile(
                f"the saved state has no {', '.join(missing)}: it is damaged, or was written by another version of "
                "agentgym. Install that version, or train again."
            )
        for item in due:
            try:
                item.write(state[item.name])
            except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
                raise CorruptFile(
                    f"the saved state of {item.name} does not fit this run or agent ({error!r})"
                ) from error


@dataclass
class _Packing:
    contents: Contents = field(default_factory=Contents)

    def pack(self, value: Any, path: str) -> Any:
        """Convert ``value`` to plain JSON; move tensors and arrays to ``contents`` under ``path``."""
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
        raise TypeError(f"{path} is a {type(value).__name__}, which cannot be stored in a checkpoint")


def pack(state: Mapping[str, Any]) -> Contents:
    """Convert nested state to the contents of a checkpoint folder; tuples become lists."""
    packing = _Packing()
    packing.contents.values = {name: packing.pack(value, name) for name, value in state.items()}
    return packing.contents


def unpack(contents: Contents) -> dict[str, Any]:
    """The inverse of :func:`pack`.

    Raises:
        CorruptFile: a tensor or array is missing.
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
        raise CorruptFile(f"the checkpoint refers to {error}, which is missing") from error
