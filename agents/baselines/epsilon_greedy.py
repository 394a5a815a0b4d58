"""What DQN and QR-DQN share: epsilon-greedy actions, and the treatment of games."""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise

from agentgym.agents.common.inventory import Part, attributes
from agentgym.agents.common.off_policy import OffPolicyAgent
from agentgym.agents.common.replay import FastReplayBuffer
from agentgym.contracts.agent import Traits
from agentgym.contracts.finite import is_finite
from agentgym.errors import NonFinite
from agentgym.runs.state import Inventory

__all__ = ["EpsilonGreedy"]


class EpsilonGreedy(OffPolicyAgent):
    """Base of agents that estimate the value of each of a finite number of actions and mostly take the best.

    As in Stable-Baselines3, one draw decides for all environments side by side whether the actions of a step are
    random, and ``predict`` without ``deterministic`` is epsilon-greedy with the exploration rate of the last step.

    Attributes:
        exploration_rate: the probability of random actions; saved with the agent.
    """

    traits: ClassVar[Traits] = Traits(sees_images=True)
    action_spaces: ClassVar[tuple[type[spaces.Space], ...]] = (spaces.Discrete,)
    also_saved: ClassVar[tuple[str, ...]] = ("optimize_memory_usage",)
    loss_name: ClassVar[str] = "train/loss"

    exploration_rate: float

    def _setup_model(self) -> None:
        if self.replay_buffer_class is None and self.n_steps == 1:
            self.replay_buffer_class = FastReplayBuffer
        super()._setup_model()

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """As :meth:`Agent.predict`; epsilon-greedy unless ``deterministic``."""
        if deterministic or not self._explores():
            return super().predict(observation, state, episode_start, deterministic)
        seen, single = self.observations.read(observation)
        played = np.array([self.action_space.sample() for _ in seen])
        return (played.squeeze(axis=0) if single else played), state

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions for the environment and for the buffer, int64 ``[n]`` both. Uniform before learning starts."""
        if self.num_timesteps < learning_starts or self._explores():
            chosen = self.actions.to_learner(np.array([self.action_space.sample() for _ in range(n_envs)]))
        else:
            assert self._last_obs is not None
            chosen = self.policy.predict(self._last_obs, deterministic=True)[0]
        return chosen, chosen

    def _explores(self) -> bool:
        return bool(np.random.rand() < self.exploration_rate)  # noqa: NPY002  the generator of Stable-Baselines3

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Update as in the library.

        Raises:
            NonFinite: the loss became NaN or infinite, from which greedy actions alone would not tell.
        """
        super().train(gradient_steps, batch_size)
        loss = self._logger.name_to_value.get(self.loss_name, 0.0)
        if not is_finite(np.asarray(loss)):
            raise NonFinite(
                f"The loss of {self.catalog_name} is {loss} by step {self.num_timesteps}, update {self._n_updates}. "
                f"{self._suspect()} The weights are lost: go back to a checkpoint."
            )

    def inventory(self) -> Inventory:
        """As :meth:`OffPolicyAgent.inventory`, plus the exploration rate and the clock of the target network."""
        return super().inventory() + Inventory(attributes(self, ("exploration_rate", "_n_calls"), saved=True))

    def parts(self) -> dict[str, Part]:
        """The policy, including the target network, and its optimiser."""
        return {"policy": self.policy, "policy.optimizer": self.policy.optimizer}
