"""Saving and loading of agents: tensors as safetensors, everything else as JSON. Nothing is unpickled.

A saved agent is a folder written by :mod:`agentgym.runs.state_files`. It contains the items of the agent's inventory
marked ``saved``, and the values of :meth:`Savable.about`: the constructor's arguments, both spaces, versions.
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
from agentgym.agents.common.argument_codec import decoded, encoded
from agentgym.agents.common.inventory import Part, restore_optimizer
from agentgym.contracts.agent import Agent
from agentgym.contracts.spaces import space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidParameter, UnknownId
from agentgym.runs import state_files
from agentgym.runs.state import Inventory

__all__ = ["Savable", "SavedAgent", "description", "folder", "load_agent", "read"]


class SavedAgent:
    """The contents of a saved agent's folder, read and checked before an agent is created from it.

    Attributes:
        name: the agent's name in the catalog.
        arguments: constructor arguments, without those that JSON cannot represent (``missing``).
        parts: state of networks and optimisers, by name.
        state: all saved items by name, as the inventory returned them.
        values: everything in the file except tensors.
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
    """The contents of a saved agent's folder, in the form that :class:`SavedAgent` reads."""
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
    """The values that every saved agent stores about itself. Arguments that JSON cannot represent count as missing."""
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
    """The folder of an agent saved under ``path``. A final ``.zip``, as Stable-Baselines3 appends, is removed.

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
    """Read an agent's folder, written by :meth:`Savable.save`.

    Raises:
        FileNotFoundError: there is no such folder.
        CorruptFile: it is damaged, or does not hold an agent.
    """
    place = folder(path)
    if not place.is_dir() and Path(path).is_file():
        raise CorruptFile(
            f"{path} is a file, but agents are saved as folders. Load an agent of Stable-Baselines3 with its own "
            "class, or a zip of SAC with agentgym.agents.SAC.import_sb3(path, env)"
        )
    return SavedAgent(state_files.read(place), path)


def load_agent(folder: Path | str, env: Any = None, device: torch.device | str = "auto") -> Any:
    """Load the agent in ``folder``, whichever class of the catalog saved it.

    Raises:
        FileNotFoundError, CorruptFile: see :func:`read`.
        UnknownId: no installed package has that class.
    """
    found: type[Agent] = catalog.load(catalog.find("agent", read(folder).name))
    return found.load(folder, env=env, device=device)


class Savable:
    """Saving and loading of agents. A subclass lists its state and describes how to create the agent again.

    It implements :meth:`parts`, :meth:`inventory`, :meth:`about` and :meth:`_made_again`.
    """

    catalog_name: ClassVar[str]

    def parts(self) -> dict[str, Part]:
        """Everything that learns: networks and optimisers by name, and tensors that an optimiser updates."""
        raise NotImplementedError

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on, :meth:`parts` included."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """JSON values that :meth:`_made_again` needs: :func:`description`, and further values of the subclass."""
        raise NotImplementedError

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        """Create an agent with the saved arguments, overridden by ``arguments``, and fresh weights."""
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Save the agent as the folder ``path`` (safetensors and JSON), without replay buffers and datasets.

        An existing folder is replaced only after the new one has been written completely.

        Raises:
            NotWritable: ``path`` is a file, or a folder with other contents.
            InvalidParameter: ``path`` is a file object.
            OSError: the disk is full; an existing folder is not touched.
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
        """Load an agent that :meth:`save` wrote. This seeds no generator.

        Args:
            path: the folder.
            env: the environment for further training; not needed to predict. If the agent was trained with
                ``VecNormalize``, a fresh one around ``env`` receives the saved statistics.
            device: of the agent's tensors.
            custom_objects: the same as ``arguments``.
            print_system_info: print the versions of this system and of the one that saved the agent.
            force_reset: must be True. A saved agent contains no partial episode, so ``learn`` starts with a reset.
            arguments: constructor arguments that override the saved ones. Agents that learn from a dataset also take
                ``dataset``, the one they were trained on, for further training.

        Raises:
            FileNotFoundError: there is no such folder.
            CorruptFile: it is damaged, or was saved by another class.
            SpaceMismatch: the spaces of ``env`` differ.
            InvalidParameter: the agent was trained with ``VecNormalize`` and ``env`` has none; ``dataset`` is not the
                one it was trained on; or an argument is not allowed: a file object, other networks,
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
        """The state dictionaries of networks and optimisers by name. :meth:`set_parameters` takes the same form."""
        return {name: part.state_dict() for name, part in self.parts().items() if not isinstance(part, Tensor)}

    def set_parameters(
        self, load_path_or_dict: Path | str | dict[str, Any], exact_match: bool = True, device: Any = "auto"
    ) -> None:
        """Load networks and optimisers from a saved agent's folder, or from the form of ``get_parameters``.

        Args:
            load_path_or_dict: the folder, or state dictionaries by name of network or optimiser.
            exact_match: require all entries. If False, missing entries keep their values.
            device: not used; tensors stay on the agent's device.

        Raises:
            UnknownId: the agent has no network or optimiser of that name.
            InvalidParameter: an entry is missing or has another shape, or no entry matches; the agent is
                unchanged.
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
