"""EMPG and AEM: advantages by how sure the policy was in each turn."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agentgym.agents.language.loop.plugins import Plugin
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.contracts.settings import Range

__all__ = ["AEM", "EMPG"]

# Nats by which entropies of equal turns differ: a pass through a network rounds otherwise in every batch.
ROUNDING = 1e-5


def _turn_entropies(batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean entropy of each turn [B, T], and which turns there are."""
    turns = batch.rewards.shape[1]
    there = torch.arange(turns, device=batch.turns.device) < batch.turns[:, None]
    return batch.turn_means(batch.old_entropy), there


def _to_unit(values: Tensor, scope: Tensor) -> Tensor:
    """Min-max within each scope, [n] from [n] and scopes int64 [n]; 0 in scopes that are equal but for rounding."""
    _, place = scope.unique(return_inverse=True)
    size = int(place.max()) + 1
    low = torch.full((size,), torch.inf, device=values.device).scatter_reduce(0, place, values, "amin")
    high = torch.full((size,), -torch.inf, device=values.device).scatter_reduce(0, place, values, "amax")
    unit = (values - low[place]) / (high - low)[place].clamp(min=1e-8)
    return torch.where((high - low)[place] > ROUNDING, unit, 0.0)


def _normalised_exp(values: Tensor, scope: Tensor) -> Tensor:
    """exp(values) divided by its mean within each scope."""
    _, place = scope.unique(return_inverse=True)
    raised = values.exp()
    sums = torch.zeros(int(place.max()) + 1, device=values.device).index_add_(0, place, raised)
    counts = torch.zeros_like(sums).index_add_(0, place, torch.ones_like(raised))
    return raised / (sums / counts)[place]


@dataclass
class EMPG(Plugin):
    """Entropy-modulated policy gradients (EMPG, Wang et al., arXiv 2509.09265).

    With h the turns' mean entropies, min-max over the batch: A <- A * exp(-k h) / mean(exp(-k h)) + zeta * exp(-k' h'),
    h' that of the next turn; then the batch's advantages are centred.

    Attributes:
        k: how much sure turns weigh more.
        k_future: k', the same of the next turn.
        zeta: of the bonus for turns that lead to sure ones; a last turn has none.
        centre: subtract the mean over the batch's decisions.
    """

    PRESETS: ClassVar = {"paper": {"k": 1.0, "k_future": 1.0, "zeta": 0.1}}

    RANGES: ClassVar = {"k": Range(0), "k_future": Range(0), "zeta": Range(0)}

    k: float = 1.0
    k_future: float = 1.0
    zeta: float = 0.1
    centre: bool = True

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """The formula above."""
        entropies, there = _turn_entropies(batch)
        scope = torch.zeros_like(batch.anchors)[there]
        unit = _to_unit(entropies[there], scope)
        gain = torch.zeros_like(entropies).masked_scatter(there, _normalised_exp(-self.k * unit, scope))
        sure = torch.zeros_like(entropies).masked_scatter(there, (-self.k_future * unit).exp())
        future = torch.cat([sure[:, 1:], torch.zeros_like(sure[:, :1])], 1)
        changed = advantages * batch.at_decisions(gain) + self.zeta * batch.at_decisions(future)
        if self.centre:
            changed = changed - torch.where(batch.mask, changed, 0.0).sum() / batch.mask.sum().clamp(min=1)
        return changed


@dataclass
class AEM(Plugin):
    """AEM (arXiv 2605.00425): A <- A * exp(-k h) / mean(exp(-k h)), with h the turns' entropies, min-max in the group.

    Attributes:
        k: lambda of the paper, whose value is not known to us.
    """

    RANGES: ClassVar = {"k": Range(0)}

    k: float = 1.0

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """The formula above."""
        entropies, there = _turn_entropies(batch)
        scope = batch.group[:, None].expand_as(batch.anchors)[there]
        unit = _to_unit(entropies[there], scope)
        gain = torch.zeros_like(entropies).masked_scatter(there, _normalised_exp(-self.k * unit, scope))
        return advantages * batch.at_decisions(gain)
