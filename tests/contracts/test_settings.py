"""Settings dataclasses against their annotations."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from agentgym.contracts.settings import Range, check_settings
from agentgym.errors import InvalidParameter, NonFinite, UnknownId


@dataclass(frozen=True)
class Bag:
    count: int = 1
    rate: float = 0.5
    bound: float | None = None
    sizes: tuple[int, ...] = (1,)
    kind: Literal["red", "green"] = "red"
    on: bool = False
    name: str = ""
    memory: list[int] = field(default_factory=list, init=False)

    def __post_init__(self):
        check_settings(self, {"count": Range(1, 9), "bound": Range(0, above=True)}, "a bag")


def test_numpy_scalars_and_whole_numbers_become_what_the_field_is():
    bag = Bag(np.int8(3), np.float32(0.25), 2, [np.uint8(4), 5], np.str_("green"), np.bool_(True), Path("a/b"))
    assert bag == Bag(3, 0.25, 2.0, (4, 5), "green", True, "a/b")
    assert [type(value) for value in vars(bag).values()] == [int, float, float, tuple, str, bool, str, list]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"count": 0}, InvalidParameter, "count of a bag is 0; it must be at least 1 and at most 9"),
        ({"count": 10}, InvalidParameter, "is 10"),
        ({"count": 1.5}, InvalidParameter, "whole number"),
        ({"count": True}, InvalidParameter, "whole number"),
        ({"count": np.array([1])}, InvalidParameter, "whole number"),
        ({"rate": math.nan}, NonFinite, "rate of a bag is nan; it must be finite"),
        ({"rate": np.float32("inf")}, NonFinite, "inf"),
        ({"sizes": [1, math.nan]}, NonFinite, "sizes of a bag"),
        ({"count": math.inf}, NonFinite, "count"),
        ({"rate": 10**400}, InvalidParameter, "too large"),
        ({"rate": None}, InvalidParameter, "a number"),
        ({"bound": 0}, InvalidParameter, "above 0"),
        ({"sizes": (1, "2")}, InvalidParameter, "sizes of a bag"),
        ({"kind": "rde"}, UnknownId, "Nearest: red"),
        ({"kind": np.array([1, 2])}, UnknownId, "kind of a bag"),
        ({"on": 1}, InvalidParameter, "true or false"),
        ({"name": b"x"}, InvalidParameter, "a text"),
    ],
)
def test_what_cannot_be(given, error, says):
    with pytest.raises(error, match=says):
        Bag(**given)
