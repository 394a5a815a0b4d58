"""The neighbour search answers as a scan of all rows does, to the bit, whichever way it takes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.agents.offline.prdc.search import NearestPairs
from agentgym.agents.offline.prdc.tree import BoxTree
from agentgym.errors import InvalidParameter


def scanned(keys: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and squared distances of the k nearest, the smaller row first among equals."""
    squares = np.zeros((len(queries), len(keys)))
    for d in range(keys.shape[1]):
        squares += (keys[:, d].astype(np.float64)[None] - queries[:, d].astype(np.float64)[:, None]) ** 2
    rows = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(squares, rows, 1)


def gaits(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noisy states and actions of 4 gaits with 3 hidden numbers each."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(4, 3, 12))
    points = np.tanh(np.einsum("ni,nij->nj", rng.normal(size=(n, 3)), maps[rng.integers(4, size=n)]))
    points += 0.05 * rng.normal(size=points.shape)
    return points[:, :8].astype(np.float32), points[:, 8:].clip(-1, 1).astype(np.float32)


def asked(actions: np.ndarray, phase: str, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and the policy's actions there: the logged ones with noise, or any."""
    at = rng.integers(len(actions), size=count)
    noise = {"near": 0.1, "mid": 0.3}
    if phase in noise:
        asked_for = actions[at] + rng.normal(0, noise[phase], size=(count, actions.shape[1]))
    else:
        asked_for = rng.uniform(-1, 1, size=(count, actions.shape[1]))
    return at, asked_for.clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("phase", ["near", "mid", "far"])
@pytest.mark.parametrize("k", [1, 3])
def test_ten_thousand_rows_are_searched_as_by_a_scan(phase: str, k: int) -> None:
    states, actions = gaits(10_000)
    pairs = NearestPairs(states, actions, beta=2.0, neighbours=k)
    assert pairs.lists is not None
    rng = np.random.default_rng(1)
    ways = set()
    for visit in range(3):
        at, asked_for = asked(actions, phase, np.random.default_rng(2), 200)  # the same rows each time
        asked_for = (asked_for + 0.01 * rng.normal(size=asked_for.shape)).astype(np.float32)
        if visit == 1:
            pairs.lists.rent[at[::2]] = np.inf  # half of them get lists
        found = pairs.nearest(at, asked_for)
        queries = np.concatenate([pairs.tree.keys[at, :8], asked_for], 1)
        rows, squares = scanned(pairs.tree.keys, queries, k)
        np.testing.assert_array_equal(found.rows, rows)
        np.testing.assert_array_equal(found.distances, np.sqrt(squares))
        ways |= {*zip(found.listed.tolist(), found.certified.tolist(), strict=True)}
    assert {(False, False), (True, True)} <= ways
    if phase == "far":
        assert (True, False) in ways  # a list that could not answer for certain


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 4), st.integers(1, 8), st.sampled_from([0.0, 0.5, 2.0])
)
def test_a_certificate_is_never_wrong(seed: int, n: int, k: int, candidates: int, beta: float) -> None:
    """On a coarse grid, so that duplicates, equal distances and equal states with other actions abound."""
    rng = np.random.default_rng(seed)
    states, actions = (rng.integers(-1, 2, size=(n, width)).astype(np.float32) for width in (2, 1))
    k = min(k, n)
    pairs = NearestPairs(states, actions, beta, k, candidates)
    assert pairs.lists is not None
    pairs.lists.rent[:] = np.inf
    at = rng.integers(n, size=20)
    asked_for = (rng.integers(-4, 5, size=(20, 1)) / 4).astype(np.float32)
    found = pairs.nearest(at, asked_for)
    rows, squares = scanned(pairs.tree.keys, np.concatenate([pairs.tree.keys[at, :2], asked_for], 1), k)
    assert found.listed.all()
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.distances, np.sqrt(squares))
    own = ((asked_for - actions[at]) ** 2).sum(1)
    np.testing.assert_array_equal(found.own, own == squares[:, 0])


def test_certificates_are_given_and_a_list_alone_would_be_wrong() -> None:
    """What the property test cannot show: both things happen."""
    states, actions = gaits(2_000)
    pairs = NearestPairs(states, actions, 2.0, candidates=4)
    assert pairs.lists is not None
    pairs.lists.rent[:] = np.inf
    at, asked_for = asked(actions, "far", np.random.default_rng(0), 300)
    queries = np.concatenate([pairs.tree.keys[at, :8], asked_for], 1)
    rows, squares = np.full((300, 1), -1), np.full((300, 1), np.inf)
    certain = pairs.lists.answer(queries, at, rows, squares)
    right = rows[:, 0] == scanned(pairs.tree.keys, queries, 1)[0][:, 0]
    assert certain.any()
    assert right[certain].all()
    assert not right.all()


def test_lists_are_made_once_the_tree_has_cost_their_price() -> None:
    states, actions = gaits(5_000)
    pairs = NearestPairs(states, actions, 2.0)
    assert pairs.lists is not None
    at, asked_for = asked(actions, "far", np.random.default_rng(0), 8)
    for _ in range(1_000):
        due = pairs.lists.rent[at] >= pairs.lists.price
        found = pairs.nearest(at, asked_for)
        np.testing.assert_array_equal(found.listed, due)
        if due.all():
            break
    assert due.all()
    assert (pairs.lists.limits >= 0).sum() == len(np.unique(at))


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentgym.agents.offline.prdc.tree.THREADED", -1)
    states, actions = gaits(3_000)
    at, asked_for = asked(actions, "far", np.random.default_rng(0), 100)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(NearestPairs(states, actions, 2.0, neighbours=2, candidates=0).nearest(at, asked_for))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 1000])
def test_trees_of_every_size_hold_every_row_once(n: int) -> None:
    keys = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    tree = BoxTree(keys)
    np.testing.assert_array_equal(np.sort(tree.members[tree.members >= 0]), np.arange(n))
    rows, squares = np.full((n, 1), -1), np.full((n, 1), np.inf)
    tree.search(keys, rows, squares)
    np.testing.assert_array_equal(rows[:, 0], np.arange(n))
    np.testing.assert_array_equal(squares, 0)


def test_keys_that_are_no_numbers_are_refused() -> None:
    states, actions = gaits(20)
    with pytest.raises(InvalidParameter, match="is beta too large"):
        NearestPairs(states, actions, beta=1e30)
    states[3, 1] = np.nan
    with pytest.raises(InvalidParameter, match="not finite"):
        NearestPairs(states, actions, beta=2.0)
