"""EPO: an entropy bonus, and a band around the entropies of earlier iterations, turn by turn."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.contracts.settings import Range

__all__ = ["EPO"]

RELEASED_LIMIT = 50  # the released code looks the turn limit up under a key that nothing sets, and takes this
RELEASED_EPOCHS = 150  # fixed in the released code


@dataclass
class EPO(Plugin):
    """Entropy-regularised policy optimisation (EPO, Xu et al., arXiv 2509.22576):

        L <- L - weight * (H - smoothing * beta(t) * P),

    H the mean entropy of the decisions, P the mean penalty of an entropy h at turn k that leaves the band
    [low * h_k, high * h_k]; h_k is the mean over all earlier iterations of the mean entropy at turn k.

    Attributes:
        form: "hinge": the penalty is ``alpha`` times the distance from the band, aligned by the true turn.
            "step": as the released code has it, ``alpha`` outside the band, which has no gradient; and its histories
            are filled from the left with zeros up to 50 turns, so that they are compared at other turns.
        weight: c_H.
        smoothing: c_s.
        alpha: of the penalty.
        low, high: the band's factors.
        limit: the environment's turn limit; minibatches in which no episode reaches half of it pay nothing. 0: all pay.
        epochs: over which beta runs.
        per_decision: penalise single decisions; False: each turn's mean entropy.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"form": "hinge"},
        "as_released": {"form": "step", "limit": RELEASED_LIMIT, "low": 0.0, "high": 2.0},
    }

    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("weight", "smoothing", "alpha", "low", "high", "limit"), Range(0)), "epochs": Range(1),
    }  # fmt: skip

    form: Literal["hinge", "step"] = "hinge"
    weight: float = 0.001
    smoothing: float = 1.0
    alpha: float = 0.1
    low: float = 0.8
    high: float = 1.2
    limit: int = 0
    epochs: int = RELEASED_EPOCHS
    per_decision: bool = True
    sums: list[float] = field(default_factory=list, init=False)  # at each turn: of the iterations' mean entropies
    counts: list[int] = field(default_factory=list, init=False)  # at each turn: how many iterations reached it

    def beta(self, iteration: int) -> float:
        """1 - 0.2 (1 - exp(-2 p)) in the first half, 0.8 exp(-3 p) in the second; p is the progress in the half."""
        half = self.epochs / 2
        if iteration < half:
            return 1 - 0.2 * (1 - math.exp(-2 * iteration / half))
        return 0.8 * math.exp(-3 * min(1.0, (iteration - half) / half))

    def references(self, turns: int) -> Tensor:
        """h_k for the first ``turns`` turns, [turns]; NaN where no earlier iteration got."""
        found = [total / count if count else math.nan for total, count in zip(self.sums, self.counts, strict=True)]
        return torch.tensor([*found, *[math.nan] * turns][:turns])

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """Bonus and penalty of a minibatch, as a loss."""
        count = batch.mask.sum().clamp(min=1)
        bonus = (entropy * batch.mask).sum() / count
        penalty = self._penalty(batch, entropy)
        self.numbers |= {"beta": self.beta(iteration), "penalty": float(penalty.detach())}
        return -self.weight * (bonus - self.smoothing * self.beta(iteration) * penalty)

    def _penalty(self, batch: Batch, entropy: Tensor) -> Tensor:
        if self.limit and int(batch.turns.max()) < self.limit / 2:
            return torch.zeros((), device=entropy.device)
        reference = self.references(batch.rewards.shape[1]).to(entropy.device)
        if self.per_decision:
            values, centre, there = entropy, reference[batch.turn], batch.mask
        else:
            values = batch.turn_means(entropy)
            centre = reference.expand_as(values)
            there = torch.arange(values.shape[1], device=values.device) < batch.turns[:, None]
        known = there & ~centre.isnan()
        low, high = self.low * centre.nan_to_num(), self.high * centre.nan_to_num()
        if self.form == "hinge":
            outside = self.alpha * ((low - values).clamp(min=0) + (values - high).clamp(min=0))
        else:
            outside = self.alpha * ~((low < values) & (values < high))
        self.numbers["outside"] = float((outside.detach() > 0)[known].float().mean()) if known.any() else 0.0
        return (outside * known).sum() / there.sum().clamp(min=1)

    def finish(self, batch: Batch, iteration: int) -> None:
        """Put the iteration's mean entropy at each turn into the history."""
        there = batch.mask.float()
        turns = batch.rewards.shape[1]
        totals = torch.zeros(turns, device=there.device).index_add_(
            0, batch.turn.flatten(), (batch.old_entropy * there).flatten()
        )
        counts = torch.zeros(turns, device=there.device).index_add_(0, batch.turn.flatten(), there.flatten())
        reached = int(batch.turns.max())
        means = (totals / counts.clamp(min=1))[:reached].tolist()
        seen = (counts > 0)[:reached].tolist()
        if self.form == "step":
            missing = RELEASED_LIMIT - len(means)
            means = [0.0] * missing + means if missing > 0 else means[:RELEASED_LIMIT]
            seen = [True] * len(means)
        for turn, (mean, is_seen) in enumerate(zip(means, seen, strict=True)):
            if turn == len(self.sums):
                self.sums.append(0.0)
                self.counts.append(0)
            self.sums[turn] += mean * is_seen
            self.counts[turn] += is_seen

    def state(self) -> dict[str, Any]:
        """The history."""
        return {"sums": self.sums, "counts": self.counts}

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self.sums, self.counts = list(state["sums"]), [int(count) for count in state["counts"]]
