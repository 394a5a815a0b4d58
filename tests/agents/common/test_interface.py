from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from agentgym.agents.common.interface import Actions, Observations
from agentgym.errors import NonFinite, SpaceMismatch

KINDS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
ODD_ACTIONS = [
    spaces.Discrete(3, start=5),
    spaces.Discrete(4, start=-2),
    spaces.Discrete(3, dtype=np.int32),
    spaces.MultiDiscrete([2, 3], start=[4, -2]),
    spaces.MultiDiscrete([[2, 3], [4, 5]]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Box(0, 10, (1,), np.int64),
    spaces.Box(-128, 127, (2,), np.int8),
    spaces.Box(0, 255, (2, 2), np.uint8),
    spaces.Box(0, 1, (2,), bool),
    spaces.Box(0, 10, (), np.int32),
    spaces.Box(-1, 1, ()),
    spaces.Box(-0.1, 0.3, (2,), np.float64),
    spaces.Box(-2, 2, (3,), np.float16),
]
PLAIN_ACTIONS = [spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.Box(-2, 2, (3,)), spaces.Box(-1, 1, (2, 2))]


@pytest.mark.parametrize("space", ODD_ACTIONS + PLAIN_ACTIONS, ids=str)
def test_what_the_learner_chooses_is_in_the_environment_s_space_and_comes_back(space):
    actions = Actions(space, "ppo", KINDS)
    assert actions.own.seed(0) is not None
    chosen = np.stack([actions.own.sample() for _ in range(50)])
    played = actions.to_environment(chosen)
    assert played.dtype == space.dtype
    assert all(map(space.contains, played))
    again = actions.to_environment(actions.to_learner(played))
    np.testing.assert_array_equal(again, played)
    unit = actions.to_unit(played)
    back = actions.from_unit(unit)
    assert all(map(space.contains, back))
    if isinstance(space, spaces.Box):
        assert (unit.dtype, unit.ndim) == (np.float32, 2)
        assert abs(unit).max() <= 1
    np.testing.assert_allclose(
        back.astype(float), played.astype(float), atol=1e-2 if space.dtype == np.float16 else 1e-6
    )


@pytest.mark.parametrize("space", PLAIN_ACTIONS, ids=str)
def test_plain_actions_are_left_alone(space):
    actions = Actions(space, "ppo", KINDS)
    chosen = np.stack([space.sample() for _ in range(3)])
    assert actions.own is space
    assert actions.to_environment(chosen) is chosen


def test_whole_numbers_are_the_nearest_and_bounds_are_kept():
    whole = Actions(spaces.Box(0, 10, (1,), np.int64), "sac", KINDS)
    np.testing.assert_array_equal(whole.to_environment(np.array([[0.4], [0.6], [9.7], [10.2]])).ravel(), [0, 1, 10, 10])
    np.testing.assert_array_equal(whole.from_unit(np.array([[-1.0], [0.11], [1.0]])).ravel(), [0, 6, 10])
    low, high = np.float32(-1.4), np.float32(0.8)
    assert low + (high - low) > high  # a last bit beyond
    uneven = Actions(spaces.Box(low, high, (1,)), "sac", KINDS)
    assert uneven.to_environment(np.array([[low + (high - low)]]))[0, 0] == high


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (spaces.Dict(a=spaces.Discrete(2)), r"list agents.*TransformAction"),
        (spaces.Box(-np.inf, np.inf, (2,)), "finite bounds.*TransformAction"),
        (spaces.Box(0, np.inf, (2,)), "finite bounds"),
        (spaces.Box(-3e38, 3e38, (2,)), "finite bounds"),
        (spaces.Box(-np.inf, np.inf, (2,), np.int32), "finite bounds"),
        (spaces.Box(np.array([0, 1.0]), np.array([0, 2.0])), r"entries \[\(0,\)\].*low and high are equal"),
        (spaces.Box(1, 1, ()), "low and high are equal"),
        (spaces.Box(0, 1, (0,)), "nothing to choose"),
        (spaces.Box(0, 2**60, (1,), np.int64), "2\\*\\*53"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_actions_that_cannot_be_are_refused(space, says):
    with pytest.raises(SpaceMismatch, match=says):
        Actions(space, "ppo", KINDS)


def test_the_kinds_an_agent_does_not_have_are_refused_with_those_it_has():
    with pytest.raises(SpaceMismatch, match=r"mdpo supports Box action spaces.*Discrete\(2\)"):
        Actions(spaces.Discrete(2), "mdpo", (spaces.Box,))


@pytest.mark.parametrize(
    ("space", "own"),
    [
        (spaces.Discrete(4, start=-1), spaces.Discrete(4)),
        (spaces.Discrete(4, start=3), spaces.Discrete(4)),
        (spaces.MultiDiscrete([2, 3], start=[1, -5]), spaces.MultiDiscrete([2, 3])),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), spaces.MultiDiscrete([2, 3, 4, 5])),
        (spaces.Box(-1, 1, ()), spaces.Box(-1, 1, (1,))),
        (spaces.Box(-1, 1, (), np.float64), spaces.Box(-1, 1, (1,), np.float64)),
    ],
    ids=str,
)
def test_observations_are_translated(space, own):
    seen = Observations(space, "ppo")
    assert seen.own == own
    one = space.sample()
    batch, single = seen.read(one)
    assert single
    assert own.contains(batch[0])
    batch, single = seen.read(np.stack([one] * 3))
    assert not single
    assert (len(batch), batch[0].shape) == (3, own.shape)
    assert own.contains(batch[2])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (3,)),
        spaces.Box(0, 255, (4, 4), np.uint8),
        spaces.Box(np.zeros(2), np.array([0, 1.0])),  # an entry that never changes is seen all the same
        spaces.Box(-np.inf, np.inf, (2, 3), np.float64),
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary([2, 2]),
    ],
    ids=str,
)
def test_plain_observations_are_left_alone(space):
    seen = Observations(space, "ppo")
    batch = np.stack([space.sample()] * 2)
    assert seen.own is space
    assert seen.read(batch)[0] is batch


IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (
            spaces.Dict(a=spaces.Box(-1, 1, (2,))),
            r'FlattenObservation\(env\), or use \S+PPO\("MultiInputPolicy", env\)',
        ),
        (spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3))), r"FlattenObservation\(env\)\."),
        (spaces.OneOf((spaces.Discrete(2), spaces.Discrete(3))), r"FlattenObservation\(env\)\."),
        (spaces.Sequence(spaces.Discrete(2)), "TransformObservation"),
        (spaces.Graph(spaces.Box(0, 1, (2,)), None), "TransformObservation"),
        (spaces.Text(4), "list agents"),
        (IMAGE, r'stable_baselines3\.PPO\("CnnPolicy", env\), or flatten'),
        (spaces.Box(0, 1, (0,)), "nothing to observe"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_observations_that_cannot_be_are_refused_with_a_way_out(space, says):
    with pytest.raises(SpaceMismatch, match=says):
        Observations(space, "ppo", "stable_baselines3.PPO")


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (np.zeros(4), SpaceMismatch, r"Unexpected observation shape \(4,\).*\(3,\)"),
        (np.zeros(()), SpaceMismatch, "shape"),
        ((np.zeros(3), {}), SpaceMismatch, r"observation, info = env.reset\(\)"),
        ({"a": np.zeros(3)}, SpaceMismatch, "not a dict"),
        (np.array([0, np.nan, 0]), NonFinite, "entry 1 is nan"),
        (np.array([[0, 0, 0], [0, 0, np.inf]]), NonFinite, "environment 1 .*entry 2 is inf"),
    ],
)
def test_what_predict_cannot_take_is_refused(given: Any, error, says):
    with pytest.raises(error, match=says):
        Observations(spaces.Box(-1, 1, (3,)), "ppo").read(given)


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=1), spaces.Discrete(3), spaces.MultiDiscrete([2, 2])])
def test_choices_out_of_the_space_are_refused(space):
    with pytest.raises(SpaceMismatch, match="Fix the environment"):
        Observations(space, "ppo").read(np.full(space.shape, 7))
