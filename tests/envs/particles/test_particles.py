"""Particle worlds: Simple Spread against mpe2, Skirmish's deaths, the planted game's closed forms, the doors."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pettingzoo.test import parallel_api_test

import agentgym
from agentgym.envs.particles import skirmish_kernels, spread_kernels
from agentgym.envs.particles.original import MPE2Env
from agentgym.envs.particles.planted import LinearGame, PlantedGameVectorEnv
from agentgym.envs.particles.skirmish import SkirmishEnv, SkirmishVectorEnv
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.errors import AskError, InvalidAction, InvalidParameter, ResetNeeded, UnknownId

OURS = ["agentgym/SimpleSpread-v0", "agentgym/Skirmish-v0", "agentgym/PlantedGame-v0"]


def batch(kind, num_envs, **settings):
    return kind(num_envs, autoreset_mode=AutoresetMode.DISABLED, **settings)


# Simple Spread


def played_by_mpe2(agents, continuous, seed):
    """An episode of mpe2: actions, observations, rewards and ends, by agent."""
    mpe2 = pytest.importorskip("mpe2.simple_spread_v3")
    theirs = mpe2.parallel_env(N=agents, continuous_actions=continuous, local_ratio=0.3, max_cycles=12)
    names, generator = theirs.possible_agents, np.random.default_rng(seed)
    observations, _ = theirs.reset(seed=seed)
    seen, rewards, actions, cuts = [np.stack([observations[name] for name in names])], [], [], []
    for _ in range(12):
        drawn = generator.random((agents, 5)).astype(np.float32) if continuous else generator.integers(0, 5, agents)
        observations, paid, _, cut, _ = theirs.step(dict(zip(names, drawn, strict=True)))
        actions.append(drawn)
        seen.append(np.stack([observations[name] for name in names]))
        rewards.append([paid[name] for name in names])
        cuts.append(all(cut.values()))
    return np.array(actions), np.array(seen), np.array(rewards), np.array(cuts)


@pytest.mark.parametrize(("agents", "continuous"), list(itertools.product([1, 3, 6], [False, True])))
def test_simple_spread_is_mpe2s_bit_for_bit(agents, continuous):
    settings = {"agents": agents, "continuous_actions": continuous, "local_ratio": 0.3, "max_cycles": 12}
    ours = batch(SimpleSpreadVectorEnv, 4, **settings)
    actions, seen, rewards, cuts = zip(*(played_by_mpe2(agents, continuous, seed) for seed in range(4)), strict=True)
    observations, _ = ours.reset(seed=0)
    assert np.array_equal(observations, [each[0] for each in seen])
    for t in range(12):
        observations, total, _, truncated, infos = ours.step(np.stack([each[t] for each in actions]))
        assert np.array_equal(observations, [each[t + 1] for each in seen])
        assert np.array_equal(infos["agent_rewards"], [each[t] for each in rewards])
        assert np.array_equal(total, infos["agent_rewards"].sum(axis=1))
        assert np.array_equal(truncated, [each[t] for each in cuts])


def test_contact_is_mpe2s_where_discs_touch_exactly():
    core = pytest.importorskip("mpe2._mpe_utils.core")
    world, pair = core.World(), [core.Agent(), core.Agent()]
    for apart in (0.3, 0.2999999, 0.05, 0.31, 1.0, 3.0):
        for agent, x in zip(pair, (0.0, apart), strict=True):
            agent.size, agent.state.p_pos = 0.15, np.array([x, 0.0])
        wanted = np.stack(world.get_collision_force(*pair))
        position, velocity = np.array([[[0.0, 0.0], [apart, 0.0]]]), np.zeros((1, 2, 2))
        force = np.zeros((1, 2, 2))
        spread_kernels.advance(position, velocity, force, np.ones(1, bool))
        assert np.array_equal(force[0], wanted), apart


def test_each_discrete_action_is_its_continuous_twin():
    """And moves where its name says: nothing, left, right, down, up."""
    choices, boxes = batch(SimpleSpreadVectorEnv, 5), batch(SimpleSpreadVectorEnv, 5, continuous_actions=True)
    for env in (choices, boxes):
        env.reset(seed=[3] * 5)
    start, actions = choices.position.copy(), np.zeros((5, 3), np.int64)
    actions[:, 0] = range(5)
    for _ in range(2):
        one, two = choices.step(actions)[0], boxes.step(np.eye(5, dtype=np.float32)[actions])[0]
    assert np.array_equal(one, two)
    moved = choices.position[:, 0] - choices.position[0, 0]
    assert np.array_equal(np.sign(np.round(moved, 9)), [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
    assert not np.array_equal(start, choices.position)


def test_an_agent_does_not_collide_with_itself_and_aggregates_are_named():
    summed, mean = batch(SimpleSpreadVectorEnv, 2), batch(SimpleSpreadVectorEnv, 2, aggregate="mean", max_cycles=25)
    for env in (summed, mean):
        env.reset(seed=0)
        env.position[:] = np.linspace(-0.1, 0.1, 3)[None, :, None]  # all three touch
    (_, one, _, _, infos), (_, two, *_) = (env.step(np.zeros((2, 3), np.int64)) for env in (summed, mean))
    assert (infos["agent_collisions"] == 2).all()
    assert two == pytest.approx(one / 3)
    assert "sum over agents" in summed.convention
    assert "mean over agents" in mean.convention
    assert "25 steps" in mean.convention
    for env in (summed, mean):
        while not (ended := env.step(np.zeros((2, 3), np.int64)))[3].any():
            pass
        measures = ended[4]["measures"]
        assert measures["return_sum"] == pytest.approx(3 * measures["return_mean"])


def test_the_controller_beats_standing_still_and_random_play():
    """The page's anchors: -78 for random and -26 for its controller with discrete actions, -75 and -20 with Box."""
    for continuous, low, high in ((False, -85, -26), (True, -82, -20)):
        env, returns = batch(SimpleSpreadVectorEnv, 200, continuous_actions=continuous), {}
        env.action_space.seed(0)
        for name, player in {"random": None, **env.controllers}.items():
            observations, _ = env.reset(seed=1000)
            total = 0.0
            for _ in range(25):
                actions = env.action_space.sample() if player is None else player.predict(observations)[0]
                observations, rewards, *_ = env.step(actions)
                total += rewards.mean()
            returns[name] = total
        assert low < returns["random"] < -70
        assert returns["assignment"] > high
        assert returns["still"] < -65


