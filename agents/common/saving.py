"""Agents on disk: tensors as safetensors, everything else as JSON; nothing is ever unpickled.

A saved agent is a folder written by :mod:`agentgym.checkpoint`. It holds every module, optimiser and variable
that the class lists in ``_get_torch_save_params``, the constructor's arguments, both spaces, the counters, and what the
environments' wrappers did to observations and rewards (statistics of ``VecNormalize``, frame stacks).
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule
from torch import Tensor, nn

from agentgym import catalog, checkpoint
from agentgym.agents.common import optim
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId
from agentgym.preprocessing import Preprocessing, preprocessing_of
from agentgym.spaces import space_from_json, space_to_json

if TYPE_CHECKING:
    from agentgym.agents.common.agent import Agent

__all__ = [
    "SavedAgent",
    "contents",
    "folder",
    "load_agent",
    "optimizer_state",
    "read",
    "restore",
    "restore_normalization",
    "restore_optimizer",
    "set_states",
    "write",
]

COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num")


class SavedAgent:
    """What a folder holds, read and checked, before an object is made of it.

    Attributes:
        name: the agent's name in the catalog.
        arguments: constructor arguments; those that JSON cannot hold (``missing``) are left out.
    """

    def __init__(self, found: checkpoint.Contents, origin: Path | str) -> None:
        self.tensors, self.values = found.tensors, found.values
        try:
            self.name: str = self.values["agent"]
            self.policy: str = self.values["policy"]
            self.n_envs: int = self.values["n_envs"]
            self.missing: list[str] = self.values["missing"]
            self.arguments = {name: _decode(value) for name, value in self.values["arguments"].items()}
            self.counters: dict[str, int] = {name: self.values["counters"][name] for name in COUNTERS}
            self.observation_space = space_from_json(self.values["observation_space"])
            self.action_space = space_from_json(self.values["action_space"])
            self.preprocessing = _read_preprocessing(self.values.get("preprocessing"))
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(f"{origin} holds no saved agent ({error!r} is missing or damaged)") from error

    def states(self) -> dict[str, Any]:
        """Tensors by module, and optimisers as :func:`optimizer_state` gives them, for :func:`set_states`."""
        found: dict[str, Any] = {
            name: {"slots": {}, "groups": groups} for name, groups in self.values["optimizers"].items()
        }
        for key, tensor in self.tensors.items():
            name, _, rest = key.partition("/")
            if name != "variables":
                found.setdefault(name, {}).get("slots", found[name])[rest] = tensor
        return found


def folder(path: Any) -> Path:
    """Where an agent is saved under a name. ``.zip`` at its end, as Stable-Baselines3 has it, is left off.

    Raises:
        InvalidParameter: a file object.
    """
    if hasattr(path, "read") or hasattr(path, "write"):
        raise InvalidParameter("An agent is saved as a folder, which a file object cannot hold: give a path")
    path = Path(path)
    return path.with_suffix("") if path.suffix == ".zip" and not path.is_dir() else path


def write(path: Path | str, found: checkpoint.Contents) -> Path:
    """Write an agent's :func:`contents` under a name, replacing an older one only once the new one is whole on disk.

    Returns:
        Its :func:`folder`.

    Raises:
        NotWritable, OSError: see :func:`agentgym.checkpoint.write`.
    """
    return checkpoint.write(folder(path), found)


def read(path: Path | str) -> SavedAgent:
    """Read what :func:`write` wrote under that name.

    Raises:
        FileNotFoundError: there is none.
        CorruptFile: it is damaged, or no agent's.
    """
    place = folder(path)
    if not place.is_dir() and Path(path).is_file():
        raise CorruptFile(
            f"{path} is a file; an agent is saved as a folder. What Stable-Baselines3 saved is read by its own "
            "class, and a SAC's zip also by agentgym.agents.SAC.import_sb3(path, env)"
        )
    return SavedAgent(checkpoint.read(place), path)


def load_agent(folder: Path | str, env: Any = None, device: torch.device | str = "auto") -> "Agent":
    """The agent in ``folder``, of whichever class in the catalog wrote it.

    Raises:
        FileNotFoundError, CorruptFile: see :func:`read`.
        UnknownId: no installed package knows that class.
    """
    entry = catalog.find("agent", read(folder).name)
    agent: Agent = catalog.load(entry).load(folder, env=env, device=device)
    return agent


def contents(agent: "Agent") -> checkpoint.Contents:
    """The agent as tensors and JSON values."""
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    modules, variables = agent._get_torch_save_params()
    for name in modules:
        part = recursive_getattr(agent, name)
        if isinstance(part, torch.optim.Optimizer):
            state = optimizer_state(part)
            groups[name] = state["groups"]
            tensors.update({f"{name}/{slot}": tensor for slot, tensor in state["slots"].items()})
        else:
            tensors.update({f"{name}/{key}": tensor for key, tensor in part.state_dict().items()})
    tensors.update({f"variables/{name}": recursive_getattr(agent, name) for name in variables})

    arguments, missing = {}, []
    for name in agent.saved_arguments:
        try:
            arguments[name] = _encode(getattr(agent, name))
        except TypeError:
            missing.append(name)
    values = {
        "agent": agent.catalog_name,
        "policy": agent.policy_name,
        "arguments": arguments,
        "missing": missing,
        "optimizers": groups,
        "observation_space": space_to_json(agent.observation_space),
        "action_space": space_to_json(agent.action_space),
        "n_envs": agent.n_envs,
        "preprocessing": _preprocessing(agent),
        "vec_normalize": _vec_normalize(agent),
        "counters": {name: getattr(agent, name) for name in COUNTERS},
        "versions": {
            "python": platform.python_version(),
            "agentgym": version("agentgym"),
            "torch": torch.__version__,
            "stable_baselines3": stable_baselines3.__version__,
            "numpy": np.__version__,
        },
    }
    return checkpoint.Contents({name: tensor.detach().clone() for name, tensor in tensors.items()}, {}, values)


def _preprocessing(agent: "Agent") -> dict[str, Any] | None:
    found = preprocessing_of(agent)
    return None if found is None else {"space": space_to_json(found.space), **found.to_json()}


def _read_preprocessing(values: dict[str, Any] | None) -> Preprocessing | None:
    return None if values is None else Preprocessing.from_json(values, space_from_json(values["space"]))


def _vec_normalize(agent: "Agent") -> dict[str, Any] | None:
    """The statistics of the environments' ``VecNormalize``, or those that the agent was loaded with."""
    normalize = agent.get_vec_normalize_env() if hasattr(agent, "get_vec_normalize_env") else None  # offline: no
    if normalize is None:
        return getattr(agent, "saved_vec_normalize", None) if agent.get_env() is None else None
    moments: dict[str, Any] = {"returns": normalize.ret_rms}
    if normalize.norm_obs:
        moments["observations"] = normalize.obs_rms
    return {
        name: {"mean": rms.mean.tolist(), "var": rms.var.tolist(), "count": float(rms.count)}
        for name, rms in moments.items()
    }


