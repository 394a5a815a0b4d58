"""Import and export of SAC models in Stable-Baselines3's zip format.

Such a zip contains ``data`` (JSON, with base64-encoded pickles for what JSON cannot represent), ``*.pth`` (state
dictionaries) and ``pytorch_variables.pth``. Reading uses the plain entries of the JSON and ``torch.load`` with
``weights_only=True``; no pickle of Python objects is loaded. A value that is only in a pickle must be given, or else
Stable-Baselines3's default is used and a warning names it.
"""

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import stable_baselines3
import torch
from gymnasium import spaces
from torch import Tensor, nn

from agentgym.agents.common.interface import Actions, Observations
from agentgym.agents.common.networks import StackedCritic, TanhGaussianActor
from agentgym.errors import CorruptFile, InvalidParameter

__all__ = ["read", "write"]

COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num")


class Convertible(Protocol):
    """The interface needed here: :class:`agentgym.agents.sac.sac.SAC` or a subclass."""

    saved_arguments: ClassVar[tuple[str, ...]]
    observation_space: Any
    action_space: Any
    n_envs: int
    seed: int | None
    device: torch.device
    policy_kwargs: dict[str, Any]
    observations: Observations
    actions: Actions
    policy: Any
    actor: TanhGaussianActor
    critic: StackedCritic
    log_ent_coef: Any
    ent_coef_tensor: Tensor
    ent_coef_optimizer: torch.optim.Adam | None

    @staticmethod
    def _wrap_env(env: Any) -> Any:
        """Convert environments to a VecEnv."""

    @classmethod
    def build(
        cls, policy: str, observation_space: Any, action_space: Any, n_envs: int, env: Any, device: torch.device | str,
        arguments: dict[str, Any],
    ) -> Self:  # fmt: skip
        """Create an agent with fresh weights."""


SomeSAC = TypeVar("SomeSAC", bound=Convertible)


def read(
    cls: type[SomeSAC], path: Path | str, env: Any, device: torch.device | str, arguments: dict[str, Any]
) -> SomeSAC:
    """Create an agent from a zip.

    Args:
        cls: SAC or a subclass.
        path: the zip.
        env: provides the spaces. Without it they are parsed from the zip's text, which contains the bounds
            unless they are long or have many digits.
        device: of the tensors.
        arguments: constructor arguments that override those in the zip.

    Raises:
        FileNotFoundError: no such file.
        CorruptFile: the file is damaged, or not a zip of a SAC model.
        InvalidParameter: the model uses features that this class does not have, or ``env`` is needed.
        SpaceMismatch: the spaces of ``env`` differ.
    """
    data, states = _unzip(Path(path))
    if data.get("use_sde"):
        raise InvalidParameter(f"{path} was trained with gSDE, which agentgym's SAC does not have")
    found, unread = _arguments(cls, data)
    if hidden := [name for name in unread if name not in arguments]:
        warnings.warn(
            f"{path} holds {', '.join(hidden)} only as a pickle, which is not opened: the default is used. "
            "Give the value to import_sb3 to set it.",
            stacklevel=3,
        )
    if env is not None:
        wrapped = cls._wrap_env(env)
        observation_space, action_space, env = wrapped.observation_space, wrapped.action_space, wrapped
    else:
        observation_space, action_space = _space(data, "observation_space"), _space(data, "action_space")
    agent = cls.build(
        "MlpPolicy", observation_space, action_space, data.get("n_envs", 1), env, device, {**found, **arguments}
    )
    try:
        _restore(agent, states)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise CorruptFile(f"{path} does not hold the weights of a SAC MlpPolicy of this shape: {error}") from error
    vars(agent).update({name: int(data.get(name, 0)) for name in COUNTERS})
    return agent