def test_other_actions_change_the_world():
    """A drifting binary once gave one observation whatever was done."""
    env = batch(SimpleSpreadVectorEnv, 4)
    env.reset(seed=[7] * 4)
    seen = env.step(np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 4]]))[0]
    seen = env.step(np.zeros((4, 3), np.int64))[0]
    assert len({each.tobytes() for each in seen}) == 4


# All worlds


@pytest.mark.parametrize("name", OURS)
def test_doors(name):
    env = gym.make(name)
    check_env(env.unwrapped, skip_render_check=True)
    parallel_api_test(agentgym.parallel_env(name), num_cycles=70)
    assert env.spec.max_episode_steps == env.unwrapped.time_limit


@pytest.mark.parametrize("name", OURS)
def test_a_world_alone_equals_itself_among_others_at_rest_and_starting_anew(name):
    many, alone = (gym.make_vec(name, count, "vector_entry_point", autoreset_mode="Disabled") for count in (3, 1))
    parallel = agentgym.parallel_env(name)
    crowd, own = many.reset(seed=[5, 6, 7])[0], alone.reset(seed=[6])[0]
    shown, _ = parallel.reset(seed=6)
    random = np.random.default_rng(0)
    many.unwrapped.rest(np.array([False, False, True]))
    for step in range(20):
        assert np.array_equal(crowd[1], own[0])
        assert all(np.array_equal(shown[agent], own[0, int(agent[-1])]) for agent in parallel.agents)
        actions = many.action_space.sample()
        if actions.dtype == np.float32:
            actions = random.uniform(-1, 1, actions.shape).astype(np.float32)
        crowd, _, ended, cut, _ = many.step(actions)
        own, _rewards, over, _, infos = alone.step(actions[1:2])
        shown, paid, *_ = parallel.step({agent: actions[1][int(agent[-1])] for agent in parallel.agents})
        assert all(paid[agent] == infos["agent_rewards"][0, int(agent[-1])] for agent in paid)
        if step == 3 or (ended | cut)[0]:
            crowd, _ = many.reset(seed=[9, None, None], options={"reset_mask": np.array([True, False, False])})
        if over.any():
            return


