"""The update of an iteration: rewards, filters, advantages, gradient steps, replay."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from agentgym.agents.language.loop import distributed as processes
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.diagnostics import UpdateMeasures
from agentgym.agents.language.loop.schedules import learning_rate_factor
from agentgym.agents.language.loop.surrogate import aggregate, clipped_surrogate
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import Plugin, Replay, Terms, find_estimator
from agentgym.agents.language.policies.policy import Policy
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["Learner"]

ESTIMATOR = "advantage"  # the estimator's name among the plug-ins, for its metrics and its state


class Learner:
    """Updates a policy from batches of episodes.

    Args:
        policy: the policy to train.
        settings: the agent's settings.
        plugins: the plug-ins by name, in order.
        generator: for minibatches and the plug-ins' random choices; on the CPU.

    Attributes:
        methods: the estimator and the plug-ins by name, in the order in which their hooks are called.
        steps: gradient steps of the last iteration.
    """

    def __init__(
        self, policy: Policy, settings: LanguageConfig, plugins: Mapping[str, Plugin], generator: torch.Generator
    ) -> None:
        self.policy, self.settings, self.plugins, self.generator = policy, settings, plugins, generator
        self.estimator = find_estimator(settings.advantage)
        self.methods: dict[str, Plugin] = {ESTIMATOR: self.estimator, **plugins}
        for method in self.methods.values():
            method.generator = generator
            if method.REPLACES and settings.ratio != "decision":
                raise InvalidParameter(
                    f"{type(method).__name__} has a loss of its own, without the ratio of one {settings.ratio!r}: "
                    "leave the setting ratio as it is."
                )
        second = next((name for name, plugin in plugins.items() if plugin.REPLACES), None)
        if self.estimator.REPLACES and second is not None:
            raise InvalidParameter(f"{second} replaces the loss of {settings.advantage}: use one of them.")
        self.steps = 0
        self.optimizer = torch.optim.AdamW(
            processes.groups_of(policy, settings.shard),
            settings.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
        )

        self.begin()

    def begin(self) -> None:
        """Call the methods' ``begin`` before the first iteration."""
        for method in self.methods.values():
            method.begin(self.policy)

    def update(self, batch: Batch, iteration: int, apart: Mapping[str, Batch] | None = None) -> dict[str, float]:
        """One iteration, in SPEAR's order.

        Args:
            batch: its rewards, mask and advantages are changed.
            iteration: from 0.
            apart: batches for the plug-ins' ``mix``, by name.

        Returns:
            Numbers for the log.

        Raises:
            InvalidParameter: a group has a single episode.
            NonFinite: a loss is not finite.
        """
        if self.estimator.COMPARES:
            _check_groups(batch)
        self.steps = 0
        self._judge(batch, iteration)
        for name, extra in (apart or {}).items():
            _check_groups(extra)
            self._judge(extra, iteration)
            batch = self.methods[name].mix(batch, extra)
        measures = UpdateMeasures()
        numbers = self._learn_from_new(batch, iteration, measures)
        for method in self.methods.values():
            if (replay := method.replay(iteration, self.generator)) is not None:
                self._learn_from_old(replay, iteration)
        for method in self.methods.values():
            method.finish(batch, iteration)
        numbers |= measures.metrics()
        for name, method in self.methods.items():
            numbers |= {f"{name}/{key}": value for key, value in method.numbers.items()}
            method.numbers = {}
        return numbers

    def _judge(self, batch: Batch, iteration: int) -> None:
        """Rewards, filters, advantages."""
        methods = list(self.methods.values())
        for method in methods:
            method.shape_rewards(batch, iteration)
        for method in methods:
            if (kept := method.keep(batch)) is not None:
                batch.mask = batch.mask & kept
        estimated = self.estimator(batch, self.settings, iteration)
        advantages = estimated if self.estimator.PER_DECISION else batch.at_decisions(estimated)
        for method in methods:
            advantages = method.modulate(batch, advantages)
        batch.advantages = advantages * batch.mask

    @torch.no_grad()
    def recompute(self, batch: Batch, rows: Tensor) -> None:
        """Set the old log-probabilities and entropies of these rows to those of the policy as it is.

        For episodes that were played with notes that their tokens do not have.
        """
        small = batch.rows(rows)
        logp, entropy = processes.evaluate_decisions(self.policy, small)
        size = logp.shape[1]
        batch.old_logp[rows, :size], batch.old_entropy[rows, :size] = logp, entropy

    def _learn_from_new(self, batch: Batch, iteration: int, measures: UpdateMeasures) -> dict[str, float]:
        settings = self.settings
        useful = batch.mask.any(1)
        if settings.skip_dead:
            useful = useful & (batch.advantages != 0).any(1)
        rows = useful.nonzero()[:, 0].cpu()
        full = -(-len(batch) // settings.minibatches)  # episodes per minibatch if none is left out
        losses, norms = [], []
        for epoch in range(settings.epochs):
            order = rows[torch.randperm(len(rows), generator=self.generator)]
            for part in order.chunk(settings.minibatches) if len(order) else ():
                small = batch.rows(part.to(batch.ids.device))
                loss, terms = self._loss(small, full, iteration, measures, epoch == settings.epochs - 1)
                norms.append(self._step(loss, iteration, terms))
                losses.append(loss.detach())
        return {
            "train/episodes": float(len(rows)),
            "train/loss": float(torch.stack(losses).mean()) if losses else 0.0,
            "train/grad_norm": float(torch.stack(norms).mean()) if norms else 0.0,
            "train/learning_rate": self._rate(iteration),
        }

    def _loss(
        self, batch: Batch, full: int, iteration: int, measures: UpdateMeasures, last_epoch: bool
    ) -> tuple[Tensor, Terms]:
        settings = self.settings
        logp, entropy = processes.evaluate_decisions(self.policy, batch)
        each, clipped = clipped_surrogate(logp, batch, batch.advantages, settings)
        terms = Terms(each, logp, entropy, clipped, batch, settings, self.generator)
        for method in self.methods.values():
            terms.loss = method.surrogate(terms)
        loss = aggregate(terms.loss, batch.mask, settings.aggregation, settings.fixed_length, full)
        for method in self.methods.values():
            if (more := method.loss(batch, logp, entropy, iteration)) is not None:
                loss = loss + more
        measures.add(batch, logp, terms.clipped, last_epoch)
        return loss, terms

    def _learn_from_old(self, replay: Replay, iteration: int) -> None:
        """Gradient steps on replayed episodes: the same surrogate, with ratios to the policies that played them."""
        settings, batch = self.settings, replay.batch.to(next(self.policy.parameters()).device)
        order = torch.randperm(len(batch), generator=self.generator)
        for part in order.chunk(settings.minibatches):
            small = batch.rows(part.to(batch.ids.device))
            logp, entropy = processes.evaluate_decisions(self.policy, small)
            # No dual clip: it bounds the losses of negative advantages, which replay does not have.
            undualled = replace(settings, clip_dual=None)
            each, clipped = clipped_surrogate(logp, small, small.advantages, undualled)
            if replay.surrogate is not None:
                terms = Terms(each, logp, entropy, clipped, small, undualled, self.generator)
                each = replay.surrogate.surrogate(terms)
            self._step(
                replay.weight * aggregate(each, small.mask, settings.aggregation, settings.fixed_length), iteration
            )

    def imitate(self, batch: Batch) -> float:
        """One step towards the batch's decisions, -log p averaged over them; returns that loss (nats)."""
        logp, _ = processes.evaluate_decisions(self.policy, batch)
        loss = -(logp * batch.mask).sum() / batch.mask.sum().clamp(min=1)
        self._step(loss, None)
        return float(loss.detach())

    def _step(self, loss: Tensor, iteration: int | None, terms: Terms | None = None) -> Tensor:
        rate = self.settings.imitation_rate if iteration is None else self._rate(iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        processes.sum_gradients(self.policy)
        if terms is not None:
            self._scale_gradient(terms)
        norm = processes.clip_gradients(self.policy, self.settings.max_grad_norm)
        if not math.isfinite(float(norm)):
            raise NonFinite(
                f"The loss or its gradient is not finite ({float(loss.detach())}). Try a smaller learning_rate. The "
                "weights are those before this step."
            )
        self.optimizer.step()
        self.steps += 1
        return norm

    def _scale_gradient(self, terms: Terms) -> None:
        for method in self.methods.values():
            if (factor := method.scale_gradient(terms)) is not None:
                for parameter in self.policy.parameters():
                    if parameter.grad is not None:
                        parameter.grad.mul_(factor)

    def _rate(self, iteration: int) -> float:
        settings = self.settings
        factor = learning_rate_factor(
            iteration, settings.warmup_iterations, settings.decay_iterations, settings.final_rate
        )
        return settings.learning_rate * factor

    def plugin_states(self) -> dict[str, Any]:
        """The states of the plug-ins by name, and that of the estimator, if it keeps anything."""
        states = {name: method.state() for name, method in self.methods.items()}
        return {name: state for name, state in states.items() if name != ESTIMATOR or state}

    def restore_plugins(self, states: Mapping[str, Any]) -> None:
        """Restore what :meth:`plugin_states` returned."""
        for name, method in self.methods.items():
            if name != ESTIMATOR or name in states:
                method.restore(states[name])


def _check_groups(batch: Batch) -> None:
    numbers, sizes = batch.group.unique(return_counts=True)
    if int(sizes.min()) < 2:
        raise InvalidParameter(
            f"Group {int(numbers[sizes.argmin()])} has one episode. Advantages compare the episodes of a group: play "
            "at least two episodes of each task."
        )
