"""The recipe ``bernoulli-bandit``: a two-armed bandit whose worse arm is pulled more often."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.provenance import described, mean_and_std
from agentgym.data.recipe import Recipe, whole
from agentgym.errors import InvalidParameter
from agentgym.make import make_env
from agentgym.seeding import stream

__all__ = ["BernoulliBandit"]

ENV = "agentgym/BernoulliBandit-v0"


@dataclass(frozen=True)
class BernoulliBandit(Recipe):
    """Yang et al. (arXiv 2210.13435): arm 1 pays with probability 1 - p and is pulled with probability p only.

    Args:
        p: above 0, at most 1/2.
        size: pulls.
        exact: give every outcome its exact share of the pulls instead of sampling.
        seed: seeds the draws, or the order of the pulls if they are exact.

    Raises:
        InvalidParameter: a setting is out of its range, or that many pulls cannot be in exact proportion.
    """

    percent: ClassVar[tuple[str, ...]] = ("p",)

    p: float = 0.1
    size: int = 1000
    exact: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, int | float) or not 0.0 < self.p <= 0.5:
            raise InvalidParameter(f"{self.name}: p is {self.p!r}; it must be above 0 and at most 0.5.")
        if not isinstance(self.exact, bool):
            raise InvalidParameter(f"{self.name}: exact is {self.exact!r}; it must be true or false.")
        whole(self, "size", 1)
        whole(self, "seed")
        if self.exact and not np.allclose(self._expected(), np.rint(self._expected()), rtol=0, atol=1e-6):
            raise InvalidParameter(
                f"{self.name}: {self.size} pulls cannot be in exact proportion for p = {self.p:g}: "
                "size p (1 - p) is no whole number. Try another size, such as 10000, or exact=false."
            )

    @property
    def stem(self) -> tuple[str, str]:
        """Family and variant."""
        return "bernoulli-bandit", ""

    def _expected(self) -> np.ndarray:
        """Expected counts [4]: arm 1 pays, arm 1 does not, arm 2 pays, arm 2 does not."""
        p = self.p
        return self.size * np.array([p * (1 - p), p * p, (1 - p) * p, (1 - p) * (1 - p)])

    def make(self, runs: Path, progress: bool = True) -> OfflineDataset:
        """Make the dataset."""
        random = stream(self.seed, "bernoulli-bandit")
        if self.exact:
            outcomes = random.permutation(np.repeat(np.arange(4), np.rint(self._expected()).astype(int)))
            actions, rewards = outcomes // 2, 1 - outcomes % 2
        else:
            actions = (random.random(self.size) >= self.p).astype(int)
            rewards = (random.random(self.size) < np.where(actions == 0, 1 - self.p, self.p)).astype(int)
        env = make_env(ENV, {"p": self.p})
        behaviour = {"policy": "pulls arm 1 with probability p", **mean_and_std(rewards)}
        return OfflineDataset(
            np.zeros(2 * self.size, np.int64), actions.astype(np.int64), rewards.astype(np.float32),
            np.ones(self.size, bool), np.zeros(self.size, bool), np.arange(self.size + 1),
            env.observation_space, env.action_space,
            Description(
                self.dataset_id, ENV, {"p": self.p}, (), random_return=0.5, expert_return=1.0 - self.p,
                record=described(self, self.size, self.size, behaviour, "exact expectations"),
            ),
        )  # fmt: skip
