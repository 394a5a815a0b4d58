"""Fisheries: exact escapements, harvests, noise, grids, and their robust solutions."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import agentgym
from agentgym.agents.robust.sets import L1, Finite
from agentgym.agents.robust.solvers import RobustPolicyIteration, backward_induction
from agentgym.envs.fisheries.env import FisheryEnv
from agentgym.envs.fisheries.escapement import optimal_escapement, rules
from agentgym.envs.fisheries.grid import grid_process, grid_stocks
from agentgym.envs.fisheries.growth import MODELS, growth
from agentgym.envs.fisheries.vector import FisheryVectorEnv
from agentgym.errors import AskError, InvalidParameter, UnknownId

assert agentgym


@pytest.mark.parametrize(
    ("model", "discount", "parameters", "stock", "harvest"),
    [
        ("logistic", 1.0, {}, 0.5, 0.075),
        ("logistic", 0.99, {}, 0.48316498, 0.07491497),
        ("logistic", 0.95, {}, 0.41228070, 0.07269160),
        ("logistic", 0.95, {"r": 0.75}, 0.46491228, 0.18657664),
        ("beverton-holt", 1.0, {}, 0.467251417, 0.06549717),
        ("beverton-holt", 0.95, {}, 0.37101846, None),
        ("ricker", 1.0, {}, 0.48079183, 0.08103678),
        ("ricker", 0.95, {}, 0.4013624806, None),
        ("myers", 1.0, {}, 1.29513238, 0.07443277),
        ("may", 1.0, {}, 0.74299637, 0.06410935),
        ("allee", 1.0, {}, 0.78867513, 0.01443376),
        ("allee", 0.95, {}, 0.0, 0.0),  # the whole interior is worth less than to harvest everything
    ],
)
def test_exact_escapements(model, discount, parameters, stock, harvest):
    found = optimal_escapement(growth(model), discount, **parameters)
    assert found.stock == pytest.approx(stock, abs=1e-8)
    if harvest is not None:
        assert found.sustainable_yield == pytest.approx(harvest, abs=1e-8)


def test_closed_forms():
    """Logistic: K/2 (1 - (1/discount - 1)/r). Beverton-Holt: K (sqrt(1 + r) - 1)/r, yield K (sqrt(1 + r) - 1)^2 / r."""
    for r, k, discount in [(0.3, 1.0, 0.97), (1.1, 3.0, 0.9), (0.05, 0.2, 1.0)]:
        logistic = optimal_escapement(growth("logistic"), discount, r=r, K=k)
        assert logistic.stock == pytest.approx(max(0.0, k / 2 * (1 - (1 / discount - 1) / r)), abs=1e-10)
        holt = optimal_escapement(growth("beverton-holt"), r=r, K=k)
        root = np.sqrt(1 + r) - 1
        assert holt == pytest.approx((k * root / r, k * root**2 / r), abs=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_slopes_are_those_of_finite_differences(model):
    law = growth(model)
    for s in (0.2, 0.7, 1.1):
        wanted = (law.after(s + 1e-6) - law.after(s - 1e-6)) / 2e-6
        assert law.slope(s) == pytest.approx(wanted, abs=1e-7)


def play(env, rule, seed=0):
    observation, _ = env.reset(seed=seed)
    total, over, years = 0.0, False, 0
    while not over:
        observation, reward, terminated, truncated, info = env.step(rule.predict(observation)[0])
        total, over, years = total + reward, terminated or truncated, years + 1
    return total, years, info


def test_constant_escapement_earns_7_75_in_101_years():
    """gym_fishing's fishing-v1: .25 in the first year, then .075 in each; the last year's liquidation would add .5."""
    env = gym.make("agentgym/Fishery-v0")
    total, years, _ = play(env, env.unwrapped.controllers["escapement"])
    assert years == 101
    assert total == pytest.approx(7.75, abs=1e-4)
    mdp = grid_process(points=31, top=1.5, discount=1.0)
    values, policies = backward_induction(mdp, None, 101)
    assert mdp.start @ values[-1] == pytest.approx(8.25, abs=1e-6)
    assert policies[0].argmax(1)[15] >= 15  # the last year takes all


def test_the_grids_policy_leaves_the_exact_escapement():
    """Stochastic dynamic programming meets Reed's rule within a step of the grid, with noise and without."""
    stocks = grid_stocks(101, 1.5)
    for sigma in (0.0, 0.05):
        mdp = grid_process(points=101, top=1.5, sigma=sigma, r=0.75)
        found = RobustPolicyIteration(mdp, tolerance=1e-5).solve()
        left = stocks - stocks[found.policy.argmax(1)]
        wanted = optimal_escapement(growth("logistic"), 0.95, r=0.75).stock
        rich = (stocks > wanted + 0.1) & (stocks < 1.2)
        assert np.abs(left[rich] - wanted).max() <= 2 * stocks[1]
        poor = (stocks < wanted - 2 * stocks[1]) & (stocks > 0)
        assert (found.policy.argmax(1)[poor] == 0).all()


