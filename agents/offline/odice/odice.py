"""ODICE (Mao, Xu, Zhang and Zhan 2024, arXiv:2402.00348)."""

from typing import ClassVar, NamedTuple, get_args

import torch
from torch import Tensor

from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.offline.networks import Normalizer
from agentgym.agents.offline.odice.config import Gradient, ODICEConfig, WeightForm
from agentgym.agents.offline.odice.losses import conjugate, orthogonal_sum, policy_weights
from agentgym.agents.offline.odice.networks import ODICEPolicy, ValueNetwork
from agentgym.agents.offline.transitions import Batch
from agentgym.agents.offline.weighted_cloning import WeightedCloning, require

__all__ = ["ODICE"]

Gradients = tuple[Tensor, ...]


class ValueStep(NamedTuple):
    """The results of one step of V.

    Attributes:
        gradients: gradients of the loss, in the order of V's parameters.
        residuals, values: e and V_i(s) before the step, ``[n, B]``, without gradient.
        diagnosis: the cosine between forward and backward gradient, if both are computed.
    """

    gradients: Gradients
    residuals: Tensor
    values: Tensor
    diagnosis: tuple[Tensor, ...] = ()


class ODICE(WeightedCloning):
    """State values from the dual of a regularised linear program, and a policy cloned with weights from its residuals.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.odice.config.ODICEConfig`.

    Attributes:
        actor, value, value_target: the networks, also under ``policy``.
    """

    catalog_name: ClassVar[str] = "odice"
    Config = ODICEConfig
    metric_names: ClassVar[tuple[str, ...]] = (
        "value_loss", "actor_loss", "value", "residual", "weight", "weights_positive", "gradient_cosine",
    )  # fmt: skip

    policy: ODICEPolicy

    def _build(self) -> None:
        settings = self.settings
        for name, choices in (("gradient", get_args(Gradient)), ("weights", get_args(WeightForm))):
            require(getattr(settings, name) in choices, name, getattr(settings, name), " or ".join(choices))
        require(0 < settings.lambda_f <= 1, "lambda_f", settings.lambda_f, "above 0 and at most 1")
        require(settings.eta >= 0, "eta", settings.eta, "at least 0")
        require(0 < settings.tau <= 1, "tau", settings.tau, "above 0 and at most 1")
        require(settings.value_members >= 1, "value_members", settings.value_members, "at least 1")
        normalizer = Normalizer(self.observation_width)
        value, target = (
            ValueNetwork(self.observation_width, settings.value_layers, settings.value_members, settings.layer_norm)
            for _ in range(2)
        )
        actor = self._make_actor(normalizer, settings.policy_layers, settings.bounded_mean)
        self.policy = ODICEPolicy(normalizer, actor, value, target)
        self.actor, self.value, self.value_target = actor, value, target

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        settings = self.settings
        self._value_parameters = list(self.value.parameters())
        self._target_parameters = list(self.value_target.parameters())
        self._actor_parameters = list(self.actor.parameters())
        return {
            "value": FusedAdam(self._value_parameters, lr=settings.learning_rate),
            "actor": FusedAdam(self._actor_parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay),
        }

    def _update(self) -> tuple[Tensor, ...]:
        settings, batch = self.settings, self._sample()
        rule = {"orthogonal": self._orthogonal, "true": self._true, "semi": self._semi}[settings.gradient]

        # V, with the gradient of the chosen method; residuals use V before this step
        gradients, residuals, values, diagnosis = rule(batch)
        for parameter, gradient in zip(self._value_parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous()
        self.optimizers["value"].step()
        polyak_update(self._value_parameters, self._target_parameters, settings.tau)

        # Policy: log-likelihood of the dataset actions, weighted with max(0, f'^-1(e)), averaged over the members of V
        weights = policy_weights(residuals, settings.weights, settings.max_weight).mean(0)
        actor_loss = self._cloning_loss(batch, weights)
        set_gradients(actor_loss, self._actor_parameters)
        self.optimizers["actor"].step()

        losses = (self._loss(values, residuals), actor_loss.detach())
        positive = (weights > 0).float().mean()
        return *losses, values.mean(), residuals.mean(), weights.mean(), positive, *diagnosis

    # The three gradients of (1 - lambda) E[V(s)] + lambda E[f*(e)]

    def _orthogonal(self, batch: Batch) -> ValueStep:
        """The gradient through V(s) plus the orthogonal part of that through V(s'). Each uses the other's target."""
        settings = self.settings
        targets, next_targets = self._targets(batch)
        values, next_values = self.value(batch.states), self.value(batch.next_states)
        residuals = self._residuals(batch, next_targets, values)
        backward_residuals = self._residuals(batch, next_values, targets)
        forward = self._gradient(settings.lambda_f * conjugate(residuals).mean(), keep=True)
        backward = self._gradient(settings.lambda_f * settings.eta * conjugate(backward_residuals).mean())
        summed, cosine = orthogonal_sum(flat(forward), flat(backward))
        linear = self._gradient((1 - settings.lambda_f) * values.mean())
        pieces = summed.split([gradient.numel() for gradient in linear])
        whole = tuple(part + piece.view_as(part) for part, piece in zip(linear, pieces, strict=True))
        return ValueStep(whole, residuals.detach(), values.detach(), (cosine,))

    def _true(self, batch: Batch) -> ValueStep:
        """The gradient through both V(s) and V(s'), without target."""
        values = self.value(batch.states)
        residuals = self._residuals(batch, self.value(batch.next_states), values)
        return ValueStep(self._gradient(self._loss(values, residuals)), residuals.detach(), values.detach())

    def _semi(self, batch: Batch) -> ValueStep:
        """The gradient through V(s) only."""
        _, next_targets = self._targets(batch)
        values = self.value(batch.states)
        residuals = self._residuals(batch, next_targets, values)
        return ValueStep(self._gradient(self._loss(values, residuals)), residuals.detach(), values.detach())

    def _loss(self, values: Tensor, residuals: Tensor) -> Tensor:
        weight = self.settings.lambda_f
        return (1 - weight) * values.mean() + weight * conjugate(residuals).mean()

    def _residuals(self, batch: Batch, next_values: Tensor, values: Tensor) -> Tensor:
        """e = r + gamma V(s') - V(s), ``[n, B]``, with V(s') = 0 after termination."""
        return batch.rewards + self.settings.gamma * batch.alive * next_values - values

    @torch.no_grad()
    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """min_i V_i'(s) and min_i V_i'(s'), ``[B]``."""
        least = self.value_target(torch.cat([batch.states, batch.next_states])).amin(0)
        targets, next_targets = least.chunk(2)
        return targets, next_targets

    def _gradient(self, loss: Tensor, keep: bool = False) -> Gradients:
        return torch.autograd.grad(loss, self._value_parameters, retain_graph=keep)


def flat(gradients: Gradients) -> Tensor:
    """Concatenate all gradients to one vector, ``[P]``."""
    return torch.cat([gradient.reshape(-1) for gradient in gradients])
