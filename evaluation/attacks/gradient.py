"""Attacks that follow a gradient: maximal action difference, and the least value in the agent's own critic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from agentgym.errors import InvalidParameter
from agentgym.evaluation.attacks.attack import Ball, ObservationAttack
from agentgym.evaluation.attacks.surface import Surface, divergence, surface

__all__ = ["CriticAttack", "GradientAttack", "MaximalActionDifference"]

# Networks see blocks of one size, padded with repeated rows: how a product is rounded depends on its shape, so
# without this a row's result would depend, in its last bits, on how many others are attacked with it.
BLOCK = 32

Objective = Callable[[torch.Tensor], torch.Tensor]  # observations [N, ...] -> harm [N]


@dataclass
class GradientAttack(ObservationAttack):
    """Projected ascent on a measure of harm by the signs of its gradient (Madry et al. 2018).

    From every start, ``steps`` steps of ``step_size * epsilon * scale * sign(gradient)`` are made, each followed
    by the projection on the ball. The most harmful observation that was visited is taken, the true one included.

    Args:
        epsilon: radius of the ball in units of ``scale``.
        steps: gradient steps from each start.
        step_size: length of a step as a fraction of the radius.
        restarts: how many starts.
    """

    steps: int = 10
    step_size: float = 0.25
    restarts: int = 1

    centred_start: ClassVar[bool]  # whether the first start is the true observation

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1 or self.restarts < 1 or not 0.0 < self.step_size < np.inf:
            raise InvalidParameter("steps and restarts are at least 1, and step_size is above 0.")

    def _objective(self, touched: Surface, true: torch.Tensor) -> Objective:
        """The harm that a perceived observation does where ``true`` [N, ...] is the state."""
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

    The MAD attack of Zhang et al. 2020 (appendix on attacks). It needs no critic. The gradient vanishes at s itself,
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
    """The observation whose action the agent's own critic likes least: argmin over s' in the ball of Q(s, pi(s')).

    Q is taken at the true state s and is the least of the agent's critics (after Pattanaik et al. 2018; in this
    form Zhang et al. 2020). The first start is s itself; further ones are random.
    """

    kind: ClassVar[str] = "critic"
    centred_start: ClassVar[bool] = True

    def _objective(self, touched: Surface, true: torch.Tensor) -> Objective:
        return lambda seen: -touched.value(true, touched.mode(seen))
