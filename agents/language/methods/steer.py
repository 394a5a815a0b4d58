"""STEER: decisions weigh less, the more their step is estimated to change the entropy."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.methods.plugin import About, Plugin, Terms
from agentgym.contracts.settings import Range

__all__ = ["STEER"]

SMALL = 1e-8  # bounds of probabilities, as released


@dataclass
class STEER(Plugin):
    """STEER (arXiv 2510.10150): the loss of a decision is multiplied by a weight, detached, from
    w = |A / p_old * p (1 - p) (ln p + H_old)|, the estimated change of entropy.

    The largest w is that of the minibatch (the released code: of a micro-batch), so weights depend on its size. Name it
    after methods that replace the loss.

    Attributes:
        form: "exp": exp(-k w), k = -ln(least) / max(largest w, floor), between ``least`` and 1. "linear": from 1.2 at
            the smallest w to 0.8 at the largest; 1 if all are equal.
        least: the smallest weight of "exp".
        floor: see ``form``.
    """

    ABOUT: ClassVar = About(
        "loss times clamp(exp(-k w), 0.8, 1), w = |A / p_old p (1 - p) (ln p + H_old)|, k = -ln 0.8 / max(max w, 0.02)",
        "arXiv 2510.10150; code of zz-haooo/STEER, core_algos.py",
        "the exponent in the paper: a variable is named x (1 - x)^2 while the code computes x (1 - x), as we do",
    )
    PRESETS: ClassVar = {"paper": {"form": "exp"}, "linear": {"form": "linear"}}
    RANGES: ClassVar = {"least": Range(0, 1, above=True), "floor": Range(0, above=True)}

    form: Literal["exp", "linear"] = "exp"
    least: float = 0.8
    floor: float = 0.02

    def weights(self, terms: Terms) -> Tensor:
        """Weights, [B, U]; of decisions that do not count too."""
        p = terms.logp.detach().exp().clamp(SMALL, 1 - SMALL)
        old = terms.old_logp.exp().clamp(min=SMALL)
        change = (terms.advantages / old * p * (1 - p) * (p.log() + terms.batch.old_entropy)).abs()
        counted = change[terms.mask]
        largest, smallest = (counted.max(), counted.min()) if len(counted) else (change.sum() * 0, change.sum() * 0)
        if self.form == "exp":
            k = -math.log(self.least) / largest.clamp(min=self.floor)
            return (-k * change).exp().clamp(self.least, 1.0)
        if largest == smallest:
            return torch.ones_like(change)
        return 1.2 - 0.4 * (change - smallest) / (largest - smallest)

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss times the weights."""
        weights = self.weights(terms)
        self.numbers["weight"] = float((weights * terms.mask).sum() / terms.mask.sum().clamp(min=1))
        return terms.loss * weights
