"""Every inner solver against a linear or convex program of SciPy, on random instances."""

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint, linprog, minimize

from agentgym.agents.robust.bellman import RobustBellman
from agentgym.agents.robust.sets import KL, L1, TV, Box, ChiSquare, Finite, LInfinity, Wasserstein
from agentgym.contracts.mdp import MDP

STATES, ACTIONS = 4, 2
COSTS = np.abs(np.subtract.outer(np.arange(STATES), np.arange(STATES))).astype(float)
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1])


def process(seed: int, discount: float = 0.9) -> MDP:
    """Some transitions are impossible, and rewards depend on the next state."""
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
    kernel[rng.random(kernel.shape) < 0.2] = 0.0
    kernel[..., 0] += 1.0 - kernel.sum(-1)
    return MDP.dense(kernel, rng.normal(size=kernel.shape), discount)


def program(ball, p: np.ndarray, listed: np.ndarray):
    """LP constraints of one ball over the variables (q, auxiliary): rows, right-hand sides, and the row of D."""
    k = len(p)
    eye = np.eye(k)
    if isinstance(ball, L1):
        weights = np.full(k, 0.5 if isinstance(ball, TV) else 1.0) if ball.weights is None else np.asarray(ball.weights)
        return np.vstack([np.hstack([eye, -eye]), np.hstack([-eye, -eye])]), np.r_[p, -p], np.r_[np.zeros(k), weights]
    if isinstance(ball, LInfinity):
        one = -np.ones((k, 1))
        return np.vstack([np.hstack([eye, one]), np.hstack([-eye, one])]), np.r_[p, -p], np.r_[np.zeros(k), 1.0]
    plan = np.kron(eye, np.ones(k)), np.kron(np.ones(k), eye)  # rows sum to p, columns to q
    zero = np.zeros((k, k))
    both = np.vstack([np.hstack([zero, plan[0]]), np.hstack([-eye, plan[1]])])
    return np.vstack([both, -both]), np.r_[p, np.zeros(k), -p, np.zeros(k)], np.r_[np.zeros(k), ball.costs.ravel()]


def least(ball, z: np.ndarray, p: np.ndarray, radius: float, listed: np.ndarray) -> float:
    rows, right, distance = program(ball, p, listed)
    k, extra = len(p), rows.shape[1] - len(p)
    found = linprog(
        np.r_[z, np.zeros(extra)], A_ub=np.vstack([rows, distance]), b_ub=np.r_[right, radius],
        A_eq=np.r_[np.ones(k), np.zeros(extra)][None], b_eq=[1.0],
        bounds=[(0, 1 if ok else 0) for ok in listed] + [(0, None)] * extra,
    )  # fmt: skip
    assert found.success
    return found.fun


LINEAR = [L1(0.4), L1(0.0), L1(2.0), L1(0.4, support="nominal"), L1(0.3, weights=WEIGHTS),
          L1(0.3, weights=[0, 1, 1, 0]), TV(0.25), LInfinity(0.15), LInfinity(0.4, support="nominal"),
          LInfinity(1.0), LInfinity(0.0),
          Wasserstein(0.3, costs=COSTS), Wasserstein(0.2, costs=COSTS, support="nominal"),
          Wasserstein(0.0, costs=COSTS)]  # fmt: skip


