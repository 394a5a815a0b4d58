"""Off-policy MDPO (Tomar et al. 2020, arXiv:2005.09814) in Stable-Baselines3's shape."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise
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
from agentgym.agents.common.tanh_gaussian import LOG_STD_MAX, LOG_STD_MIN
from agentgym.agents.mdpo.config import MDPOConfig
from agentgym.agents.mdpo.divergence import tsallis_log
from agentgym.agents.mdpo.policies import MirrorDescentPolicy
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["MDPO", "log_probabilities"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_EPSILON = 1e-6  # as in SAC's log-probability


class MDPO(OffPolicyAgent):
    """Off-policy Mirror Descent Policy Optimization for continuous actions.

    The policy takes one gradient step per environment step on the projection of
    pi_old^(1 - lambda t) exp(t Q) onto the tanh-Gaussians, where pi_old is the policy of the last multiple of
    ``snapshot_interval`` steps. With ``step_size`` = 1 / ``ent_coef`` the old policy cancels and the loss is SAC's.

    Args:
        policy: ``"MlpPolicy"``.
        env: an environment id, a Gymnasium ``Env`` or ``VectorEnv``, or a Stable-Baselines3 ``VecEnv``.
        **keywords: fields of :class:`~agentgym.agents.mdpo.config.MDPOConfig`, and ``preset``, the name of a preset.
        policy_kwargs, stats_window_size, tensorboard_log, verbose, seed, device: as in Stable-Baselines3's SAC.

    Random numbers come from the global generators of torch and NumPy, as in Stable-Baselines3; ``seed`` seeds them.

    Raises:
        InvalidParameter: a hyperparameter is out of range.
        SpaceMismatch: MDPO does not support the environment's spaces; the message says what to do.
    """

    Config = MDPOConfig
    catalog_name: ClassVar[str] = "mdpo"
    fixed: ClassVar[dict[str, Any]] = {
        "replay_buffer_class": FastReplayBuffer, "support_multi_env": True, "sde_support": False,
        "supported_action_spaces": (spaces.Box,),
    }  # fmt: skip
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": MirrorDescentPolicy}

    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "value_loss", "actor_loss")

    step_size: float
    ent_coef: float
    tsallis_q: float
    snapshot_interval: int
    regularization: float
    deterministic_collection: bool
    compile: bool
    cuda_graphs: bool
    update_by: str
    _stacks: "tuple[Stack, Stack, Stack, Stack, Stack] | None"
    policy: MirrorDescentPolicy
    actor: TanhGaussianActor
    critic: StackedCritic

    def _setup_model(self) -> None:
        if self.cuda_graphs and self.device.type != "cuda":
            raise InvalidParameter(f'cuda_graphs needs device="cuda"; the device is {self.device}')
        super()._setup_model()
        self.actor, self.critic = self.policy.actor, self.policy.critic
        self.value_net, self.value_target = self.policy.value_net, self.policy.value_target
        self._actor_parameters: list[Tensor] = list(self.actor.parameters())
        self._old_actor_parameters: list[Tensor] = list(self.policy.old_actor.parameters())
        self._critic_parameters: list[Tensor] = list(self.critic.parameters())
        self._value_parameters: list[Tensor] = list(self.value_net.parameters())
        self._target_parameters: list[Tensor] = list(self.value_target.parameters())
        if self.compile:
            for network, method in ((self.actor, "gaussian"), (self.policy.old_actor, "gaussian"),
                                    (self.critic, "q_values"), (self.value_net, "values"),
                                    (self.value_target, "values")):  # fmt: skip
                setattr(network, method, torch.compile(getattr(network, method)))
        self._fast_update = graphed(self._update, self._optimizers()) if self.cuda_graphs else self._update
        self._stacks = self._make_stacks()

    def _make_stacks(self) -> "tuple[Stack, Stack, Stack, Stack, Stack] | None":
        """The networks for :meth:`_update_on_stacks`, in its order, where that is how updates are made."""
        layers = [len(self.actor.net_arch), len(self.critic.weights) - 1]  # V has as many as the critics
        actor, critic, value = optimizers = self._optimizers()
        if not on_stacks(
            self.catalog_name, self.update_by, self.device, layers,
            [self.actor.activation_fn, self.critic.activation_fn], optimizers, self.compile or self.cuda_graphs,
        ):  # fmt: skip
            return None
        assert isinstance(actor, FusedAdam)
        assert isinstance(critic, FusedAdam)
        assert isinstance(value, FusedAdam)
        scratch = Scratch()
        return (
            self.actor.stack(scratch, actor), self.policy.old_actor.stack(scratch), self.critic.stack(scratch, critic),
            self.value_net.stack(scratch, value), self.value_target.stack(scratch),
        )  # fmt: skip

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.actor.optimizer, self.critic.optimizer, self.value_net.optimizer]

    # Collection

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        if not self.deterministic_collection or self.num_timesteps < learning_starts:
            return super()._sample_action(learning_starts, action_noise, n_envs)
        assert self._last_obs is not None
        actions, _ = self.policy.predict(self._last_obs, deterministic=True)
        return actions, self.policy.scale_action(actions)

    @torch.no_grad()
    def _on_step(self) -> None:
        """Copy the policy to pi_old whenever the step counter passes a multiple of the interval."""
        steps, before = self.num_timesteps, self.num_timesteps - self.n_envs
        if steps // self.snapshot_interval != before // self.snapshot_interval:
            torch._foreach_copy_(self._old_actor_parameters, self._actor_parameters)

    # Learning

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Sample batches and update actor, critics, value and its target on each."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        for stack in self._stacks or ():
            stack.bind()
        metrics = []
        for _ in range(gradient_steps):
            if self._stacks is not None:
                metrics.append(self._update_on_stacks(*self._stacks, self._sample_joined(batch_size)))
                continue
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)  # type: ignore[union-attr]
            metrics.append(
                self._fast_update(
                    self.policy.features(batch.observations),
                    batch.actions,
                    batch.rewards.squeeze(1),
                    self.policy.features(batch.next_observations),
                    (1 - batch.dones.squeeze(1)) * self.gamma,
                )
            )
            polyak_update(self._value_parameters, self._target_parameters, self.tau)
        self._n_updates += gradient_steps
        self._log_later(metrics)

    def _update(
        self, states: Tensor, actions: Tensor, rewards: Tensor, next_states: Tensor, discounts: Tensor
    ) -> tuple[Tensor, ...]:
        """One update. All three losses use the parameters from before it.

        Args:
            states, next_states: s and s' as features, ``[B, D]``.
            actions: a in [-1, 1], ``[B, A]``.
            rewards: r, ``[B]``.
            discounts: gamma, or 0 where s' is terminal, ``[B]``.

        Returns:
            Losses of critics, value and actor: scalars on the agent's device.
        """
        gaussian = self.actor.gaussian(states)
        noise = self.actor.noise(states)
        actor_loss, new_actions, log_q, first_values = self._actor_loss(states, gaussian, noise)

        # Q(s, a) -> r + gamma V'(s'), and V(s) -> min_i Q_i(s, a') - lambda ln_q pi(a'|s) with a' of the actor loss
        with torch.no_grad():
            q_targets = rewards + discounts * self.value_target.values(next_states)
            other_values = self.critic.q_values(states, new_actions, members=slice(1, None))
            v_targets = torch.cat([first_values, other_values]).min(0).values - self.ent_coef * log_q
        values = self.critic.q_values(states, actions)
        critic_loss = 0.5 / len(states) * F.mse_loss(values, q_targets.expand_as(values), reduction="sum")
        value_loss = 0.5 * F.mse_loss(self.value_net.values(states), v_targets)

        set_gradients(actor_loss, self._actor_parameters)
        set_gradients(critic_loss, self._critic_parameters)
        set_gradients(value_loss, self._value_parameters)
        for optimizer in self._optimizers():
            optimizer.step()
        return critic_loss.detach(), value_loss.detach(), actor_loss.detach()

    def _update_on_stacks(
        self, actor: "Stack", old_actor: "Stack", critic: "Stack", value: "Stack", value_target: "Stack",
        batch: Joined,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """:meth:`_update` without autograd through the networks, and the share ``tau`` of V into its target."""
        states, share = batch.states, 1 / len(batch.rewards)  # of a transition in a batch mean
        gaussian = actor.outputs(states, keep=True).requires_grad_()
        noise = self.actor.noise(states)
        old = old_actor.outputs(states)[0] if self._pull != 0.0 else None
        new_actions, log_prob, old_log_prob = log_probabilities(gaussian[0], noise, old)
        new_pairs = torch.cat([states, new_actions.detach()], 1)
        first_values = critic.values(new_pairs, keep=True, members=slice(0, 1))
        of_actions, _ = critic.smallest_to_inputs(first_values, -share, batch.actions)
        actor_loss, log_q = self._loss_at(gaussian[0], log_prob, old_log_prob, first_values[0])
        actor.descend(gaussian, [actor_loss, new_actions], [None, of_actions])

        # Q(s, a) -> r + gamma V'(s'), and V(s) -> min_i Q_i(s, a') - lambda ln_q pi(a'|s) with a' of the actor loss
        q_targets = batch.rewards + batch.discounts * value_target.values(batch.next_states)[0]
        other_values = critic.values(new_pairs, members=slice(1, None))
        v_targets = torch.cat([first_values, other_values]).min(0).values - self.ent_coef * log_q
        _, q_squares = critic.regress(batch.pairs, q_targets, share)
        _, v_squares = value.regress(states, v_targets, share)

        actor.adam()
        critic.adam()
        value.adam(value_target, self.tau)
        return torch.tensor(0.5 * share * q_squares), torch.tensor(0.5 * share * v_squares), actor_loss.detach()

    @property
    def _pull(self) -> float:
        """lambda - 1 / t, the weight of the old policy."""
        return self.ent_coef - 1.0 / self.step_size

    def _actor_loss(self, states: Tensor, gaussian: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        """The actor's loss, and what the other losses need of its action.

        Args:
            states: ``[B, D]``.
            gaussian: the actor's mean and log standard deviation there, ``[B, 2A]``.
            noise: standard normal, ``[B, A]``.

        Returns:
            The loss and, without gradient, a ``[B, A]``, ln_q pi(a|s) ``[B]`` and Q_1(s, a) ``[1, B]``.
        """
        old = None
        if self._pull != 0.0:
            with torch.no_grad():
                old = self.policy.old_actor.gaussian(states)
        new_actions, log_prob, old_log_prob = log_probabilities(gaussian, noise, old)
        values = self.critic.q_values(states, new_actions, frozen=True, members=slice(0, 1))
        loss, log_q = self._loss_at(gaussian, log_prob, old_log_prob, values[0])
        return loss, new_actions.detach(), log_q, values.detach()

    def _loss_at(
        self, gaussian: Tensor, log_prob: Tensor, old_log_prob: Tensor | None, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """E[c ln_q pi(a|s) + (lambda - c) q ln_q pi_old(a|s) - Q_1(s, a)] with c = 1 / t and a from pi.

        Args:
            gaussian: the actor's mean and log standard deviation, ``[B, 2A]``.
            log_prob, old_log_prob: log pi and log pi_old of the entries of a, ``[B, A]``; None if the latter cancels.
            values: Q_1(s, a), ``[B]``.

        Returns:
            The loss and, without gradient, ln_q pi(a|s), ``[B]``.
        """
        log_q = tsallis_log(log_prob, self.tsallis_q).sum(1)
        loss = 1.0 / self.step_size * log_q - values
        if old_log_prob is not None:
            loss = loss + self._pull * self.tsallis_q * tsallis_log(old_log_prob, self.tsallis_q).sum(1)
        loss = loss.mean()
        if self.regularization:
            mean, log_std = gaussian.chunk(2, dim=1)
            log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
            loss = loss + self.regularization * (mean.square().mean() + log_std.square().mean())
        return loss, log_q.detach()

    def parts(self) -> dict[str, Part]:
        """The policy, including old actor and target, and the three optimisers."""
        networks = {"actor": self.actor, "critic": self.critic, "value_net": self.value_net}
        return {"policy": self.policy, **{f"{name}.optimizer": part.optimizer for name, part in networks.items()}}


def log_probabilities(gaussian: Tensor, noise: Tensor, old: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """A reparameterised tanh-Gaussian action, and the log-density of each entry under two policies.

    Args:
        gaussian: mean and log standard deviation before tanh, ``[B, 2A]``; the latter is clamped to [-20, 2] here.
        noise: standard normal, ``[B, A]``.
        old: the same for another policy, ``[B, 2A]``, or None.

    Returns:
        a = tanh(mean + std * noise), and log pi and log pi_old of its entries (the latter may be None), all ``[B, A]``.
    """
    mean, log_std = gaussian.chunk(2, dim=1)
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    before_tanh = mean + log_std.exp() * noise
    action = torch.tanh(before_tanh)
    squashing = torch.log(1 + _EPSILON - action.square()) + _HALF_LOG_TWO_PI
    log_prob = -(0.5 * noise.square() + log_std + squashing)
    if old is None:
        return action, log_prob, None
    old_mean, old_log_std = old.chunk(2, dim=1)
    old_log_std = old_log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    distance = (before_tanh - old_mean) * torch.exp(-old_log_std)
    return action, log_prob, -(0.5 * distance.square() + old_log_std + squashing)
