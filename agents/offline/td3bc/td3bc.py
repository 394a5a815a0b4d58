"""TD3+BC: TD3 with an actor regularised towards the dataset's actions (Fujimoto and Gu 2021)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.offline.td3bc.config import TD3BCConfig
from agentgym.agents.offline.td3bc.networks import TD3BCPolicy
from agentgym.agents.offline.transitions import Batch, TransitionAgent
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

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
        actor, critic = FusedAdam(self._of_actor, lr=rate), FusedAdam(self._of_critic, lr=rate)
        self._stacks = self._make_stacks(actor, critic)
        return {"actor": actor, "critic": critic}

    def _make_stacks(self, actor: FusedAdam, critic: FusedAdam) -> "tuple[Stack, Stack, Stack, Stack] | None":
        """The networks for :meth:`_update_on_stacks`, in its order, where that is how updates are made."""
        scratch, policy = self._scratch([actor, critic]), self.policy
        if scratch is None:
            return None
        return (
            self.actor.network.stack(scratch, actor), policy.actor_target.network.stack(scratch),
            self.critic.network.stack(scratch, critic), policy.critic_target.network.stack(scratch),
        )  # fmt: skip

    def _update(self) -> tuple[Tensor, ...]:
        batch = self._sample()
        if self._stacks is not None:
            return self._update_on_stacks(*self._stacks, batch)
        settings, policy = self.settings, self.policy
        targets = self._targets(batch, policy.actor_target.of_states, policy.critic_target.of_states)

        values = self.critic.of_states(batch.states, batch.actions)
        critic_loss = F.mse_loss(values, targets.expand_as(values), reduction="none").mean(1).sum()
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

    def _update_on_stacks(
        self, actor: "Stack", actor_target: "Stack", critic: "Stack", critic_target: "Stack", batch: Batch
    ) -> tuple[Tensor, ...]:
        """:meth:`_update` without autograd."""
        for stack in (actor, actor_target, critic, critic_target):
            stack.bind()
        settings, states, share = self.settings, batch.states, 1 / len(batch.states)
        targets = self._targets(
            batch, lambda at: actor_target.outputs(at)[0].tanh_(),
            lambda at, actions: critic_target.values(torch.cat([at, actions], 1)),
        )  # fmt: skip

        delayed = (self._n_updates + 1) % settings.policy_delay
        values, squares = critic.regress(torch.cat([states, batch.actions], 1), targets, 2 * share)
        critic.adam(None if delayed else critic_target, settings.tau)
        measured = (torch.tensor(share * squares), values.mean())
        if delayed:
            return measured

        actions = actor.outputs(states, keep=True)[0].tanh_()
        anchor, *noted = self._anchor(batch, actions)
        value = critic.values(torch.cat([states, actions], 1), keep=True, members=slice(0, 1))
        weight = settings.alpha / value.abs().mean()  # lambda
        of_actions, _ = critic.smallest_to_inputs(value, -share * float(weight), actions.shape[1])
        difference = actions - anchor
        of_actions += 2 / difference.numel() * difference
        actor.output_gradients((of_actions * (1 - actions.square())).unsqueeze(0))  # through the tanh
        actor.adam(actor_target, settings.tau)
        cloning = difference.square().mean()
        return (*measured, cloning - weight * value.mean(), cloning, *noted)

    @torch.no_grad()
    def _targets(
        self, batch: Batch, act: Callable[[Tensor], Tensor], values: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """y = r + gamma min Q'(s', pi'(s') + clipped noise), ``[B]``, with pi' and Q' as functions."""
        settings = self.settings
        actions = act(batch.next_states)
        noise = torch.empty_like(actions).normal_(0.0, 1.0, generator=self.generator) * settings.target_noise
        actions = (actions + noise.clamp(-settings.noise_clip, settings.noise_clip)).clamp(-1.0, 1.0)
        following = values(batch.next_states, actions).amin(0)
        return batch.rewards + settings.gamma * batch.alive * following

    def _anchor(self, batch: Batch, actions: Tensor) -> tuple[Tensor, ...]:
        """The targets ``[B, A]`` towards which the actions ``[B, A]`` are regularised, and further metrics."""
        return (batch.actions,)

    def _act(self, observations: Tensor, deterministic: bool) -> Tensor:
        return self.actor(observations)