def restore_normalization(agent: "Agent", saved: SavedAgent) -> None:
    """Put the saved statistics into a fresh ``VecNormalize``; one that has seen observations keeps its own.

    Raises:
        InvalidParameter: the agent was trained on normalised observations, and these environments normalise none.
    """
    agent.saved_preprocessing = saved.preprocessing
    agent.saved_vec_normalize = stored = saved.values.get("vec_normalize")
    if stored is None or agent.get_env() is None:
        return
    normalize = agent.get_vec_normalize_env()
    if normalize is None or (normalize.norm_obs != ("observations" in stored)):
        if "observations" not in stored:
            return
        raise InvalidParameter(
            "The agent was trained behind VecNormalize, and this environment is not behind one. Give it one; it gets "
            f"the saved statistics: {type(agent).__name__}.load(folder, env=VecNormalize(venv))"
        )
    if normalize.ret_rms.count >= 1:
        return
    fresh: list[tuple[str, Any]] = [
        ("returns", normalize.ret_rms),
        ("observations", getattr(normalize, "obs_rms", None)),
    ]
    for name, rms in fresh:
        if name in stored:
            rms.mean, rms.var = (np.array(stored[name][what], np.float64) for what in ("mean", "var"))
            rms.count = stored[name]["count"]


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser as ``slots``, tensors by "parameter/slot", and ``groups``, plain values."""
    state = optimizer.state_dict()
    slots = {f"{index}/{slot}": tensor for index, own in state["state"].items() for slot, tensor in own.items()}
    return {"slots": slots, "groups": [_plain_group(group) for group in state["param_groups"]]}


def _plain_group(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value.item() if isinstance(value, Tensor) else value for key, value in group.items()}


def restore(agent: "Agent", saved: SavedAgent) -> None:
    """Put the saved tensors and counters into an agent that was just made with the saved arguments.

    Raises:
        CorruptFile: a tensor is missing, or has another shape than the agent's.
    """
    modules, variables = agent._get_torch_save_params()
    try:
        for name in modules:
            part = recursive_getattr(agent, name)
            stored = {
                key.removeprefix(f"{name}/"): tensor
                for key, tensor in saved.tensors.items()
                if key.startswith(f"{name}/")
            }
            if isinstance(part, torch.optim.Optimizer):
                restore_optimizer(part, {"slots": stored, "groups": saved.values["optimizers"][name]})
            else:
                part.load_state_dict(stored)
        for name in variables:
            recursive_getattr(agent, name).data.copy_(saved.tensors[f"variables/{name}"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CorruptFile(f"the saved agent does not fit its own description: {error}") from error
    for name, value in saved.counters.items():
        setattr(agent, name, value)


def set_states(agent: "Agent", states: Mapping[str, Any], exact: bool) -> None:
    """Put state dictionaries by name into an agent; nothing is changed where one does not fit.

    Args:
        agent: what ``get_parameters`` is asked of.
        states: of its modules and optimisers, all of them if ``exact``.
        exact: every entry must be there, and no other. Otherwise the entries that the agent has are taken.

    Raises:
        UnknownId: the agent has no module of that name.
        InvalidParameter: an entry is missing or has another shape, or there is nothing to take.
    """
    known = agent._get_torch_save_params()[0]
    for name, state in states.items():
        if name not in known:
            raise UnknownId("module or optimiser", str(name), known)
        part = recursive_getattr(agent, name)
        if isinstance(part, nn.Module):
            _require_fit(name, part.state_dict(), state, exact)
    if exact and (missing := [name for name in known if name not in states]):
        raise InvalidParameter(f"The parameters of {', '.join(missing)} are missing: give all, or exact_match=False")
    for name, state in states.items():
        part = recursive_getattr(agent, name)
        if isinstance(part, nn.Module):
            part.load_state_dict(state, strict=exact)
        elif "slots" in state:
            restore_optimizer(part, state)
        else:
            part.load_state_dict(state)


def _require_fit(name: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor], exact: bool) -> None:
    others, shared = [key for key in given if key not in own], [key for key in given if key in own]
    if wrong := [key for key in shared if given[key].shape != own[key].shape]:
        shapes = f"{list(given[wrong[0]].shape)} instead of {list(own[wrong[0]].shape)}"
        raise InvalidParameter(f"{wrong[0]} of {name} has the shape {shapes}")
    if exact and (others or len(shared) < len(own)):
        missing = [key for key in own if key not in given]
        raise InvalidParameter(f"The entries of {name} do not fit: missing {missing[:3]}, unknown {others[:3]}")
    if not shared:
        raise InvalidParameter(f"{name} has none of the entries {others[:3]}, so nothing would be loaded")


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Put back what :func:`optimizer_state` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in saved["slots"].items():
        index, slot = key.split("/")
        state.setdefault(int(index), {})[slot] = tensor
    groups = [
        {key: tuple(value) if key == "betas" else value for key, value in group.items()} for group in saved["groups"]
    ]
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for rate, group in zip(rates, optimizer.param_groups, strict=True):
        if isinstance(rate, Tensor):  # a recorded CUDA graph reads the learning rate from this tensor
            group["lr"] = rate.fill_(group["lr"])


_CLASSES: dict[str, Any] = {"torch.nn": nn, "torch.optim": torch.optim, "agentgym": optim}
_SCHEDULES: dict[str, Any] = {"ConstantSchedule": ConstantSchedule, "LinearSchedule": LinearSchedule}


def _encode(value: Any) -> Any:
    """A constructor argument as JSON values.

    Raises:
        TypeError: JSON cannot hold it (a function, an object).
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case TrainFreq(frequency, unit):
            return {"tuple": [frequency, unit.value]}
        case tuple():
            return {"tuple": [_encode(item) for item in value]}
        case list():
            return [_encode(item) for item in value]
        case dict():
            return {"dict": {key: _encode(item) for key, item in value.items()}}
        case FloatSchedule():
            return _encode(value.value_schedule)
        case ConstantSchedule() | LinearSchedule():
            return {"schedule": type(value).__name__, "values": vars(value)}
        case type() as found:
            for library, module in _CLASSES.items():
                if getattr(module, found.__name__, None) is found:
                    return {"class": found.__name__, "of": library}
    raise TypeError(f"{value!r} has no JSON form")


def _decode(value: Any) -> Any:
    match value:
        case list():
            return [_decode(item) for item in value]
        case {"tuple": items}:
            return tuple(_decode(item) for item in items)
        case {"dict": items}:
            return {key: _decode(item) for key, item in items.items()}
        case {"schedule": name, "values": values}:
            return _SCHEDULES[name](**values)
        case {"class": name, "of": library}:
            found = getattr(_CLASSES[library], name, None)
            if not isinstance(found, type):
                raise CorruptFile(f"the file names a class {name!r} that {library} does not have")
            return found
        case dict():
            raise CorruptFile(f"the file holds an argument of no known form: {value!r}")
    return value


def require_savable(policy_kwargs: dict[str, Any]) -> None:
    """Refuse network options that a saved agent could not be rebuilt from.

    Raises:
        InvalidParameter: a class that is not PyTorch's, or an object.
    """
    for name, value in policy_kwargs.items():
        try:
            _encode(value)
        except TypeError as error:
            raise InvalidParameter(
                f"policy_kwargs[{name!r}]: {error}, so the agent could not be saved. "
                "Give plain values and classes of torch.nn or torch.optim."
            ) from None
