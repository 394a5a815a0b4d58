"""What an agent received against what a model of clean episodes predicts from its last observation and command."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentgym.contracts.settings import whole_number
from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.detectors.base import Fitted, Floats, held_out
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.team import Team
from agentgym.seeding import stream

__all__ = ["Contacts", "Dynamics"]

Contacts = Callable[[NDArray[Any]], NDArray[Any]]
QUANTILE = 0.999
FEWEST = 20  # clean episodes


class Dynamics(Fitted):
    """The RMS standardised residual of o_t, predicted from o_(t-1) and the commanded action.

    A network predicts the mean and the standard deviation of o_t - o_(t-1) over live columns; it learns from clean
    episodes by the Gaussian likelihood. A score is the larger of the residual and of the third largest of the last
    five, each in units of its clean 99.9 % quantile in episodes that the network has not seen.

    It sees faults of observations and of actions that are not executed as commanded. A fault of weights is none: the
    agent's commands are executed.

    Args:
        team: the team that played the episodes.
        contacts: windows [..., A, F] to inputs [..., A, k] about touching bodies, whose forces are too sharp for a
            network of this size; without them an agent that was bumped into is suspected. Environments may give them as
            ``contact_inputs``.
        steps: of training.
        batch_size: of each step.
        units: of the two hidden layers.
        deviations: predict standard deviations; without, those of the residuals of each column are used.
        windowed: also watch the third largest of the last five residuals.
        seed: of weights and batches.
    """

    name: ClassVar[str] = "dynamics"

    def __init__(
        self, team: Team, contacts: Contacts | None = None, steps: int = 4000, batch_size: int = 512, units: int = 64,
        deviations: bool = True, windowed: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(team)
        self.contacts, self.deviations, self.windowed = contacts, deviations, windowed
        self.steps, self.batch_size = whole_number("steps", steps, 1), whole_number("batch_size", batch_size, 1)
        self.units, self.seed = whole_number("units", units, 1), whole_number("seed", seed, 0)

    def _fit(self, clean: Episodes) -> None:
        if len(clean) < FEWEST or clean.steps < 2:
            raise InvalidParameter(
                f"{self.name} needs at least {FEWEST} clean episodes of two steps and more; there are {len(clean)}."
            )
        learnt, rest = held_out(clean)
        inputs, targets = self._pairs(learnt)
        both = torch.as_tensor(_both(learnt))
        inputs, targets = inputs[both], targets[both]
        self._shift, self._unit = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
        self._centre, self._spread = targets.mean(0), targets.std(0).clamp_min(1e-6)
        self._network = self._learn((inputs - self._shift) / self._unit, (targets - self._centre) / self._spread)
        self._common = torch.zeros(len(self.live))
        if not self.deviations:
            self._common = self._standard(rest)[torch.as_tensor(_both(rest))].square().mean(0).sqrt().log()
        residuals, known = self._residuals(rest), _both(rest)
        self._scale = np.ones(2)
        self._scale[0] = np.quantile(residuals[:, 1:][known], QUANTILE)
        self._scale[1] = np.quantile(third_of_five(residuals)[:, 1:][known], QUANTILE)
        self._scale = np.maximum(self._scale, 1e-12)

    def _pairs(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Inputs and targets of all transitions, float32 [E, T - 1, A, ...]; of dead agents without meaning."""
        windows = np.where(episodes.alive[..., None], episodes.received, 0.0)
        seen = torch.as_tensor(windows[..., self.live])
        agents = torch.eye(episodes.agents).expand(*seen.shape[:2], -1, -1)
        parts = [seen, torch.as_tensor(episodes.commanded), agents]
        if self.contacts is not None:
            parts.append(torch.as_tensor(np.asarray(self.contacts(windows), np.float32)))
        inputs = torch.cat(parts, dim=-1)[:, :-1].float()
        return torch.nan_to_num(inputs, nan=0.0), (seen[:, 1:] - seen[:, :-1]).float()

    def _learn(self, inputs: Tensor, targets: Tensor) -> nn.Module:
        """Fit by the Gaussian likelihood, in standard units."""
        width = targets.shape[-1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = nn.Sequential(
                nn.Linear(inputs.shape[-1], self.units), nn.SiLU(), nn.Linear(self.units, self.units), nn.SiLU(),
                nn.Linear(self.units, 2 * width),
            )  # fmt: skip
        optimizer = torch.optim.Adam(network.parameters(), 3e-3, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps, 3e-5)
        drawn = stream(self.seed, "batches")
        for _ in range(self.steps):
            index = torch.as_tensor(drawn.integers(len(inputs), size=min(self.batch_size, len(inputs))))
            mean, log_std = network(inputs[index]).chunk(2, dim=-1)
            log_std = bounded(log_std) if self.deviations else torch.zeros_like(mean)
            loss = (0.5 * ((targets[index] - mean) * torch.exp(-log_std)).square() + log_std).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return network.requires_grad_(False)

    def _standard(self, episodes: Episodes) -> Tensor:
        """Residuals in predicted standard deviations, [E, T - 1, A, L]."""
        inputs, targets = self._pairs(episodes)
        with torch.no_grad():
            mean, log_std = self._network((inputs - self._shift) / self._unit).chunk(2, dim=-1)
        log_std = bounded(log_std) if self.deviations else self._common
        return ((targets - self._centre) / self._spread - mean) * torch.exp(-log_std)

    def expected(self, episodes: Episodes) -> NDArray[Any]:
        """What each agent should have received by its last observation and command, float32 [E, T, A, F].

        It is what was received in the first step, and in columns that do not change.

        Raises:
            SpaceMismatch: the episodes are of other agents.
        """
        self.require_same(episodes)
        found, both = episodes.received.copy(), _both(episodes)
        inputs, targets = self._pairs(episodes)
        with torch.no_grad():
            mean = self._network((inputs - self._shift) / self._unit).chunk(2, dim=-1)[0]
        moved = (mean * self._spread + self._centre - targets).numpy()  # from what was received to what was expected
        found[:, 1:][..., self.live] += np.where(both[..., None], moved, 0.0).astype(np.float32)
        return found

    def predicted(self, windows: NDArray[np.float32], commanded: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """The mean and standard deviation of what agents receive next in live columns, [B, A, L] each.

        Args:
            windows: what they received, [B, A, F].
            commanded: [B, A, a].
        """
        pair, action = np.stack([windows, windows], axis=1), np.stack([commanded, commanded], axis=1)
        front = pair.shape[:3]
        inputs, _ = self._pairs(Episodes(pair, action, action, np.zeros(front), np.ones(front, bool)))
        with torch.no_grad():
            mean, log_std = self._network((inputs[:, 0] - self._shift) / self._unit).chunk(2, dim=-1)
        std = torch.exp(bounded(log_std) if self.deviations else self._common.expand_as(log_std)) * self._spread
        centre = mean * self._spread + self._centre + torch.as_tensor(windows[..., self.live])
        return centre.double().numpy(), std.double().numpy()

    @property
    def quiet(self) -> float:
        """The RMS residual up to which a score is at most 1, whatever came before."""
        return float(self._scale.min() if self.windowed else self._scale[0])

    def _residuals(self, episodes: Episodes) -> Floats:
        """RMS residuals [E, T, A]; 0 at the first step and where an agent was not alive in both."""
        found, both = np.zeros(episodes.alive.shape), _both(episodes)
        if episodes.steps > 1:
            size = self._standard(episodes).square().mean(-1).sqrt().double().numpy()
            found[:, 1:] = np.where(both, size, 0.0)
        return found

    def _score(self, episodes: Episodes) -> Floats:
        residuals = self._residuals(episodes)
        found = residuals / self._scale[0]
        return np.maximum(found, third_of_five(residuals) / self._scale[1]) if self.windowed else found


def bounded(log_std: Tensor) -> Tensor:
    """Logarithms of standard deviations, softly within (-8, 2)."""
    return -3.0 + 5.0 * torch.tanh((log_std + 1.0) / 5.0)


def third_of_five(residuals: Floats) -> Floats:
    """The third largest of each agent's last five values, [E, T, A]."""
    padded = np.pad(residuals, ((0, 0), (4, 0), (0, 0)))
    last = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=1)
    found: Floats = np.sort(last, axis=-1)[..., 2]
    return found


def _both(episodes: Episodes) -> NDArray[np.bool_]:
    """Who is alive before and after a step, [E, T - 1, A]."""
    return episodes.alive[:, 1:] & episodes.alive[:, :-1]
