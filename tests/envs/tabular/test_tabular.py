"""Finite environments: their kernels, batches, states, and nature's worst kernel in them."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import agentgym
from agentgym.agents.robust.sets import L1
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.mdp import MDP
from agentgym.envs.tabular.env import TabularEnv
from agentgym.envs.tabular.models import MODELS, WALK, inventory, model, windy_walk
from agentgym.envs.tabular.vector import TabularVectorEnv
from agentgym.errors import AskError, CorruptFile, InvalidAction, InvalidParameter, UnknownId

assert agentgym
IDS = ["RiverSwim", "MachineReplacement", "Garnet", "WindyWalk", "Inventory", "TabularFrozenLake"]


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_takes_them(name):
    env = gym.make(f"agentgym/{name}-v0")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.spec.max_episode_steps == 200
    batch = gym.make_vec(f"agentgym/{name}-v0", num_envs=3)
    assert batch.reset(seed=0)[0].shape == (3,)
    assert isinstance(batch, TabularVectorEnv)


@pytest.mark.parametrize("name", IDS)
def test_frequencies_are_the_kernels(name):
    """Three standard deviations of counts from one state, all actions."""
    env = gym.make(f"agentgym/{name}-v0").unwrapped
    mdp = env.mdp
    state = int(np.flatnonzero(~mdp.terminal)[-1])
    for action in range(min(mdp.shape[1], 3)):
        counts, draws = np.zeros(mdp.shape[0]), 400
        for n in range(draws):
            env.reset(seed=n, options={"state": state})
            reached, reward, terminated, _, _ = env.step(action)
            counts[reached] += 1
            assert terminated == mdp.terminal[reached]
            paid = mdp.rewards[state, action][mdp.next_states[state, action] == reached]
            assert reward in paid
        expected = mdp.kernel()[state, action]
        np.testing.assert_allclose(counts / draws, expected, atol=3.5 * np.sqrt(0.25 / draws))
        assert (counts[expected == 0] == 0).all()


def test_world_i_of_a_batch_is_the_single_environment():
    batch = TabularVectorEnv(3, "river-swim", max_episode_steps=7)
    singles = [gym.make("agentgym/RiverSwim-v0", max_episode_steps=7) for _ in range(3)]
    seen = batch.reset(seed=5)[0]
    for n, env in enumerate(singles):
        assert env.reset(seed=5 + n)[0] == seen[n]
    draws, over = np.random.default_rng(0), [False] * 3
    for _ in range(40):
        actions = draws.integers(0, 2, 3)
        seen, rewards, _, truncated, _ = batch.step(actions)
        for n, env in enumerate(singles):
            if over[n]:
                assert (env.reset()[0], 0.0) == (seen[n], rewards[n])
                over[n] = False
                continue
            state, reward, _, ended, _ = env.step(actions[n])
            assert (state, reward, ended) == (seen[n], rewards[n], truncated[n])
            over[n] = ended


def test_state_goes_into_another_environment():
    env, other = TabularEnv("windy-walk"), TabularEnv("windy-walk")
    env.reset(seed=2, options={"parameters": {"wind": 0.4}})
    for _ in range(5):
        env.step(2)
    other.set_state(env.get_state())
    assert [env.step(a)[:3] for a in (3, 1, 2, 3) * 5] == [other.step(a)[:3] for a in (3, 1, 2, 3) * 5]
    with pytest.raises(InvalidParameter):
        other.set_state({"states": [0]})


def test_the_worst_kernel_pays_what_the_certificate_says(tmp_path):
    """Mean discounted returns under nature's kernel against the interval; the nominal kernel changes no bit."""
    mdp = model("river-swim", large=100.0, discount=0.9)
    robust = RobustPolicyIteration(mdp, L1(0.2)).solve()
    np.savez(tmp_path / "worst.npz", kernel=robust.kernel)
    numbers = {"large": 100.0, "discount": 0.9}
    batch = TabularVectorEnv(1500, "river-swim", kernel=str(tmp_path / "worst.npz"), **numbers)
    player = robust.player(batch)
    states, _ = batch.reset(seed=0, options={"state": 3})
    total = np.zeros(1500)
    for t in range(60):
        states, rewards, *_ = batch.step(player.predict(states)[0])
        total += 0.9**t * rewards
    error = 4 * total.std() / np.sqrt(len(total)) + 0.9**60 * 1000
    assert abs(total.mean() - robust.value[3]) <= error
    nominal = RobustPolicyIteration(mdp).solve()
    assert nominal.value[3] - robust.value[3] > 2 * error  # nature's choice matters here
    one, other = TabularEnv("river-swim", **numbers), TabularEnv("river-swim", kernel=mdp.probabilities, **numbers)
    assert one.reset(seed=1)[0] == other.reset(seed=1)[0]
    assert [one.step(1) for _ in range(50)] == [other.step(1) for _ in range(50)]


