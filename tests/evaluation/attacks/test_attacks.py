import itertools
import json

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sb3_contrib import QRDQN
from stable_baselines3 import DQN, PPO, SAC, TD3
from torch.distributions import kl_divergence

from agentgym import catalog
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.attacks import (
    CriticAttack,
    MaximalActionDifference,
    RandomAttack,
    RobustSARSA,
    from_config,
)
from agentgym.evaluation.attacks.surface import divergence, surface
from agentgym.seeding import stream

ATTACKS = [entry.id for entry in catalog.entries("attack")]
GRADIENT_ATTACKS = (MaximalActionDifference, CriticAttack)


class Box(gymnasium.Env):
    """Spaces for the agents to be built on, and a task to be trained on briefly: hold the first entry at 0."""

    def __init__(self, bound=np.inf, entries=4, actions=2, dtype=np.float32):
        self.observation_space = spaces.Box(-bound, bound, (entries,), dtype)
        self.action_space = spaces.Box(-1.0, 1.0, (actions,))

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.time = self.np_random.normal(size=self.observation_space.shape), 0
        return self.state.astype(self.observation_space.dtype), {}

    def step(self, action):
        self.state[0] += 0.3 * action[0]
        self.state += 0.05 * self.np_random.normal(size=self.state.shape)
        self.time += 1
        reward = -(self.state[0] ** 2)
        return self.state.astype(self.observation_space.dtype), reward, False, self.time == 50, {}


gymnasium.register("tests/HoldAtZero-v0", entry_point=Box)
NEEDED = {"robust_sarsa": {"env": "tests/HoldAtZero-v0", "transitions": 20, "updates": 3}}


def generators(count, seed=0):
    return [stream(seed, row) for row in range(count)]


def linear_agent(weights, log_std=-1.0):
    """SAC whose Gaussian has the mean ``weights @ observation`` and one deviation everywhere."""
    actions, entries = weights.shape
    agent = SAC("MlpPolicy", Box(entries=entries, actions=actions), policy_kwargs={"net_arch": []}, device="cpu")
    with torch.no_grad():
        agent.actor.mu.weight.copy_(torch.as_tensor(weights))
        agent.actor.mu.bias.zero_()
        agent.actor.log_std.weight.zero_()
        agent.actor.log_std.bias.fill_(log_std)
    return agent


@pytest.fixture(scope="module")
def sac():
    """Trained for a moment, so that its critic has something to say."""
    return SAC("MlpPolicy", Box(), learning_starts=100, seed=0, device="cpu").learn(300)


@pytest.fixture
def truth():
    return np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)


def test_mad_finds_the_sign_vector_of_a_linear_gaussian_policy():
    weights = np.array([[0.5, -2.0, 0.1, 1.0]], np.float32)
    scale = np.array([1.0, 0.5, 2.0, 0.0])
    x = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    attack = MaximalActionDifference(epsilon=0.2, scale=scale)
    moved = attack.perturb(linear_agent(weights), x, generators(7)) - x
    # KL = (w . delta / std)^2 / 2 is largest at delta = +- epsilon * scale * sign(w), from either side.
    corner = 0.2 * scale * np.sign(weights[0])
    assert np.abs(moved @ weights[0]) == pytest.approx(np.abs(corner @ weights[0]), rel=1e-5)
    np.testing.assert_allclose(moved * np.sign(moved[:, :1]), np.broadcast_to(corner, moved.shape), atol=1e-6)


def test_mad_reaches_the_best_corner_of_several_actions():
    generator = np.random.default_rng(4)
    weights = generator.normal(size=(3, 6)).astype(np.float32)
    # A convex function is largest at a corner of the box; there are 64.
    corners = np.array(list(itertools.product([-0.1, 0.1], repeat=6)))
    best = 0.5 * ((corners @ weights.T / np.exp(-1.0)) ** 2).sum(1).max()
    agent = linear_agent(weights)
    x = generator.normal(size=(5, 6)).astype(np.float32)
    seen = MaximalActionDifference(epsilon=0.1, restarts=16, scale=np.ones(6)).perturb(agent, x, generators(5))
    with torch.no_grad():
        reached = divergence(
            *(surface(agent).distribution(torch.as_tensor(observations)) for observations in (x, seen))
        )
    np.testing.assert_allclose(reached.numpy(), best, rtol=1e-3)


