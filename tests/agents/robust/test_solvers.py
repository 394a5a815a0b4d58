"""Reference values, proved bounds, and inputs that are refused."""

import gymnasium
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

from agentgym.agents.robust.evaluation import evaluate_exactly
from agentgym.agents.robust.sets import KL, L1, Box, ChiSquare, Finite, LInfinity, Wasserstein
from agentgym.agents.robust.solvers import RobustPolicyIteration, RobustValueIteration, backward_induction
from agentgym.contracts.mdp import MDP
from agentgym.errors import InvalidParameter, NonFinite, UnknownId

SOLVERS = [RobustValueIteration, RobustPolicyIteration]


def river_swim(discount: float) -> MDP:
    kernel, rewards = np.zeros((6, 2, 6)), np.zeros((6, 2))
    for s in range(6):
        kernel[s, 0, max(s - 1, 0)] = 1.0
    kernel[0, 1, [0, 1]] = 0.4, 0.6
    for s in range(1, 5):
        kernel[s, 1, [s - 1, s, s + 1]] = 0.05, 0.6, 0.35
    kernel[5, 1, [4, 5]] = 0.4, 0.6
    rewards[0, 0], rewards[5, 1] = 5.0, 10_000.0
    return MDP.dense(kernel, rewards, discount)


def random_process(seed: int, states: int = 5, actions: int = 3, discount: float = 0.9, terminal=()) -> MDP:
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.full(states, 0.5), (states, actions))
    return MDP.dense(kernel, rng.normal(size=kernel.shape), discount, terminal=terminal)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("discount", "radius", "known"),
    [
        (0.95, 0.0, {0: 46693.001607, 5: 94731.556288}),
        (0.95, 0.1, {0: 22025.041374, 5: 59780.500123}),
        (0.95, 0.2, {0: 9220.107183, 5: 39323.262398}),
        (0.95, 0.5, {0: 145.073035, 5: 17319.971357}),
        (0.95, 1.0, dict(enumerate([14.129648, 9.129648, 6.754648, 5.626523, 5.090664, 11054.533169]))),
        (0.95, 2.0, dict(enumerate([5.0, 0, 0, 0, 0, 10000.0]))),
        (0.9, 0.2, dict(enumerate([2633.287086, 3218.461994, 4999.994492, 8525.203727, 15375.991666, 28677.005159]))),
    ],
)
def test_river_swim(solver, discount, radius, known):
    """Values of a sorting and of a linear-programming implementation, which agree to 9e-7."""
    found = solver(river_swim(discount), L1(radius), tolerance=2e-7).solve()
    assert found.converged
    assert found.error <= 2e-7
    for state, value in known.items():
        assert found.value[state] == pytest.approx(value, abs=1e-6)
    if radius == 1.0:
        assert found.policy.argmax(1).tolist() == [0, 0, 0, 0, 0, 1]


def test_closed_form_of_one_live_state():
    """V = 1 / (1 - discount (p - k / 2)): nature moves k / 2 from survival to death."""
    for p, k, discount in [(0.9, 0.2, 0.9), (0.5, 0.6, 0.99), (0.9, 0.0, 0.5)]:
        mdp = MDP.dense([[[p, 1 - p]], [[0, 1]]], [[[1.0, 1.0]], [[7.0, 7.0]]], discount, terminal=[1])
        for solver in SOLVERS:
            found = solver(mdp, L1(k), tolerance=1e-10).solve()
            assert found.value[0] == pytest.approx(1 / (1 - discount * (p - k / 2)), abs=1e-9)
            assert found.value[1] == 0.0  # a terminal state pays nothing, whatever the arrays said


def test_craams_chain():
    """marekpetrik/CRAAM's three states in a row, reward 1.1 in the last: values and discounted occupancies."""
    kernel = np.zeros((3, 2, 3))
    kernel[:, 0, 0] = 1.0
    kernel[[0, 1, 2], 1, [1, 2, 2]] = 1.0
    rewards = np.zeros((3, 2))
    rewards[2, 1] = 1.1
    found = RobustPolicyIteration(MDP.dense(kernel, rewards, 0.9), L1(0.0)).solve()
    np.testing.assert_allclose(found.value, [8.91, 9.9, 11.0], atol=1e-6)
    moves = kernel[np.arange(3), found.policy.argmax(1)]
    occupancy = np.linalg.solve(np.eye(3) - 0.9 * moves.T, np.full(3, 1 / 3))
    np.testing.assert_allclose(occupancy, [0.3333, 0.6333, 9.0333], atol=1e-4)


