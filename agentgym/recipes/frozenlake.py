"""The recipe ``frozenlake``: a good policy mixed with random actions at any slip probability, without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.provenance import described, mean_and_std
from agentgym.data.recipe import Recipe, whole
from agentgym.errors import InvalidParameter
from agentgym.make import make_env
from agentgym.recipes.rollout import Act, record
from agentgym.seeding import stream
from agentgym.stochasticity import STANDARD_SLIP

__all__ = ["FrozenLake", "best_policy", "model", "optimum", "success"]

ENV, HORIZON = "FrozenLake-v1", 100
DISCOUNTS = 1.0 - np.geomspace(0.5, 1e-4, 40)


@dataclass(frozen=True)
class FrozenLake(Recipe):
    """A good policy mixed with uniform actions on the 4x4 lake, as in Yang et al. (arXiv 2210.13435).

    A uniform action is taken with probability epsilon = 0.2 (1 - alpha), the released code's formula. The paper mixes a
    policy learned by DQN; ours is found by value iteration, so that data differ by slip and alpha alone.

    Args:
        slip: probability that a move goes sideways, from 0 to 1; 2/3 is the standard lake.
        alpha: quality of the data, from -4 (uniform actions) to 1 (the good policy).
        trajectories: number of episodes.
        reward_noise: standard deviation of the rewards' noise.
        seed: seeds the episodes.

    Raises:
        InvalidParameter: a setting is out of its range.
    """

    percent: ClassVar[tuple[str, ...]] = ("slip", "alpha")

    slip: float = STANDARD_SLIP
    alpha: float = 0.0
    trajectories: int = 100
    reward_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.dial  # raises if out of range
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float) or not -4.0 <= self.alpha <= 1.0:
            raise InvalidParameter(f"{self.name}: alpha is {self.alpha!r}; it must be a number from -4 to 1.")
        whole(self, "trajectories", 1)
        whole(self, "seed")

    @property
    def stem(self) -> tuple[str, str]:
        """Family and variant."""
        return "frozenlake", ""

    @property
    def epsilon(self) -> float:
        """Probability of a uniform action."""
        return 0.2 * (1.0 - self.alpha)

    def make(self, runs: Path, progress: bool = True) -> OfflineDataset:
        """Make the dataset."""
        kwargs, perturbations = self.dial.env_kwargs(ENV), self.dial.perturbations()
        env = make_env(ENV, kwargs)
        transitions, rewards = model(env.unwrapped)
        best = best_policy(transitions, rewards)
        anyhow = np.full_like(best, 1.0 / best.shape[1])
        mixed = (1.0 - self.epsilon) * best + self.epsilon * anyhow
        recorded = record(
            partial(make_env, ENV, kwargs, perturbations), _drawn(mixed, self.seed), (self.seed, 7),
            episodes=self.trajectories, title=self.name if progress else "",
        )  # fmt: skip
        behaviour = {
            "policy": f"value iteration's, with uniform actions with probability {self.epsilon:g}",
            "success": success(transitions, rewards, mixed), "optimum": optimum(transitions, rewards),
            **mean_and_std(recorded.returns),
        }  # fmt: skip
        protocol = f"success within {HORIZON} steps of uniform actions and of value iteration's policy, exact"
        return recorded.dataset(env, Description(
            self.dataset_id, ENV, kwargs, tuple(perturbations),
            random_return=success(transitions, rewards, anyhow), expert_return=success(transitions, rewards, best),
            record=described(self, len(recorded.rewards), self.trajectories, behaviour, protocol),
        ))  # fmt: skip


def model(lake: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [S, A, S] of non-terminal transitions, and mean rewards [S, A]."""
    states, actions = lake.observation_space.n, lake.action_space.n
    transitions, rewards = np.zeros((states, actions, states)), np.zeros((states, actions))
    for state, choices in lake.P.items():
        for action, outcomes in choices.items():
            for probability, after, reward, over in outcomes:
                rewards[state, action] += probability * reward
                if not over:
                    transitions[state, action, after] += probability
    return transitions, rewards


def best_policy(transitions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """The policy of the state alone, one-hot [S, A], that reaches the goal in time most often.

    It is chosen among policies that are optimal for some discount: without a discount, long ways are as good as
    short ones. A policy that also observes the time may do better, see :func:`optimum`.
    """
    found = [_optimal(transitions, rewards, float(discount)) for discount in DISCOUNTS]
    return max(found, key=lambda policy: success(transitions, rewards, policy))


def _optimal(transitions: np.ndarray, rewards: np.ndarray, discount: float) -> np.ndarray:
    """The optimal policy [S, A] by value iteration; the first of equally good actions."""
    values = np.zeros(len(rewards))
    while True:
        q = rewards + discount * transitions @ values
        change = np.abs(q.max(1) - values).max()
        values = q.max(1)
        if change < 1e-12 * (1.0 - discount):
            return np.eye(rewards.shape[1])[np.argmax(q >= values[:, None] - 1e-9, axis=1)]


def optimum(transitions: np.ndarray, rewards: np.ndarray, horizon: int = HORIZON) -> float:
    """The best expected return from state 0 within ``horizon`` steps over all policies, by backward induction."""
    values = np.zeros(len(rewards))
    for _ in range(horizon):
        values = (rewards + transitions @ values).max(1)
    return float(values[0])


def success(transitions: np.ndarray, rewards: np.ndarray, policy: np.ndarray, horizon: int = HORIZON) -> float:
    """Expected undiscounted return from state 0 within ``horizon`` steps of ``policy`` [S, A] of probabilities."""
    values = np.zeros(len(rewards))
    for _ in range(horizon):
        values = (policy * (rewards + transitions @ values)).sum(1)
    return float(values[0])


def _drawn(policy: np.ndarray, seed: int) -> Act:
    """Actions drawn from probabilities [S, A], each episode's from a stream of its own."""
    thresholds = policy.cumsum(1)
    streams: dict[int, np.random.Generator] = {}

    def act(observations: np.ndarray, episodes: Sequence[int]) -> np.ndarray:
        draws = [streams.setdefault(e, stream(seed, "frozenlake", e)).random() for e in episodes]
        last = policy.shape[1] - 1
        return np.minimum((thresholds[observations] <= np.array(draws)[:, None]).sum(1), last)

    return act
