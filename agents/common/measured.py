"""Metrics that stay on the device until the log is read, and checks that losses and weights are finite."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import update_learning_rate
from torch import Tensor

from agentgym.contracts.finite import require_finite
from agentgym.errors import NonFinite

__all__ = ["Measured"]


class Measured(BaseAlgorithm):
    """Keeps the metrics of updates on the device until the logger is read, so that updates need not wait for them.

    Attributes:
        metric_names: names of the scalars passed to :meth:`_log_later`; the last ones may be missing.
    """

    catalog_name: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]] = ()
    _unread_metrics: Sequence[tuple[Tensor | float, ...]]

    def explain_action(self) -> str:
        """What to do about an action that is not finite.

        Raises:
            NonFinite: a loss or a weight is not finite either, which explains it.
        """
        self._publish_metrics()
        self._require_finite_weights()
        return self._suspect()

    def _require_finite_weights(self) -> None:
        for name, weights in self.policy.named_parameters():
            if not weights.isfinite().all():
                raise NonFinite(
                    f"The weights {name} of {self.catalog_name} are not finite by step {self.num_timesteps}, after "
                    f"{self._n_updates} updates. {self._suspect()} The weights are lost: go back to a checkpoint."
                )

    def _update_learning_rate(self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        rate = self.lr_schedule(self._current_progress_remaining)
        require_finite("The learning_rate", rate, f"at step {self.num_timesteps}")
        self._logger.record("train/learning_rate", rate)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            if isinstance(optimizer.param_groups[0]["lr"], Tensor):
                for group in optimizer.param_groups:
                    group["lr"].fill_(rate)
            else:
                update_learning_rate(optimizer, rate)

    def _log_later(self, metrics: Sequence[tuple[Tensor | float, ...]]) -> None:
        """Keep the scalars of one ``train`` call, one tuple per update. Their means are logged."""
        self._unread_metrics = metrics

    @property
    def logger(self) -> Logger:
        """The logger, including the metrics of the latest update."""
        self._publish_metrics()
        return self._logger

    def _publish_metrics(self) -> None:
        if not self._unread_metrics:
            return
        updates, self._unread_metrics = self._unread_metrics, []
        means = torch.stack([torch.stack([torch.as_tensor(m) for m in update]) for update in updates]).mean(0).tolist()
        metrics = dict(zip(self.metric_names, means, strict=False))
        if wrong := [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]:
            raise NonFinite(
                f"A loss is not finite by step {self.num_timesteps}, update {self._n_updates}: {', '.join(wrong)}. "
                f"{self._suspect()} The weights are lost: go back to a checkpoint."
            )
        self._logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        for name, value in metrics.items():
            self._logger.record(f"train/{name}", value)

    def _suspect(self) -> str:
        return "Try a smaller learning_rate, and VecNormalize if rewards or observations are large."