def linear_program(mdp: MDP) -> np.ndarray:
    states = mdp.shape[0]
    kernel = mdp.kernel()
    rows = np.eye(states)[:, None] - mdp.discount * kernel
    paid = (mdp.probabilities * mdp.rewards).sum(2)
    found = linprog(np.ones(states), A_ub=-rows.reshape(-1, states), b_ub=-paid.ravel(), bounds=(None, None))
    return found.x


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("discount", [0.5, 0.99, 0.999])
def test_the_interval_has_the_linear_programs_value(solver, discount):
    for seed in range(3):
        mdp = random_process(seed, discount=discount)
        found = solver(mdp, tolerance=1e-5).solve()
        assert found.error <= 1e-5
        exact = linear_program(mdp)
        assert (found.lower - 1e-8 <= exact).all()
        assert (exact <= found.upper + 1e-8).all()


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_bounds_hold_when_iterations_are_cut_short(iterations):
    mdp = river_swim(0.999)
    exact = RobustPolicyIteration(mdp, L1(0.2), tolerance=1e-3).solve()
    assert exact.converged
    found = RobustValueIteration(mdp, L1(0.2), max_iterations=iterations).solve()
    assert not found.converged
    assert (found.lower <= exact.upper).all()
    assert (exact.lower <= found.upper).all()
    assert found.error > 1.0


