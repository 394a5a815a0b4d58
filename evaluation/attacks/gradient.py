"""Gradient attacks: maximal action difference, and minimal value according to the agent's own critic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from agentgym.errors import InvalidParameter
from agentgym.evaluation.attacks.attack import Ball, ObservationAttack
from agentgym.evaluation.attacks.surface import Surface, divergence, surface

__all__ = ["CriticAttack", "GradientAttack", "MaximalActionDifference"]

# Networks get blocks of a fixed size, padded with repeated rows. The rounding of a product depends on its shape, so
# otherwise the last bits of a row's result would depend on how many rows are attacked together.
BLOCK = 32

Objective = Callable[[torch.Tensor], torch.Tensor]  # observations [N, ...] -> harm [N]


@dataclass
class GradientAttack(ObservationAttack):
    """Projected gradient ascent on a measure of harm, with the sign of the gradient (Madry et al. 2018).

    From every start, the attack takes ``steps`` steps of ``step_size * epsilon * scale * sign(gradient)``, each
    followed by a projection onto the ball. It returns the most harmful observation visited, including the true one.

    Args:
        epsilon: radius of the ball in units of ``scale``.
        steps: gradient steps from each start.
        step_size: length of a step as a fraction of the radius.
        restarts: number of starts.
    """

    steps: int = 10
    step_size: float = 0.25
    restarts: int = 1

    centred_start: ClassVar[bool]  # whether the first start is the true observation

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.restarts < 1 or not 0.0 < self.step_size < np.inf:
            raise InvalidParameter("steps and restarts must be at least 1, and step_size above 0.")

    def _objective(self, touched: Surface, true: torch.Tensor) -> Objective:
        """The harm, [N], of perceived observations if the true ones are ``true`` [N, ...]."""
        raise NotImplementedError

    def _search(self, agent: Any, ball: Ball, generators: Sequence[np.random.Generator]) -> np.ndarray:
        starts = [ball.sample(generators) for _ in range(self.restarts - self.centred_start)]
        if self.centred_start:
            starts.insert(0, ball.centre)
        touched = surface(agent)
        found = np.empty_like(ball.centre)
        for first in range(0, len(found), BLOCK):
            count = min(BLOCK, len(found) - first)
            rows = first + np.arange(BLOCK) % count
            found[rows[:count]] = self._ascend(touched, agent.device, ball, starts, rows)[:count]
        return found

    def _ascend(
        self, touched: Surface, device: Any, ball: Ball, starts: list[np.ndarray], rows: np.ndarray
    ) -> np.ndarray:
        true, low, high = (torch.as_tensor(part[rows], device=device) for part in (ball.centre, ball.low, ball.high))
        step = torch.as_tensor(self.step_size * ball.radius, dtype=true.dtype, device=device)
        harm = self._objective(touched, true)
        with torch.no_grad():
            best, most = true, harm(true)
        for start in starts:
            seen = torch.as_tensor(start[rows], device=device)
            for remaining in reversed(range(self.steps + 1)):
                with torch.enable_grad():
                    seen = seen.detach().requires_grad_()
                    value = harm(seen)
                better = (value.detach() > most).reshape(-1, *[1] * (seen.ndim - 1))
                best = torch.where(better, seen.detach(), best)
                most = torch.maximum(value.detach(), most)
                if remaining:
                    (gradient,) = torch.autograd.grad(value.sum(), seen)
                    seen = torch.clamp(seen + step * gradient.sign(), low, high)
        return best.detach().cpu().numpy()


@dataclass
class MaximalActionDifference(GradientAttack):
    """The observation that changes the policy most: argmax over s' in the ball of KL(pi(.|s) || pi(.|s')).

    The MAD attack of Zhang et al. 2020 (appendix on attacks). It needs no critic. The gradient vanishes at s,
    so every start is a random point of the ball.
    """

    kind: ClassVar[str] = "maximal_action_difference"
    centred_start: ClassVar[bool] = False

    def _objective(self, touched: Surface, true: torch.Tensor) -> Objective:
        with torch.no_grad():
            clean = touched.distribution(true)
        return lambda seen: divergence(clean, touched.distribution(seen))


@dataclass
class CriticAttack(GradientAttack):
    """The observation whose action has the lowest value: argmin over s' in the ball of Q(s, pi(s')).

    Q is evaluated at the true state s and is the minimum of the agent's own critics (after Pattanaik et al. 2018;
    in this form Zhang et al. 2020). The first start is s, further starts are random.
    """

    kind: ClassVar[str] = "critic"
    centred_start: ClassVar[bool] = True

    def _objective(self, touched: Surface, true: torch.Tensor) -> Objective:
        return lambda seen: -touched.value(true, touched.mode(seen))