def test_critic_attack_moves_the_action_down_the_slope_of_q():
    weights = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]], np.float32) * 0.1
    agent = linear_agent(weights)
    # Two critics, both linear in the action at slope (1, -1); the lower one counts.
    agent.critic = lambda observations, actions: (
        (actions[:, :1] - actions[:, 1:]) + 5.0,
        (actions[:, :1] - actions[:, 1:]),
    )
    x = np.zeros((4, 3), np.float32)
    seen = CriticAttack(epsilon=0.5, scale=np.ones(3)).perturb(agent, x, generators(4))
    slope = weights[0] - weights[1]  # of Q in the observation at 0, where tanh is the identity
    np.testing.assert_allclose(seen, np.broadcast_to(-0.5 * np.sign(slope), seen.shape), atol=1e-6)


def test_critic_attack_on_a_quadratic_q():
    # Q = -(a - 1)^2 with a = tanh(x): the action furthest from 1 is at the lower edge.
    agent = linear_agent(np.array([[1.0]], np.float32))
    agent.critic = lambda observations, actions: (-((actions - 1.0) ** 2),)
    x = np.linspace(-1.0, 1.0, 9, dtype=np.float32)[:, None]
    seen = CriticAttack(epsilon=0.3, scale=np.ones(1)).perturb(agent, x, generators(9))
    np.testing.assert_allclose(seen, x - 0.3, atol=1e-6)


rows = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(0, 5), st.just(4)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@pytest.mark.parametrize("kind", ATTACKS)
@settings(deadline=None, max_examples=40)
@given(
    observations=rows,
    epsilon=st.floats(0.0, 3.0),
    scale=st.lists(st.floats(0.0, 100.0), min_size=4, max_size=4),
    bound=st.floats(0.0625, 1e3, width=32),
)
def test_nothing_leaves_the_ball_or_the_space(kind, observations, epsilon, scale, bound):
    agent = linear_agent(np.array([[0.5, -2.0, 0.0, 1.0]], np.float32))
    agent.observation_space = spaces.Box(-np.float32(bound), np.float32(bound), (4,))
    seen = from_config({"type": kind, "epsilon": epsilon, "scale": scale, **NEEDED.get(kind, {})}).perturb(
        agent, observations, generators(len(observations))
    )
    assert seen.dtype == observations.dtype
    assert seen.shape == observations.shape
    moved = np.abs(seen.astype(np.float64) - observations)
    assert (moved <= epsilon * np.array(scale)).all()
    bounded = np.abs(observations) <= np.float32(bound)
    assert (np.abs(seen)[bounded] <= np.float32(bound)).all()


def test_the_random_attack_fills_the_ball_evenly():
    x = np.zeros((1, 4), np.float32)
    generator = stream(0)
    attack = RandomAttack(epsilon=0.5, scale=[1.0, 2.0, 4.0, 0.0])
    seen = np.concatenate([attack.perturb(Agent(), x, [generator]) for _ in range(4000)])
    radius = 0.5 * np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(seen[:, :3].std(axis=0), radius / np.sqrt(3.0), rtol=0.03)
    np.testing.assert_allclose(np.abs(seen[:, :3]).max(axis=0), radius, rtol=0.01)
    assert not seen[:, 3].any()


