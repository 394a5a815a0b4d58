"""An agent in one file: the policy gradient with a learned baseline (Williams 1992; Schulman et al. 2016, GAE)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gymnasium.spaces import Discrete
from torch import nn

from agentgym import RunConfig, catalog, train
from agentgym.agents.common.activations import Activation
from agentgym.agents.common.constructor import on_policy_arguments
from agentgym.agents.common.hyperparameters import RULES, Checked, Rule, real, whole
from agentgym.agents.common.on_policy import OnPolicyAgent
from agentgym.contracts.settings import Preset
from agentgym.evaluation import evaluate


@dataclass
class PolicyGradientConfig(Checked):
    """Every hyperparameter, once: constructor, ``--config.FIELD``, ``--help`` and saved agents read it here."""

    n_steps: int = 32  # steps per environment and iteration, each of which is one gradient step
    value_coefficient: float = 0.5  # of the baseline's loss beside the policy's
    normalize: bool = True  # observations and rewards to unit scale by running statistics
    bootstrap_time_limits: bool = True
    learning_rate: float = 3e-3
    max_grad_norm: float = 0.5
    gamma: float = 0.99  # discount per step
    gae_lambda: float = 0.95
    actor_layers: tuple[int, ...] = (64, 64)
    value_layers: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    orthogonal: bool = True

    rules: ClassVar[Mapping[str, Rule]] = {**RULES, "n_steps": whole(2), "value_coefficient": real(0)}
    presets: ClassVar[Mapping[str, Preset]] = {"monte-carlo": Preset("returns without a critic", {"gae_lambda": 1.0})}

    def arguments(self) -> dict[str, Any]:
        """Arguments by the names of Stable-Baselines3's constructors."""
        return on_policy_arguments(vars(self))


class PolicyGradient(OnPolicyAgent):
    """One step per iteration on E[log pi(a|s) A(s, a)]. The base class collects, saves and resumes."""

    Config: ClassVar[type[Checked]] = PolicyGradientConfig
    catalog_name: ClassVar[str] = "docs-policy-gradient"
    fixed: ClassVar[dict[str, Any]] = {"ent_coef": 0.0, "vf_coef": 0.0, "use_sde": False, "sde_sample_freq": -1}

    value_coefficient: float

    def train(self) -> None:
        """Update policy and baseline on the batch that was just collected."""
        self._update_learning_rate(self.policy.optimizer)
        batch = next(self.rollout_buffer.get())
        actions = batch.actions.long().flatten() if isinstance(self.action_space, Discrete) else batch.actions
        advantages = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        values, log_prob, _ = self.policy.evaluate_actions(batch.observations, actions)
        value_loss = nn.functional.mse_loss(values.flatten(), batch.returns)
        self.policy.optimizer.zero_grad()
        (self.value_coefficient * value_loss - (log_prob * advantages).mean()).backward()
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self.logger.record("train/value_loss", value_loss.item())


catalog.add(catalog.Entry("agent", PolicyGradient.catalog_name, f"{__name__}:PolicyGradient", "policy gradient, GAE"))


def main(steps: int = 30_000, episodes: int = 20) -> None:
    """Train on CartPole with four environments side by side, and print what the final policy scores."""
    run = train(RunConfig("docs-policy-gradient", env="CartPole-v1", num_envs=4, steps=steps), "policy-gradient")
    rows = evaluate(run.path, (), episodes=episodes).rows
    print(f"mean return of {episodes} episodes: {sum(row.episode_return for row in rows) / episodes:.1f}")


if __name__ == "__main__":
    main()
