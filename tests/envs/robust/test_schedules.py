"""The courses in closed form, and that an environment follows them."""

import math
from itertools import islice

import gymnasium as gym
import numpy as np
import pytest

import agentgym
from agentgym.envs.robust.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    Linear,
    Logarithmic,
    RandomWalk,
    Span,
)
from agentgym.errors import InvalidParameter, UnknownId

assert agentgym
SPAN = Span(low=1.0, high=5.0, nominal=2.0)


def course(schedule, steps, seed=0):
    return np.array(list(islice(schedule.values(SPAN, np.random.default_rng(seed)), steps)))


def test_constant():
    assert set(course(Constant("nominal"), 5)) == {2.0}
    assert len(set(course(Constant(), 5))) == 1
    assert course(Constant(), 1, seed=0) != course(Constant(), 1, seed=1)


def test_linear_arrives_and_stays():
    np.testing.assert_allclose(course(Linear("low", "high", steps=5), 7), [1, 2, 3, 4, 5, 5, 5])
    np.testing.assert_allclose(course(Linear(4.0, "nominal", steps=3), 4), [4, 3, 2, 2])


def test_exponential_is_convex_and_logarithmic_concave_both_ways():
    time = np.linspace(0, 1, 11)
    np.testing.assert_allclose(course(Exponential("low", "high", 11), 11), 1 + 4 * (10**time - 1) / 9)
    np.testing.assert_allclose(course(Logarithmic("low", "high", 11), 11), 1 + 4 * np.log10(1 + 9 * time))
    for kind, sign in ((Exponential, 1), (Logarithmic, -1)):
        up, down = course(kind("low", "high", 11), 11), course(kind("high", "low", 11), 11)
        np.testing.assert_allclose(down, up[::-1])
        assert (sign * np.diff(up, 2) > 0).all()


def test_ramps_start_in_the_range_and_end_at_one_of_its_ends():
    runs = [course(Linear(steps=50), 50, seed) for seed in range(40)]
    assert all(1 <= run[0] <= 5 for run in runs)
    assert len({run[0] for run in runs}) == 40
    assert {run[-1] for run in runs} == {1.0, 5.0}


def test_cosine_touches_both_ends():
    values = course(Cosine(rate=0.1, phase=0.0), 41)
    assert values[0] == values[20] == 5.0
    np.testing.assert_allclose(values[[10, 5]], [1.0, 3.0])
    np.testing.assert_allclose(values, 1 + 4 * (np.cos(math.pi * 0.1 * np.arange(41)) + 1) / 2)


def test_random_walk_keeps_to_its_radius_and_the_range():
    values = course(RandomWalk(radius=0.5, start="nominal"), 5000)
    moves = np.abs(np.diff(values))
    assert values[0] == 2.0
    assert moves.max() <= 0.5
    assert moves.max() > 0.49
    assert (values.min(), values.max()) == (1.0, 5.0)
    inside = moves[(values[1:] > 1) & (values[1:] < 5) & (values[:-1] > 1.5) & (values[:-1] < 4.5)]
    assert abs(inside.mean() - 0.25) < 0.01  # uniform steps


def test_bad_schedules_are_refused():
    with pytest.raises(InvalidParameter, match="2 steps"):
        Linear(steps=1)
    with pytest.raises(InvalidParameter, match="radius"):
        RandomWalk(radius=-1.0)
    with pytest.raises(InvalidParameter, match="outside its range"):
        gym.make("agentgym/RobustHopper-v0", schedule={"friction": Linear(0.1, 30.0)})
    with pytest.raises(UnknownId, match="low"):
        gym.make("agentgym/RobustHopper-v0", schedule={"friction": Linear("lo", "high")})


def test_the_environment_follows_the_schedule_from_step_zero():
    """Against an environment whose friction is set by hand before each step."""
    env = gym.make("agentgym/RobustHalfCheetah-v0", schedule={"friction": Linear("low", "high", steps=41)})
    hand = gym.make("agentgym/RobustHalfCheetah-v0").unwrapped
    expected = np.linspace(0.1, 4.0, 41)
    for seed in (0, 1):
        assert env.reset(seed=seed)[1]["parameters"]["friction"] == 0.1
        hand.reset(seed=seed, options={"parameters": {"friction": 0.1}})
        rng = np.random.default_rng(seed)
        for step in range(50):
            action = rng.uniform(-1, 1, 6).astype(np.float32)
            observation, *_, info = env.step(action)
            value = info["parameters"]["friction"]
            assert value == pytest.approx(expected[min(step, 40)], rel=1e-14)
            hand.set_parameters({"friction": value})
            np.testing.assert_array_equal(observation, hand.step(action)[0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_schedule_moves_the_whole_set_each_on_its_own(name):
    env = gym.make("agentgym/RobustAnt-v0", schedule=name, terminate_when_unhealthy=False)
    env.reset(seed=0)
    seen = np.array([list(env.step(np.zeros(8))[4]["parameters"].values()) for _ in range(30)])
    ranges = np.array(list(env.unwrapped.parameter_ranges.values()))
    assert ((seen >= ranges[:, 0]) & (seen <= ranges[:, 1])).all()
    moving = np.ptp(seen, axis=0) > 0
    assert moving.all() == (name != "constant")
    relative = (seen - ranges[:, 0]) / (ranges[:, 1] - ranges[:, 0])
    assert (np.ptp(relative, axis=1) > 0).all()


def test_given_values_win_over_the_schedule():
    env = gym.make("agentgym/RobustHopper-v0", schedule="cosine")
    env.reset(seed=0, options={"parameters": {"torso_mass": 1.0}})
    infos = [env.step(np.zeros(3))[4]["parameters"] for _ in range(5)]
    assert {info["torso_mass"] for info in infos} == {1.0}
    assert len({info["friction"] for info in infos}) == 5


def test_a_held_value_leaves_its_schedule_for_the_episode():
    env = gym.make("agentgym/RobustHopper-v0", schedule="cosine")
    env.reset(seed=0)
    env.unwrapped.set_parameters({"friction": 0.3})
    held = [env.step(np.zeros(3))[4]["parameters"]["friction"] for _ in range(3)]
    assert held == [0.3, 0.3, 0.3]
    env.reset()
    assert env.step(np.zeros(3))[4]["parameters"]["friction"] != 0.3
