"""Implicit Q-Learning (Kostrikov, Nair and Levine 2022, arXiv:2110.06169)."""

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.offline.iql.config import IQLConfig
from agentgym.agents.offline.iql.networks import IQLPolicy
from agentgym.agents.offline.networks import Normalizer
from agentgym.agents.offline.transitions import Batch
from agentgym.agents.offline.weighted_cloning import WeightedCloning, require

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["IQL", "advantage_weights", "cosine", "expectile_loss"]


class IQL(WeightedCloning):
    """Implicit Q-Learning: V is an expectile of Q over the data's actions, so Q is never evaluated at other actions.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.iql.config.IQLConfig`.

    Attributes:
        actor, value, critic, critic_target: the networks, also under ``policy``.
    """

    catalog_name: ClassVar[str] = "iql"
    Config = IQLConfig
    metric_names: ClassVar[tuple[str, ...]] = (
        "value_loss", "critic_loss", "actor_loss", "value", "q_value", "weight", "weights_cut", "actor_learning_rate",
    )  # fmt: skip

    policy: IQLPolicy

    def _build(self) -> None:
        settings = self.settings
        require(0 < settings.expectile < 1, "expectile", settings.expectile, "between 0 and 1; 0.5 is the mean")
        require(settings.beta >= 0, "beta", settings.beta, "at least 0")
        require(0 < settings.tau <= 1, "tau", settings.tau, "above 0 and at most 1")
        normalizer = Normalizer(self.observation_width)
        self.policy = IQLPolicy(
            normalizer, self._make_actor(normalizer, settings.layers, bounded=True), self.observation_width,
            settings.layers, self.action_width, isinstance(self.action_space, spaces.Discrete),
        )  # fmt: skip
        self.actor, self.value = self.policy.actor, self.policy.value
        self.critic, self.critic_target = self.policy.critic, self.policy.critic_target

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        networks = {"actor": self.actor, "value": self.value, "critic": self.critic}
        self._parameters = {name: list(network.parameters()) for name, network in networks.items()}
        self._target_parameters = list(self.critic_target.parameters())
        rate = self.settings.learning_rate
        made = {name: FusedAdam(found, lr=rate) for name, found in self._parameters.items()}
        self._stacks = self._make_stacks(made)
        return dict(made)

    def _make_stacks(self, optimizers: dict[str, FusedAdam]) -> "tuple[Stack, Stack, Stack, Stack] | None":
        """The networks for :meth:`_update_on_stacks`, in its order, where that is how updates are made."""
        scratch = self._scratch(list(optimizers.values()))
        if scratch is None:
            return None
        return (
            self.value.stack(scratch, optimizers["value"]), self.actor.stack(scratch, optimizers["actor"]),
            self.critic.network.stack(scratch, optimizers["critic"]), self.critic_target.network.stack(scratch),
        )  # fmt: skip

    def _update(self) -> tuple[Tensor, ...]:
        settings, batch = self.settings, self._sample()
        if self._stacks is not None:
            return self._update_on_stacks(*self._stacks, batch)

        # V, equation 5: the expectile of min_i Q_i'(s, a) over the data's actions
        with torch.no_grad():
            q_values = self.critic_target.q_values(batch.states, batch.actions).amin(0)
        value_loss = expectile_loss(q_values - self._values(batch.states), settings.expectile)
        self._step("value", value_loss)
        with torch.no_grad():
            values, next_values = self._values(torch.cat([batch.states, batch.next_states])).chunk(2)

        # Policy, equation 7: advantage-weighted regression
        weights = advantage_weights(q_values - values, settings.beta, settings.max_weight)
        actor_loss = self._cloning_loss(batch, weights)
        rate = self._actor_learning_rate()
        self.optimizers["actor"].param_groups[0]["lr"] = rate
        self._step("actor", actor_loss)

        # Q, equation 6: towards r + gamma V(s')
        targets = batch.rewards + settings.gamma * batch.alive * next_values
        found = self.critic.q_values(batch.states, batch.actions)
        critic_loss = F.mse_loss(found, targets.expand_as(found), reduction="sum") / len(targets)
        self._step("critic", critic_loss)
        polyak_update(self._parameters["critic"], self._target_parameters, settings.tau)

        losses = (value_loss.detach(), critic_loss.detach(), actor_loss.detach())
        return *losses, *self._measured(values, q_values, weights, rate)

    def _update_on_stacks(
        self, value: "Stack", actor: "Stack", critic: "Stack", critic_target: "Stack", batch: Batch
    ) -> tuple[Tensor, ...]:
        """:meth:`_update` without autograd through the networks."""
        for stack in (value, actor, critic, critic_target):
            stack.bind()
        settings, states, share = self.settings, batch.states, 1 / len(batch.states)
        discrete = self.critic.discrete
        pairs = states if discrete else torch.cat([states, batch.actions], 1)

        # V, equation 5
        if discrete:
            q_values = self.critic.at(critic_target.outputs(pairs), batch.actions).amin(0)
        else:
            q_values = critic_target.values(pairs).amin(0)
        _, v_squares = value.regress(states, q_values, share, settings.expectile)
        value.adam()
        values, next_values = value.values(states)[0], value.values(batch.next_states)[0]

        # Policy, equation 7
        weights = advantage_weights(q_values - values, settings.beta, settings.max_weight)
        outputs = actor.outputs(states, keep=True).requires_grad_()
        actor_loss = self._weighted(self.actor.log_prob_at(outputs[0], batch.actions), weights)
        actor.descend(outputs, [actor_loss])
        rate = self._actor_learning_rate()
        self.optimizers["actor"].param_groups[0]["lr"] = rate
        actor.adam()

        # Q, equation 6
        targets = batch.rewards + settings.gamma * batch.alive * next_values
        if discrete:
            outputs = critic.outputs(pairs, keep=True).requires_grad_()
            found = self.critic.at(outputs, batch.actions)
            critic_loss = share * F.mse_loss(found, targets.expand_as(found), reduction="sum")
            critic.descend(outputs, [critic_loss])
        else:
            critic_loss = torch.tensor(share * critic.regress(pairs, targets, 2 * share)[1])
        critic.adam(critic_target, settings.tau)

        losses = (torch.tensor(0.5 * share * v_squares), critic_loss.detach(), actor_loss.detach())
        return *losses, *self._measured(values, q_values, weights, rate)

    def _measured(self, values: Tensor, q_values: Tensor, weights: Tensor, rate: float) -> tuple[Tensor, ...]:
        cut = (weights >= self.settings.max_weight).float().mean()
        return values.mean(), q_values.mean(), weights.mean(), cut, torch.tensor(rate, device=self.device)

    def _values(self, states: Tensor) -> Tensor:
        """V(s), ``[B]``."""
        values: Tensor = self.value(states)
        return values.flatten()

    def _step(self, name: str, loss: Tensor) -> None:
        set_gradients(loss, self._parameters[name])
        self.optimizers[name].step()

    def _actor_learning_rate(self) -> float:
        """The learning rate of this step. It depends only on counters, so it is the same in a resumed run."""
        settings = self.settings
        length = settings.schedule_steps or self._total_timesteps
        return float(settings.learning_rate * (cosine(self.num_timesteps, length) if settings.cosine else 1.0))


def expectile_loss(differences: Tensor, expectile: float) -> Tensor:
    """E[|expectile - 1(u < 0)| u^2], whose minimiser over v, with u = x - v, is the expectile of x.

    Args:
        differences: u, ``[B]``.
        expectile: between 0 and 1; 0.5 gives half the mean squared error.
    """
    return (torch.where(differences > 0, expectile, 1 - expectile) * differences.square()).mean()


def advantage_weights(advantages: Tensor, beta: float, max_weight: float) -> Tensor:
    """min(exp(beta A), max_weight), ``[B]``."""
    return torch.exp(beta * advantages).clamp(max=max_weight)


def cosine(step: int, length: int) -> float:
    """Half a cosine, from 1 at step 0 to 0 at ``length`` and later."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, length))))
