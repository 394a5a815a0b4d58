import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agentgym.contracts.finite import is_finite, non_finite_settings, require_finite
from agentgym.errors import AskError, NonFinite


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the machine may be busy
@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32)))
def test_an_array_is_finite_where_all_entries_are(values):
    assert is_finite(values) == all(map(math.isfinite, values.ravel().tolist()))


def test_a_sum_that_overflows_is_no_fault():
    assert is_finite(np.full(4, np.finfo(np.float32).max))


@pytest.mark.parametrize("values", ["text", b"", True, None, 3, np.int64(3), np.array([1, 2]), np.array(["a"])])
def test_what_is_no_float_is_finite(values):
    assert is_finite(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (math.nan, "it is nan"),
        (np.float32(np.inf), "it is inf"),
        (np.array([0.0, np.nan]), "entry 1 is nan"),
        (np.array([[0.0, 1.0], [-np.inf, 2.0]]), "entry 1, 0 is -inf"),
        ({"a": np.zeros(2), "b": np.array([np.nan])}, "entry 'b', 0 is nan"),
        ((1.0, {"c": (2, math.inf)}), "entry 1, 'c', 1 is inf"),
    ],
)
def test_the_message_leads_to_the_entry(values, said):
    with pytest.raises(NonFinite, match=f"^the reward is not finite at step 7: {said}"):
        require_finite("the reward", values, "at step 7")


def test_the_error_is_ours_and_a_floating_point_error():
    assert issubclass(NonFinite, AskError)
    assert issubclass(NonFinite, FloatingPointError)


def test_settings_are_searched_all_the_way_down():
    settings = {"a": 1.0, "b": math.nan, "c": {"d": [1.0, math.inf]}, "e": "nan", "f": np.float32(np.nan), "g": True}
    assert non_finite_settings(settings) == ["b=nan", "c.d[1]=inf", "f=nan"]
