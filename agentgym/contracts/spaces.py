"""Lossless conversion of Gymnasium spaces to plain JSON values and back."""

from typing import Any

import numpy as np
from gymnasium import spaces

from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch

__all__ = ["check_same_spaces", "space_from_json", "space_to_json"]


def space_to_json(space: spaces.Space) -> dict[str, Any]:
    """Convert a Box, Discrete, MultiDiscrete, MultiBinary, Text or Dict space to JSON values.

    Raises:
        InvalidParameter: the space is of another kind.
    """
    match space:
        case spaces.Box():
            bounds = {"low": _compact(space.low), "high": _compact(space.high)}
            return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
        case spaces.Discrete():
            return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
        case spaces.MultiDiscrete():
            ranges = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
            return {"kind": "MultiDiscrete", "dtype": str(space.dtype), **ranges}
        case spaces.MultiBinary():
            return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else [int(n) for n in space.n]}
        case spaces.Text():
            lengths = {"min_length": int(space.min_length), "max_length": int(space.max_length)}
            return {"kind": "Text", "characters": "".join(sorted(space.character_set)), **lengths}
        case spaces.Dict():
            return {"kind": "Dict", "spaces": [[key, space_to_json(part)] for key, part in space.spaces.items()]}
    raise InvalidParameter(
        f"{space} cannot be saved: flatten it to a Box, Discrete, Multi..., Text or Dict space in a wrapper"
    )


def _compact(bounds: np.ndarray) -> Any:
    """A single number if all bounds are equal, else nested lists. Python floats represent float32 exactly."""
    return bounds.flat[0].item() if bounds.size and (bounds == bounds.flat[0]).all() else bounds.tolist()


def space_from_json(values: dict[str, Any]) -> spaces.Space:
    """The inverse of :func:`space_to_json`.

    Raises:
        CorruptFile: the values do not describe a space.
    """
    try:
        return _read(values)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise CorruptFile(f"the file describes no space known to this version: {values!r} ({error})") from error


def _read(values: dict[str, Any]) -> spaces.Space:
    match values["kind"]:
        case "Box":
            shape, dtype = tuple(values["shape"]), np.dtype(values["dtype"])
            low, high = (np.broadcast_to(np.array(values[end], dtype), shape).copy() for end in ("low", "high"))
            return spaces.Box(low, high, shape, dtype.type)
        case "Discrete":
            return spaces.Discrete(values["n"], start=values["start"], dtype=np.dtype(values["dtype"]).type)
        case "MultiDiscrete":
            dtype = np.dtype(values["dtype"])
            return spaces.MultiDiscrete(np.array(values["nvec"]), dtype=dtype.type, start=np.array(values["start"]))
        case "MultiBinary":
            return spaces.MultiBinary(values["n"])
        case "Text":
            return spaces.Text(
                values["max_length"], min_length=values["min_length"], charset=frozenset(values["characters"])
            )
        case "Dict":
            return spaces.Dict({key: _read(part) for key, part in values["spaces"]})
    raise ValueError(f"unknown kind {values['kind']!r}")


def check_same_spaces(agent: tuple[spaces.Space, spaces.Space], environment: tuple[spaces.Space, spaces.Space]) -> None:
    """Compare the (observation, action) spaces of an agent and an environment.

    Raises:
        SpaceMismatch: they differ; the message shows both.
    """
    for what, ours, theirs in zip(("observation", "action"), agent, environment, strict=True):
        if ours != theirs:
            raise SpaceMismatch(
                f"the agent's {what} space is {ours}, the environment's is {theirs}. "
                "Use the environment the agent was trained on, with the same wrappers."
            )
