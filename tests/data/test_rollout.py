"""Recordings: what is kept does not depend on how episodes were laid side by side."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentgym.recipes.rollout import joined, record, uniform
from agentgym.seeding import episode_seed


class Countdown(gymnasium.Env):
    """Episodes of 1 to 30 steps, as the seed says; pays the action, and tells that it had paid twice as much."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.left = seed, int(self.np_random.integers(1, 31))
        return np.array([self.seed, self.left], float), {}

    def step(self, action):
        self.left -= 1
        terminated = self.left == 0 and self.seed % 2 == 0
        info = {"true_reward": 2 * float(action[0])}
        return (
            np.array([self.seed, self.left], float),
            float(action[0]),
            terminated,
            self.left == 0 and not terminated,
            info,
        )


def play(num_envs, **how):
    return record(Countdown, uniform(Countdown.action_space, (5, 1)), (5, 2), num_envs=num_envs, **how)


@pytest.mark.parametrize("how", [{"steps": 200}, {"episodes": 9}])
def test_the_number_of_environments_changes_nothing(how):
    for one, many in zip(play(1, **how), play(7, **how), strict=True):
        np.testing.assert_array_equal(one, many)


def test_episodes_are_kept_in_the_order_in_which_they_were_begun():
    found = play(4, steps=200)
    begun = found.observations[found.starts[:-1] + np.arange(len(found.starts) - 1), 0]
    np.testing.assert_array_equal(begun, np.float32([episode_seed(5, 2, e) for e in range(len(begun))]))


def test_the_last_episode_is_cut_and_then_truncated():
    found = play(3, steps=200)
    assert found.starts[-1] == len(found.rewards) == 200
    assert len(found.observations) == 200 + len(found.starts) - 1
    last = found.starts[1:] - 1
    np.testing.assert_array_equal(np.flatnonzero(found.terminations | found.truncations), last)
    assert not (found.terminations & found.truncations).any()
    whole = play(3, episodes=len(last))
    assert len(whole.rewards) >= 200
    for name in ("actions", "rewards"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[:200])
    even = [episode_seed(5, 2, e) % 2 == 0 for e in range(len(last))]
    np.testing.assert_array_equal(whole.terminations[whole.starts[1:] - 1], even)


def test_returns_are_of_whole_episodes_and_of_true_rewards():
    found = play(3, steps=200)
    recorded = np.add.reduceat(found.rewards.astype(float), found.starts[:-1])
    np.testing.assert_allclose(found.returns, 2 * recorded[: len(found.returns)], rtol=1e-5)
    assert len(recorded) - 1 <= len(found.returns) <= len(recorded)


def test_joined_recordings_stand_one_after_the_other():
    one, two = play(2, steps=50), play(3, episodes=4)
    both = joined([one, two])
    assert len(both.rewards) == len(one.rewards) + len(two.rewards)
    assert both.starts[len(one.starts) - 1] == 50
    np.testing.assert_array_equal(np.diff(both.starts), [*np.diff(one.starts), *np.diff(two.starts)])
    np.testing.assert_array_equal(both.observations[len(one.observations) :], two.observations)


def test_uniform_actions_fill_their_space():
    box = spaces.Box(np.float32([-3.0, 0.0]), np.float32([3.0, 0.5]))
    drawn = np.concatenate([uniform(box, (0, 1))(np.zeros((500, 1)), range(500)) for _ in range(2)])
    assert box.contains(drawn[0])
    assert drawn.dtype == np.float32
    for column, (low, high) in enumerate(((-3.0, 3.0), (0.0, 0.5))):
        spread = (drawn[:500, column] - low) / (high - low)
        assert abs(spread.mean() - 0.5) < 5 / np.sqrt(12 * 500)
        assert abs((spread**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / 500)
    choice = uniform(spaces.Discrete(3, start=2), (0, 1))(np.zeros(600), range(600))
    assert {*choice.tolist()} == {2, 3, 4}