@pytest.mark.parametrize("name", OURS)
def test_state_is_saved_and_restored_and_foreign_ones_are_refused(name):
    one, two = (gym.make_vec(name, 3, "vector_entry_point") for _ in range(2))
    one.reset(seed=1)
    one.action_space.seed(0)
    actions = [one.action_space.sample() for _ in range(40)]
    for each in actions[:10]:
        one.step(each)
    two.set_state(one.get_state())
    for each in actions[10:]:
        first, second = one.step(each), two.step(each)
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1], second[1])
    before = two.get_state()
    other = gym.make_vec(name, 2, "vector_entry_point")
    other.reset(seed=0)
    for wrong in (other.get_state(), {**before, "arrays": {}}, {"batch": before["batch"]}):
        with pytest.raises(InvalidParameter):
            two.set_state(wrong)


def test_global_generators_are_neither_read_nor_moved():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for name in OURS:
        env = gym.make(name)
        env.reset(seed=0)
        env.step(env.action_space.sample())
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SimpleSpreadEnv(agents=0), InvalidParameter),
        (lambda: SimpleSpreadEnv(agents=2.5), InvalidParameter),
        (lambda: SimpleSpreadEnv(local_ratio=1.5), InvalidParameter),
        (lambda: SimpleSpreadEnv(local_ratio=float("nan")), InvalidParameter),
        (lambda: SimpleSpreadEnv(max_cycles=0), InvalidParameter),
        (lambda: SimpleSpreadEnv(aggregate="median"), UnknownId),
        (lambda: SimpleSpreadEnv(continuous_actions="no"), InvalidParameter),
        (lambda: SimpleSpreadEnv(render_mode="human"), UnknownId),
        (lambda: SkirmishEnv(enemies=0), InvalidParameter),
        (lambda: LinearGame([[0, 1]]), InvalidParameter),
        (lambda: LinearGame([[0, np.nan], [0, 0]]), InvalidParameter),
        (lambda: LinearGame([[0, 3], [3, 0]]), InvalidParameter),
        (lambda: PlantedGameVectorEnv(1, dacay=0.5), InvalidParameter),
        (lambda: MPE2Env("simple_tag"), UnknownId),
    ],
)
def test_bad_arguments_are_refused(make, error):
    with pytest.raises(error):
        make()


@pytest.mark.parametrize("name", ["agentgym/SimpleSpread-v0", "agentgym/Skirmish-v0"])
@pytest.mark.parametrize("action", [[0, 1], [0, 1, 99], [0, 1, 1.5], [0, 1, np.nan], [-1, 0, 0], "left"])
def test_bad_actions_are_refused_before_the_step(name, action):
    env = gym.make(name, disable_env_checker=True).unwrapped
    env.reset(seed=0)
    before = env.get_state()
    with pytest.raises(InvalidAction):
        env.step(action)
    assert repr(env.get_state()) == repr(before)
    with pytest.raises(ResetNeeded):
        gym.make(name, disable_env_checker=True).unwrapped.step([0, 0, 0])


def test_pictures_show_agents_and_landmarks():
    for kind, colours in (
        (SimpleSpreadEnv, [(90, 90, 217), (64, 64, 64)]),
        (SkirmishEnv, [(90, 90, 217), (217, 90, 90)]),
    ):
        env = kind(render_mode="rgb_array")
        env.reset(seed=0)
        frame = env.render()
        assert frame.dtype == np.uint8
        assert all((frame == colour).all(axis=-1).any() for colour in colours)


# Skirmish


