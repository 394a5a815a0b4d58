"""Statistics of groups: the episodes of one task, or the turns of one state, compared with each other."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.errors import AskError

__all__ = [
    "EPSILON",
    "Over",
    "Sums",
    "divided_by_mean_exp",
    "group_mean_std",
    "judged",
    "min_max",
    "relative_returns",
    "returns_of",
    "slack",
]

# A group's mean and standard deviation are taken over its episodes or over its turns. Over turns, long episodes weigh
# more; this is the default of verl and verl-agent, where each turn is a sample.
Over = Literal["episodes", "turns"]

EPSILON = 1e-6  # added to a standard deviation before dividing by it

# Entropies (nats) that differ by less are treated as equal: the same turn gives slightly different values in batches
# of other sizes.
ENTROPY_ROUNDING = 1e-5


def judged(episodes: Sequence[Episode]) -> list[Episode]:
    """The episodes to learn from: without those that the environment could not judge, and those left alone in a group.

    Raises:
        AskError: none is left.
    """
    found = [episode for episode in episodes if not episode.unjudged]
    if len(found) == len(episodes):
        return found
    sizes = Counter(episode.group for episode in found)
    found = [episode for episode in found if sizes[episode.group] > 1]
    if not found:
        why = next(episode.unjudged for episode in episodes if episode.unjudged)
        raise AskError(
            f"No group has two episodes with a verdict, so there is nothing to learn from. The grader says: {why}"
        )
    return found


class Sums(NamedTuple):
    """Sums of rewards to compare within groups, with what is needed to bound their rounding errors.

    Attributes:
        values: float32 [n], the sums.
        exact: float64 [n], the same sums in double precision.
        size: float64 [n], the sums of the rewards' absolute values.
    """

    values: Tensor
    exact: Tensor
    size: Tensor


def returns_of(batch: Batch) -> Sums:
    """Each episode's undiscounted return, [B]."""
    rewards = batch.rewards.double()
    return Sums(batch.returns(), rewards.sum(1), rewards.abs().sum(1))


def slack(size: Tensor) -> Tensor:
    """The largest difference between two sums of rewards that counts as rounding, from :attr:`Sums.size`.

    A reward is rounded to float32 when it is recorded and each time a method adds to it, by at most half of float32's
    precision. After two such additions two sums can differ by three times the precision; this allows four.
    """
    return 4 * torch.finfo(torch.float32).eps * size


def group_mean_std(sums: Sums, group: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, unbiased standard deviation (0 in a group of one) and size of each member's group, each float32 [n].

    If the sums of a group differ only by rounding, its standard deviation is 0 and each member's mean is its own sum,
    so that rounding errors never become advantages.

    Args:
        sums: [n].
        group: int64 [n].
        weights: how often each value counts, [n]; None: once.
    """
    values = sums.values
    _, place = group.unique(return_inverse=True)
    weights = torch.ones_like(values) if weights is None else weights.to(values.dtype)
    count = _summed(weights, place)
    mean = _summed(weights * values, place) / count
    squares = _summed(weights * (values - mean[place]) ** 2, place)
    std = (squares / (count - 1).clamp(min=1)).sqrt()
    spread = _largest(sums.exact, place) + _largest(-sums.exact, place)
    equal = (spread - slack(_largest(sums.size, place)) <= 0)[place]  # in this form false for infinity and NaN
    return torch.where(equal, values, mean[place]), torch.where(equal, 0.0, std[place]), count[place]


def relative_returns(batch: Batch, over: Over, divide: bool) -> Tensor:
    """R - mean of the group, [B]; with ``divide`` divided by the group's standard deviation + 1e-6."""
    returns = returns_of(batch)
    mean, std, _ = group_mean_std(returns, batch.group, batch.turns if over == "turns" else None)
    centred = returns.values - mean
    return centred / (std + EPSILON) if divide else centred


def min_max(entropies: Tensor, group: Tensor) -> Tensor:
    """Entropies scaled to [0, 1] within each group, [n]; 0 in groups whose entropies are equal up to rounding."""
    _, place = group.unique(return_inverse=True)
    size = int(place.max()) + 1
    low = torch.full((size,), torch.inf, device=entropies.device).scatter_reduce(0, place, entropies, "amin")
    high = torch.full((size,), -torch.inf, device=entropies.device).scatter_reduce(0, place, entropies, "amax")
    unit = (entropies - low[place]) / (high - low)[place].clamp(min=1e-8)
    return torch.where((high - low)[place] > ENTROPY_ROUNDING, unit, 0.0)


def divided_by_mean_exp(values: Tensor, group: Tensor) -> Tensor:
    """exp(values) divided by its mean within each group, [n]."""
    _, place = group.unique(return_inverse=True)
    raised = values.exp()
    sums = torch.zeros(int(place.max()) + 1, device=values.device).index_add_(0, place, raised)
    counts = torch.zeros_like(sums).index_add_(0, place, torch.ones_like(raised))
    return raised / (sums / counts)[place]


def _summed(values: Tensor, place: Tensor) -> Tensor:
    sums = torch.zeros(int(place.max()) + 1, dtype=values.dtype, device=values.device)
    return sums.index_add_(0, place, values)


def _largest(values: Tensor, place: Tensor) -> Tensor:
    lowest = torch.full((int(place.max()) + 1,), -torch.inf, dtype=values.dtype, device=values.device)
    return lowest.scatter_reduce(0, place, values, "amax")