@pytest.mark.parametrize("ball", LINEAR, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_linear_sets_equal_linear_programs(ball, seed):
    mdp = process(seed)
    operator = RobustBellman(mdp, ball)
    values = np.random.default_rng(seed + 9).normal(size=STATES)
    z = operator.outcomes(values)
    worst = ball.minimum(operator.rows, z)
    np.testing.assert_allclose(worst.upper - worst.lower, 0.0, atol=1e-12)
    listed = operator.rows.listed
    for row, (s, a) in enumerate(np.ndindex(STATES, ACTIONS)):
        wanted = least(ball, z[s, a], mdp.probabilities[s, a], float(np.asarray(ball.radius)), listed[s, a])
        assert worst.upper[row] == pytest.approx(wanted, abs=1e-9)
    kernel = worst.q.reshape(z.shape)
    np.testing.assert_allclose(kernel.sum(-1), 1.0, atol=1e-14)
    assert kernel.min() >= 0
    assert ball.distance(mdp, kernel).max() <= 1e-9


def convex_least(ball, z: np.ndarray, p: np.ndarray, radius: float) -> float:
    """SLSQP over the support, from a mixture of starts."""
    used = p > 0
    z, p = z[used], p[used]

    def distance(q: np.ndarray) -> float:
        q = np.maximum(q, 1e-300)
        return float((q * np.log(q / p)).sum() if isinstance(ball, KL) else ((q - p) ** 2 / p).sum())

    best = minimize(
        lambda q: q @ z, p, jac=lambda q: z, method="SLSQP", bounds=Bounds(0, 1),
        constraints=[LinearConstraint(np.ones((1, len(p))), 1, 1), NonlinearConstraint(distance, -np.inf, radius)],
        options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    return float(best.fun)


@pytest.mark.parametrize("ball", [KL(0.2), KL(0.01), ChiSquare(0.3), ChiSquare(0.02)], ids=repr)
def test_convex_sets_equal_convex_programs(ball):
    mdp = process(1)
    operator = RobustBellman(mdp, ball)
    z = operator.outcomes(np.random.default_rng(5).normal(size=STATES))
    worst = ball.minimum(operator.rows, z)
    assert (worst.upper - worst.lower).max() <= 1e-10
    for row, (s, a) in enumerate(np.ndindex(STATES, ACTIONS)):
        wanted = convex_least(ball, z[s, a], mdp.probabilities[s, a], ball.radius)
        assert worst.upper[row] == pytest.approx(wanted, abs=2e-6)
    assert ball.distance(mdp, worst.q.reshape(z.shape)).max() <= 1e-12


def shared_least(ball, z: np.ndarray, p: np.ndarray, radius: float, listed: np.ndarray) -> float:
    """min u with q_a . z_a <= u for every action and the distances' sum within the radius: one LP for a state."""
    parts = [program(ball, p[a], listed[a]) for a in range(ACTIONS)]
    k, width = p.shape[1], parts[0][0].shape[1]
    size = ACTIONS * width + 1
    upper, right, equal = [], [], []
    distances = np.zeros(size)
    for a, (rows, bound, distance) in enumerate(parts):
        where = slice(a * width, (a + 1) * width)
        block = np.zeros((len(rows), size))
        block[:, where] = rows
        upper.append(block)
        right.append(bound)
        distances[where] = distance
        below = np.zeros(size)
        below[a * width : a * width + k], below[-1] = z[a], -1.0
        upper.append(below[None])
        right.append([0.0])
        one = np.zeros(size)
        one[a * width : a * width + k] = 1.0
        equal.append(one)
    cost = np.zeros(size)
    cost[-1] = 1.0
    found = linprog(
        cost, A_ub=np.vstack([*upper, distances]), b_ub=np.r_[np.concatenate(right), radius], A_eq=np.vstack(equal),
        b_eq=np.ones(ACTIONS), bounds=[(0, None)] * (size - 1) + [(None, None)],
    )  # fmt: skip
    assert found.success
    return found.fun


@pytest.mark.parametrize(
    "ball",
    [L1(0.5, "s"), L1(1.5, "s"), L1(0.0, "s"), L1(4.0, "s"), TV(0.3, "s"), L1(0.4, "s", weights=WEIGHTS),
     Wasserstein(0.5, "s", costs=COSTS)],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_shared_radii_equal_linear_programs(ball, seed):
    mdp = process(seed)
    operator = RobustBellman(mdp, ball)
    values = np.random.default_rng(seed + 20).normal(size=STATES)
    z = operator.outcomes(values)
    backup = operator.backup(values)
    for s in range(STATES):
        wanted = shared_least(ball, z[s], mdp.probabilities[s], ball.radius, operator.rows.listed[s])
        assert backup.upper[s] == pytest.approx(wanted, abs=1e-9)
        assert backup.lower[s] == pytest.approx(wanted, abs=1e-9)
    np.testing.assert_allclose(backup.policy.sum(1), 1.0, atol=1e-14)
    assert ball.distance(mdp, backup.kernel).max() <= 1e-9
    # Nature's best answer to the randomised policy gives the same value.
    answer = operator.answer(backup.policy, values)
    np.testing.assert_allclose((backup.policy[..., None] * answer * z).sum((1, 2)), backup.lower, atol=1e-9)


@pytest.mark.parametrize("ball", [KL(0.2, "s"), ChiSquare(0.4, "s")], ids=repr)
def test_shared_convex_radii_have_no_gap_and_are_answered(ball):
    """Weak duality proves the value: a policy and a kernel that meet are both optimal."""
    mdp = process(3)
    operator = RobustBellman(mdp, ball)
    values = np.random.default_rng(4).normal(size=STATES)
    backup, z = operator.backup(values), operator.outcomes(values)
    assert (backup.upper - backup.lower).max() <= 1e-9
    assert ball.distance(mdp, backup.kernel).max() <= 1e-12
    answer = operator.answer(backup.policy, values)
    np.testing.assert_allclose((backup.policy[..., None] * answer * z).sum((1, 2)), backup.lower, atol=1e-9)
    assert ((backup.policy > 0.01).sum(1) == 2).any()  # some state needs a randomised policy


def test_box_equals_a_linear_program():
    mdp = process(2)
    low, high = np.maximum(mdp.probabilities - 0.2, 0), np.minimum(mdp.probabilities + 0.3, 1)
    box = Box(low, high)
    operator = RobustBellman(mdp, box)
    z = operator.outcomes(np.arange(STATES) * 1.0)
    worst = box.minimum(operator.rows, z)
    for row, (s, a) in enumerate(np.ndindex(STATES, ACTIONS)):
        bounds = list(zip(low[s, a], high[s, a], strict=True))
        wanted = linprog(z[s, a], A_eq=np.ones((1, STATES)), b_eq=[1.0], bounds=bounds).fun
        assert worst.upper[row] == pytest.approx(wanted, abs=1e-9)
    assert box.distance(mdp, worst.q.reshape(z.shape)).max() <= 1e-12


def test_finite_sets_are_minima_and_matrix_games():
    mdp = process(4)
    rng = np.random.default_rng(1)
    kernels = np.concatenate([mdp.probabilities[None], rng.dirichlet(np.ones(STATES), (3, STATES, ACTIONS))])
    values = rng.normal(size=STATES)
    by_action, by_state = RobustBellman(mdp, Finite(kernels)), RobustBellman(mdp, Finite(kernels, "s"))
    z = by_action.outcomes(values)
    payoffs = np.einsum("jsak,sak->jsa", kernels, z)
    np.testing.assert_allclose(by_action.backup(values).lower, payoffs.min(0).max(1), atol=1e-12)
    backup = by_state.backup(values)
    np.testing.assert_allclose(backup.lower, backup.upper, atol=1e-9)
    assert (backup.lower >= payoffs.min(0).max(1) - 1e-12).all()  # knowing less, nature does no more
    answer = by_state.answer(backup.policy, values)
    np.testing.assert_allclose((backup.policy[..., None] * answer * z).sum((1, 2)), backup.lower, atol=1e-9)


@pytest.mark.parametrize(("radius", "mean"), [(0, 2.3), (1, 1.1), (2, 1.0)])
def test_worst_means_of_craams_tests(radius, mean):
    """marekpetrik/CRAAM's test of the L1 ball: p = (.4, .3, .1, .2), z = (1, 2, 5, 4)."""
    kernel = np.tile([0.4, 0.3, 0.1, 0.2], (4, 1, 1))
    mdp = MDP.dense(kernel, np.tile([1.0, 2.0, 5.0, 4.0], (4, 1, 1)), 0.0)
    assert RobustBellman(mdp, L1(radius)).backup(np.zeros(4)).lower[0] == pytest.approx(mean, abs=1e-12)
