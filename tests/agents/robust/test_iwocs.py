"""IWOCS: the order of its values, the loop's ends, and the searches."""

import numpy as np
import pytest

from agentgym.agents.robust.iwocs import IWOCS
from agentgym.agents.robust.search import CMAES, Grid
from agentgym.agents.robust.sets import Finite
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.envs.tabular.models import windy_walk
from agentgym.errors import InvalidParameter, UnknownId


def family(seed: int, states: int = 5, actions: int = 3):
    """Two kernels and what is between them, with a reward of the action alone."""
    rng = np.random.default_rng(seed)
    ends = rng.dirichlet(np.full(states, 0.3), (2, states, actions))
    rewards = rng.normal(size=(states, actions))
    start = np.eye(states)[0]

    def make(share: float, bend: float = 0.0) -> MDP:
        mixed = (1 - share) * ends[0] + share * ends[1]
        mixed = (1 - bend) * mixed + bend * np.roll(mixed, 1, axis=2)
        return MDP.dense(mixed, rewards, 0.9, start=start)

    return make


@pytest.mark.parametrize("seed", range(6))
def test_optimistic_in_the_proved_order(seed):
    """Q_i >= Q of the hull of the models so far >= Q of the whole set's hull, and Q_i falls."""
    make = family(seed)
    grid = np.linspace(0, 1, 7)
    kernels = np.stack([make(share).probabilities for share in grid])
    whole = RobustPolicyIteration(make(0.0), Finite(kernels), tolerance=1e-9).solve().q
    before = np.full(whole.shape, np.inf)
    for count in (1, 2, 3):
        found = IWOCS(make, {"share": (0, 1)}, first={"share": 0.0}, search=Grid(7), max_iterations=count,
                      tolerance=1e-9, on_repeat="exclude").solve()  # fmt: skip
        solved = np.stack([make(**each.parameters).probabilities for each in found.trace])
        hull = RobustPolicyIteration(make(**found.trace[0].parameters), Finite(solved), tolerance=1e-9).solve().q
        assert (found.q >= hull - 1e-8).all()
        assert (hull >= whole - 1e-8).all()
        assert (found.q <= before + 1e-12).all()
        before = found.q
        assert found.gap >= -1e-8
        assert found.worst == max(each.worst for each in found.trace)


@pytest.mark.parametrize("search", [Grid(25)], ids=repr)
def test_windy_walk_meets_robust_value_iteration(search):
    """In at most 3 iterations, as the paper has it; the hull's optimum is what the policy gets in the worst model."""
    found = IWOCS(windy_walk, {"wind": (0.0, 0.5)}, first={"wind": 0.0}, search=search).solve()
    assert found.reason == "met"
    assert len(found.trace) <= 3
    kernels = np.stack([windy_walk(wind).probabilities for wind in np.linspace(0, 0.5, 25)])
    mdp = windy_walk(0.0)
    robust = RobustPolicyIteration(mdp, Finite(kernels), tolerance=1e-6).solve()
    assert found.worst == pytest.approx(float(mdp.start @ robust.value), abs=2e-4)
    assert found.gap == pytest.approx(0.0, abs=2e-4)
    plain = found.trace[0]
    assert plain.worst < plain.promised - 1.0  # the walk planned without wind loses much


def test_cma_es_finds_the_grids_worst_and_leaves_numpys_generator_alone():
    pytest.importorskip("cma")
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    outcomes = [
        IWOCS(
            windy_walk, {"wind": (0.0, 0.5)}, first={"wind": 0.0}, search=CMAES(3, 8), max_iterations=2, seed=seed
        ).solve()
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert outcomes[0].trace == outcomes[1].trace
    assert outcomes[0].trace != outcomes[2].trace
    assert outcomes[0].trace[0].worst_parameters["wind"] > 0.45
    assert outcomes[0].trace[0].evaluations == 24


def gamble(a: float) -> MDP:
    """Two actions that pay a and 1 - a."""
    return MDP.dense([[[1.0], [1.0]]], [[a, 1.0 - a]], 0.0)


def test_the_set_that_is_not_rectangular():
    """Deterministic policies guarantee 0, an even coin 1/2, and nature's minimum of maxima is 1: IWOCS returns 0."""
    found = IWOCS(gamble, {"a": (0.0, 1.0)}, first={"a": 0.0}, search=Grid(2)).solve()
    assert found.worst == pytest.approx(0.0, abs=1e-5)
    assert found.trace[-1].promised == pytest.approx(0.0, abs=1e-4)
    assert found.gap == pytest.approx(1.0, abs=1e-4)  # what the certificate says of it
    even = min(gamble(a).rewards[0, :, 0] @ [0.5, 0.5] for a in (0.0, 1.0))
    assert even == 0.5


def test_a_repeated_model_ends_the_loop_or_is_passed_over():
    make = family(3)
    ends = {}
    for way in ("stop", "exclude", "sample"):
        found = IWOCS(make, {"share": (0, 1), "bend": (0, 0.5)}, search=Grid(3), tolerance=1e-12, max_iterations=9,
                      on_repeat=way).solve()  # fmt: skip
        ends[way] = found
        solved = [tuple(each.parameters.items()) for each in found.trace]
        assert len(set(solved)) == len(solved)
    assert ends["stop"].reason in ("repeated", "met")
    assert len(ends["exclude"].trace) >= len(ends["stop"].trace)
    assert ends["exclude"].gap <= ends["stop"].gap + 1e-9


def test_the_budget_counts_the_searches():
    make = family(1)
    found = IWOCS(make, {"share": (0, 1)}, search=Grid(7), budget=15, tolerance=1e-12, on_repeat="exclude").solve()
    assert found.trace[-1].evaluations <= 15
    assert len(found.trace) == 2
    assert found.reason in ("budget", "met")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"budget": 6}, InvalidParameter, "too small: one iteration takes 7"),
        ({"ranges": {"share": (1, 0)}}, InvalidParameter, "empty"),
        ({"ranges": {}}, InvalidParameter, "no parameters"),
        ({"first": {"shore": 0.1}}, UnknownId, "share"),
        ({"first": {"share": 1.1}}, InvalidParameter, "share"),
        ({"first": {}}, InvalidParameter, "share"),
        ({"on_repeat": "pray"}, UnknownId, "on_repeat"),
        ({"max_iterations": 0}, InvalidParameter, "max_iterations"),
        ({"tolerance": float("nan")}, InvalidParameter, "tolerance"),
        ({"seed": -1}, InvalidParameter, "seed"),
    ],
)
def test_bad_input_gets_one_clear_error(settings, error, words):
    arguments = {"ranges": {"share": (0, 1)}, "search": Grid(7), **settings}
    with pytest.raises(error, match=words):
        IWOCS(family(0), arguments.pop("ranges"), **arguments)
