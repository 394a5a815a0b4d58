"""An attacker that knows the detector: gradient attacks that stay within what the dynamics predict."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentgym.contracts.settings import finite_number
from agentgym.evaluation.attacks.team import FaultyTeam, Truth
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics

__all__ = ["EvasiveTeam"]


class EvasiveTeam(FaultyTeam):
    """FGSM whose result is drawn back towards what the detector expects, until its residual is small enough.

    The victim sees o = c + min(1, budget / RMS) (o_fgsm - c), where c is the prediction from what the victim received
    and commanded before and RMS the standardised residual of o_fgsm; o stays within the size of the fault around the
    truth. Predictions follow what was received, so small steps add up to a drift.

    Args:
        agent: a team with choices.
        detector: fitted; the attacker reads its network and its units.
        budget: the largest score that the attacker allows itself, in units of the detector.
        truth, seeds, columns: see :class:`~agentgym.evaluation.attacks.team.FaultyTeam`.
    """

    def __init__(
        self, agent: Any, detector: Dynamics, budget: float, truth: Truth, seeds: Sequence[int],
        columns: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(agent, "fgsm", truth, seeds, columns)
        self.detector, self.budget = detector, finite_number("budget", budget, 0.0) * detector.quiet
        self._commanded: Tensor | None = None

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[np.ndarray, Any]:
        """See :class:`~agentgym.evaluation.attacks.team.FaultyTeam`."""
        joint, state = super().predict(observation, state, episode_start, deterministic)
        self._commanded = self.agent.layout.from_environment(joint)
        return joint, state

    def _attacked(self, windows: Tensor) -> Tensor:
        attacked = super()._attacked(windows)
        if self._commanded is None:
            return attacked
        live = self.detector.live
        centre, std = self.detector.predicted(self.seen, self._commanded.numpy())
        apart = attacked[..., live].double().numpy() - centre
        size = np.sqrt(np.mean((apart / std) ** 2, axis=-1, keepdims=True))
        hidden = centre + np.minimum(1.0, self.budget / np.maximum(size, 1e-12)) * apart
        found = windows.clone()
        found[..., live] = torch.as_tensor(hidden).to(windows)
        most = torch.as_tensor(self.truth.size, dtype=windows.dtype)[:, None, None]
        return torch.maximum(torch.minimum(found, windows + most), windows - most)
