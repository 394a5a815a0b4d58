"""Small datasets with known answers."""

import gymnasium
import numpy as np
import pytest

from agentgym.data.dataset import Description, OfflineDataset
from agentgym.data.storage import save_dataset


def pendulum_data(episodes: int = 20, seed: int = 0, env_id: str = "Pendulum-v1") -> OfflineDataset:
    """Episodes of a rough swing-up law with noise, 200 steps each."""
    env = gymnasium.make(env_id)
    rng = np.random.default_rng(seed)
    fields: dict[str, list] = {name: [] for name in ("observations", "actions", "rewards", "terminations")}
    starts = [0]
    for e in range(episodes):
        observation, _ = env.reset(seed=seed * 1000 + e)
        fields["observations"].append(observation)
        over = False
        while not over:
            action = np.clip(np.sign(observation[2]) * (1 + rng.normal()), -2, 2).astype(np.float32)[None]
            observation, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            for name, value in zip(fields, (observation, action, reward, terminated), strict=True):
                fields[name].append(value)
        starts.append(len(fields["rewards"]))
    truncations = np.zeros(starts[-1], bool)
    truncations[np.array(starts[1:]) - 1] = True
    return OfflineDataset(
        np.array(fields["observations"], np.float32), np.array(fields["actions"], np.float32),
        np.array(fields["rewards"], np.float32), np.array(fields["terminations"]), truncations, np.array(starts),
        env.observation_space, env.action_space,
        Description("agentgym/pendulum/test-v0", env_id, random_return=-1200.0, expert_return=-150.0),
    )  # fmt: skip


@pytest.fixture(scope="session")
def pendulum() -> OfflineDataset:
    return pendulum_data()


@pytest.fixture
def stored(pendulum: OfflineDataset, tmp_path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the same data in Minari's folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    save_dataset(pendulum)
    return pendulum.description.name