def arena(agents=3, enemies=3, worlds=1, **settings):
    env = batch(SkirmishVectorEnv, worlds, agents=agents, enemies=enemies, **settings)
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("together", [1, 2, 3])
def test_agents_leave_in_any_order_and_the_rest_go_on(order, together):
    """In PettingZoo's form: two may fall in one step; the first death resets nobody, the last ends the episode."""
    env = agentgym.parallel_env("agentgym/Skirmish-v0")
    env.reset(seed=0)
    corners = np.array([[-0.9, -0.9], [-0.9, 0.0], [-0.9, 0.9]])  # out of each other's enemies' range
    left = list(env.possible_agents)
    while left:
        env.batch.place[0, :3], env.batch.place[0, 3:] = corners, [0.9, 0.0]
        fall = [f"agent_{k}" for k in order if f"agent_{k}" in left][:together]
        for agent in fall:  # an enemy stands beside each that is to fall with its next hit
            k = int(agent[-1])
            env.batch.health[0, k] = 0.2
            env.batch.place[0, 3 + k], env.batch.cool[0, 3 + k] = env.batch.place[0, k], 0
        for k in range(3):
            if f"agent_{k}" not in fall:
                env.batch.cool[0, 3 + k] = 10
        observations, rewards, ends, cuts, _ = env.step(dict.fromkeys(left, 0))
        assert set(observations) == set(rewards) == set(ends) == set(left)
        assert [agent for agent, end in ends.items() if end] == sorted(fall)
        assert not any(cuts.values())
        left = [agent for agent in left if agent not in fall]
        assert env.agents == left
    with pytest.raises(ResetNeeded):
        env.step({})


def test_the_fallen_see_zeros_do_nothing_and_earn_nothing():
    env = arena(worlds=2)
    env.health[:, 1] = 0.0
    twin = env.get_state()
    moves = np.zeros((2, 3), np.int64)
    seen, _, _, _, infos = env.step(moves)
    assert (seen[:, 1] == 0).all()
    assert (infos["agent_rewards"][:, 1] == 0).all()
    assert infos["agent_terminated"][:, 1].all()
    assert not infos["agent_terminated"][:, [0, 2]].any()
    env.set_state(twin)
    moves[:, 1] = [7, 3]
    assert np.array_equal(env.step(moves)[0], seen)


def test_hits_of_a_step_count_at_once_and_only_in_range():
    env = arena(1, 1)
    env.place[0] = [[0.0, 0.0], [0.3, 0.0]]
    env.health[0] = 0.2
    _, rewards, over, _, infos = env.step(np.array([[5]]))
    assert over.all()  # both fell
    assert rewards[0] == pytest.approx(0.0)
    assert infos["measures"]["won"][0] == 0
    env = arena(1, 1)
    env.place[0] = [[0.0, 0.0], [0.9, 0.0]]
    _, _, over, _, _ = env.step(np.array([[5]]))
    assert env.health.tolist() == [[1.0, 1.0]]
    assert env.place[0, 1, 0] == pytest.approx(0.8)  # it came nearer
    env = arena(1, 1)
    env.place[0] = [[0.0, 0.0], [0.3, 0.0]]
    health = [env.step(np.array([[5]])) and env.health[0, 1] for _ in range(4)]
    assert np.allclose(health, [0.8, 0.8, 0.8, 0.6])  # COOLDOWN steps between attacks
    assert skirmish_kernels.COOLDOWN == 2


def test_focus_wins_and_standing_still_loses():
    env = arena(worlds=100)
    won = {}
    for name, player in env.controllers.items():
        observations, _ = env.reset(seed=0)
        over, result = np.zeros(100, bool), np.zeros(100)
        for _ in range(60):
            observations, _, ended, cut, infos = env.step(player.predict(observations)[0])
            if (done := (ended | cut) & ~over).any():
                result[done] = infos["measures"]["won"][done]
                over |= done
                env.rest(over)
            if over.all():
                break
        won[name] = result.mean()
    assert won["focus"] > 0.45  # 0.58 of 300 episodes
    assert won["still"] < 0.1


# The planted game


