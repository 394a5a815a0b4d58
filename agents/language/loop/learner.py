"""The update of an iteration: rewards, filters, advantages, gradient steps, replay."""

import math
from collections.abc import Mapping
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


class Learner:
    """Updates a policy from batches of episodes.

    Args:
        policy: the policy to train.
        settings: the agent's settings.
        plugins: the plug-ins by name, in order.
        generator: for minibatches and the plug-ins' random choices; on the CPU.

    Attributes:
        steps: gradient steps of the last iteration.
    """

    def __init__(
        self, policy: Policy, settings: LanguageConfig, plugins: Mapping[str, Plugin], generator: torch.Generator
    ) -> None:
        self.policy, self.settings, self.plugins, self.generator = policy, settings, plugins, generator
        self.estimator = find_estimator(settings.advantage)
        self.steps = 0
        learned = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            learned, settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay
        )

        self.begin()

    def begin(self) -> None:
        """Call the plug-ins' ``begin`` before the first iteration."""
        for plugin in self.plugins.values():
            plugin.begin(self.policy)

    def update(self, batch: Batch, iteration: int) -> dict[str, float]:
        """One iteration, in SPEAR's order.

        Args:
            batch: its rewards, mask and advantages are changed.
            iteration: from 0.

        Returns:
            Numbers for the log.

        Raises:
            InvalidParameter: a group has a single episode.
            NonFinite: a loss is not finite.
        """
        _check_groups(batch)
        self.steps = 0
        plugins = list(self.plugins.values())
        for plugin in plugins:
            plugin.numbers = {}
            plugin.shape_rewards(batch, iteration)
        for plugin in plugins:
            if (kept := plugin.keep(batch)) is not None:
                batch.mask = batch.mask & kept
        advantages = batch.at_decisions(self.estimator(batch, self.settings))
        for plugin in plugins:
            advantages = plugin.modulate(batch, advantages)
        batch.advantages = advantages * batch.mask
        measures = UpdateMeasures()
        numbers = self._learn_from_new(batch, iteration, measures)
        for plugin in plugins:
            if (replay := plugin.replay(iteration, self.generator)) is not None:
                self._learn_from_old(replay, iteration)
        for plugin in plugins:
            plugin.finish(batch, iteration)
        numbers |= measures.metrics()
        for name, plugin in self.plugins.items():
            numbers |= {f"{name}/{key}": value for key, value in plugin.numbers.items()}
        return numbers

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
                loss = self._loss(small, full, iteration, measures, epoch == settings.epochs - 1)
                norms.append(self._step(loss, iteration))
                losses.append(loss.detach())
        return {
            "train/episodes": float(len(rows)),
            "train/loss": float(torch.stack(losses).mean()) if losses else 0.0,
            "train/grad_norm": float(torch.stack(norms).mean()) if norms else 0.0,
            "train/learning_rate": self._rate(iteration),
        }

    def _loss(self, batch: Batch, full: int, iteration: int, measures: UpdateMeasures, last_epoch: bool) -> Tensor:
        settings = self.settings
        logp, entropy = processes.evaluate_decisions(self.policy, batch)
        each, clipped = clipped_surrogate(
            logp, batch.old_logp, batch.advantages, settings.clip_low, settings.clip_high, settings.clip_dual
        )
        for plugin in self.plugins.values():
            each = plugin.surrogate(self._terms(each, logp, batch, clipped))
        loss = aggregate(each, batch.mask, settings.aggregation, settings.fixed_length, full)
        for plugin in self.plugins.values():
            if (more := plugin.loss(batch, logp, entropy, iteration)) is not None:
                loss = loss + more
        measures.add(batch, logp, clipped, last_epoch)
        return loss

    def _learn_from_old(self, replay: Replay, iteration: int) -> None:
        """Gradient steps on replayed episodes: the same surrogate, with ratios to the policies that played them."""
        settings, batch = self.settings, replay.batch.to(next(self.policy.parameters()).device)
        order = torch.randperm(len(batch), generator=self.generator)
        for part in order.chunk(settings.minibatches):
            small = batch.rows(part.to(batch.ids.device))
            logp, _ = processes.evaluate_decisions(self.policy, small)
            # No dual clip: it bounds the losses of negative advantages, which replay does not have.
            each, clipped = clipped_surrogate(
                logp, small.old_logp, small.advantages, settings.clip_low, settings.clip_high, None
            )
            if replay.surrogate is not None:
                each = replay.surrogate.surrogate(self._terms(each, logp, small, clipped))
            self._step(
                replay.weight * aggregate(each, small.mask, settings.aggregation, settings.fixed_length), iteration
            )

    def imitate(self, batch: Batch) -> float:
        """One step towards the batch's decisions, -log p averaged over them; returns that loss (nats)."""
        logp, _ = processes.evaluate_decisions(self.policy, batch)
        loss = -(logp * batch.mask).sum() / batch.mask.sum().clamp(min=1)
        self._step(loss, None)
        return float(loss.detach())

    def _terms(self, each: Tensor, logp: Tensor, batch: Batch, clipped: Tensor) -> Terms:
        return Terms(each, logp, batch.old_logp, batch.advantages, batch.mask, clipped, self.generator)

    def _step(self, loss: Tensor, iteration: int | None) -> Tensor:
        rate = self.settings.imitation_rate if iteration is None else self._rate(iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        processes.sum_gradients(self.policy)
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.settings.max_grad_norm)
        if not math.isfinite(float(norm)):
            raise NonFinite(
                f"The loss or its gradient is not finite ({float(loss.detach())}). Try a smaller learning_rate. The "
                "weights are those before this step."
            )
        self.optimizer.step()
        self.steps += 1
        return norm

    def _rate(self, iteration: int) -> float:
        settings = self.settings
        factor = learning_rate_factor(
            iteration, settings.warmup_iterations, settings.decay_iterations, settings.final_rate
        )
        return settings.learning_rate * factor

    def plugin_states(self) -> dict[str, Any]:
        """The states of the plug-ins by name."""
        return {name: plugin.state() for name, plugin in self.plugins.items()}

    def restore_plugins(self, states: Mapping[str, Any]) -> None:
        """Restore what :meth:`plugin_states` returned."""
        for name, plugin in self.plugins.items():
            plugin.restore(states[name])


def _check_groups(batch: Batch) -> None:
    numbers, sizes = batch.group.unique(return_counts=True)
    if int(sizes.min()) < 2:
        raise InvalidParameter(
            f"Group {int(numbers[sizes.argmin()])} has one episode. Advantages compare the episodes of a group: play "
            "at least two episodes of each task."
        )
