"""Dichotomy of Control: a policy conditioned on a latent future that contains no luck."""

import warnings
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.optim import polyak_update, set_gradients
from agentgym.agents.offline.doc import released
from agentgym.agents.offline.doc.config import METHODS, DoCConfig
from agentgym.agents.offline.doc.losses import Batch, best_of, contrast
from agentgym.agents.offline.doc.networks import DoCPolicy, Energy, Gaussians
from agentgym.agents.offline.history import History
from agentgym.agents.offline.sequence_agent import SequenceAgent
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.seeding import episode_seed

__all__ = ["Batch", "DoC", "Plan"]


class Plan(NamedTuple):
    """The latent future that an episode's policy is conditioned on.

    Attributes:
        z: the selected latent, ``[B, Z]``.
        promise: its value at the start of the episode, an undiscounted return, ``[B]``.
        spread: standard deviation of the candidates' values at that time, ``[B]``.
    """

    z: Tensor
    promise: Tensor
    spread: Tensor


class DoC(SequenceAgent):
    """Dichotomy of Control (Yang, Schuurmans, Abbeel, Nachum 2023, arXiv 2210.13435), for sequences, and future-VAE.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.doc.config.DoCConfig`.
    """

    catalog_name: ClassVar[str] = "doc"
    Config = DoCConfig
    metric_names: ClassVar[tuple[str, ...]] = (
        "loss", "cloning_loss", "value_loss", "prior_loss", "contrast", "mutual_information", "posterior_std",
        "prior_std", "promise", "promise_spread", "gradient_norm",
    )  # fmt: skip

    policy: DoCPolicy

    def _build(self) -> None:
        settings: DoCConfig = self.settings
        if settings.method not in METHODS:
            raise InvalidParameter(f"method is {settings.method!r}; it must be one of {', '.join(METHODS)}.")
        held = vars(settings)
        for name in ("future", "latent", "components", "samples", "energy_steps", "contrasted"):
            if held[name] < 1:
                raise InvalidParameter(f"{name} is {held[name]}; it must be at least 1.")
        if settings.method == "released-code":
            warnings.warn(released.WARNING, stacklevel=5)
        energy = released.ReleasedEnergy if settings.method == "released-code" else Energy
        self.policy = DoCPolicy(self.observation_width, self.action_width, settings)
        self.energy = energy(self.observation_width, self.action_width, settings)
        self.policy.energy = self.energy
        self._noise = self._fixed_noise()

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """f has its own optimiser. In the released code all share one, and the prior gets no gradient."""
        settings: DoCConfig = self.settings
        left_out = "prior_network." if settings.method == "released-code" else "energy."
        self._parameters: list[Tensor] = [
            parameter for name, parameter in self.policy.named_parameters()
            if parameter.requires_grad and not name.startswith(left_out)
        ]  # fmt: skip
        self._critics = list(self.policy.critic.parameters()), list(self.policy.average_critic.parameters())
        self._energy_parameters: list[Tensor] = list(self.energy.parameters())
        optimizers: dict[str, torch.optim.Optimizer] = {
            "policy": torch.optim.AdamW(
                self._parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
            )
        }
        if settings.method == "doc":
            optimizers["energy"] = torch.optim.AdamW(
                self._energy_parameters, lr=settings.energy_learning_rate, weight_decay=settings.weight_decay,
                fused=True,
            )  # fmt: skip
        return optimizers

    def _take(self, dataset: OfflineDataset) -> None:
        super()._take(dataset)
        for scale, values in ((self.policy.reward_scale, self.sequences.rewards),
                              (self.policy.return_scale, self.sequences.returns_to_go)):  # fmt: skip
            spread = values.std(correction=0)
            scale.copy_(torch.stack([values.mean(), torch.where(spread > 1e-6, spread, 1.0)]))
        self.policy.return_range.copy_(torch.stack(self.sequences.returns_to_go.aminmax()))

    # Learning

    def _gradient_step(self) -> tuple[Tensor, ...]:
        """Several steps that maximise over f, then one that minimises over (pi, q, V, p)."""
        settings: DoCConfig = self.settings
        batch = self._draw()
        if settings.method == "doc":
            for _ in range(settings.energy_steps):
                self._energy_step(batch)

        z = sampled(batch.posterior)
        cloning = self._cloning_loss(batch, z)
        value = self._value_loss(batch, z)
        prior, kl = self._prior_losses(batch, z)
        luck, information = self._luck(batch, z)
        weight = 1.0 if settings.method == "released-code" else settings.energy_weight * batch.steps
        loss = (
            cloning + settings.value_weight * value + settings.prior_weight * prior + settings.kl_weight * kl
            + weight * luck
        )  # fmt: skip
        norm = self._descend(self.optimizers["policy"], loss, self._parameters, settings.learning_rate)
        polyak_update(*self._critics, settings.averaging)
        return (loss.detach(), cloning.detach(), value.detach(), prior.detach(), luck.detach(), information,
                *self._looked_at(batch), norm)  # fmt: skip

    def _draw(self) -> Batch:
        """Sample windows and encode them."""
        settings, policy = self.settings, self.policy
        first = self.sequences.draw(settings.batch_size, self.generator)
        window = self.sequences.beginning_at(first, settings.context)
        future = window if settings.future == settings.context else self.sequences.beginning_at(first, settings.future)
        states, actions = self._states(window.observations), self._inputs(window.actions)
        posterior = policy.posterior(
            self._states(future.observations), self._inputs(future.actions), future.rewards, future.mask
        )
        history = policy.history(states, actions, window.rewards, window.times, window.mask)
        rows, mask = torch.arange(len(first), device=self.device), window.mask
        begins = mask.int().argmax(1)
        mean, spread = policy.return_scale
        return Batch(
            states[rows, begins],
            (window.returns_to_go[rows, begins] - mean) / spread,
            posterior,
            mask.flatten().nonzero().squeeze(1),
            history.flatten(0, 1),
            states.flatten(0, 1),
            self._states(window.next_observations).flatten(0, 1),
            actions.flatten(0, 1),
            window.actions.flatten(0, 1),
            policy.scaled(window.rewards).view(-1, 1),
        )

    def _cloning_loss(self, batch: Batch, z: Tensor) -> Tensor:
        outputs = self.policy.act(batch.history, batch.of_steps(z))[batch.inside]
        targets = batch.targets[batch.inside]
        return F.cross_entropy(outputs, targets) if self.discrete else F.mse_loss(torch.tanh(outputs), targets)

    def _value_loss(self, batch: Batch, z: Tensor) -> Tensor:
        told = z if self.settings.value_gradient else z.detach()
        return (self.policy.value(batch.begins, told) - batch.returns).square().mean()

    def _prior_losses(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """KL(q || p) with one sample of z per window, which trains only p, and KL(q || N(0, 1)), which trains q."""
        entropy = batch.posterior.log_density(z)
        if self.settings.method == "released-code":
            to_q = (entropy - self.policy.prior(batch.begins, frozen=True).log_density(z)).mean()
            return to_q, torch.zeros_like(to_q)
        to_p = (entropy.detach() - self.policy.prior(batch.begins).log_density(z.detach())).mean()
        return to_p, batch.posterior.divergence().mean()

    def _luck(self, batch: Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        """The contrast that q minimises, and the estimate of MI(r, s'; z | history, s, a) in nats."""
        if self.settings.method == "released-code":
            return released.contrast(self.energy, batch, z)
        if self.settings.method == "future-vae":
            return torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        energies, blind = self._energies(batch, z, frozen=True)
        luck = contrast(energies)
        return luck, (luck - contrast(blind)).detach()

    def _energy_step(self, batch: Batch) -> None:
        """One ascent step of f on E[f(r, s') - log E_rho exp f(r~, s'~)], with new samples z from the posterior."""
        energies, blind = self._energies(batch, sampled(batch.posterior).detach())
        set_gradients(-contrast(energies) - contrast(blind), self._energy_parameters)
        self.optimizers["energy"].step()

    def _energies(self, batch: Batch, z: Tensor, frozen: bool = False) -> tuple[Tensor, Tensor]:
        """f and f_0 among some steps of the batch, whose outcomes are samples from the data's marginal."""
        size = (self.settings.contrasted,)
        rows = batch.inside[torch.randint(len(batch.inside), size, device=self.device)]
        known = (batch.history[rows].detach(), batch.states[rows], batch.actions[rows])
        outcome = (batch.rewards[rows], batch.next_states[rows])
        found: tuple[Tensor, Tensor] = self.energy(known, batch.of_steps(z)[rows], outcome, frozen)
        return found

    @torch.no_grad()
    def _looked_at(self, batch: Batch, rows: int = 4) -> tuple[Tensor, ...]:
        """Metrics: the widths of q and p, and the promises at a few states of the batch."""
        plan = self._plan(batch.begins[:rows], deterministic=True)
        return (batch.posterior.std.mean(), self.policy.prior(batch.begins[:rows]).std.mean(), plan.promise.mean(),
                plan.spread.mean())  # fmt: skip

    # Acting

    def _choose(self, history: History, begins: Tensor, deterministic: bool) -> tuple[Tensor, Plan]:
        plan = self._planned(history, begins, deterministic)
        read = self.policy.history(history.observations, history.actions, history.rewards, history.times, history.mask)
        outputs = self.policy.act(read[:, -1], plan.z)
        if not self.discrete:
            return torch.tanh(outputs), plan
        if deterministic:
            return outputs.argmax(1), plan
        return torch.multinomial(outputs.softmax(1), 1, generator=self.generator).squeeze(1), plan

    def _planned(self, history: History, begins: Tensor, deterministic: bool) -> Plan:
        """The plan of each episode: a new one if an episode begins or the old one has been held long enough."""
        hold, old = self.settings.hold, history.memory
        renewed = begins if hold == 0 else begins | (history.time % hold == 0)
        if old is not None and not bool(renewed.any()):
            return Plan(*old)
        new = self._plan(history.observations[:, -1], deterministic)
        if old is None:
            return new
        return Plan(
            torch.where(renewed[:, None], new.z, old.z),
            torch.where(begins, new.promise, old.promise),
            torch.where(begins, new.spread, old.spread),
        )

    def _plan(self, states: Tensor, deterministic: bool) -> Plan:
        """Select the best of K latent futures starting at ``states``, ``[B, D]``.

        The deterministic choice uses the same K noise samples everywhere, so it depends only on the state.
        """
        uniform, normal = self._noise if deterministic else self._drawn_noise(len(states))
        candidates = self.policy.prior(states).samples(uniform, normal)  # [B, K, Z]
        if self.settings.method == "released-code":
            judged = released.judged(self.policy, len(states), candidates)
        else:
            judged = candidates
        count = candidates.shape[1]
        values = self.policy.value(states.repeat_interleave(count, 0), judged.flatten(0, 1), averaged=True)
        values = values.view(2, -1, count)
        z, value = best_of(candidates, values)
        mean, spread = self.policy.return_scale
        promise = (mean + spread * value).clamp(*self.policy.return_range)
        return Plan(z, promise, spread * values[0].std(1, correction=0))

    def _fixed_noise(self) -> tuple[Tensor, Tensor]:
        """The K noise samples of the deterministic choice. They depend only on the seed."""
        own = torch.Generator().manual_seed(episode_seed(self.seed, 3))
        count = self.settings.samples
        uniform = torch.rand(1, count, generator=own)
        normal = torch.randn(1, count, self.settings.latent, generator=own)
        return uniform.to(self.device), normal.to(self.device)

    def _drawn_noise(self, rows: int) -> tuple[Tensor, Tensor]:
        own, device, count = self.generator, self.device, self.settings.samples
        uniform = torch.rand(rows, count, generator=own, device=device)
        return uniform, torch.randn(rows, count, self.settings.latent, generator=own, device=device)

    def promised(self, state: Any, count: int) -> np.ndarray:
        """V of the selected z at the episodes' first states, undiscounted, float64 ``[count]``."""
        promise: Tensor = state.memory.promise
        return promise[:count].double().cpu().numpy()


def sampled(posterior: Gaussians) -> Tensor:
    """One sample of z per row, ``[B, Z]``, with gradients for mean and deviation (Kingma and Welling 2014)."""
    mean, std = posterior.mean[:, 0], posterior.std[:, 0]
    return mean + std * torch.randn_like(mean)
