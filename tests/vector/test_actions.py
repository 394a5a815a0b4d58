import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

from agentgym.errors import InvalidAction
from agentgym.vector.actions import checked_actions

BOX = batch_space(spaces.Box(np.array([-1, 0], np.float32), np.array([1, 5], np.float32)), 3)
CHOICES = batch_space(spaces.Discrete(4, start=-1), 3)
PAIRS = batch_space(spaces.MultiDiscrete([2, 3]), 2)
SWITCHES = batch_space(spaces.MultiBinary(2), 2)


@pytest.mark.parametrize("space", [BOX, CHOICES, PAIRS, SWITCHES])
def test_what_the_space_samples_is_taken_as_it_is(space):
    space.seed(0)
    for _ in range(20):
        actions = space.sample()
        assert (checked_actions(actions, space) == actions).all()
        assert (checked_actions(actions.tolist(), space) == actions).all()


@pytest.mark.parametrize(
    ("space", "actions", "said"),
    [
        (BOX, [[0, 0], [0, 5.1], [0, 0]], r"actions\[1, 1\] is 5.1"),
        (BOX, [[0, 0], [0, 0], [np.nan, 0]], r"actions\[2, 0\] is nan"),
        (BOX, [[0, 0]], r"shape \(3, 2\)"),
        (BOX, [["a", "b"]] * 3, "numbers of shape"),
        (CHOICES, [-1, 3, 0], r"actions\[1\] is 3"),
        (CHOICES, [-2, 0, 0], r"actions\[0\] is -2"),
        (CHOICES, [0, 0.5, 0], r"actions\[1\] is 0.5"),
        (CHOICES, [0, np.inf, 0], r"actions\[1\] is inf"),
        (PAIRS, [[1, 2], [1, 3]], r"actions\[1, 1\] is 3"),
        (SWITCHES, [[0, 1], [2, 0]], r"actions\[1, 0\] is 2"),
    ],
)
def test_other_actions_are_refused_with_their_place(space, actions, said):
    with pytest.raises(InvalidAction, match=said):
        checked_actions(actions, space)
