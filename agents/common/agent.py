"""What every agent of this library has in common, on top of Stable-Baselines3's base class."""

import math
from pathlib import Path
from typing import Any, ClassVar, Self

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import update_learning_rate
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import Tensor

from agentgym import checkpoint
from agentgym.agents.common import saving
from agentgym.agents.common.inventory import agent_inventory
from agentgym.agents.common.replay import FastReplayBuffer
from agentgym.agents.common.spaces import check_same_spaces
from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.preprocessing import Preprocessing
from agentgym.state import Inventory

__all__ = ["Agent", "OffPolicyAgent"]


class Agent(BaseAlgorithm):
    """Base of all agents: environments of any kind, saving without pickle, losses read only when looked at.

    A subclass names itself (``catalog_name``), its hyperparameters (``Config``, a dataclass with ``to_kwargs()``)
    and the constructor arguments that a saved agent is rebuilt from (``saved_arguments``).
    """

    catalog_name: ClassVar[str]
    Config: ClassVar[type]
    saved_arguments: ClassVar[tuple[str, ...]]
    saved_preprocessing: Preprocessing | None = None  # of a loaded agent without environments
    saved_vec_normalize: dict[str, Any] | None = None

    def __init__(self, policy: Any, env: Any, *arguments: Any, **keywords: Any) -> None:
        self._unread_metrics: list[tuple[Tensor, ...]] = []
        self._missing: list[str] = []
        self.policy_name = self._name_of(policy)
        try:
            super().__init__(policy, _make(env), *arguments, **keywords)
        except AssertionError as refusal:  # how Stable-Baselines3 says that it does not support a space
            raise SpaceMismatch(f"{self.catalog_name}: {refusal}. Other agents: agentgym list agents") from refusal

    def _setup_model(self) -> None:
        saving.require_savable(self.policy_kwargs)
        super()._setup_model()  # type: ignore[safe-super]

    @classmethod
    def _name_of(cls, policy: str | type) -> str:
        """The alias of a policy, by which a saved agent finds it again."""
        for name, known in cls.policy_aliases.items():
            if policy in (name, known):
                return name
        name = policy if isinstance(policy, str) else policy.__name__
        hint = "For images, Dict observations and policies of your own take Stable-Baselines3's agents."
        raise UnknownId("policy", name, cls.policy_aliases, hint)

    # Environments

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        env = _make(env)
        if isinstance(env, VectorEnv):
            env = VectorEnvAdapter(env)
            env = VecMonitor(env) if monitor_wrapper else env
        return BaseAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Go on with another environment of the same spaces and number.

        Raises:
            SpaceMismatch: its spaces are others; the message shows both.
        """
        wrapped = self._wrap_env(env, self.verbose)
        check_same_spaces(
            (self.observation_space, self.action_space), (wrapped.observation_space, wrapped.action_space)
        )
        super().set_env(wrapped, force_reset)

    # Learning

    def learn(self, total_timesteps: int, *arguments: Any, **keywords: Any) -> Self:
        """Train for ``total_timesteps`` environment steps; arguments as in Stable-Baselines3.

        Raises:
            InvalidParameter: the agent was loaded without something that only a program can give.
            FloatingPointError: a loss became NaN or infinite.
        """
        if self._missing:
            raise InvalidParameter(
                f"the agent was trained with {' and '.join(self._missing)} that a file cannot hold. "
                f"Give it again to continue: {type(self).__name__}.load(folder, env, {self._missing[0]}=...)"
            )
        super().learn(total_timesteps, *arguments, **keywords)  # type: ignore[safe-super]
        self._publish_metrics()
        return self

    def _update_learning_rate(self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        rate = self.lr_schedule(self._current_progress_remaining)
        self._logger.record("train/learning_rate", rate)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            if isinstance(optimizer.param_groups[0]["lr"], Tensor):
                for group in optimizer.param_groups:
                    group["lr"].fill_(rate)
            else:
                update_learning_rate(optimizer, rate)

    # Metrics: they stay on the device until somebody looks at the logger, so that no update waits for them

    def _log_later(self, metrics: list[tuple[Tensor, ...]]) -> None:
        """Keep the scalars of one ``train`` call, a tuple an update; ``_record_metrics`` gets their means."""
        self._unread_metrics = metrics

    def _record_metrics(self, metrics: list[float]) -> None:
        """Put the means of what ``_log_later`` was given into ``self._logger`` under their names."""
        raise NotImplementedError

    @property
    def logger(self) -> Logger:
        """The logger, with the latest update's metrics in it."""
        self._publish_metrics()
        return self._logger

    def _publish_metrics(self) -> None:
        if not self._unread_metrics:
            return
        updates, self._unread_metrics = self._unread_metrics, []
        metrics = torch.stack([torch.stack(update) for update in updates]).mean(0).tolist()
        if not all(map(math.isfinite, metrics)):
            raise FloatingPointError(
                f"a loss is not finite by update {self._n_updates} (step {self.num_timesteps}): {metrics}. "
                f"{self._suspect()} The weights are lost: go back to a checkpoint."
            )
        self._record_metrics(metrics)

    def _suspect(self) -> str:
        return "Try a smaller learning_rate, and VecNormalize if rewards or observations are large."

    # Saving

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on. A subclass that has more of it adds its own items."""
        return agent_inventory(self)

    def save(self, path: Path | str, exclude: Any = None, include: Any = None) -> None:  # type: ignore[override]
        """Write the agent as the folder ``path`` (safetensors and JSON; the replay buffer is not part of it).

        Raises:
            InvalidParameter: ``exclude`` or ``include`` is given; they choose what Stable-Baselines3 pickles.
            OSError: the disk is full or not writable; an older folder is untouched.
        """
        if exclude or include:
            raise InvalidParameter("save() takes no exclude or include: nothing is pickled here")
        saving.save_agent(self, path)

    @classmethod
    def load(  # type: ignore[override]
        cls, path: Path | str, env: Any = None, device: torch.device | str = "auto", **arguments: Any
    ) -> Self:
        """Read an agent that :meth:`save` wrote. No generator is seeded by it.

        Args:
            path: the folder.
            env: to go on learning; not needed to predict. Where the agent was trained behind ``VecNormalize``, a fresh
                one around it gets the saved statistics.
            device: where its tensors go.
            arguments: constructor arguments to have otherwise than when it was saved.

        Raises:
            FileNotFoundError: there is no such folder.
            CorruptFile: it is damaged, or another class's.
            SpaceMismatch: ``env`` has other spaces.
            InvalidParameter: the agent was trained behind ``VecNormalize``, and ``env`` is not behind one.
        """
        saved = saving.read(path)
        if saved.name != cls.catalog_name:
            raise CorruptFile(
                f"{path} holds an agent of class {saved.name!r}, not {cls.catalog_name!r}: "
                "use agentgym.agents.common.saving.load_agent, which finds the class"
            )
        agent = cls.build(
            saved.policy,
            saved.observation_space,
            saved.action_space,
            saved.n_envs,
            env,
            device,
            {**saved.arguments, **arguments},
        )
        saving.restore(agent, saved)
        saving.restore_normalization(agent, saved)
        agent._missing = [name for name in saved.missing if name not in arguments]
        return agent

    @classmethod
    def build(
        cls,
        policy: str,
        observation_space: gymnasium.Space,
        action_space: gymnasium.Space,
        n_envs: int,
        env: Any,
        device: torch.device | str,
        arguments: dict[str, Any],
    ) -> Self:
        """An agent with fresh weights from spaces, with or without an environment, that seeds no generator.

        Raises:
            SpaceMismatch: ``env`` has other spaces.
        """
        seed = arguments.get("seed")
        unseeded = {**arguments, "seed": None}
        agent = cls(policy, env, device=device, _init_setup_model=False, **unseeded)
        if agent.env is None:
            agent.observation_space, agent.action_space, agent.n_envs = observation_space, action_space, n_envs
        else:
            check_same_spaces((observation_space, action_space), (agent.observation_space, agent.action_space))
        agent._setup_model()
        agent.seed = seed
        return agent


class OffPolicyAgent(Agent, OffPolicyAlgorithm):
    """An agent with a replay buffer."""

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        actions = super()._sample_action(learning_starts, action_noise, n_envs)
        if not np.isfinite(actions[1]).all():  # the loss says why, where there was one
            self._publish_metrics()
            raise FloatingPointError(f"the actor gives actions that are not finite at step {self.num_timesteps}")
        return actions

    def _suspect(self) -> str:
        buffer = self.replay_buffer
        assert buffer is not None
        rows = slice(None) if buffer.full else slice(buffer.pos)
        for what in ("rewards", "observations", "actions"):
            if bad := int((~np.isfinite(getattr(buffer, what)[rows])).sum()):
                return f"The replay buffer holds {bad} {what} that are not finite: mend the environment."
        return super()._suspect()

    def save_replay_buffer(self, path: Path | str) -> None:  # type: ignore[override]
        """Write the replay buffer as the folder ``path`` (npz and JSON).

        Raises:
            InvalidParameter: its class keeps more than arrays of transitions.
        """
        buffer = self.replay_buffer
        assert buffer is not None
        arrays = {name: array for name, array in vars(buffer).items() if isinstance(array, np.ndarray)}
        if type(buffer) not in (ReplayBuffer, NStepReplayBuffer, FastReplayBuffer):
            raise InvalidParameter(
                f"{type(buffer).__name__} cannot be saved: only Stable-Baselines3's plain buffers can"
            )
        rows = buffer.buffer_size if buffer.full else buffer.pos
        held = {name: array[:rows] for name, array in arrays.items()}
        checkpoint.write(path, checkpoint.Contents({}, held, {"pos": buffer.pos, "full": buffer.full}))

    def load_replay_buffer(self, path: Path | str, truncate_last_traj: bool = True) -> None:  # type: ignore[override]
        """Read a replay buffer that :meth:`save_replay_buffer` wrote into this agent's, of the same size.

        Raises:
            FileNotFoundError, CorruptFile: there is none, or it is damaged or of other sizes.
        """
        buffer, found = self.replay_buffer, checkpoint.read(path)
        assert buffer is not None
        try:
            for name, array in found.arrays.items():
                own: np.ndarray = getattr(buffer, name)
                if own.dtype != array.dtype or own.shape[1:] != array.shape[1:] or len(array) > len(own):
                    raise ValueError(f"{name} is {array.dtype}{array.shape}, the agent's is {own.dtype}{own.shape}")
                own[: len(array)] = array
            if found.values["full"] and len(found.arrays["rewards"]) != buffer.buffer_size:
                raise ValueError(f"it holds {len(found.arrays['rewards'])} rows, the agent's {buffer.buffer_size}")
            buffer.pos, buffer.full = int(found.values["pos"]), bool(found.values["full"])
        except (AttributeError, KeyError, ValueError) as error:
            raise CorruptFile(f"{path} does not hold a replay buffer for this agent ({error})") from error


def _make(env: Any) -> Any:
    """An environment from its id; anything else as it is.

    Raises:
        UnknownId: no environment has that id; the message gives the nearest.
    """
    if not isinstance(env, str):
        return env
    try:
        return gymnasium.make(env)
    except (gymnasium.error.NameNotFound, gymnasium.error.NamespaceNotFound) as error:
        raise UnknownId("environment", env, gymnasium.registry, str(error).splitlines()[0]) from None
