"""Encoding of constructor arguments as JSON and back. Decoding executes nothing from the file.

Besides plain values it handles tuples, Stable-Baselines3's learning-rate schedules, and classes of PyTorch and of
this library's optimisers, by name.
"""

from typing import Any

import torch
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule
from torch import nn

from agentgym.agents.common import optim
from agentgym.errors import CorruptFile, InvalidParameter

__all__ = ["decoded", "encoded", "require_savable"]

_CLASSES: dict[str, Any] = {"torch.nn": nn, "torch.optim": torch.optim, "agentgym": optim}
_SCHEDULES: dict[str, Any] = {"ConstantSchedule": ConstantSchedule, "LinearSchedule": LinearSchedule}


def encoded(value: Any) -> Any:
    """Encode a constructor argument as JSON values.

    Raises:
        TypeError: JSON cannot represent it (a function, an object).
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case TrainFreq(frequency, unit):
            return {"tuple": [frequency, unit.value]}
        case tuple():
            return {"tuple": [encoded(item) for item in value]}
        case list():
            return [encoded(item) for item in value]
        case dict():
            return {"dict": {key: encoded(item) for key, item in value.items()}}
        case FloatSchedule():
            return encoded(value.value_schedule)
        case ConstantSchedule() | LinearSchedule():
            return {"schedule": type(value).__name__, "values": vars(value)}
        case type() as found:
            for library, module in _CLASSES.items():
                if vars(module).get(found.__name__) is found:
                    return {"class": found.__name__, "of": library}
    raise TypeError(f"{value!r} has no JSON form")


def decoded(value: Any) -> Any:
    """Decode a value that :func:`encoded` returned.

    Raises:
        CorruptFile: its form is unknown, or it names a class that does not exist.
    """
    match value:
        case list():
            return [decoded(item) for item in value]
        case {"tuple": items}:
            return tuple(decoded(item) for item in items)
        case {"dict": items}:
            return {key: decoded(item) for key, item in items.items()}
        case {"schedule": name, "values": values}:
            return _SCHEDULES[name](**values)
        case {"class": name, "of": library}:
            found = vars(_CLASSES[library]).get(name)
            if not isinstance(found, type):
                raise CorruptFile(f"the file names a class {name!r} that {library} does not have")
            return found
        case dict():
            raise CorruptFile(f"the file holds an argument of unknown form: {value!r}")
    return value


def require_savable(policy_kwargs: dict[str, Any]) -> None:
    """Refuse network options that cannot be saved.

    Raises:
        InvalidParameter: a class from outside PyTorch, or an object.
    """
    for name, value in policy_kwargs.items():
        try:
            encoded(value)
        except TypeError as error:
            raise InvalidParameter(
                f"policy_kwargs[{name!r}]: {error}, so the agent could not be saved. "
                "Give plain values and classes of torch.nn or torch.optim."
            ) from None