def test_gradients_and_curvature_are_those_of_finite_differences_and_of_autograd():
    game = LinearGame([[0, 0.3, 0], [0, 0, -0.4], [0.2, 0, 0]], gain=0.3)
    random = np.random.default_rng(0)
    x, a = random.normal(size=(2, 7, 3))
    step = 1e-4
    for j in range(3):
        move = step * np.eye(3)[j]
        up, middle, down = (game.q_values(x, a + sign * move) for sign in (1, 0, -1))
        assert game.gradients(x, a)[..., j] == pytest.approx((up - down) / (2 * step), abs=1e-8)  # exact for quadratics
        assert game.hessians()[:, j, j] == pytest.approx(((up - 2 * middle + down) / step**2).mean(0), abs=1e-5)

    def q(action, agent):
        y = torch.tensor(x[0]) @ torch.tensor(game.matrix.T) + game.push * action
        paid = -(game.q * x[0, agent] ** 2 + game.r * action[agent] ** 2)
        return paid - game.gamma * y @ torch.tensor(game.values[agent]) @ y

    for agent in range(3):
        found = torch.func.hessian(q)(torch.tensor(a[0]), agent)
        assert np.abs(found.numpy() - game.hessians()[agent]).max() < 1e-8
        slope = torch.func.grad(q)(torch.tensor(a[0]), agent)
        assert np.abs(slope.numpy() - game.gradients(x, a)[0, agent]).max() < 1e-8


def test_values_obey_bellman_and_are_what_play_pays():
    game = LinearGame([[0, 0.3], [0.2, 0]], noise=0.0)
    x = np.array([0.7, -1.2])
    total, state = np.zeros(2), x
    for t in range(400):
        total += game.gamma**t * game.rewards(state, game.act(state))
        state = game.next(state, game.act(state))
    assert game.q_values(x, game.act(x)) == pytest.approx(total, abs=1e-10)
    noisy = LinearGame([[0, 0.3], [0.2, 0]], noise=0.5)
    a = np.array([0.1, 0.4])
    ahead = noisy.next(x, a) + 0.5 * np.random.default_rng(0).standard_normal((400_000, 2))
    following = noisy.q_values(ahead, noisy.act(ahead)).mean(0)
    assert noisy.q_values(x, a) == pytest.approx(noisy.rewards(x, a) + noisy.gamma * following, rel=5e-3)


def test_the_graph_is_the_planted_one_and_influence_follows_it():
    chain = LinearGame(0.4 * np.eye(4, k=-1))
    assert np.argwhere(chain.graph).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert np.array_equal(chain.reach, np.triu(np.ones((4, 4), bool)))
    x, a = np.random.default_rng(1).normal(size=(2, 4))
    felt = np.abs(chain.gradients(x, a)) > 1e-12  # [i, j]: j is felt by i
    assert np.array_equal(felt, chain.reach.T)
    env = batch(PlantedGameVectorEnv, 1)
    env.reset(seed=0)
    wanted = env.game.next(env.x, np.full((1, 4), 0.5))
    env.game.noise = 0.0
    env.step(np.full((1, 4, 1), 0.5))
    assert np.array_equal(env.x, wanted)


# mpe2's own


@pytest.mark.parametrize("scenario", ["simple_spread_v3", "simple_tag_v3", "simple_speaker_listener_v4"])
@pytest.mark.parametrize("continuous", [False, True])
def test_mpe2s_environments_have_joint_spaces(scenario, continuous):
    pytest.importorskip("mpe2")
    env = gym.make("agentgym/MPE2-v0", scenario=scenario, continuous_actions=continuous, disable_env_checker=True)
    theirs = agentgym.parallel_env("agentgym/MPE2-v0", scenario=scenario, continuous_actions=continuous)
    env.action_space.seed(0)
    joint, _ = env.reset(seed=3)
    shown, _ = theirs.reset(seed=3)
    names = theirs.possible_agents
    for _ in range(3):
        for k, agent in enumerate(names):
            assert np.array_equal(joint[k, : len(shown[agent])], shown[agent])
            assert (joint[k, len(shown[agent]) :] == 0).all()
        actions = env.action_space.sample()
        own = [
            actions[k][: theirs.action_space(agent).shape[0]] if continuous else actions[k]
            for k, agent in enumerate(names)
        ]
        joint, total, _, _, info = env.step(actions)
        shown, paid, *_ = theirs.step(dict(zip(names, own, strict=True)))
        assert info["agent_rewards"].tolist() == [paid[agent] for agent in names]
        assert total == pytest.approx(np.mean(list(paid.values())))


def test_mpe2_refuses_what_it_does_not_know():
    pytest.importorskip("mpe2")
    with pytest.raises(AskError, match="simple_spread_v3 refuses"):
        MPE2Env(horses=3)
    env = MPE2Env()
    with pytest.raises(ResetNeeded):
        env.step([0, 0, 0])
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step([0, 0, 5])
