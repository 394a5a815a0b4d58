"""Agents on disk: tensors as safetensors, everything else as JSON; nothing is ever unpickled.

A saved agent is a folder written by :mod:`agentgym.runs.state_files`. It holds those items of the agent's inventory
that are marked as ``saved``, and what :meth:`Savable.about` says: the constructor's arguments, both spaces, versions.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.utils import get_system_info
from torch import Tensor, nn

from agentgym import catalog
from agentgym.agents.common.arguments import decoded, encoded
from agentgym.agents.common.inventory import Part, restore_optimizer
from agentgym.contracts.agent import Agent
from agentgym.contracts.spaces import space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId
from agentgym.runs import state_files
from agentgym.runs.state import Inventory

__all__ = ["Savable", "SavedAgent", "description", "folder", "load_agent", "read"]


class SavedAgent:
    """What a folder holds, read and checked, before an object is made of it.

    Attributes:
        name: the agent's name in the catalog.
        arguments: constructor arguments; those that JSON cannot hold (``missing``) are left out.
        parts: state of networks and optimisers by name.
        state: all saved items by name, as their inventory gave them.
        values: everything that is no tensor, as it stands in the file.
    """

    def __init__(self, found: state_files.Contents, origin: Path | str) -> None:
        self.values = found.values
        try:
            self.name: str = self.values["agent"]
            self.policy: str = self.values["policy"]
            self.missing: list[str] = self.values["missing"]
            self.arguments = {name: decoded(value) for name, value in self.values["arguments"].items()}
            self.observation_space = space_from_json(self.values["observation_space"])
            self.action_space = space_from_json(self.values["action_space"])
            self.parts: dict[str, Any] = {
                name: {"slots": {}, "groups": groups} for name, groups in self.values["optimizers"].items()
            }
            self.state: dict[str, Any] = dict(self.values["counters"])
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptFile(f"{origin} holds no saved agent ({error!r} is missing or damaged)") from error
        for key, tensor in found.tensors.items():
            name, _, rest = key.partition("/")
            if name == "variables":
                self.state[rest] = tensor
            else:
                part = self.parts.setdefault(name, {})
                part.get("slots", part)[rest] = tensor
        self.state |= self.parts


def contents(state: Mapping[str, Any], about: Mapping[str, Any]) -> state_files.Contents:
    """An agent's saved items, and what it says of itself, as :class:`SavedAgent` reads them."""
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    counters: dict[str, Any] = {}
    for name, value in state.items():
        match value:
            case Tensor():
                tensors[f"variables/{name}"] = value
            case {"slots": slots, "groups": own}:
                groups[name] = own
                tensors |= {f"{name}/{slot}": tensor for slot, tensor in slots.items()}
            case Mapping() if all(isinstance(tensor, Tensor) for tensor in value.values()):
                tensors |= {f"{name}/{key}": tensor for key, tensor in value.items()}
            case _:
                counters[name] = value
    values = {**about, "optimizers": groups, "counters": counters}
    return state_files.Contents({name: tensor.detach().clone() for name, tensor in tensors.items()}, {}, values)


def description(
    agent: str,
    policy: str,
    arguments: Mapping[str, Any],
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
) -> dict[str, Any]:
    """What every saved agent says of itself; arguments that JSON cannot hold are named as missing."""
    held, missing = {}, []
    for name, value in arguments.items():
        try:
            held[name] = encoded(value)
        except TypeError:
            missing.append(name)
    return {
        "agent": agent,
        "policy": policy,
        "arguments": held,
        "missing": missing,
        "observation_space": space_to_json(observation_space),
        "action_space": space_to_json(action_space),
        "versions": {
            "python": platform.python_version(),
            "agentgym": version("agentgym"),
            "torch": torch.__version__,
            "stable_baselines3": stable_baselines3.__version__,
            "numpy": np.__version__,
        },
    }


def folder(path: Any) -> Path:
    """Where an agent is saved under a name. ``.zip`` at its end, as Stable-Baselines3 has it, is left off.

    Raises:
        InvalidParameter: a file object.
    """
    try:
        path = Path(path)
    except TypeError:
        raise InvalidParameter(
            f"An agent is saved as a folder, which a {type(path).__name__} cannot hold: give a path"
        ) from None
    return path.with_suffix("") if path.suffix == ".zip" and not path.is_dir() else path