@pytest.mark.parametrize("name", [name for name, each in MODELS.items() if each.parameter_ranges])
def test_every_parameter_changes_the_kernel_over_its_whole_range(name):
    for parameter, (low, high) in MODELS[name].parameter_ranges.items():
        kernels = [model(name, **{parameter: value}).kernel() for value in np.linspace(low, high, 6)]
        for one, other in itertools.pairwise(kernels):
            assert np.abs(one - other).max() > 1e-6, parameter


def test_parameters_are_each_worlds_own():
    batch = TabularVectorEnv(2, "windy-walk")
    east = np.array([2, 2])
    batch.reset(seed=[1, 1], options={"parameters": {"wind": np.array([0.0, 0.5])}})
    paths = np.array([batch.step(east)[0] for _ in range(12)])
    assert (paths[5] == [6, paths[5, 1]]).all()  # without wind the goal is six cells away
    assert (paths[:, 0] != paths[:, 1]).any()


def test_windy_walk_is_36_cells_with_six_walls():
    assert (sum(line.count("#") for line in WALK), sum(len(line) for line in WALK)) == (6, 42)
    assert windy_walk().shape == (36, 4, 36)
    assert -RobustPolicyIteration(windy_walk(0.0)).solve().value[0] == pytest.approx((1 - 0.95**6) / 0.05, abs=1e-5)


def test_inventory_pays_for_what_was_sold():
    mdp = inventory(capacity=3, demand=2.0, price=5.0, order_cost=1.0, fixed_cost=0.5, holding_cost=0.1)
    assert mdp.rewards[1, 2, 1] == pytest.approx(5.0 * 2 - 2 * 1.0 - 0.5 - 0.1)
    np.testing.assert_allclose(mdp.probabilities[0, 3, 3], np.exp(-2.0))
    np.testing.assert_array_equal(mdp.probabilities[2, 3], mdp.probabilities[2, 1])  # what does not fit is not ordered


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: TabularEnv("river"), UnknownId),
        (lambda: TabularEnv("river-swim", lake=3), UnknownId),
        (lambda: TabularEnv("river-swim", states=1), InvalidParameter),
        (lambda: TabularEnv("river-swim", right=0.99), InvalidParameter),  # right and back are over 1
        (lambda: TabularEnv("windy-walk", wind=0.6), InvalidParameter),
        (lambda: TabularEnv("garnet", branching=30), InvalidParameter),
        (lambda: TabularEnv("frozen-lake", map_name="5x5"), UnknownId),
        (lambda: TabularEnv("river-swim", kernel=np.ones((6, 2, 6))), InvalidParameter),
        (lambda: TabularEnv("river-swim", kernel=np.ones((2, 2))), InvalidParameter),
        (lambda: TabularEnv("river-swim", kernel="nowhere.npz"), CorruptFile),
        (lambda: TabularEnv(MDP.dense([[[1.0]]], [0.0], 0.5), states=3), UnknownId),
        (lambda: TabularEnv().reset(options={"state": 6}), InvalidParameter),
        (lambda: TabularEnv().reset(options={"state": 0.5}), InvalidParameter),
        (lambda: TabularEnv("frozen-lake").reset(options={"state": 15}), InvalidParameter),
        (lambda: TabularEnv().reset(options={"parameters": {"left": 0.1}}), UnknownId),
        (lambda: TabularEnv().reset(options={"parameters": {"right": 2.0}}), InvalidParameter),
        (lambda: TabularEnv().reset(options={"parameters": {"right": float("nan")}}), InvalidParameter),
        (lambda: TabularEnv().step(0), AskError),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_error(make, error):
    with pytest.raises(error):
        make()


def test_wrong_actions_move_nothing():
    env = TabularEnv()
    env.reset(seed=0)
    before = env.get_state()
    for action in (2, -1, 0.5, None, [0, 1]):
        with pytest.raises(InvalidAction):
            env.step(action)
    assert env.get_state() == before