@pytest.mark.parametrize(
    "uncertainty",
    [L1(0.3), L1(0.3, "s"), L1(0.3, support="nominal"), L1(0.3, weights=[1, 2, 1, 2, 1.0]), KL(0.1), KL(0.1, "s"),
     ChiSquare(0.2), LInfinity(0.1), Box(0.0, 1.0),
     Wasserstein(0.2, costs=1.0 - np.eye(5)), Wasserstein(0.2, "s", costs=1.0 - np.eye(5))],
    ids=repr,
)  # fmt: skip
def test_policy_and_kernel_prove_the_value(uncertainty):
    """No policy beats the kernel, no kernel of the set beats the policy, and both solvers agree."""
    mdp = random_process(3, terminal=[4])
    found = RobustPolicyIteration(mdp, uncertainty, tolerance=1e-7).solve()
    other = RobustValueIteration(mdp, uncertainty, tolerance=1e-4).solve()
    assert found.converged
    assert other.converged
    assert (np.maximum(found.lower, other.lower) <= np.minimum(found.upper, other.upper)).all()
    assert uncertainty.distance(mdp, found.kernel).max() <= 1e-9
    worst = mdp.under(found.kernel)
    best_response = RobustPolicyIteration(worst, tolerance=1e-8).solve()
    assert (best_response.lower <= found.upper).all()
    np.testing.assert_allclose(evaluate_exactly(worst, found.policy), found.value, atol=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(20):  # kernels of the set: mixtures of the worst and the nominal one, per state
        share = rng.random((5, 1, 1))
        mixed = mdp.under(share * found.kernel + (1 - share) * mdp.probabilities)
        assert (evaluate_exactly(mixed, found.policy) >= found.lower - 1e-9).all()


def test_a_finite_set_by_state_and_by_action():
    mdp = random_process(1)
    others = np.random.default_rng(2).dirichlet(np.ones(5), (2, 5, 3))
    kernels = np.concatenate([mdp.probabilities[None], others])
    strong = RobustPolicyIteration(mdp, Finite(kernels)).solve()
    weak = RobustPolicyIteration(mdp, Finite(kernels, "s"), tolerance=1e-6).solve()
    assert strong.converged
    assert weak.converged
    assert (weak.upper >= strong.lower).all()


def test_growing_radii_never_help():
    mdp = random_process(7)
    values = [RobustPolicyIteration(mdp, L1(radius)).solve().value for radius in np.linspace(0, 2, 9)]
    assert (np.diff(values, axis=0) <= 2e-6).all()
    shared = RobustPolicyIteration(mdp, L1(0.4, "s")).solve()
    assert (shared.upper >= RobustPolicyIteration(mdp, L1(0.4)).solve().lower).all()


def test_ties_keep_the_incumbent_and_end():
    """All actions are the same; a solver that switches between them never ends."""
    mdp = random_process(0)
    same = MDP.dense(np.repeat(mdp.probabilities[:, :1], 3, 1), np.repeat(mdp.rewards[:, :1], 3, 1), 0.99)
    for radius in (0.0, 0.3):
        found = RobustPolicyIteration(same, L1(radius)).solve()
        assert found.converged
        assert found.iterations <= 5
        assert (found.policy[:, 0] == 1).all()


def test_sparse_input_stays_sparse_and_equals_dense():
    mdp = random_process(2, states=6)
    kernel = np.where(mdp.probabilities > 0.1, mdp.probabilities, 0)
    kernel /= kernel.sum(-1, keepdims=True)
    dense = MDP.dense(kernel, mdp.rewards, 0.9)
    matrices = [sparse.csr_array(kernel[:, a]) for a in range(3)]
    rewards = [sparse.csr_array(mdp.rewards[:, a]) for a in range(3)]
    thin = MDP.sparse(matrices, rewards, 0.9)
    assert thin.shape[2] < 6
    np.testing.assert_array_equal(thin.kernel(), dense.probabilities)
    for ball in (L1(0.3, support="nominal"), KL(0.1), LInfinity(0.1, support="nominal")):
        one, other = (RobustPolicyIteration(each, ball).solve() for each in (dense, thin))
        np.testing.assert_allclose(one.value, other.value, atol=2e-6)
    wide = MDP.sparse([sparse.eye_array(50_000)] * 2, np.ones((50_000, 2)), 0.9)  # 20 GB as dense arrays
    assert wide.shape == (50_000, 2, 1)
    np.testing.assert_allclose(RobustValueIteration(wide, L1(0.5, support="nominal")).solve().value, 10.0, atol=1e-5)


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_gymnasiums_tables(name):
    """The value of a start is the mean discounted return of episodes from it; ends are terminal and worth nothing."""
    if name not in gymnasium.registry:
        pytest.skip(f"this Gymnasium has no {name}")
    env = gymnasium.make(name, max_episode_steps=100_000)
    mdp = MDP.from_gymnasium(env, 0.9)
    found = RobustPolicyIteration(mdp).solve()
    assert found.converged
    assert mdp.terminal.any()
    assert (found.value[mdp.terminal] == 0).all()
    returns = []
    for episode in range(200 if name == "FrozenLake-v1" else 5):
        state, _ = env.reset(seed=episode)
        total, factor, over = -found.value[state], 1.0, False
        while not over:
            state, reward, terminated, truncated, _ = env.step(int(found.policy[state].argmax()))
            total, factor, over = total + factor * reward, factor * 0.9, terminated or truncated
        assert terminated
        returns.append(total)
    assert abs(np.mean(returns)) <= 4 * np.std(returns) / np.sqrt(len(returns)) + 1e-5


def test_backward_induction():
    """At discount 1, two steps by hand; nature takes half of the radius from the better outcome in each."""
    mdp = MDP.dense([[[0.5, 0.5]], [[0, 1]]], [[[1.0, 0.0]], [[0, 0]]], 1.0, terminal=[1])
    values, policies = backward_induction(mdp, L1(0.2), 2)
    np.testing.assert_allclose(values[:, 0], [0.0, 0.4, 0.4 * 1.4])
    assert policies.shape == (2, 2, 1)


GOOD = np.full((2, 2, 2), 0.5)


def broken(place: tuple[int, ...], value: float) -> np.ndarray:
    kernel = GOOD.copy()
    kernel[place] = value
    return kernel


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MDP.dense(broken((1, 0, 0), 0.48), np.zeros((2, 2)), 0.9), InvalidParameter,
         "state 1, action 0 sums to 0.98"),
        (lambda: MDP.dense(broken((0, 1, 0), -0.1), np.zeros((2, 2)), 0.9), InvalidParameter, "action 1 (sums|has)"),
        (lambda: MDP.dense(broken((0, 1, 1), np.nan), np.zeros((2, 2)), 0.9), NonFinite, "state 0, action 1"),
        (lambda: MDP.dense(GOOD, [[0, 1], [np.nan, 0]], 0.9), NonFinite, "state 1, action 0"),
        (lambda: MDP.dense(GOOD, np.zeros((3, 2)), 0.9), InvalidParameter, "shape"),
        (lambda: MDP.dense(np.zeros((2, 2, 3)), 0, 0.9), InvalidParameter, "shape"),
        (lambda: MDP.dense(GOOD, np.zeros(2), 1.5), InvalidParameter, "discount"),
        (lambda: MDP.dense(GOOD, np.zeros(2), float("nan")), InvalidParameter, "discount"),
        (lambda: MDP.from_gymnasium(gymnasium.make("CartPole-v1"), 0.9), InvalidParameter, "table P"),
        (lambda: solve(L1(2.5)), InvalidParameter, "radius of L1 is 2.5.*0 to 2"),
        (lambda: solve(L1(-0.1)), InvalidParameter, "radius"),
        (lambda: solve(LInfinity(1.5)), InvalidParameter, "radius"),
        (lambda: solve(KL(float("nan"))), NonFinite, "radius"),
        (lambda: solve(L1([0.1, 0.2, 0.3])), InvalidParameter, "radius"),
        (lambda: solve(L1("a")), InvalidParameter, "radius"),
        (lambda: L1(0.1, "states"), UnknownId, "rectangular"),
        (lambda: solve(L1(0.1, weights=[1.0, -1.0])), InvalidParameter, "[Ww]eights"),
        (lambda: solve(Wasserstein(0.1)), InvalidParameter, "costs"),
        (lambda: solve(Box(0.6, 1.0)), InvalidParameter, "state 0, action 0 is empty"),
        (lambda: solve(Box([[[0.6, 0], [0, 0]], [[0, 0], [0, 0]]], 1.0)), InvalidParameter, "excludes the nominal"),
        (lambda: solve(Finite([])), InvalidParameter, "empty"),
        (lambda: solve(Finite(np.tile([1.0, 0.0], (1, 2, 2, 1)))), InvalidParameter, "excludes the nominal"),
        (lambda: solve(Finite(np.tile([0.9, 0.0], (1, 2, 2, 1)))), InvalidParameter, "kernel 0, state 0, action 0"),
        (lambda: RobustValueIteration(MDP.dense(GOOD, np.zeros(2), 1.0)), InvalidParameter, "discount is 1"),
        (lambda: RobustValueIteration(MDP.dense(GOOD, np.zeros(2), 0.9), max_iterations=0), InvalidParameter,
         "max_iterations"),
        (lambda: RobustValueIteration(MDP.dense(GOOD, np.zeros(2), 0.9), tolerance=0), InvalidParameter, "tolerance"),
        (lambda: MDP.dense(GOOD, np.zeros(2), 0.9).under(broken((0, 0, 0), 0.1)), InvalidParameter,
         "state 0, action 0"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_error(make, error, words):
    with pytest.raises(error, match=words):
        make()


def solve(uncertainty):
    return RobustValueIteration(MDP.dense(GOOD, np.zeros(2), 0.9), uncertainty).solve()


def test_rows_that_nearly_sum_to_one_are_taken():
    """Within 1e-8, as stated; kernels that were scaled stay as they are, bit for bit."""
    kernel = np.full((3, 1, 3), 1 / 3) + 2e-16
    kernel[0, 0, 0] -= 1e-9
    mdp = MDP.dense(kernel, np.ones(3), 0.5)
    np.testing.assert_allclose(mdp.probabilities.sum(2), 1.0, atol=4e-16)
    np.testing.assert_array_equal(mdp.under(mdp.probabilities).probabilities, mdp.probabilities)
    np.testing.assert_allclose(RobustValueIteration(mdp, L1(0.0)).solve().value, 2.0, atol=1e-6)