def read(path: Path | str) -> SavedAgent:
    """Read what :meth:`Savable.save` wrote under that name.

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
    return SavedAgent(state_files.read(place), path)


def load_agent(folder: Path | str, env: Any = None, device: torch.device | str = "auto") -> Any:
    """The agent in ``folder``, of whichever class in the catalog wrote it.

    Raises:
        FileNotFoundError, CorruptFile: see :func:`read`.
        UnknownId: no installed package knows that class.
    """
    found: type[Agent] = catalog.load(catalog.find("agent", read(folder).name))
    return found.load(folder, env=env, device=device)


class Savable:
    """Saving and loading of every agent. A subclass lists its state and says how it is made again.

    It writes :meth:`parts`, :meth:`inventory`, :meth:`about` and :meth:`_made_again`.
    """

    catalog_name: ClassVar[str]

    def parts(self) -> dict[str, Part]:
        """What is learned: networks and optimisers by name, and tensors that an optimiser holds."""
        raise NotImplementedError

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on, :meth:`parts` included."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """What :meth:`_made_again` needs, as JSON values: :func:`description` and what else there is."""
        raise NotImplementedError

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        """An agent with the saved arguments, but for those given, and fresh weights."""
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Write the agent as the folder ``path`` (safetensors and JSON), without replay buffers and datasets.

        An older one is replaced only once the new one is whole on disk.

        Raises:
            NotWritable: ``path`` is a file, or a folder that holds other things.
            InvalidParameter: ``path`` is a file object.
            OSError: the disk is full; an older folder is untouched.
        """
        state_files.write(folder(path), contents(self.inventory().of_saved_agent.read(), self.about()))

    @classmethod
    def load(
        cls,
        path: Any,
        env: Any = None,
        device: torch.device | str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **arguments: Any,
    ) -> Self:
        """Read an agent that :meth:`save` wrote. No generator is seeded by it.

        Args:
            path: the folder.
            env: to go on learning; not needed to predict. Where the agent was trained behind ``VecNormalize``, a fresh
                one around it gets the saved statistics.
            device: where its tensors go.
            custom_objects: the same as ``arguments``.
            print_system_info: print this system's versions and those that the agent was saved with.
            force_reset: a saved agent holds no step of an episode, so ``learn`` always begins with a reset.
            arguments: constructor arguments to have otherwise than when it was saved; of an agent that learns from a
                dataset also ``dataset``, which it was trained on, to go on learning.

        Raises:
            FileNotFoundError: there is no such folder.
            CorruptFile: it is damaged, or another class's.
            SpaceMismatch: ``env`` has other spaces.
            InvalidParameter: the agent was trained behind ``VecNormalize``, and ``env`` is not behind one; it has
                learned from other data than ``dataset``; or an argument cannot be: a file object, other networks,
                ``force_reset=False``.
            UnknownId: there is no such argument.
        """
        saved = read(path)
        if saved.name != cls.catalog_name:
            raise CorruptFile(
                f"{path} holds an agent of class {saved.name!r}, not {cls.catalog_name!r}: "
                "use agentgym.agents.common.saving.load_agent, which finds the class"
            )
        if not force_reset:
            raise InvalidParameter(
                "force_reset=False cannot be: a saved agent holds no step of an episode, so learning begins with a "
                "reset. A run goes on within its episode: agentgym resume."
            )
        if print_system_info:
            get_system_info()
            print("Saved with:", *(f"{name} {found}" for name, found in saved.values["versions"].items()), sep="\n- ")
        agent = cls._made_again(saved, env, device, {**(custom_objects or {}), **arguments})
        agent.inventory().of_saved_agent.write(saved.state, "before")
        return agent

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """The state dictionaries of networks and optimisers by name, as :meth:`set_parameters` takes them."""
        return {name: part.state_dict() for name, part in self.parts().items() if not isinstance(part, Tensor)}

    def set_parameters(
        self, load_path_or_dict: Path | str | dict[str, Any], exact_match: bool = True, device: Any = "auto"
    ) -> None:
        """Take networks and optimisers from a saved agent's folder, or from what ``get_parameters`` gives.

        Args:
            load_path_or_dict: the folder, or state dictionaries by name of module or optimiser.
            exact_match: everything must be there. Otherwise what is there is taken, and the rest stays.
            device: not used; tensors go where the agent's are.

        Raises:
            UnknownId: the agent has no network or optimiser of that name.
            InvalidParameter: an entry is missing or has another shape, or nothing would be taken; the agent is as
                before.
        """
        given = load_path_or_dict
        states = given if isinstance(given, dict) else read(given).parts
        known = {name: part for name, part in self.parts().items() if not isinstance(part, Tensor)}
        for name, state in states.items():
            if name not in known:
                raise UnknownId("module or optimiser", str(name), known)
            if isinstance(part := known[name], nn.Module):
                _require_fit(name, part.state_dict(), state, exact_match)
        if exact_match and (missing := [name for name in known if name not in states]):
            raise InvalidParameter(
                f"The parameters of {', '.join(missing)} are missing: give all, or exact_match=False"
            )
        for name, state in states.items():
            part = known[name]
            if isinstance(part, nn.Module):
                part.load_state_dict(state, strict=exact_match)
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
