"""TD3+BC: TD3 with an actor regularised towards the dataset's actions (Fujimoto and Gu 2021)."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.offline.td3bc.config import TD3BCConfig
from agentgym.agents.offline.td3bc.networks import TD3BCPolicy
from agentgym.agents.offline.transitions import Batch, TransitionAgent
from agentgym.errors import InvalidParameter

__all__ = ["TD3BC"]


class TD3BC(TransitionAgent):
    """TD3+BC.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.td3bc.config.TD3BCConfig`.

    Attributes:
        actor: module from unprocessed observations ``[B, ...]`` to actions in [-1, 1] ``[B, A]``.
        critic: module from such observations and actions to Q1 and Q2, ``[B, 1]`` each.
    """

    catalog_name: ClassVar[str] = "td3bc"
    Config = TD3BCConfig
    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "q_mean", "actor_loss", "cloning_loss")

    policy: TD3BCPolicy

    def _build(self) -> None:
        settings = self.settings
        if settings.policy_delay < 1:
            raise InvalidParameter(
                f"policy_delay is {settings.policy_delay}; it must be a number of updates, 1 or more."
            )
        if settings.alpha < 0:
            raise InvalidParameter(f"alpha is {settings.alpha}; it must be a weight, 0 or more.")
        self.policy = TD3BCPolicy(self.observation_width, self.action_width, settings.layers)
        self.actor, self.critic = self.policy.actor, self.policy.critic

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        self._of_actor, self._of_critic = list(self.actor.parameters()), list(self.critic.parameters())
        self._of_targets = [*self.policy.actor_target.parameters(), *self.policy.critic_target.parameters()]
        rate = self.settings.learning_rate
        return {"actor": FusedAdam(self._of_actor, lr=rate), "critic": FusedAdam(self._of_critic, lr=rate)}

    def _update(self) -> tuple[Tensor, ...]:
        batch, settings = self._sample(), self.settings

        values = self.critic.of_states(batch.states, batch.actions)
        critic_loss = F.mse_loss(values, self._targets(batch).expand_as(values), reduction="none").mean(1).sum()
        set_gradients(critic_loss, self._of_critic)
        self.optimizers["critic"].step()
        measured = (critic_loss.detach(), values.detach().mean())
        if (self._n_updates + 1) % settings.policy_delay:
            return measured

        actions = self.actor.of_states(batch.states)
        anchor, *noted = self._anchor(batch, actions.detach())
        value = self.critic.first_of_states(batch.states, actions)
        weight = settings.alpha / value.detach().abs().mean()  # lambda
        cloning = F.mse_loss(actions, anchor)
        actor_loss = -weight * value.mean() + cloning
        set_gradients(actor_loss, self._of_actor)
        self.optimizers["actor"].step()
        polyak_update([*self._of_actor, *self._of_critic], self._of_targets, settings.tau)
        return (*measured, actor_loss.detach(), cloning.detach(), *noted)

    @torch.no_grad()
    def _targets(self, batch: Batch) -> Tensor:
        """y = r + gamma min Q'(s', pi'(s') + clipped noise), ``[B]``."""
        settings, policy = self.settings, self.policy
        actions = policy.actor_target.of_states(batch.next_states)
        noise = torch.empty_like(actions).normal_(0.0, 1.0, generator=self.generator) * settings.target_noise
        actions = (actions + noise.clamp(-settings.noise_clip, settings.noise_clip)).clamp(-1.0, 1.0)
        following = policy.critic_target.of_states(batch.next_states, actions).amin(0)
        return batch.rewards + settings.gamma * batch.alive * following

    def _anchor(self, batch: Batch, actions: Tensor) -> tuple[Tensor, ...]:
        """The targets ``[B, A]`` towards which the actions ``[B, A]`` are regularised, and further metrics."""
        return (batch.actions,)

    def _act(self, observations: Tensor, deterministic: bool) -> Tensor:
        return self.actor(observations)
