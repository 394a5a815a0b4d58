"""Advantages from groups of episodes of one task: GRPO, Dr.GRPO, RLOO, GiGPO."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch

__all__ = [
    "ESTIMATORS",
    "Over",
    "Sums",
    "discounted",
    "gigpo",
    "group_mean_std",
    "grpo",
    "returns_of",
    "rloo",
    "slack",
]

# What a group's mean and deviation are taken over: its episodes, or its turns, so that long episodes weigh more (verl's
# and verl-agent's default, where each turn is a sample).
Over = Literal["episodes", "turns"]

EPSILON = 1e-6  # beside the standard deviation


class Sums(NamedTuple):
    """Sums of rewards that are compared within groups, and how exactly they are known.

    Attributes:
        values: float32 [n], the sums.
        exact: float64 [n], the same sums without the rounding of adding up.
        size: float64 [n], the sums of the rewards' absolute values.
    """

    values: Tensor
    exact: Tensor
    size: Tensor


def returns_of(batch: Batch) -> Sums:
    """Each episode's sum of rewards, [B]."""
    rewards = batch.rewards.double()
    return Sums(batch.returns(), rewards.sum(1), rewards.abs().sum(1))


def slack(size: Tensor) -> Tensor:
    """How far apart two sums of rewards of this size may be and still be equal, from sizes as of :class:`Sums`.

    A reward is rounded to float32 when it is recorded and when a method adds to it, each time by half of its precision
    at most. With two such additions, two sums differ by three times the precision; this is four times.
    """
    return 4 * torch.finfo(torch.float32).eps * size


def group_mean_std(sums: Sums, group: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Each member's group mean, standard deviation (unbiased; 0 in a group of one) and group's size, each float32 [n].

    Where all sums of a group are equal but for rounding, the standard deviation is 0 and every member's mean its own
    sum: their differences are not divided by each other and learned from.

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
    equal = (spread - slack(_largest(sums.size, place)) <= 0)[place]  # so written, infinity is equal to nothing
    return torch.where(equal, values, mean[place]), torch.where(equal, 0.0, std[place]), count[place]


def _summed(values: Tensor, place: Tensor) -> Tensor:
    sums = torch.zeros(int(place.max()) + 1, dtype=values.dtype, device=values.device)
    return sums.index_add_(0, place, values)


def _largest(values: Tensor, place: Tensor) -> Tensor:
    lowest = torch.full((int(place.max()) + 1,), -torch.inf, dtype=values.dtype, device=values.device)
    return lowest.scatter_reduce(0, place, values, "amax")


def grpo(batch: Batch, divide: bool, over: Over) -> Tensor:
    """[B]: A = (R - mean) / (std + 1e-6).

    That is GRPO (Shao et al., arXiv 2402.03300); without the division it is Dr.GRPO (Liu et al., arXiv 2503.20783).
    """
    returns = returns_of(batch)
    mean, std, _ = group_mean_std(returns, batch.group, batch.turns if over == "turns" else None)
    centred = returns.values - mean
    return centred / (std + EPSILON) if divide else centred


def rloo(batch: Batch) -> Tensor:
    """[B]: A = R - mean of the group's others (RLOO, Ahmadian et al., arXiv 2402.14740); 0 in a group of one."""
    returns = returns_of(batch)
    mean, _, size = group_mean_std(returns, batch.group)
    return (returns.values - mean) * size / (size - 1).clamp(min=1)


def discounted(rewards: Tensor, gamma: float) -> Tensor:
    """[B, T]: each turn's reward and the later ones, discounted."""
    returns = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[:, 0])
    for turn in reversed(range(rewards.shape[1])):
        later = rewards[:, turn] + gamma * later
        returns[:, turn] = later
    return returns


def gigpo(batch: Batch, divide: bool, gamma: float, weight: float, over: Over) -> Tensor:
    """[B, T]: A = A_episode + weight * A_step (GiGPO, Feng et al., arXiv 2505.10978).

    A_step compares the discounted return of turns of one task that were in the same state (``batch.anchors``); a state
    that only one turn was in gives 0. ``divide``: both parts are divided by the standard deviation of their group.
    """
    there = batch.anchors >= 0
    states = batch.anchors + batch.group[:, None] * (batch.anchors.max() + 1)
    exact = batch.rewards.double()
    returns = Sums(*(discounted(rewards, gamma)[there] for rewards in (batch.rewards, exact, exact.abs())))
    mean, std, _ = group_mean_std(returns, states[there])
    step = (returns.values - mean) / (std + EPSILON) if divide else returns.values - mean
    episode = grpo(batch, divide, over)[:, None].expand_as(batch.rewards)
    return episode + weight * torch.zeros_like(batch.rewards).masked_scatter(there, step)


def _of_episodes(values: Tensor, batch: Batch) -> Tensor:
    return values[:, None].expand_as(batch.rewards)


# By name, [B, T] from a batch and the settings `over`, `gamma`, `step_weight`.
ESTIMATORS: dict[str, Callable[[Batch, Over, float, float], Tensor]] = {
    "grpo": lambda batch, over, gamma, weight: _of_episodes(grpo(batch, True, over), batch),
    "dr-grpo": lambda batch, over, gamma, weight: _of_episodes(grpo(batch, False, over), batch),
    "rloo": lambda batch, over, gamma, weight: _of_episodes(rloo(batch), batch),
    "gigpo": lambda batch, over, gamma, weight: gigpo(batch, True, gamma, weight, over),
    "gigpo-mean": lambda batch, over, gamma, weight: gigpo(batch, False, gamma, weight, over),
}
