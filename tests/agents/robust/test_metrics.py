"""The policy-cliff inequalities, regret to the certificate, and the LQR game against its Riccati equation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

from agentgym.agents.robust.metrics import (
    LinearGame,
    action_gap,
    cliff_score,
    disturbance_gain,
    regret_to_certificate,
    soft_policy,
)
from agentgym.agents.robust.sets import L1
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.envs.tabular.models import model
from agentgym.errors import InvalidParameter

SEEDS = st.integers(0, 10_000)
FEW = settings(max_examples=15, deadline=None)


def garnet(seed, discount=0.8, states=5, actions=3):
    draws = np.random.default_rng(seed)
    kernel = draws.dirichlet(np.full(states, 0.5), (states, actions))
    return kernel, draws.normal(size=(states, actions)), draws, discount


def pair(seed, size, discount=0.8):
    kernel, rewards, draws, discount = garnet(seed, discount)
    other = rewards + size * draws.uniform(-1, 1, rewards.shape)
    return [MDP.dense(kernel, each, discount) for each in (rewards, other)]


def change(one, other):
    return np.abs(one.rewards - other.rewards).max()


@FEW
@given(seed=SEEDS, size=st.floats(1e-3, 3.0))
def test_optimal_values_are_lipschitz_in_the_reward(seed, size):
    one, other = pair(seed, size)
    values = [RobustPolicyIteration(each, tolerance=1e-9).solve().value for each in (one, other)]
    assert np.abs(values[0] - values[1]).max() <= change(one, other) / (1 - one.discount) + 1e-8


@FEW
@given(seed=SEEDS, size=st.floats(1e-3, 3.0), temperature=st.floats(0.05, 2.0))
def test_regularised_policies_move_no_further_than_the_bound(seed, size, temperature):
    one, other = pair(seed, size)
    assert cliff_score(one, other, temperature) <= 1 / (2 * temperature * (1 - one.discount)) + 1e-9


@FEW
@given(seed=SEEDS)
def test_a_policy_does_not_move_while_the_change_is_within_the_action_gap(seed):
    kernel, rewards, draws, discount = garnet(seed)
    mdp = MDP.dense(kernel, rewards, discount)
    gap = action_gap(RobustPolicyIteration(mdp, tolerance=1e-10).solve().q).min()
    small = 0.49 * gap * (1 - discount) / (1 + discount)  # Q moves by at most change / (1 - discount)
    other = MDP.dense(kernel, rewards + small * draws.uniform(-1, 1, rewards.shape), discount)
    assert cliff_score(mdp, other) == 0.0


def test_at_a_tie_the_policy_jumps_however_small_the_change():
    kernel = np.ones((1, 2, 1))
    scores = []
    for size in (1e-2, 1e-4, 1e-6):
        one, other = (MDP.dense(kernel, [[1.0, 1.0 + sign * size]], 0.9) for sign in (-1, 1))
        scores.append(cliff_score(one, other) * 2 * size)
        assert cliff_score(one, other, 0.5) <= 1 / (2 * 0.5 * 0.1)
    np.testing.assert_allclose(scores, 1.0)
    assert action_gap([[1.0, 1.0], [2.0, 0.5]]).tolist() == [0.0, 1.5]


def test_the_soft_policy_satisfies_its_bellman_equation():
    kernel, rewards, _, discount = garnet(3)
    policy, values = soft_policy(MDP.dense(kernel, rewards, discount), 0.3)
    q = rewards + discount * kernel @ values
    entropy = -(policy * np.log(policy)).sum(1)
    np.testing.assert_allclose((policy * q).sum(1) + 0.3 * entropy, values, atol=1e-8)
    np.testing.assert_allclose(0.3 * np.log(policy[:, 0] / policy[:, 1]), q[:, 0] - q[:, 1], atol=1e-8)


def test_regret_to_the_certificate():
    mdp = model("river-swim")
    solution = RobustPolicyIteration(mdp, L1(0.2), tolerance=1e-6).solve()
    low, high = regret_to_certificate(mdp, L1(0.2), solution.policy, solution)
    assert low <= 0.0 <= high <= 1e-4
    low, high = regret_to_certificate(mdp, L1(0.2), np.zeros(mdp.shape[0], int))  # always left
    assert 0 < low <= high <= low + 1e-3
    arrays = (each[:, :1] for each in (mdp.next_states, mdp.probabilities, mdp.rewards))
    left = RobustPolicyIteration(MDP(*arrays, mdp.discount, mdp.start, mdp.terminal), L1(0.2)).solve()
    assert low <= mdp.start @ (solution.value - left.value) <= high


def norm(a, d, c):
    """The H-infinity norm of x' = a x + d w, z = c x, over frequencies."""
    turns = np.exp(1j * np.linspace(0, np.pi, 4001))
    return max(np.linalg.norm(c @ np.linalg.solve(turn * np.eye(len(a)) - a, d), 2) for turn in turns)


@pytest.mark.parametrize("size", [1, 2])
def test_the_lqr_games_gain_is_that_of_its_riccati_solution(size):
    draws = np.random.default_rng(size)
    a, b, d = draws.normal(size=(size, size)), draws.normal(size=(size, 1)), draws.normal(size=(size, 1))
    game = LinearGame(a, b, d, np.eye(size), [[0.5]])
    level = game.least_level()
    assert game.solve(0.999 * level) is None
    _, gain, _ = game.solve(1.0001 * level)
    outputs = np.vstack([np.eye(size), -np.sqrt(0.5) * gain])
    assert norm(a - b @ gain, d, outputs) <= 1.0002 * level  # achieved by the controller
    p, gain, push = game.solve(1e6)  # without an adversary it is the ordinary regulator
    np.testing.assert_allclose(p, solve_discrete_are(a, b, np.eye(size), [[0.5]]), rtol=1e-6)
    assert np.abs(push).max() < 1e-6


def test_no_disturbance_has_more_than_the_gain_in_simulation():
    game = LinearGame([[0.9]], [[1.0]], [[0.5]], [[1.0]], [[0.2]])
    level = game.least_level()
    _, gain, push = game.solve(1.001 * level)
    draws, costs, pushes = np.random.default_rng(0), [], []
    for mode in ("worst", "noise", "constant"):
        x, paid, done = np.zeros(1), [], []
        for step in range(4000):
            u = -gain @ x
            own = {"worst": push @ x + (step == 0), "noise": draws.normal(size=1), "constant": np.ones(1)}[mode]
            paid.append(float(x @ x + 0.2 * u @ u))
            done.append(own)
            x = 0.9 * x + u + 0.5 * own
        costs.append(paid)
        pushes.append(done)
    gains = [disturbance_gain([paid], [done]) for paid, done in zip(costs, pushes, strict=True)]
    assert max(gains) <= 1.001 * level
    assert max(gains) >= 0.9 * level
    assert disturbance_gain(costs, pushes) == max(gains)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: action_gap([[1.0]]),
        lambda: soft_policy(model("river-swim"), 0.0),
        lambda: cliff_score(*[model("river-swim")] * 2),
        lambda: disturbance_gain([[-1.0]], [[[1.0]]]),
        lambda: disturbance_gain([[1.0]], [[[0.0]]]),
        lambda: regret_to_certificate(model("river-swim"), L1(0.1), np.full((6, 2), 0.5)),
        lambda: regret_to_certificate(model("river-swim"), L1(0.1), [9] * 6),
        lambda: LinearGame([[2.0]], [[0.0]], [[1.0]], [[1.0]], [[1.0]]).least_level(),
    ],
)
def test_bad_input_is_refused(attempt):
    with pytest.raises(InvalidParameter):
        attempt()
