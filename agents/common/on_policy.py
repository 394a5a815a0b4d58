"""The base class of on-policy agents: running normalisation and the treatment of time limits."""

from typing import Any, ClassVar

from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agentgym.agents.common.actor_critic import ActorCriticMlpPolicy
from agentgym.agents.common.agent import Agent
from agentgym.agents.common.inventory import Part, attributes
from agentgym.agents.common.learners_env import LearnersEnv
from agentgym.agents.common.normalization import LearnersView, RunningMoments
from agentgym.runs.state import Inventory

__all__ = ["OnPolicyAgent"]


class OnPolicyAgent(Agent, OnPolicyAlgorithm):
    """Base of agents that learn from their latest rollout.

    Attributes:
        normalize_rewards: divide rewards by the running standard deviation of the discounted return.
        bootstrap_time_limits: bootstrap from the value of the last state of a truncated episode. Otherwise
            truncation counts as termination.
        return_moments: running statistics of the discounted return; saved with the agent.
    """

    normalize_rewards: bool
    bootstrap_time_limits: bool
    policy: Any  # one of policy_aliases
    action_spaces: ClassVar[tuple[type[spaces.Space], ...]] = (
        spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary,
    )  # fmt: skip
    elsewhere: ClassVar[str] = "stable_baselines3.PPO"
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": ActorCriticMlpPolicy}

    def __init__(
        self,
        policy: str | type[ActorCriticMlpPolicy],
        env: Any,
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        self.return_moments = RunningMoments()
        super().__init__(policy, env, *arguments, **keywords)

    def get_env(self) -> VecEnv | None:
        """The environments with unscaled rewards; only ``learn`` uses scaled ones."""
        env = self.env.venv if isinstance(self.env, LearnersView) else self.env
        return env.venv if isinstance(env, LearnersEnv) else env

    def _take_view(self) -> None:
        super()._take_view()
        plain = self.bootstrap_time_limits and not self.normalize_rewards
        if self.env is not None and not plain:
            moments = self.return_moments if self.normalize_rewards else None
            self.env = LearnersView(self.env, moments, self.gamma, self.bootstrap_time_limits)

    def inventory(self) -> Inventory:
        """As :meth:`Agent.inventory`, plus the running discounted sums of rewards."""
        own = attributes(self.env, ["discounted_sums"]) if isinstance(self.env, LearnersView) else []
        return super().inventory() + Inventory(own)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Collect a rollout as in Stable-Baselines3, then update the policy's observation statistics with it.

        The statistics do not change during a rollout, so all its actions come from the policy whose log-probabilities
        the buffer stores.
        """
        complete = super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        if complete:
            observations = rollout_buffer.observations  # [T, n, ...]
            self.policy.observe(observations.reshape(-1, *observations.shape[2:]))
        return complete

    @property
    def steps_per_iteration(self) -> int:
        """The increase of ``num_timesteps`` from one update to the next."""
        return self.n_steps * self.n_envs

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log. Iterations are counted from the start of the run, across calls of ``learn``."""
        super().dump_logs(self.num_timesteps // self.steps_per_iteration)

    def optimizers(self) -> dict[str, Part]:
        """The policy's optimisers by name."""
        return {"policy.optimizer": self.policy.optimizer}

    def parts(self) -> dict[str, Part]:
        """The policy, its optimisers and, if rewards are normalised, the running statistics of returns."""
        moments = {"return_moments": self.return_moments} if self.normalize_rewards else {}
        return {"policy": self.policy, **self.optimizers(), **moments}
