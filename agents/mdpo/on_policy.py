"""On-policy MDPO (Tomar et al. 2020, arXiv:2005.09814) in Stable-Baselines3's shape."""

from typing import Any, ClassVar, Literal

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.utils import explained_variance
from torch import Tensor, nn
from torch.distributions import Distribution

from agentgym.agents.common.hyperparameters import Checked
from agentgym.agents.common.inventory import Part
from agentgym.agents.common.on_policy import OnPolicyAgent
from agentgym.agents.common.optim import set_gradients
from agentgym.agents.mdpo.config import OnPolicyMDPOConfig
from agentgym.agents.mdpo.divergence import bregman_divergence
from agentgym.agents.mdpo.policies import OnPolicyMirrorDescentCnnPolicy, OnPolicyMirrorDescentPolicy
from agentgym.contracts.agent import Traits

__all__ = ["OnPolicyMDPO"]


class OnPolicyMDPO(OnPolicyAgent):
    """On-policy Mirror Descent Policy Optimization for continuous and discrete actions.

    Iteration k collects a batch with pi_k and takes ``policy_steps`` gradient steps, each on the whole batch, on

        E[ pi(a|s) / pi_k(a|s) * A(s, a) ]  -  1 / t_k * E[ KL(pi(.|s) || pi_k(.|s)) ],

    with t_k = 1 - (k - 1) / K over the K iterations of ``learn``. The value network is fitted in a separate loop.

    Args:
        policy: ``"MlpPolicy"``, or ``"CnnPolicy"`` for images.
        env: an environment id, a Gymnasium ``Env`` or ``VectorEnv``, or a Stable-Baselines3 ``VecEnv``.
        **keywords: fields of :class:`~agentgym.agents.mdpo.config.OnPolicyMDPOConfig`, and ``preset``, the name of a
            preset. ``clip_range_vf``, instead of ``clip_values``, is a number, annealed with t_k, or None.
        policy_kwargs, stats_window_size, tensorboard_log, verbose, seed, device: as in Stable-Baselines3's PPO.

    Raises:
        InvalidParameter: a hyperparameter is out of range.
        SpaceMismatch: the agent does not support the environment's spaces; the message says what to do.
    """

    Config: ClassVar[type[Checked]] = OnPolicyMDPOConfig
    catalog_name: ClassVar[str] = "mdpo-onpolicy"
    fixed: ClassVar[dict[str, Any]] = {
        "ent_coef": 0.0, "vf_coef": 0.0, "use_sde": False, "sde_sample_freq": -1,
        "supported_action_spaces": OnPolicyAgent.action_spaces,
    }  # fmt: skip
    traits: ClassVar[Traits] = Traits(sees_images=True)
    policy_aliases: ClassVar[dict[str, Any]] = {
        "MlpPolicy": OnPolicyMirrorDescentPolicy, "CnnPolicy": OnPolicyMirrorDescentCnnPolicy,
    }  # fmt: skip

    metric_names: ClassVar[tuple[str, ...]] = ("surrogate", "divergence", "value_loss")

    policy_steps: int
    value_epochs: int
    value_batch_size: int
    divergence: Literal["new||old", "old||new"]
    tsallis_q: float
    clip_range_vf: float | None
    policy: OnPolicyMirrorDescentPolicy | OnPolicyMirrorDescentCnnPolicy

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """t_k = 1 - (k - 1) / K: the progress that remained when collection began, so it is never 0 at an update."""
        super()._update_current_progress_remaining(num_timesteps - self.steps_per_iteration, total_timesteps)

    @property
    def mirror_step_size(self) -> float:
        """t_k of the current iteration."""
        return self._current_progress_remaining

    def train(self) -> None:
        """Improve the policy, then fit the value network, on the batch collected last."""
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.policy.actor_optimizer, self.policy.value_optimizer])
        batch = next(self.rollout_buffer.get())
        with torch.no_grad():
            features = self.policy.inputs(batch.observations)
        policy_metrics = self._improve_policy(batch, features)
        value_loss = self._fit_value(batch, features)
        self._n_updates += self.policy_steps
        self._log_later([(*policy_metrics, value_loss)])
        self._record_batch()

    def _improve_policy(self, batch: RolloutBufferSamples, features: Tensor) -> tuple[Tensor, ...]:
        """Gradient steps from pi_k. Returns the values of surrogate and divergence at the last of them."""
        actions = batch.actions.long().flatten() if isinstance(self.action_space, spaces.Discrete) else batch.actions
        advantages = batch.advantages
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        parameters = self.policy.actor_parameters()
        with torch.no_grad():
            _, old = self.policy.factors(features)
        for _ in range(self.policy_steps):
            surrogate, divergence = self._policy_terms(features, actions, advantages, batch.old_log_prob, old)
            set_gradients(divergence / self.mirror_step_size - surrogate, parameters)
            nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
            self.policy.actor_optimizer.step()
        return surrogate.detach(), divergence.detach()

    def _policy_terms(
        self, features: Tensor, actions: Tensor, advantages: Tensor, old_log_prob: Tensor, old: list[Distribution]
    ) -> tuple[Tensor, Tensor]:
        """E[pi / pi_k * A] over a batch ``[B]``, and E[KL(pi || pi_k)]; ``old`` holds the factors of pi_k."""
        distribution, new = self.policy.factors(features)
        ratio = torch.exp(distribution.log_prob(actions) - old_log_prob)
        pair = (new, old) if self.divergence == "new||old" else (old, new)
        return (ratio * advantages).mean(), bregman_divergence(*pair, self.tsallis_q).mean()

    def _fit_value(self, batch: RolloutBufferSamples, features: Tensor) -> Tensor:
        """Fit the value network to the TD(lambda) returns in minibatches. Returns the mean loss."""
        parameters = self.policy.value_parameters()
        losses = []
        for _ in range(self.value_epochs):
            order = torch.randperm(len(features), device=features.device)
            for rows in order.split(self.value_batch_size):
                values = self.policy.values(features[rows])
                loss = self._value_loss(values, batch.old_values[rows], batch.returns[rows])
                set_gradients(loss, parameters)
                self.policy.value_optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).mean() if losses else torch.zeros((), device=features.device)

    def _value_loss(self, values: Tensor, before: Tensor, returns: Tensor) -> Tensor:
        """Half the mean squared error of ``values`` ``[B]``; with clipping, the larger of both errors (Baselines)."""
        errors = (values - returns).square()
        if self.clip_range_vf is not None:
            reach = self.clip_range_vf * self.mirror_step_size
            near = before + (values - before).clamp(-reach, reach)
            errors = torch.maximum(errors, (near - returns).square())
        return 0.5 * errors.mean()

    def _record_batch(self) -> None:
        """Log metrics of the current batch, before the next one replaces it."""
        buffer = self.rollout_buffer
        fit = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self._logger.record("train/explained_variance", fit)
        self._logger.record("train/mirror_step_size", self.mirror_step_size)
        if isinstance(self.action_space, spaces.Box):
            self._logger.record("train/std", self.policy.log_std.exp().mean().item())

    def optimizers(self) -> dict[str, Part]:
        """The optimisers of actor and value network, by name."""
        return {
            "policy.actor_optimizer": self.policy.actor_optimizer,
            "policy.value_optimizer": self.policy.value_optimizer,
        }
