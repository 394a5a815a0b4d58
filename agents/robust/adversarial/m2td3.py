"""M2TD3 (Tanabe et al. 2022, arXiv:2211.03413): max-min TD3 with candidates for the worst parameters."""

import itertools
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentgym.agents.common.inventory import Part
from agentgym.agents.common.optim import set_gradients
from agentgym.agents.robust.adversarial.config import M2TD3Config
from agentgym.agents.robust.adversarial.td3 import GameTD3

__all__ = ["M2TD3", "SoftM2TD3"]

FIRST_LENGTH = 1000  # steps of an episode, until one has ended


class Candidates(nn.Module):
    """K candidates for the worst parameters, as positions tanh(x) in (-1, 1), each with its own x.

    Args:
        count: K.
        width: number of parameters.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.each = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(count))
        for index in range(count):
            self.redraw(index)

    @torch.no_grad()
    def redraw(self, index: int) -> None:
        """Replace one by a uniformly drawn position."""
        own = self.each[index]
        own.copy_(torch.atanh((2 * torch.rand(len(own)) - 1).clamp(-0.999999, 0.999999)))

    def forward(self) -> Tensor:
        """Positions, ``[K, width]``."""
        return torch.tanh(torch.stack(list(self.each)))


class M2TD3(GameTD3):
    """Max-min TD3: max over pi of min over w of E[Q(s, pi(s), w)], with w constant in each episode.

    The minimum is tracked by K candidates. Every update improves the policy against the candidate that is the worst
    for it, and makes this candidate worse. Episodes are played around a candidate, drawn by how often each has been the
    worst. A candidate that came too near another one, or that is hardly ever the worst, is drawn anew.

    :class:`GameTD3` has the arguments.

    Attributes:
        adversary: the K candidates.
    """

    Config = M2TD3Config
    catalog_name: ClassVar[str] = "m2td3"
    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "q_mean", "actor_loss", "worst_value")
    of_nature: ClassVar[tuple[str, ...]] = ("_moves", "_frequencies", "_lengths", "_last_length")

    candidates: int
    parameter_noise: float
    parameter_noise_end: float
    least_distance: float
    least_frequency: float

    def _setup_model(self) -> None:
        super()._setup_model()
        self.adversary = Candidates(self.candidates, len(self.nature)).to(self.device)
        self._adversary_optimizer = torch.optim.Adam(self.adversary.each, lr=self.lr_schedule(1))
        self._frequencies = np.full(self.candidates, 1 / self.candidates)  # of being the worst, averaged
        self._lengths, self._last_length = np.zeros(self.n_envs, int), FIRST_LENGTH

    # Nature's side of an episode

    def _choose(self, starts: NDArray[np.bool_], uniform: bool) -> None:
        for index in np.flatnonzero(starts).tolist():
            self._moves[index] = self._drawn(uniform)
        if starts.any():
            assert self.env is not None
            self.nature.set(self.env, self._moves, starts)

    @torch.no_grad()
    def _drawn(self, uniform: bool) -> NDArray[Any]:
        """An episode's position, [K]: a candidate with noise, which falls linearly over the training."""
        if uniform:
            return (2 * torch.rand(len(self.nature)) - 1).numpy()
        self._restart_candidates()
        self._frequencies /= self._frequencies.sum()
        candidate = self.adversary()[int(torch.multinomial(torch.from_numpy(self._frequencies), 1))].cpu()
        fall = (self.parameter_noise - self.parameter_noise_end) * self._current_progress_remaining
        noise = (self.parameter_noise_end + fall) * torch.randn(len(candidate))
        return (candidate + noise).clamp(-1, 1).numpy()

    @torch.no_grad()
    def _restart_candidates(self) -> None:
        """Draw anew the first of two candidates that are near each other, then those that are hardly ever the worst."""
        points = self.nature.values(self.adversary().cpu().numpy())
        pairs = itertools.combinations(range(len(points)), 2)
        near = {i for i, j in pairs if np.abs(points[i] - points[j]).sum() <= self.least_distance}
        for index in sorted(near):
            self._restart(index)
        for index in np.flatnonzero(self._frequencies < self.least_frequency).tolist():
            self._restart(index)

    def _restart(self, index: int) -> None:
        self.adversary.redraw(index)
        self._adversary_optimizer.state.pop(self.adversary.each[index], None)
        if len(self._frequencies) > 1:
            self._frequencies[index] = np.delete(self._frequencies, index).mean()

    def _store_transition(self, *arguments: Any, **keywords: Any) -> None:
        super()._store_transition(*arguments, **keywords)
        self._lengths = self._lengths + 1
        for index in np.flatnonzero(np.asarray(self._last_episode_starts)).tolist():
            self._last_length, self._lengths[index] = int(self._lengths[index]), 0

    # Learning

    def _next_moves(self, moves: Tensor, next_states: Tensor) -> Tensor:
        """The episode's parameters, smoothed like the actions."""
        return self._smoothed(moves)

    def _improve(self, states: Tensor, moves: Tensor) -> tuple[Tensor, ...]:
        """One step of the policy up, and of the worst candidate down.

        Returns:
            The policy's loss and the value of the worst candidate.
        """
        actions, positions = self.actor.mu(states), self.adversary()
        with torch.no_grad():
            values = self._values(states, actions, positions)
        worst = int(values.argmin())

        candidate = self.adversary.each[worst]
        of_candidate = self._values(states, actions.detach(), positions[worst : worst + 1])[0]
        actor_loss = -self._objective(states, actions, positions.detach(), worst)

        self._adversary_optimizer.zero_grad()
        set_gradients(of_candidate, [candidate])
        self._adversary_optimizer.step()
        set_gradients(actor_loss, self._of_actor)
        self.actor.optimizer.step()

        self._frequencies *= 1 - 1 / self._last_length
        self._frequencies[worst] += 1 / self._last_length
        return actor_loss.detach(), values[worst]

    def _objective(self, states: Tensor, actions: Tensor, positions: Tensor, worst: int) -> Tensor:
        """What the policy maximises: its value with the worst candidate."""
        return self._values(states, actions, positions[worst : worst + 1])[0]

    def _values(self, states: Tensor, actions: Tensor, positions: Tensor) -> Tensor:
        """E[Q_1(s, a, w)] over the batch for each w of ``positions`` [K, width]; ``[K]``."""
        count, batch = len(positions), len(states)
        moves = positions.repeat_interleave(batch, 0)
        return self._value(states.repeat(count, 1), actions.repeat(count, 1), moves).view(count, batch).mean(1)

    # State

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [*super()._optimizers(), self._adversary_optimizer]

    def parts(self) -> dict[str, Part]:
        """As :meth:`GameTD3.parts`, plus the candidates and their optimiser."""
        return {
            **super().parts(), "adversary": self.adversary, "adversary.optimizer": self._adversary_optimizer
        }  # fmt: skip


class SoftM2TD3(M2TD3):
    """M2TD3 whose policy maximises the average over the candidates, weighted by how often each was the worst."""

    catalog_name: ClassVar[str] = "soft-m2td3"

    def _objective(self, states: Tensor, actions: Tensor, positions: Tensor, worst: int) -> Tensor:
        """What the policy maximises: its values with all candidates, weighted."""
        weights = torch.as_tensor(self._frequencies / self._frequencies.sum(), dtype=torch.float32, device=self.device)
        return weights @ self._values(states, actions, positions)
