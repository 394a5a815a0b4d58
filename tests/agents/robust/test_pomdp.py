"""Plans over beliefs: bounds, a known state, promised values checked by simulation."""

import numpy as np
import pytest

from agentgym.agents.robust.pomdp import BeliefPlan, PointBasedPlanner
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.envs.fisheries.grid import grid_observations, grid_process
from agentgym.errors import InvalidParameter, NonFinite

POINTS = 11


def fishery(sigma: float = 0.1) -> MDP:
    return grid_process(points=POINTS, top=1.5, sigma=sigma, r=0.75, start=0.3, discount=0.9)


def simulated(mdp: MDP, observe: np.ndarray, act, episodes: int = 1500, years: int = 60) -> np.ndarray:
    """Discounted returns [episodes]; ``act`` gets observations and the year."""
    rng = np.random.default_rng(0)
    kernel, paid = mdp.kernel(), (mdp.probabilities * mdp.rewards).sum(2)

    def drawn(rows: np.ndarray) -> np.ndarray:
        return np.minimum((np.cumsum(rows, 1) <= rng.random((len(rows), 1))).sum(1), rows.shape[1] - 1)

    states, total = drawn(np.tile(mdp.start, (episodes, 1))), np.zeros(episodes)
    for year in range(years):
        actions = act(drawn(observe[states]), year)
        total += mdp.discount**year * paid[states, actions]
        states = drawn(kernel[states, actions])
    return total


def test_a_state_that_is_seen_is_worth_its_optimum():
    mdp = fishery()
    plan = PointBasedPlanner(mdp, np.eye(POINTS), beliefs=POINTS, random_share=0.5).solve()
    exact = float(mdp.start @ RobustPolicyIteration(mdp).solve().value)
    assert plan.upper == pytest.approx(exact, abs=1e-5)
    assert exact - 5e-3 <= plan.lower <= exact + 1e-9


@pytest.fixture(scope="module")
def noisy() -> tuple[MDP, np.ndarray, BeliefPlan]:
    mdp, observe = fishery(), grid_observations(POINTS, 1.5, 0.5)
    return mdp, observe, PointBasedPlanner(mdp, observe, beliefs=40).solve()


def test_promised_values_are_simulated(noisy):
    """The plan earns what its bound says at least, within four standard errors, and no more than the upper bound."""
    mdp, observe, plan = noisy
    memory: dict[str, np.ndarray] = {}

    def act(seen: np.ndarray, year: int) -> np.ndarray:
        before = np.tile(mdp.start, (len(seen), 1)) if year == 0 else memory["beliefs"]
        memory["beliefs"] = plan.after(before, seen, memory.get("actions"))
        memory["actions"] = plan.act(memory["beliefs"])
        return memory["actions"]

    returns = simulated(mdp, observe, act)
    error = 4 * returns.std() / np.sqrt(len(returns)) + 0.9**60 * 10
    assert returns.mean() >= plan.lower - error
    assert returns.mean() <= plan.upper + error
    assert plan.upper > plan.lower


def test_planning_for_the_error_beats_trusting_the_measurement(noisy):
    """Memarzadeh and Boettiger (2018): constant escapement that takes the measured stock for the true one loses."""
    mdp, observe, plan = noisy
    trusting = RobustPolicyIteration(mdp).solve().policy.argmax(1)
    returns = simulated(mdp, observe, lambda seen, year: trusting[seen])
    assert plan.lower > returns.mean() + 4 * returns.std() / np.sqrt(len(returns))


def test_player_follows_beliefs(noisy):
    mdp, _, plan = noisy

    class Door:
        observation_space = type("Space", (), {"shape": (1,)})()
        action_space = None

    player = plan.player(Door(), read=lambda seen: seen[:, 0].astype(int), write=lambda actions: actions[:, None])
    seen = np.array([[3], [5]])
    actions, state = player.predict(seen)
    np.testing.assert_allclose(state[0], plan.after(np.tile(mdp.start, (2, 1)), seen[:, 0]))
    following = player.predict(seen, state, np.array([True, False]))[1][0]
    np.testing.assert_allclose(following[0], state[0][0])  # its episode has just begun
    np.testing.assert_allclose(following[1], plan.after(state[0], seen[:, 0], actions[:, 0])[1])
    assert player.predict(seen[0])[0] == actions[0]


def test_bad_input_gets_one_clear_error():
    mdp = fishery()
    for observe, error in [
        (np.eye(3), InvalidParameter), (np.full((POINTS, 2), 0.6), InvalidParameter),
        (np.full((POINTS, 2), np.nan), NonFinite),
    ]:  # fmt: skip
        with pytest.raises(error):
            PointBasedPlanner(mdp, observe)
    with pytest.raises(InvalidParameter, match="discount is 1"):
        PointBasedPlanner(grid_process(points=POINTS, discount=1.0), np.eye(POINTS))
    with pytest.raises(InvalidParameter, match="beliefs"):
        PointBasedPlanner(mdp, np.eye(POINTS), beliefs=0)