def _unzip(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    path = path if path.exists() else path.with_name(path.name + ".zip")
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            states = {}
            for name in archive.namelist():
                if name.endswith(".pth"):
                    with archive.open(name) as file:
                        states[name.removesuffix(".pth")] = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no Stable-Baselines3 zip at {path}") from None
    except Exception as error:  # torch.load raises many kinds of errors
        raise CorruptFile(f"{path} is not a zip that Stable-Baselines3 wrote, or is damaged: {error}") from error
    return data, states


def _arguments(cls: type[Convertible], data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The constructor arguments that the JSON has as plain values, and the names of the others."""
    found: dict[str, Any] = {}
    unread = []
    for name in cls.saved_arguments:
        value = data.get(name)
        if name == "policy_kwargs":
            found[name] = _policy_kwargs(value or {})
        elif isinstance(value, dict):
            unread.append(name)
        elif value is not None:
            found[name] = value
    return found, unread


def _policy_kwargs(stored: dict[str, Any]) -> dict[str, Any]:
    """Network options. The JSON has classes as text beside their pickle, e.g. <class 'torch...activation.Tanh'>."""
    options: dict[str, Any] = {key: stored[key] for key in ("net_arch", "n_critics") if key in stored}
    if text := stored.get("activation_fn"):
        activation = vars(nn).get(text.rstrip("'>").rpartition(".")[2])
        if activation is None:
            raise InvalidParameter(f"the model's activation function {text} is not in torch.nn")
        options["activation_fn"] = activation
    return options


def _space(data: dict[str, Any], name: str) -> spaces.Box:
    stored = data.get(name, {})
    try:
        shape, dtype = tuple(stored["_shape"]), np.dtype(stored["dtype"])
        low, high = (_printed_array(stored[bound], shape, dtype) for bound in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidParameter(
            f"the zip has the exact {name} only in a pickle, which is not opened ({error}). "
            "Give the environment: SAC.import_sb3(path, env=...)"
        ) from None


def _printed_array(text: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Parse NumPy's text form of an array, such as [-1. -0.4 inf].

    Raises:
        ValueError: it is abridged, or a number has NumPy's maximum of printed digits and may be rounded.
    """
    numbers = text.replace("[", " ").replace("]", " ").split()
    if any(len(number.partition(".")[2]) >= np.get_printoptions()["precision"] for number in numbers):
        raise ValueError("its bounds are printed rounded")
    return np.array([float(number) for number in numbers], dtype).reshape(shape)


def _restore(agent: Convertible, states: dict[str, Any]) -> None:
    agent.policy.load_state_dict(states["policy"])
    agent.actor.optimizer.load_state_dict(_ours(states["actor.optimizer"], agent.actor.optimizer))
    agent.critic.optimizer.load_state_dict(
        _ours(_joined(agent.critic, states["critic.optimizer"]), agent.critic.optimizer)
    )
    variables = states.get("pytorch_variables", {})
    if agent.ent_coef_optimizer is not None:
        assert agent.log_ent_coef is not None
        agent.log_ent_coef.data.copy_(variables["log_ent_coef"].detach())
        agent.ent_coef_optimizer.load_state_dict(_ours(states["ent_coef_optimizer"], agent.ent_coef_optimizer))
    elif "ent_coef_tensor" in variables:
        agent.ent_coef_tensor = variables["ent_coef_tensor"].to(agent.device)


def _ours(stored: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The stored moments, with this optimiser's own options."""
    groups = optimizer.state_dict()["param_groups"]
    for group, old in zip(groups, stored["param_groups"], strict=True):
        group.update({key: old[key] for key in ("lr", "betas", "eps", "weight_decay", "amsgrad") if key in old})
    return {"state": stored["state"], "param_groups": groups}


def _order(critic: StackedCritic) -> list[str]:
    """Stable-Baselines3's order of the critic's parameters: by network, then by layer."""
    return [
        f"qf{index}.{layer}.{kind}"
        for index in range(critic.n_critics)
        for layer in critic.layer_names
        for kind in ("weight", "bias")
    ]


def _joined(critic: StackedCritic, stored: dict[str, Any]) -> dict[str, Any]:
    """Convert the optimiser state of separate critics to that of the stacked critic."""
    position = {name: index for index, name in enumerate(_order(critic))}
    state: dict[int, dict[str, Tensor]] = {}
    for k, (name, members) in enumerate(critic.member_names()):
        slots = [stored["state"][position[member]] for member in members if position[member] in stored["state"]]
        if slots:
            moments = {slot: critic.join(name, [s[slot] for s in slots]) for slot in slots[0] if slot != "step"}
            state[k] = {"step": slots[0]["step"], **moments}
    return {"state": state, "param_groups": stored["param_groups"]}


def _separate(critic: StackedCritic, stored: dict[str, Any]) -> dict[int, dict[str, Tensor]]:
    """The inverse of :func:`_joined`, without the parameter groups."""
    position = {name: index for index, name in enumerate(_order(critic))}
    state: dict[int, dict[str, Tensor]] = {}
    for k, (name, members) in enumerate(critic.member_names()):
        if k not in stored["state"]:
            continue
        slots = dict(stored["state"][k])
        step = slots.pop("step")
        parts = {slot: critic.split(name, tensor) for slot, tensor in slots.items()}
        for index, member in enumerate(members):
            state[position[member]] = {
                "step": step.clone(),
                **{slot: part[index].clone() for slot, part in parts.items()},
            }
    return state


def write(agent: Convertible, path: Path | str) -> None:
    """Write a zip that ``stable_baselines3.SAC.load`` reads, with the same weights, moments, temperature and counters.

    Stable-Baselines3 reads spaces and classes from pickles, so its own writer adds them.
    """
    if not (agent.observations.plain and agent.actions.own is agent.action_space):
        raise InvalidParameter(
            f"Stable-Baselines3's SAC does not translate {agent.observation_space} and {agent.action_space}, so it "
            "would act differently: use save()."
        )
    arguments = {name: vars(agent)[name] for name in agent.saved_arguments}
    arguments["policy_kwargs"] = {k: v for k, v in agent.policy_kwargs.items() if k != "optimizer_class"}
    size = arguments.pop("buffer_size")
    no_env: Any = None
    peer = stable_baselines3.SAC(
        "MlpPolicy", no_env, buffer_size=1, device="cpu", _init_setup_model=False, **{**arguments, "seed": None}
    )
    peer.observation_space, peer.action_space, peer.n_envs = agent.observation_space, agent.action_space, agent.n_envs
    peer._setup_model()
    peer.policy.load_state_dict({key: tensor.cpu() for key, tensor in agent.policy.state_dict().items()})
    actor_state = agent.actor.optimizer.state_dict()["state"]
    critic_state = _separate(agent.critic, agent.critic.optimizer.state_dict())
    _give(peer.actor.optimizer, actor_state)
    _give(peer.critic.optimizer, critic_state)
    if agent.ent_coef_optimizer is not None:
        assert agent.log_ent_coef is not None
        assert peer.log_ent_coef is not None
        assert peer.ent_coef_optimizer is not None
        peer.log_ent_coef.data.copy_(agent.log_ent_coef.detach())
        _give(peer.ent_coef_optimizer, agent.ent_coef_optimizer.state_dict()["state"])
    peer.buffer_size, peer.seed = size, agent.seed
    vars(peer).update({name: vars(agent)[name] for name in COUNTERS})
    peer.save(path)


def _give(optimizer: torch.optim.Optimizer, state: dict[int, Any]) -> None:
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
