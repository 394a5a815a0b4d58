import json

import numpy as np
import pytest
from gymnasium import spaces

from agentgym.contracts.spaces import check_same_spaces, space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch

SPACES = [
    spaces.Box(-np.inf, np.inf, (17,), np.float64),
    spaces.Box(np.array([-0.1, -2, -np.inf], np.float32), np.array([0.3, 2, 7], np.float32)),
    spaces.Box(0, 255, (8, 8, 3), np.uint8),
    spaces.Box(-1, 1, (), np.float32),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([3, 4]),
    spaces.MultiDiscrete(np.array([[3, 4], [5, 6]]), start=np.array([[1, 0], [0, 2]])),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Dict({"z": spaces.Discrete(2), "a": spaces.Dict({"x": spaces.Box(0.1, 1 / 3, (2,), np.float32)})}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_comes_back_exactly(space):
    again = space_from_json(json.loads(json.dumps(space_to_json(space))))
    assert again == space
    assert again.dtype == space.dtype
    if isinstance(space, spaces.Dict):
        assert list(again.spaces) == list(space.spaces)


def test_other_spaces_and_damaged_values_are_refused():
    with pytest.raises(InvalidParameter, match="flatten"):
        space_to_json(spaces.Tuple([spaces.Discrete(2)]))
    for values in ({}, {"kind": "Sphere"}, {"kind": "Box", "low": 0}, {"kind": "Discrete", "n": "x"}):
        with pytest.raises(CorruptFile):
            space_from_json(values)


def test_a_mismatch_names_both():
    ours, theirs = spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (4,))
    action = spaces.Box(-1, 1, (1,))
    check_same_spaces((ours, action), (ours, action))
    with pytest.raises(SpaceMismatch, match=r"\(3,\).*\(4,\)"):
        check_same_spaces((ours, action), (theirs, action))
