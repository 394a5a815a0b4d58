"""Advantages from groups of episodes of one task: GRPO, Dr.GRPO, RLOO, GiGPO."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from agentgym.agents.language.trajectory import Batch

__all__ = ["ESTIMATORS", "Over", "discounted", "gigpo", "group_mean_std", "grpo", "rloo"]

# What a group's mean and deviation are taken over: its episodes, or its turns, so that long episodes weigh more (verl's
# and verl-agent's default, where each turn is a sample).
Over = Literal["episodes", "turns"]

EPSILON = 1e-6  # beside the standard deviation


def group_mean_std(values: Tensor, group: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Each member's group mean, standard deviation (unbiased; 0 in a group of one) and group's size, each [n].

    Args:
        values: float [n].
        group: int64 [n].
        weights: how often each value counts, [n]; None: once.
    """
    _, place = group.unique(return_inverse=True)
    weights = torch.ones_like(values) if weights is None else weights.to(values.dtype)
    size = _summed(weights, place)
    mean = _summed(weights * values, place) / size
    squares = _summed(weights * (values - mean[place]) ** 2, place)
    std = (squares / (size - 1).clamp(min=1)).sqrt()
    return mean[place], std[place], size[place]


def _summed(values: Tensor, place: Tensor) -> Tensor:
    sums = torch.zeros(int(place.max()) + 1, dtype=values.dtype, device=values.device)
    return sums.index_add_(0, place, values)


def grpo(batch: Batch, divide: bool, over: Over) -> Tensor:
    """[B]: A = (R - mean) / (std + 1e-6).

    That is GRPO (Shao et al., arXiv 2402.03300); without the division it is Dr.GRPO (Liu et al., arXiv 2503.20783).
    """
    returns = batch.returns()
    mean, std, _ = group_mean_std(returns, batch.group, batch.turns if over == "turns" else None)
    centred = returns - mean
    return centred / (std + EPSILON) if divide else centred


def rloo(batch: Batch) -> Tensor:
    """[B]: A = R - mean of the group's others (RLOO, Ahmadian et al., arXiv 2402.14740); 0 in a group of one."""
    returns = batch.returns()
    mean, _, size = group_mean_std(returns, batch.group)
    return (returns - mean) * size / (size - 1).clamp(min=1)


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
    returns = discounted(batch.rewards, gamma)[there]
    mean, std, _ = group_mean_std(returns, states[there])
    step = (returns - mean) / (std + EPSILON) if divide else returns - mean
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