class Agent:
    """Something without a torch policy, which the random attack does not need."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,))


def harm(agent, attack, x, seen):
    """What the attack maximises, one number a row."""
    x, seen = torch.as_tensor(x), torch.as_tensor(seen)
    touched = surface(agent)
    with torch.no_grad():
        if isinstance(attack, MaximalActionDifference):
            return divergence(touched.distribution(x), touched.distribution(seen)).numpy()
        return -touched.value(x, touched.mode(seen)).numpy()


@pytest.mark.parametrize("attack_class", GRADIENT_ATTACKS)
def test_stronger_than_random_on_a_trained_network(sac, truth, attack_class):
    attack = attack_class(epsilon=0.3).fit(truth)
    seen = attack.perturb(sac, truth, generators(40))
    tries = [RandomAttack(0.3, scale=attack.scale).perturb(sac, truth, generators(40, seed)) for seed in range(20)]
    luckiest = np.max([harm(sac, attack, truth, random) for random in tries], axis=0)
    clean, reached = harm(sac, attack, truth, truth), harm(sac, attack, truth, seen)
    assert (reached >= clean).all()
    assert np.mean(reached > luckiest) > 0.8
    assert np.mean(reached - clean) > 1.5 * np.mean([harm(sac, attack, truth, r) - clean for r in tries])


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_row_depends_on_its_own_observation_and_generator_only(sac, kind):
    x = np.random.default_rng(5).normal(size=(70, 4)).astype(np.float32)
    attack = from_config({
        "type": kind, "epsilon": 0.2, **NEEDED.get(kind, {}), **({} if kind == "random" else {"restarts": 2})
    }).fit(x)  # fmt: skip
    whole = attack.perturb(sac, x, generators(70))
    for picked in ([0], [69], [3, 2, 1], list(range(5, 50)), list(range(69, -1, -1))):
        part = attack.perturb(sac, x[picked], [stream(0, row) for row in picked])
        np.testing.assert_array_equal(part, whole[picked])


@pytest.mark.parametrize("kind", ATTACKS)
def test_equal_seeds_give_equal_bits(sac, truth, kind):
    attack = from_config({"type": kind, "epsilon": 0.2, **NEEDED.get(kind, {})}).fit(truth)
    first, again, other = (attack.perturb(sac, truth, generators(40, seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert kind in ("critic", "robust_sarsa") or not np.array_equal(first, other)  # these start at the truth


def test_attacks_leave_the_agent_alone(sac, truth):
    before = [parameter.clone() for parameter in sac.policy.parameters()]
    sac.policy.zero_grad(set_to_none=True)
    for attack_class in GRADIENT_ATTACKS:
        attack_class(0.2).fit(truth).perturb(sac, truth, generators(40))
    assert all(map(torch.equal, before, sac.policy.parameters()))
    assert all(parameter.grad is None for parameter in sac.policy.parameters())


def test_more_steps_and_restarts_do_not_weaken(sac, truth):
    def reached(**settings):
        attack = MaximalActionDifference(0.3, scale=truth.std(axis=0), **settings)
        return harm(sac, attack, truth, attack.perturb(sac, truth, generators(40))).mean()

    assert reached(steps=1) < reached(steps=10) <= reached(steps=10, restarts=4) * (1 + 1e-6)


def test_fit_measures_the_standard_deviation():
    observations = np.random.default_rng(0).normal(size=(500, 4)) * [1.0, 10.0, 0.1, 0.0] + 5.0
    attack = RandomAttack(0.1).fit(observations)
    np.testing.assert_allclose(attack.scale, observations.std(axis=0))


@pytest.mark.parametrize(
    ("agent_class", "kwargs"),
    [(PPO, {"n_steps": 8, "batch_size": 8}), (TD3, {}), (SAC, {"use_sde": True}), (PPO, {"use_sde": True})],
)
def test_other_stable_baselines3_policies(agent_class, kwargs, truth):
    agent = agent_class("MlpPolicy", Box(), seed=0, device="cpu", **kwargs)
    attack = MaximalActionDifference(0.5).fit(truth)
    seen = attack.perturb(agent, truth, generators(40))
    random = RandomAttack(0.5, scale=attack.scale).perturb(agent, truth, generators(40))
    assert harm(agent, attack, truth, seen).mean() > 1.5 * harm(agent, attack, truth, random).mean()


def test_a_categorical_policy():
    agent = PPO("MlpPolicy", gymnasium.make("CartPole-v1"), seed=0, device="cpu")
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    seen = MaximalActionDifference(0.5).fit(x).perturb(agent, x, generators(6))
    assert (harm(agent, MaximalActionDifference(0.5), x, seen) > 0).all()


def test_squashing_does_not_change_the_divergence(sac, truth):
    """Why the Gaussian is compared before tanh: the integral over squashed actions has the same value."""
    mean, log_std, _ = sac.actor.get_action_dist_params(torch.as_tensor(truth[:2]))
    clean, seen = (torch.distributions.Normal(mean[i].detach(), log_std[i].detach().exp()) for i in (0, 1))
    grid = torch.linspace(-8.0, 8.0, 400_001, dtype=torch.float64)[:, None]
    action = torch.tanh(grid)
    jacobian = 1.0 - action**2 + 1e-300
    density = [torch.exp(d.log_prob(grid)) / jacobian for d in (clean, seen)]
    integrand = density[0] * torch.log(density[0] / density[1])
    integral = torch.trapezoid(integrand.nan_to_num(), action, dim=0)
    np.testing.assert_allclose(integral, kl_divergence(clean, seen), rtol=1e-3)


@pytest.mark.parametrize(
    "attack",
    [
        RandomAttack(0.1),
        MaximalActionDifference(0.2, steps=3, restarts=2),
        CriticAttack(0.3),
        RobustSARSA(0.2, **NEEDED["robust_sarsa"]),
    ],
)
def test_configurations_survive_json(attack, sac, truth):
    for fitted in (attack, attack.fit(truth)):
        config = json.loads(json.dumps(fitted.to_config()))
        copy = from_config(config)
        assert copy == fitted
        assert copy.to_config() == fitted.to_config()
    np.testing.assert_array_equal(copy.perturb(sac, truth, generators(40)), attack.perturb(sac, truth, generators(40)))


def played(agent, attack, episodes=16):
    """Mean return with attacked observations."""
    envs, total = [Box() for _ in range(episodes)], 0.0
    seen = np.stack([env.reset(seed=seed)[0] for seed, env in enumerate(envs)])
    draws = generators(episodes)
    for _ in range(50):
        actions, _ = agent.predict(attack.perturb(agent, seen, draws), deterministic=True)
        steps = [env.step(action) for env, action in zip(envs, actions, strict=True)]
        seen, total = np.stack([step[0] for step in steps]), total + sum(step[1] for step in steps)
    return total / episodes


def test_robust_sarsa_knows_which_actions_are_worse_and_harms_more_than_noise():
    agent = linear_agent(np.array([[-3.0, 0, 0, 0], [0, 0, 0, 0]], np.float32))  # pushes the first entry to 0
    attack = RobustSARSA(0.5, scale=np.ones(4), env="tests/HoldAtZero-v0", transitions=600, updates=300, gamma=0.8)
    before = [parameter.clone() for parameter in agent.policy.parameters()]
    critic = attack.critic(agent)
    states = torch.tensor([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]])
    towards, away = -states[:, :2].sign(), states[:, :2].sign()
    assert (critic(states, towards) > critic(states, away)).all()
    assert played(agent, attack) < 1.2 * played(agent, RandomAttack(0.5, scale=np.ones(4)))  # returns are negative
    assert all(map(torch.equal, before, agent.policy.parameters()))
    assert attack.critic(agent) is critic
    assert RobustSARSA(0.1, env="tests/HoldAtZero-v0", transitions=600, updates=300, gamma=0.8).critic(agent) is critic


def test_robust_sarsas_penalty_makes_its_critic_smooth_in_the_action():
    agent = linear_agent(np.array([[-3.0, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    states = torch.as_tensor(np.random.default_rng(0).normal(size=(64, 4)), dtype=torch.float32)
    actions, changes = torch.tanh(-3 * states[:, :2]), []
    for penalty in (0.0, 1e4):
        attack = RobustSARSA(
            0.5, penalty=penalty, action_radius=0.3, env="tests/HoldAtZero-v0", transitions=300, updates=300, gamma=0.8
        )
        critic = attack.critic(agent)
        changes.append((critic(states, actions + 0.3) - critic(states, actions)).abs().mean())
    assert changes[1] < 0.5 * changes[0]


@pytest.mark.parametrize("settings", [{"gamma": 1.0}, {"transitions": 1}, {"layers": ()}, {"penalty": -1.0}])
def test_robust_sarsas_settings(settings, truth, sac):
    with pytest.raises(InvalidParameter):
        RobustSARSA(0.1, **settings)
    with pytest.raises(InvalidParameter, match="give env"):
        RobustSARSA(0.1).fit(truth).perturb(sac, truth, generators(40))


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UnknownId, match="maximal_action_difference"):
        from_config({"type": "maximal_action_diference", "epsilon": 0.1})
    with pytest.raises(UnknownId, match="restarts"):
        from_config({"type": "critic", "epsilon": 0.1, "restart": 2})
    with pytest.raises(InvalidParameter, match="epsilon"):
        from_config({"type": "critic"})


@pytest.mark.parametrize(
    "settings",
    [{"epsilon": -0.1}, {"epsilon": np.nan}, {"epsilon": 0.1, "steps": 0}, {"epsilon": 0.1, "scale": [-1.0]}],
)
def test_settings_out_of_range(settings):
    with pytest.raises(InvalidParameter):
        MaximalActionDifference(**settings)


@pytest.mark.parametrize(("kind", "net"), [(DQN, "q_net"), (QRDQN, "quantile_net")])
def test_mad_moves_the_gap_of_two_linear_action_values_as_far_as_it_can(kind, net, truth):
    agent = kind("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": []}, buffer_size=10, device="cpu", seed=0)
    layer = next(part for part in getattr(agent.policy, net).modules() if isinstance(part, torch.nn.Linear))
    slope = np.array([0.5, -2.0, 0.1, 1.0])  # of the second action's value, by entry of the observation
    values = layer.weight.data.view(-1, 2, 4)  # [quantiles, actions, entries]
    values[:, 0], values[:, 1] = 0, torch.as_tensor(slope)
    scale = np.array([1.0, 0.5, 2.0, 1.0])
    attack = MaximalActionDifference(0.1, scale=scale)
    inside = 0.05 * truth  # far from the bounds of CartPole's observations
    moved = attack.perturb(agent, inside, generators(40)) - inside
    np.testing.assert_allclose(np.abs(moved @ slope), 0.1 * (scale * np.abs(slope)).sum(), rtol=1e-3)


def test_wrong_observations_and_agents(sac, truth):
    attack = RandomAttack(0.1)
    with pytest.raises(InvalidParameter, match="fit"):
        attack.perturb(sac, truth, generators(40))
    attack.fit(truth)
    with pytest.raises(InvalidParameter, match="generators"):
        attack.perturb(sac, truth, generators(3))
    with pytest.raises(InvalidParameter, match=r"\[40, 3\]"):
        attack.perturb(sac, truth[:, :3], generators(40))
    with pytest.raises(InvalidParameter, match="scale has shape"):
        RandomAttack(0.1, scale=np.ones(3)).perturb(sac, truth, generators(40))
    with pytest.raises(InvalidParameter):
        attack.fit(truth[:1])
    ppo = PPO("MlpPolicy", Box(), device="cpu")
    with pytest.raises(InvalidParameter, match="maximal_action_difference"):
        CriticAttack(0.1, scale=np.ones(4)).perturb(ppo, truth, generators(40))


@pytest.mark.parametrize("space", [spaces.Discrete(4), spaces.Box(0, 255, (4,), np.uint8)])
def test_discrete_observations_are_refused(space):
    agent = Agent()
    agent.observation_space = space
    with pytest.raises(InvalidParameter, match="continuous"):
        RandomAttack(0.1, scale=np.ones(4)).perturb(agent, np.zeros((1, 4), np.uint8), generators(1))
