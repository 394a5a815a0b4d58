"""Building blocks of an agent's inventory: networks and optimisers, attributes, statistics, generators.

Each agent lists its state once, as an :class:`agentgym.runs.state.Inventory` of such items. A saved agent contains
the items marked ``saved``; a run's checkpoint contains all of them.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.runs.state import Item

__all__ = ["Part", "attributes", "generator", "learned", "optimizer_state", "restore_optimizer", "statistics"]

Part = nn.Module | torch.optim.Optimizer | Tensor  # a Tensor is a parameter of its own: its values are saved


def learned(parts: Mapping[str, Part]) -> list[Item]:
    """Networks, optimisers and single tensors, by name."""
    return [_learned(name, part) for name, part in parts.items()]


def _learned(name: str, part: Part) -> Item:
    match part:
        case nn.Module():
            return Item(name, part.state_dict, part.load_state_dict, saved=True)
        case torch.optim.Optimizer():
            return Item(name, lambda: optimizer_state(part), lambda state: restore_optimizer(part, state), saved=True)

    def write(values: Tensor) -> None:
        part.data.copy_(values)

    return Item(name, lambda: part, write, saved=True)


def attributes(owner: object, names: Iterable[str], saved: bool = False) -> list[Item]:
    """Attributes of an object, one item each: numbers, arrays, or dictionaries of these."""
    held = vars(owner)

    def item(name: str) -> Item:
        return Item(name, lambda: held[name], lambda value: held.update({name: value}), saved=saved)

    return [item(name) for name in names]


def statistics(owner: object, name: str, length: int) -> Item:
    """A deque of numbers, or of dictionaries of them. NumPy scalars keep their type, because it affects means."""
    held = vars(owner)

    def write(entries: list[Any]) -> None:
        held[name] = deque(entries, maxlen=length)

    return Item(name, lambda: list(held[name] or ()), write)


def generator(name: str, own: torch.Generator) -> Item:
    """A random generator owned by the agent."""

    def write(state: Tensor) -> None:
        own.set_state(state)

    return Item(f"random.{name}", own.get_state, write)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's state as ``slots`` (tensors by "parameter/slot") and ``groups`` (plain values)."""
    state = optimizer.state_dict()
    slots = {
        f"{index}/{slot}": tensor.full_tensor() if _is_divided(tensor) else tensor
        for index, own in state["state"].items() for slot, tensor in own.items()
    }  # fmt: skip
    return {"slots": slots, "groups": [_plain_group(group) for group in state["param_groups"]]}


def _is_divided(tensor: Any) -> bool:
    """Whether it is a DTensor, divided among processes; without an import that costs every agent its time."""
    return hasattr(tensor, "full_tensor")


def _divided(tensor: Tensor, like: Any) -> Tensor:
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _plain_group(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value.item() if isinstance(value, Tensor) else value for key, value in group.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Restore a state that :func:`optimizer_state` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in saved["slots"].items():
        index, slot = key.split("/")
        like = parameters[int(index)] if int(index) < len(parameters) else None
        if like is not None and _is_divided(like) and tensor.shape == like.shape:
            tensor = _divided(tensor, like)
        state.setdefault(int(index), {})[slot] = tensor
    groups = [
        {key: tuple(value) if key == "betas" else value for key, value in group.items()} for group in saved["groups"]
    ]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for rate, group in zip(rates, optimizer.param_groups, strict=True):
        if isinstance(rate, Tensor):  # a recorded CUDA graph reads the learning rate from this tensor
            group["lr"] = rate.fill_(group["lr"])