def test_robust_variants():
    """An uncertain r as a finite set, and an L1 ball: worth less than nominal, about as much as the slowest growth."""
    numbers = {"points": 31, "top": 1.5, "sigma": 0.1}
    mdp = grid_process(r=0.75, **numbers)
    nominal = RobustPolicyIteration(mdp, tolerance=1e-6).solve()
    kernels = np.stack([grid_process(r=r, **numbers).probabilities for r in (0.5, 0.75, 1.0)])
    box = RobustPolicyIteration(mdp, Finite(kernels), tolerance=1e-6).solve()
    ball = RobustPolicyIteration(mdp, L1(0.2), tolerance=1e-6).solve()
    slow = RobustPolicyIteration(grid_process(r=0.5, **numbers), tolerance=1e-6).solve()
    start = mdp.start
    assert start @ box.upper < start @ nominal.lower - 0.1
    assert start @ ball.upper < start @ nominal.lower - 0.1
    assert start @ box.lower <= start @ slow.upper + 1e-9
    assert start @ box.lower >= 0.9 * (start @ slow.lower)  # a slow stock is nearly all that nature can choose


@pytest.mark.parametrize("noise", ["lognormal", "normal"])
def test_grid_rows_are_the_environments_noise(noise):
    """Mean and deviation of a row against many simulated years."""
    stocks = grid_stocks(151, 3.0)
    mdp = grid_process(points=151, top=3.0, sigma=0.2, noise=noise, r=0.75)
    state = int(np.abs(stocks - 0.8).argmin())
    row = mdp.probabilities[state, 0]
    env = FisheryVectorEnv(1500, sigma=0.2, noise=noise, parameters={"r": 0.75})
    env.reset(seed=0, options={"stock": 0.8})
    after = env.step(np.full((1500, 1), -1.0))[4]["stock"]
    mean = row @ stocks
    assert mean == pytest.approx(float(growth("logistic").after(0.8, r=0.75)), abs=1e-3)
    assert after.mean() == pytest.approx(mean, abs=4 * after.std() / np.sqrt(1500))
    assert after.std() == pytest.approx(np.sqrt(row @ (stocks - mean) ** 2), rel=0.05)


@pytest.mark.filterwarnings("ignore:.*maximum value is infinity.*")
def test_gymnasium_takes_it_and_a_world_of_a_batch_is_the_single_environment():
    env = gym.make("agentgym/Fishery-v0", sigma=0.1, measurement_sigma=0.1, spread=0.1, drift=-0.001)
    check_env(env.unwrapped, skip_render_check=True)
    numbers = {"sigma": 0.1, "measurement_sigma": 0.1, "spread": 0.1, "drift": -0.001}
    batch = gym.make_vec("agentgym/Fishery-v0", num_envs=3, **numbers)
    seen, _ = batch.reset(seed=7)
    singles = [FisheryEnv(**numbers) for _ in range(3)]
    for n, each in enumerate(singles):
        np.testing.assert_array_equal(each.reset(seed=7 + n)[0], seen[n])
    actions = np.random.default_rng(0).uniform(-1, -0.95, (20, 3, 1)).astype(np.float32)
    for row in actions:
        seen, paid, over, _, infos = batch.step(row)
        for n, each in enumerate(singles):
            observation, reward, terminated, _, info = each.step(row[n])
            np.testing.assert_array_equal(observation, seen[n])
            assert (reward, terminated, info["stock"]) == (paid[n], over[n], infos["stock"][n])


