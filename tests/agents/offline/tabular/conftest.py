"""The exact bandit: data in exact proportions, and the world they come from."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.storage import save_dataset

WORLD = "ExactBanditForTest-v0"


class Bandit(gymnasium.Env):
    """Arm 0 pays 1 with probability 1 - p, arm 1 with probability p; an episode is one pull."""

    def __init__(self, p: float = 0.1, first: int = 0) -> None:
        self.p = p
        self.observation_space, self.action_space = spaces.Discrete(1, start=first), spaces.Discrete(2, start=first)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return int(self.observation_space.start), {}

    def step(self, action):
        chance = 1 - self.p if action == self.action_space.start else self.p
        return int(self.observation_space.start), float(self.np_random.random() < chance), True, False, {}


gymnasium.register(WORLD, Bandit)


def exact_bandit(p: float, first: int = 0) -> OfflineDataset:
    """1000 pulls, the better arm in a share p of them only, and every share as it is expected to be."""
    pulls = [(0, 1, p * (1 - p)), (0, 0, p * p), (1, 1, (1 - p) * p), (1, 0, (1 - p) ** 2)]
    arms, rewards = (
        np.concatenate([np.full(round(1000 * share), pull[index]) for *pull, share in pulls]) for index in (0, 1)
    )
    count = len(arms)
    assert count == 1000
    return OfflineDataset(
        np.full(2 * count, first), arms + first, rewards.astype(np.float32), np.ones(count, bool),
        np.zeros(count, bool), np.arange(count + 1), spaces.Discrete(1, start=first), spaces.Discrete(2, start=first),
        Description(f"agentgym/exact-bandit/p{round(10 * p)}-v0", WORLD, {"p": p, "first": first}),
    )  # fmt: skip


@pytest.fixture
def bandit():
    return exact_bandit


@pytest.fixture
def stored_bandit(tmp_path, monkeypatch) -> str:
    """The name of the data for p = 0.1 in Minari's folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    data = exact_bandit(0.1)
    save_dataset(data)
    return data.description.name
