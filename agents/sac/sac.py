"""Soft Actor-Critic (Haarnoja et al. 2018, arXiv:1812.05905) in Stable-Baselines3's shape, with a faster update."""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from stable_baselines3 import SAC as StableBaselinesSAC
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.compiled import graphed
from agentgym.agents.common.inventory import Part
from agentgym.agents.common.networks import StackedCritic, TanhGaussianActor
from agentgym.agents.common.off_policy import OffPolicyAgent
from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.common.replay import FastReplayBuffer
from agentgym.agents.sac import sb3_zip
from agentgym.agents.sac.config import SACConfig
from agentgym.agents.sac.policies import MlpPolicy
from agentgym.errors import InvalidParameter

__all__ = ["SAC"]


class SAC(OffPolicyAgent, StableBaselinesSAC):
    """Soft Actor-Critic.

    Takes the constructor arguments of ``stable_baselines3.SAC`` in the same order, and works with its callbacks,
    loggers, VecEnvs and wrappers; ``learn``, ``predict`` and ``set_env`` are called the same way.

    Args:
        policy: ``"MlpPolicy"``; see :class:`~agentgym.agents.sac.policies.MlpPolicy` for ``policy_kwargs``.
        env: an environment id, a Gymnasium ``Env`` or ``VectorEnv``, or a Stable-Baselines3 ``VecEnv``.
        *arguments, **keywords: as in Stable-Baselines3, and fields of :class:`~agentgym.agents.sac.config.SACConfig`,
            by keyword. ``use_sde``, Dict and image observations are refused.

    Attributes:
        actor, critic, critic_target: the networks, also under ``policy``.
        log_ent_coef: log alpha, ``[1]``, if the temperature is learned, else None.
        replay_buffer: Stable-Baselines3's.

    Random numbers come from the global generators of torch and NumPy, as in Stable-Baselines3; ``seed`` seeds them.

    Raises:
        SpaceMismatch: SAC does not support the environment's spaces; the message says what to do.
        InvalidParameter: an option that this class does not have, or a value that is not allowed.
    """

    Config = SACConfig
    catalog_name: ClassVar[str] = "sac"
    also_saved: ClassVar[tuple[str, ...]] = ("action_noise", "optimize_memory_usage")
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MlpPolicy}

    metric_names: ClassVar[tuple[str, ...]] = ("ent_coef", "critic_loss", "actor_loss", "ent_coef_loss")

    compile: bool
    cuda_graphs: bool
    policy: MlpPolicy
    actor: TanhGaussianActor
    critic: StackedCritic
    critic_target: StackedCritic

    def _setup_model(self) -> None:
        if self.cuda_graphs and self.device.type != "cuda":
            raise InvalidParameter(f'cuda_graphs needs device="cuda"; the device is {self.device}')
        if self.replay_buffer_class is None and self.n_steps == 1:
            self.replay_buffer_class = FastReplayBuffer
        super()._setup_model()
        self._actor_parameters = list(self.actor.parameters())
        self._critic_parameters = list(self.critic.parameters())
        self._target_parameters = list(self.critic_target.parameters())
        if self.ent_coef_optimizer is not None:
            self.ent_coef_optimizer = FusedAdam([self.log_ent_coef], lr=self.lr_schedule(1))
        if self.compile:
            self.actor.sample_now_and_next = torch.compile(self.actor.sample_now_and_next)  # type: ignore[method-assign]
            for critic in (self.critic, self.critic_target):
                critic.q_values = torch.compile(critic.q_values)  # type: ignore[method-assign]
        self._fast_update = graphed(self._update, self._optimizers()) if self.cuda_graphs else self._update

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        return optimizers if self.ent_coef_optimizer is None else [*optimizers, self.ent_coef_optimizer]

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Sample batches and update temperature, critics, actor and target critics on each."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        metrics = []

        for gradient_step in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)  # type: ignore[union-attr]
            discounts = self.gamma if batch.discounts is None else batch.discounts.squeeze(1)  # gamma^n with n_steps
            metrics.append(
                self._fast_update(
                    self.policy.features(batch.observations),
                    batch.actions,
                    batch.rewards.squeeze(1),
                    self.policy.features(batch.next_observations),
                    (1 - batch.dones.squeeze(1)) * discounts,
                )
            )
            if gradient_step % self.target_update_interval == 0:
                polyak_update(self._critic_parameters, self._target_parameters, self.tau)

        self._n_updates += gradient_steps
        self._log_later(metrics)

    def _update(
        self, states: Tensor, actions: Tensor, rewards: Tensor, next_states: Tensor, discounts: Tensor
    ) -> tuple[Tensor, ...]:
        """One update in Stable-Baselines3's order: temperature, critics, then the actor with the new critics.

        Args:
            states, next_states: s and s' as features, ``[B, D]``.
            actions: a in [-1, 1], ``[B, A]``.
            rewards: r, ``[B]``.
            discounts: gamma, or 0 where s' is terminal, ``[B]``.

        Returns:
            alpha, critic loss, actor loss and, if alpha is learned, its loss: scalars on the agent's device.
        """
        (new_actions, log_prob), (next_actions, next_log_prob) = self.actor.sample_now_and_next(states, next_states)

        # Temperature, equation 18, on log(alpha); the steps below use alpha from before this one
        if self.ent_coef_optimizer is not None:
            assert self.log_ent_coef is not None
            alpha = self.log_ent_coef.detach().exp().squeeze()
            slope = -(log_prob.detach().mean(0, keepdim=True) + float(self.target_entropy))
            temperature_loss = (self.log_ent_coef.detach() * slope).squeeze()
            self.log_ent_coef.grad = slope  # the loss is linear in log(alpha)
            self.ent_coef_optimizer.step()
        else:
            alpha = self.ent_coef_tensor

        # Critics, equation 5: r + gamma (min_i Q_i'(s', a') - alpha log pi(a'|s')) with a' from the current policy
        with torch.no_grad():
            next_values = self.critic_target.q_values(next_states, next_actions).min(0).values
            targets = rewards + discounts * (next_values - alpha * next_log_prob)
        values = self.critic.q_values(states, actions)
        critic_loss = 0.5 / len(states) * F.mse_loss(values, targets.expand_as(values), reduction="sum")
        set_gradients(critic_loss, self._critic_parameters)
        self.critic.optimizer.step()

        # Actor, equation 7: alpha log pi(a|s) - min_i Q_i(s, a), through critics that get no gradient
        new_values = self.critic.q_values(states, new_actions, frozen=True).min(0).values
        actor_loss = (alpha * log_prob - new_values).mean()
        set_gradients(actor_loss, self._actor_parameters)
        self.actor.optimizer.step()

        losses = (critic_loss.detach(), actor_loss.detach())
        return (alpha, *losses) if self.ent_coef_optimizer is None else (alpha, *losses, temperature_loss)

    def parts(self) -> dict[str, Part]:
        """The policy, including targets, its optimisers, and the temperature, learned or constant."""
        own: dict[str, Part] = {
            "policy": self.policy, "actor.optimizer": self.actor.optimizer, "critic.optimizer": self.critic.optimizer
        }  # fmt: skip
        if self.ent_coef_optimizer is None:
            return {**own, "ent_coef_tensor": self.ent_coef_tensor}
        assert self.log_ent_coef is not None
        return {**own, "ent_coef_optimizer": self.ent_coef_optimizer, "log_ent_coef": self.log_ent_coef}

    @classmethod
    def import_sb3(
        cls, path: Path | str, env: Any = None, device: torch.device | str = "auto", **arguments: Any
    ) -> Self:
        """Read a zip that ``stable_baselines3.SAC.save`` wrote, without unpickling anything.

        See :func:`agentgym.agents.sac.sb3_zip.read`.
        """
        return sb3_zip.read(cls, path, env, device, arguments)

    def export_sb3(self, path: Path | str) -> None:
        """Write a zip that ``stable_baselines3.SAC.load`` reads; see :func:`agentgym.agents.sac.sb3_zip.write`."""
        sb3_zip.write(self, path)