def test_seeds_noise_and_strength_zero():
    """Equal seeds are equal; measurement noise changes what is seen, not the stock; a drift is set back by a reset."""
    one, other = FisheryEnv(sigma=0.1), FisheryEnv(sigma=0.1, measurement_sigma=0.2)
    first, second = one.reset(seed=3)[0], other.reset(seed=3)[0]
    assert first != second
    for _ in range(5):
        a, b = one.step(np.array([-0.9])), other.step(np.array([-0.9]))
        assert a[0] != b[0]
        assert a[4] == b[4]
    drifting = FisheryEnv(drift=-0.02)
    runs = []
    for _ in range(2):
        drifting.reset(seed=0)
        runs.append([drifting.step(np.array([-0.97]))[4]["stock"] for _ in range(20)])
    assert runs[0] == runs[1]
    still = FisheryEnv()
    still.reset(seed=0)
    assert runs[0] != [still.step(np.array([-0.97]))[4]["stock"] for _ in range(20)]


def test_extinction_ends_the_episode_and_state_can_be_put_back():
    env, other = FisheryEnv(sigma=0.2), FisheryEnv(sigma=0.2)
    env.reset(seed=1)
    env.step(np.array([-0.9]))
    other.set_state(env.get_state())
    assert [env.step(np.array([-0.9]))[4] for _ in range(9)] == [other.step(np.array([-0.9]))[4] for _ in range(9)]
    _, reward, terminated, _, info = env.step(np.array([1.0]))
    assert terminated
    assert reward > 0
    assert info["stock"] == 0.0
    with pytest.raises(InvalidParameter):
        env.set_state({"stock": [1.0]})


def test_harvesting_past_the_tipping_point_ends_the_stock():
    env = FisheryEnv("allee")
    env.reset(seed=0)
    for _ in range(60):
        stock = env.step(np.array([-0.95]))[4]["stock"]  # .05 a year, over three times what is sustainable
        if stock == 0.0:
            break
    assert stock < 0.1


@pytest.mark.parametrize("name", ["r", "K"])
@pytest.mark.parametrize("model", MODELS)
def test_parameters_reach_the_stock(model, name):
    stocks = []
    for factor in (0.5, 0.8, 1.2, 1.5):
        env = FisheryEnv(model)
        env.reset(seed=0, options={"parameters": {name: factor * env.fishery.growth.parameters[name]}, "stock": 0.9})
        stocks.append(env.step(np.array([-1.0]))[4]["stock"])
    assert len(set(stocks)) == 4


def test_rules_take_their_shares():
    found = rules(growth("logistic"))
    stock = np.array([[0.575]])
    quotas = {name: float(rule.predict(stock)[0][0, 0]) + 1.0 for name, rule in found.items()}
    assert quotas == pytest.approx({"escapement": 0.075, "msy": 0.075, "tac": 0.06}, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: FisheryEnv("cod"), UnknownId),
        (lambda: FisheryEnv(3), InvalidParameter),
        (lambda: FisheryEnv(sigma=-0.1), InvalidParameter),
        (lambda: FisheryEnv(sigma=float("nan")), InvalidParameter),
        (lambda: FisheryEnv(noise="white"), UnknownId),
        (lambda: FisheryEnv(parameters={"C": 0.5}), UnknownId),
        (lambda: FisheryEnv(parameters={"r": 0}), InvalidParameter),
        (lambda: FisheryEnv(parameters=[1]), InvalidParameter),
        (lambda: FisheryEnv().reset(options={"stock": -1}), InvalidParameter),
        (lambda: FisheryEnv().reset(options={"parameters": {"q": 1}}), UnknownId),
        (lambda: FisheryEnv().step(np.array([0.0])), AskError),
        (lambda: optimal_escapement(growth("logistic"), 0.0), InvalidParameter),
        (lambda: optimal_escapement(growth("logistic"), r=float("inf")), InvalidParameter),
        (lambda: grid_process(points=1), InvalidParameter),
        (lambda: grid_process(noise="pink"), UnknownId),
        (lambda: grid_process(start=5.0), InvalidParameter),
    ],
)
def test_bad_input_gets_one_clear_error(make, error):
    with pytest.raises(error):
        make()
