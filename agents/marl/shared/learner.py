"""The on-policy learner behind a shared agent."""

from typing import Any, ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from agentgym.agents.common.on_policy import OnPolicyAgent
from agentgym.agents.marl.shared.agents_as_envs import AgentsAsEnvs
from agentgym.agents.marl.shared.symmetry import MirrorInvariant

__all__ = ["SharedLearner"]


class SharedLearner(OnPolicyAgent):
    """Learns one agent's policy from all agents' steps. ``num_timesteps`` counts steps of joint environments.

    Attributes:
        caller: the shared agent that this learner works for; callbacks get it as their ``model``.
    """

    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MirrorInvariant}
    policy: MirrorInvariant
    caller: Any

    @property
    def agents(self) -> AgentsAsEnvs:
        """The agents of all joint environments as environments."""
        env = self.get_env()
        assert isinstance(env, AgentsAsEnvs)
        return env

    @property
    def steps_at_once(self) -> int:
        """Steps of joint environments per step of all environments."""
        return self.agents.worlds

    @property
    def steps_per_iteration(self) -> int:
        """Steps of joint environments between two updates."""
        return self.n_steps * self.agents.worlds

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Collect a rollout as in Stable-Baselines3, but count every joint step once."""
        return super().collect_rollouts(
            _CountedInWorlds(env, self.agents.worlds), callback, rollout_buffer, n_rollout_steps
        )

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        return BaseAlgorithm._init_callback(self.caller, callback, progress_bar)


class _CountedInWorlds(VecEnvWrapper):
    """Reports the number of joint environments as ``num_envs``, which a rollout adds to ``num_timesteps`` each step."""

    def __init__(self, venv: VecEnv, worlds: int) -> None:
        super().__init__(venv)
        self.num_envs = worlds

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        return self.venv.step_wait()
