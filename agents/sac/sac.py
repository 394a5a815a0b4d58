"""Soft Actor-Critic (Haarnoja et al. 2018, arXiv:1812.05905) in Stable-Baselines3's shape, with a faster update."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
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
from agentgym.agents.common.stack.batches import Joined
from agentgym.agents.common.stack.choice import on_stacks
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.sac import sb3_zip
from agentgym.agents.sac.config import SACConfig
from agentgym.agents.sac.policies import MlpPolicy
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

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
    update_by: str
    _stacks: "tuple[Stack, Stack, Stack] | None"
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
        self._stacks = self._make_stacks()

    def _make_stacks(self) -> "tuple[Stack, Stack, Stack] | None":
        """Actor, critics and target critics for :meth:`_update_on_stacks`, where that is how updates are made."""
        actor, critic = self.actor.optimizer, self.critic.optimizer
        if not on_stacks(
            self.catalog_name, self.update_by, self.device, [len(self.actor.net_arch), len(self.critic.weights) - 1],
            [self.actor.activation_fn, self.critic.activation_fn], [actor, critic], self.compile or self.cuda_graphs,
        ):  # fmt: skip
            return None
        assert isinstance(actor, FusedAdam)
        assert isinstance(critic, FusedAdam)
        scratch = Scratch()
        return (
            self.actor.stack(scratch, actor), self.critic.stack(scratch, critic), self.critic_target.stack(scratch)
        )  # fmt: skip

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        return optimizers if self.ent_coef_optimizer is None else [*optimizers, self.ent_coef_optimizer]

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Sample batches and update temperature, critics, actor and target critics on each."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        for stack in self._stacks or ():
            stack.bind()
        metrics: list[tuple[Tensor | float, ...]] = []

        for gradient_step in range(gradient_steps):
            moves = gradient_step % self.target_update_interval == 0
            if self._stacks is not None:
                joined = self._sample_joined(batch_size)
                metrics.append(self._update_on_stacks(*self._stacks, joined, self.tau if moves else 0.0))
                continue
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
            if moves:
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

        alpha, *temperature_loss = self._temperature_step(log_prob.detach())

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

        return alpha, critic_loss.detach(), actor_loss.detach(), *temperature_loss

    @torch.no_grad()
    def _update_on_stacks(
        self, actor: "Stack", critic: "Stack", target: "Stack", batch: Joined, tau: float
    ) -> tuple[float, ...]:
        """:meth:`_update` without autograd, and the share ``tau`` of the critics into their targets."""
        from agentgym.agents.common.stack import squashed  # not before it is used: it imports Numba

        batch_size, width = len(batch.rewards), batch.actions
        share = 1 / batch_size  # of a transition in a batch mean
        new_actions, of_gaussian = torch.empty(batch_size, width), torch.empty(1, batch_size, 2 * width)
        log_prob, next_log_prob, targets = np.empty((3, batch_size), np.float32)

        gaussian = actor.outputs(batch.states, keep=True)[0].numpy()
        noise = self.actor.noise(batch.states)
        squashed.act(gaussian, noise, new_actions)
        mean_log_prob = squashed.log_probabilities(gaussian, noise.numpy(), new_actions.numpy(), log_prob)
        next_gaussian = actor.outputs(batch.next_states)[0].numpy()
        next_noise, next_actions = self.actor.noise(batch.next_states), batch.next_pairs[:, -width:]
        squashed.act(next_gaussian, next_noise, next_actions)
        squashed.log_probabilities(next_gaussian, next_noise.numpy(), next_actions.numpy(), next_log_prob)
        alpha, *temperature_loss = self._temperature_step_at(mean_log_prob)

        # Critics, equation 5
        next_values = target.values(batch.next_pairs).numpy()
        squashed.soft_targets(
            next_values, next_log_prob, batch.rewards.numpy(), batch.discounts.numpy(), alpha, targets
        )
        _, squares = critic.regress(batch.pairs, torch.from_numpy(targets), share)
        critic.adam(target if tau else None, tau)

        # Actor, equation 7: the loss falls by share * dQ/da, and rises by share * alpha * dlog pi
        batch.pairs[:, -width:] = new_actions
        values = critic.values(batch.pairs, keep=True)
        of_actions, value = critic.smallest_to_inputs(values, -share, width)
        squashed.gradients(
            gaussian, noise.numpy(), new_actions.numpy(), of_actions.numpy(), share * alpha, of_gaussian[0].numpy()
        )
        actor.output_gradients(of_gaussian)
        actor.adam()

        return alpha, 0.5 * share * squares, alpha * mean_log_prob - share * value, *temperature_loss

    def _temperature_step(self, log_prob: Tensor) -> tuple[Tensor, ...]:
        """Equation 18, on log(alpha): alpha from before the step, which the rest of the update uses, and the loss.

        A constant alpha has no loss.
        """
        if self.ent_coef_optimizer is None:
            return (self.ent_coef_tensor,)
        assert self.log_ent_coef is not None
        log_alpha = self.log_ent_coef.detach()
        alpha = log_alpha.exp().squeeze()
        slope = -(log_prob.mean(0, keepdim=True) + float(self.target_entropy))
        loss = (log_alpha * slope).squeeze()
        self.log_ent_coef.grad = slope  # the loss is linear in log(alpha)
        self.ent_coef_optimizer.step()
        return alpha, loss

    def _temperature_step_at(self, mean_log_prob: float) -> tuple[float, ...]:
        """:meth:`_temperature_step` with numbers."""
        if self.ent_coef_optimizer is None:
            return (float(self.ent_coef_tensor),)
        assert self.log_ent_coef is not None
        log_alpha, slope = float(self.log_ent_coef), -(mean_log_prob + float(self.target_entropy))
        self.log_ent_coef.grad = torch.full_like(self.log_ent_coef, slope)
        self.ent_coef_optimizer.step()
        return math.exp(log_alpha), log_alpha * slope

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
