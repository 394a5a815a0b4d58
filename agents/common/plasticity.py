"""The fraction of active units, and Adaptive Replay Ratio, which follows it (Ma et al. 2024, arXiv 2310.07418)."""

from collections.abc import Callable
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from agentgym.errors import InvalidParameter

__all__ = ["AdaptiveReplayRatio", "active_units"]


def active_units(network: nn.Module, call: Callable[[], Any]) -> float:
    """The share of outputs above 0 of all ReLU layers of a network, while ``call`` runs it.

    Raises:
        InvalidParameter: the network has no ReLU modules, or none of them ran.
    """
    counts: list[tuple[int, int]] = []

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        counts.append((int((output > 0).sum()), output.numel()))

    layers = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            call()
    finally:
        for hook in hooks:
            hook.remove()
    if not counts:
        raise InvalidParameter(
            f"{type(network).__name__} has no ReLU modules that ran, so no fraction of active units."
        )
    return sum(active for active, _ in counts) / sum(total for _, total in counts)


class AdaptiveReplayRatio(BaseCallback):
    """Starts with few updates and raises their number, once and for good, when the critic's active units settle.

    Every ``window`` episodes the fraction of active units of the critic, averaged over the window, is compared with
    that of the window before. When it changed by at most ``tolerance``, ``gradient_steps`` of the agent becomes
    ``high``. The paper has an update every two steps first, then two per step: ``train_freq=2, gradient_steps=1`` and
    ``high=4``. The released code clears its average after each episode; here a window holds all its episodes.

    For agents of Stable-Baselines3 and sb3-contrib with ``critic``, ``q_net`` or ``quantile_net`` of ReLU layers.

    Args:
        high: ``gradient_steps`` after the change.
        window: episodes of a window.
        tolerance: largest change that counts as settled.
        batch: transitions to measure at the end of each episode.

    Attributes:
        history: averages of the windows so far.
        raised_at: the step of the change; None before it.
    """

    def __init__(self, high: int = 4, window: int = 50, tolerance: float = 1e-3, batch: int = 256) -> None:
        super().__init__()
        if high < 1 or window < 1 or tolerance < 0 or batch < 1:
            raise InvalidParameter(
                f"high, window and batch must be at least 1 and tolerance at least 0; they are {high}, {window}, "
                f"{batch} and {tolerance}."
            )
        self.high, self.window, self.tolerance, self.batch = high, window, tolerance, batch
        self.history: list[float] = []
        self.raised_at: int | None = None
        self._values: list[float] = []

    def _init_callback(self) -> None:
        if not isinstance(self.model, OffPolicyAlgorithm) or self._network() is None:
            raise InvalidParameter(
                "Adaptive Replay Ratio needs an off-policy agent with critic, q_net or quantile_net."
            )

    def _network(self) -> nn.Module | None:
        found = (getattr(self.model, name, None) for name in ("critic", "q_net", "quantile_net"))
        return next((network for network in found if isinstance(network, nn.Module)), None)

    def _on_step(self) -> bool:
        buffer = self.model.replay_buffer  # type: ignore[attr-defined]
        ended = int(sum(self.locals["dones"]))
        if self.raised_at is None and ended and buffer.size() > 0:
            self._values += [self._measure(buffer)] * ended
            self.logger.record("train/active_units", self._values[-1])
            if len(self._values) >= self.window:
                self._close_window()
        return True

    def _measure(self, buffer: Any) -> float:
        """The fraction of active units on the latest transitions; no random number is drawn."""
        network, rows = self._network(), min(buffer.size(), self.batch)
        assert network is not None
        latest = (buffer.pos - 1 - torch.arange(rows)) % buffer.size()
        observations = torch.as_tensor(buffer.observations[latest.numpy(), 0], device=self.model.device)
        actions = torch.as_tensor(buffer.actions[latest.numpy(), 0], device=self.model.device)
        with_actions = hasattr(network, "q_networks")
        return active_units(network, lambda: network(observations, actions) if with_actions else network(observations))

    def _close_window(self) -> None:
        average = sum(self._values) / len(self._values)
        self._values.clear()
        if self.history and abs(average - self.history[-1]) <= self.tolerance:
            self.raised_at = self.num_timesteps
            self.model.gradient_steps = self.high  # type: ignore[attr-defined]
        self.history.append(average)
