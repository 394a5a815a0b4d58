"""Episodes that do not end: a row with its reason after a bounded number of steps, single, in a batch, of texts."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from agentgym.errors import InvalidParameter
from agentgym.evaluation import evaluate

LENGTHS = (3, 40)


class Endless(gym.Env):
    """An episode's seed decides whether it ends after 3 steps or, but for a time limit, never."""

    observation_space, action_space = spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ends, self.steps = self.np_random.random() < 0.5, 0
        return self.observation(), {}

    def observation(self):
        return np.zeros(1, np.float32)

    def step(self, action):
        self.steps += 1
        return self.observation(), 1.0, bool(self.ends) and self.steps == 3, False, {"admissible_commands": ["wait"]}


class EndlessText(Endless):
    observation_space = action_space = spaces.Text(20)

    def observation(self):
        return "on and on"


class Waiting:
    def __init__(self, world):
        self.observation_space, self.action_space = world.observation_space, world.action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False, commands=None):
        if commands is not None:
            return ["wait"] * len(observation), state
        return np.zeros(len(observation), np.int64), state


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for name, world, limit in (
        ("Endless-v0", Endless, None), ("EndlessText-v0", EndlessText, None), ("Limited-v0", Endless, 40)
    ):  # fmt: skip
        monkeypatch.setitem(gym.registry, name, gym.envs.registration.EnvSpec(name, world, max_episode_steps=limit))


@pytest.mark.parametrize(("env", "world"), [("Endless-v0", Endless), ("EndlessText-v0", EndlessText)])
def test_an_episode_without_end_is_a_row_and_takes_no_other_with_it(env, world):
    table = evaluate({"it": Waiting(world)}, [], env, episodes=8, max_steps=25, progress=False)
    ended = [row for row in table.rows if not row.error]
    stuck = [row for row in table.rows if row.error]
    assert len(ended) > 1 < len(stuck)
    assert all((row.length, row.episode_return) == (3, 3.0) for row in ended)
    assert all(row.length == 25 and np.isnan(row.episode_return) for row in stuck)
    assert all("EpisodeTooLong: not over after 25 steps" in row.error and "--max-steps" in row.error for row in stuck)


def test_a_declared_time_limit_counts():
    for kwargs, env in (({}, "Limited-v0"), ({"max_episode_steps": 40}, "Endless-v0")):
        table = evaluate({"it": Waiting(Endless)}, [], env, kwargs, episodes=8, max_steps=25, progress=False)
        assert {row.length for row in table.rows} == {3, 40}
        assert not any(row.error for row in table.rows)


@pytest.mark.parametrize("wrong", [0, -1, 1.5])
def test_numbers_of_steps_that_cannot_be(wrong):
    with pytest.raises(InvalidParameter, match="max_steps"):
        evaluate({"it": Waiting(Endless)}, [], "Endless-v0", max_steps=wrong, progress=False)
