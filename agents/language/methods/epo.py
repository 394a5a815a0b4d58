"""EPO: entropy-regularised policy optimisation (Xu et al., arXiv 2509.22576)."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["EPO", "EPOConfig", "EPOPlugin"]

RELEASED_LIMIT = 50  # turns: the default of the released code, which reads the limit from a key that is never set
RELEASED_EPOCHS = 150  # hard-coded in the released code


@dataclass
class EPOPlugin(Plugin):
    """An entropy bonus, and a penalty on entropies far from those of earlier iterations at the same turn:

        L <- L - weight * (H - smoothing * beta(t) * P).

    H is the mean entropy of the decisions. P is the mean penalty on an entropy at turn k outside the band
    [low * h_k, high * h_k], where h_k is the mean, over all earlier iterations, of the mean entropy at turn k.

    Attributes:
        form: "hinge": the penalty is ``alpha`` times the distance from the band. "step": as in the released code,
            the penalty is the constant ``alpha`` outside the band, which has no gradient, and the entropies of an
            iteration are padded with zeros from the left up to 50 turns, so that the band at turn k comes from other
            turns.
        weight: the paper's c_H.
        smoothing: the paper's c_s.
        alpha: of the penalty.
        low, high: factors of the band.
        limit: the environment's turn limit; minibatches in which no episode reaches half of it have no penalty. 0: all
            minibatches have it.
        epochs: length of beta's schedule, in iterations.
        per_decision: penalise the entropy of single decisions; False: the mean entropy of each turn.
    """

    ABOUT: ClassVar = About(
        "L - c_H (H - c_s beta(t) P), P: distance of entropies from [low h_k, high h_k] at turn k",
        "arXiv 2509.22576; code of WujiangXu/EPO",
        "the released penalty is piecewise constant and has no gradient (as_released)",
    )

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
    sums: list[float] = field(default_factory=list, init=False)  # by turn: sum of the iterations' mean entropies
    counts: list[int] = field(default_factory=list, init=False)  # by turn: how many iterations reached it

    def beta(self, iteration: int) -> float:
        """1 - 0.2 (1 - exp(-2 p)) in the schedule's first half, 0.8 exp(-3 p) in its second; p is progress per half."""
        half = self.epochs / 2
        if iteration < half:
            return 1 - 0.2 * (1 - math.exp(-2 * iteration / half))
        return 0.8 * math.exp(-3 * min(1.0, (iteration - half) / half))

    def references(self, turns: int) -> Tensor:
        """h_k for the first ``turns`` turns, [turns]; NaN for turns that no earlier iteration reached."""
        known = [total / count if count else math.nan for total, count in zip(self.sums, self.counts, strict=True)]
        return torch.tensor([*known, *[math.nan] * turns][:turns])

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor:
        """Bonus and penalty of a minibatch as a loss."""
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
            values, centre, counted = entropy, reference[batch.turn], batch.mask
        else:
            values = batch.turn_means(entropy)
            centre = reference.expand_as(values)
            counted = batch.played
        known = counted & ~centre.isnan()
        low, high = self.low * centre.nan_to_num(), self.high * centre.nan_to_num()
        if self.form == "hinge":
            outside = self.alpha * ((low - values).clamp(min=0) + (values - high).clamp(min=0))
        else:
            outside = self.alpha * ~((low < values) & (values < high))
        self.numbers["outside"] = float((outside.detach() > 0)[known].float().mean()) if known.any() else 0.0
        return (outside * known).sum() / counted.sum().clamp(min=1)

    def finish(self, batch: Batch, iteration: int) -> None:
        """Add the iteration's mean entropy at each turn to the history."""
        mask = batch.mask.float()
        turns = batch.rewards.shape[1]
        totals = torch.zeros(turns, device=mask.device).index_add_(
            0, batch.turn.flatten(), (batch.old_entropy * mask).flatten()
        )
        counts = torch.zeros(turns, device=mask.device).index_add_(0, batch.turn.flatten(), mask.flatten())
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
        """The history of entropies."""
        return {"sums": self.sums, "counts": self.counts}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the history."""
        self.sums, self.counts = list(state["sums"]), [int(count) for count in state["counts"]]


@dataclass
class EPOConfig(LanguageConfig):
    """Settings of EPO: GRPO with EPO's plug-in in place of the entropy bonus, at the same weight."""

    methods: tuple[str, ...] = ("epo:weight=0.005",)  # plug-ins in this order: NAME or NAME:KEY=VALUE,...


class EPO(LanguageAgent):
    """Entropy-regularised policy optimisation (Xu et al., arXiv 2509.22576)."""

    catalog_name = "epo"
    Config: ClassVar[type[LanguageConfig]] = EPOConfig
