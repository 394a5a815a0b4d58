"""The base class of off-policy agents: data collection with a replay buffer, and the buffer on disk."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.noise import ActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agentgym.agents.common.agent import Agent
from agentgym.agents.common.replay import FastReplayBuffer, replay_rows, require_memory
from agentgym.agents.common.saving import folder
from agentgym.agents.common.stack.batches import Joined
from agentgym.agents.common.stack.memory import FEW
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch
from agentgym.runs import state_files
from agentgym.runs.state import Inventory, Item

__all__ = ["OffPolicyAgent"]


class OffPolicyAgent(Agent, OffPolicyAlgorithm):
    """Base of agents with a replay buffer; unless a subclass says otherwise, with a Box action space."""

    action_spaces: ClassVar[tuple[type[spaces.Space], ...]] = (spaces.Box,)
    elsewhere: ClassVar[str] = "stable_baselines3.SAC"

    _stacks: Any = None  # the networks as stacks, the actor first, where updates are made on them

    def _take_view(self) -> None:
        if self._vec_normalize_env is not None and not self.observations.plain:
            raise SpaceMismatch(
                f"{self.catalog_name} stores observations as they were before VecNormalize, so those of "
                f"{self.observation_space} would have to be translated. Convert them to a Box [n] in a wrapper."
            )
        super()._take_view()

    def _setup_model(self) -> None:
        if self.env is not None:  # an agent without an environment never fills the buffer
            seen, played = self.observations.own, self.actions.own
            require_memory(self.buffer_size, seen, played, next_apart=not self.optimize_memory_usage)
        super()._setup_model()

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions for the environment, ``[n, A...]``, and in [-1, 1] for the buffer. Uniform before learning starts."""
        if self.num_timesteps < learning_starts:
            chosen = self.actions.to_learner(np.array([self.action_space.sample() for _ in range(n_envs)]))
        else:
            assert self._last_obs is not None
            chosen = self._act(self._last_obs)
        scaled = self.policy.scale_action(chosen)
        if action_noise is not None:
            scaled = np.clip(scaled + action_noise(), -1, 1)
        return self.policy.unscale_action(scaled), scaled

    def _act(self, observations: Any) -> np.ndarray:
        """Actions ``[n, A...]`` for the learner's observations while it learns.

        On stacks, of which the actor's is the first, few rows go without the cost of torch's products.
        """
        policy: Any = self.policy
        if self._stacks is None or len(observations) > FEW or not policy.is_vector:
            return self.policy.predict(observations, deterministic=False)[0]
        from agentgym.agents.common.stack import squashed  # not before it is used: it imports Numba

        actor = self._stacks[0]
        actor.bind()
        features = torch.from_numpy(observations.reshape(len(observations), -1).astype(np.float32))
        gaussian = actor.outputs(features)[0].numpy()
        actions = torch.empty(len(observations), gaussian.shape[1] // 2)
        squashed.act(gaussian, policy.actor.noise(features), actions)
        found: np.ndarray = policy.unscale_action(actions.numpy().reshape(-1, *self.action_space.shape))  # type: ignore[misc]
        return found

    def _sample_joined(self, batch_size: int) -> Joined:
        """A batch for an update on stacks."""
        buffer, normalized = self.replay_buffer, self._vec_normalize_env
        policy: Any = self.policy
        whole = type(buffer) is FastReplayBuffer and not buffer.optimize_memory_usage
        if whole and normalized is None and policy.is_vector:
            return buffer.sample_joined(batch_size, self.gamma)  # type: ignore[union-attr]
        batch = buffer.sample(batch_size, env=normalized)  # type: ignore[union-attr]
        discounts = self.gamma if batch.discounts is None else batch.discounts.squeeze(1)  # gamma^n with n_steps
        return Joined.of(
            policy.features(batch.observations), batch.actions, batch.rewards.squeeze(1),
            policy.features(batch.next_observations), (1 - batch.dones.squeeze(1)) * discounts,
        )  # fmt: skip

    def inventory(self) -> Inventory:
        """As :meth:`Agent.inventory`, plus action noise and the replay buffer.

        Raises:
            InvalidParameter: a replay buffer that overwrites earlier rows out of order.
        """
        noise = [] if self.action_noise is None else [_remembered(self.action_noise)]
        buffer = self.replay_buffer
        rows = [] if buffer is None else [replay_rows(buffer, lambda: self.num_timesteps // self.n_envs)]
        return super().inventory() + Inventory(noise, rows)

    def save_replay_buffer(self, path: Path | str) -> None:  # type: ignore[override]
        """Save the replay buffer as the folder ``path`` (npz and JSON).

        Raises:
            InvalidParameter: the buffer's class stores more than arrays of transitions.
        """
        buffer, path = self.replay_buffer, folder(path)
        assert buffer is not None
        arrays = {name: array for name, array in vars(buffer).items() if isinstance(array, np.ndarray)}
        if type(buffer) not in (ReplayBuffer, NStepReplayBuffer, FastReplayBuffer):
            raise InvalidParameter(
                f"{type(buffer).__name__} cannot be saved: only Stable-Baselines3's plain buffers can"
            )
        rows = buffer.buffer_size if buffer.full else buffer.pos
        held = {name: array[:rows] for name, array in arrays.items()}
        state_files.write(path, state_files.Contents({}, held, {"pos": buffer.pos, "full": buffer.full}))

    def load_replay_buffer(self, path: Path | str, truncate_last_traj: bool = True) -> None:  # type: ignore[override]
        """Load a replay buffer that :meth:`save_replay_buffer` wrote into this agent's buffer of the same size.

        Raises:
            FileNotFoundError, CorruptFile: the folder is missing, damaged, or the sizes differ.
        """
        buffer, found = self.replay_buffer, state_files.read(folder(path))
        assert buffer is not None
        try:
            for name, array in found.arrays.items():
                own: np.ndarray = vars(buffer)[name]
                if own.dtype != array.dtype or own.shape[1:] != array.shape[1:] or len(array) > len(own):
                    raise ValueError(f"{name} is {array.dtype}{array.shape}, the agent's is {own.dtype}{own.shape}")
                own[: len(array)] = array
            if found.values["full"] and len(found.arrays["rewards"]) != buffer.buffer_size:
                raise ValueError(f"it holds {len(found.arrays['rewards'])} rows, the agent's {buffer.buffer_size}")
            buffer.pos, buffer.full = int(found.values["pos"]), bool(found.values["full"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"{path} does not hold a replay buffer for this agent ({error})") from error


def _remembered(noise: ActionNoise) -> Item:
    """The internal state of action noise. ``learn()`` resets the noise, so it is restored after that."""
    parts = noise.noises if isinstance(noise, VectorizedActionNoise) else [noise]
    remembering = [part for part in parts if isinstance(part, OrnsteinUhlenbeckActionNoise)]

    def write(state: list[np.ndarray]) -> None:
        for part, previous in zip(remembering, state, strict=True):
            part.noise_prev = previous

    return Item("action_noise", lambda: [part.noise_prev for part in remembering], write, when="first rollout")
