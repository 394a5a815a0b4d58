"""Learners for teams: gradients by hand, masks, bootstrapping, doors, saving; learning in the slow tests."""

from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from torch import nn

import agentgym
from agentgym.agents import HATRPO, HATRPOQ, MADDPG, load_agent
from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.agents.marl.teams.networks import Critic, SetActor, SetCritic
from agentgym.agents.marl.teams.replay import Batch
from agentgym.envs.particles.skirmish import SkirmishVectorEnv
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.errors import AskError, CorruptFile, InvalidParameter, NonFinite, SpaceMismatch
from agentgym.evaluation.attacks import CriticAttack, MaximalActionDifference

SMALL = {"actor_layers": (8,), "learning_starts": 32, "seed": 0, "log_every": 64}
TINY = {**SMALL, "critic_layers": (8,), "set_units": 4, "buffer_size": 600, "batch_size": 16, "train_every": 8}


class Points(gym.Env):
    """A joint environment whose agents differ in nothing; optional wide bounds and choices."""

    def __init__(self, agents=2, action_space=None, sets=None, rewards=None):
        self.observation_space = spaces.Box(-9, 9, (agents, 3), np.float32)
        self.action_space = action_space or spaces.Box(-1, 1, (agents, 1), np.float32)
        self.agent_windows = np.arange(agents * 3).reshape(agents, 3)
        self.rewards = rewards
        if sets:
            self.agent_sets = sets

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=self.observation_space.shape).astype(np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        info = {} if self.rewards is None else {"agent_rewards": self.rewards}
        return self.np_random.normal(size=self.observation_space.shape).astype(np.float32), 1.0, False, False, info


def batch_of(agent, count=16, seed=0, acted=None):
    generator = torch.Generator().manual_seed(seed)
    agents, width = agent.layout.windows.shape
    shape = (count, agents)
    drawn = torch.rand(*shape, agent.layout.width, generator=generator)
    actions = (
        nn.functional.one_hot(drawn.argmax(-1), agent.layout.width).float() if agent.layout.discrete else 2 * drawn - 1
    )
    acted = torch.ones(shape, dtype=torch.bool) if acted is None else acted
    terminated = torch.rand(shape, generator=generator) < 0.2
    windows, reached = torch.randn(2, *shape, width, generator=generator).unbind()
    return Batch(windows, actions, torch.randn(shape, generator=generator), acted, terminated & acted, reached)


class Linear(nn.Module):
    """Q_i = sum_j c_ij a_j."""

    def __init__(self, coefficients):
        super().__init__()
        self.c = nn.Parameter(torch.tensor(coefficients))

    def forward(self, windows, actions, alive):
        if actions.dim() == 3:
            actions = actions.unsqueeze(1).expand(-1, actions.shape[1], -1, -1)
        return (self.c * actions.squeeze(-1)).sum(-1)


# Who carries the gradient


@pytest.mark.parametrize("others", ["replay", "joint"])
def test_the_actors_gradient_is_that_computed_by_hand_on_a_linear_critic(others):
    """Own windows, own rows of the critic; others' actions without gradient, or all of them with it."""
    agent = MADDPG(env=Points(), shared=False, others=others, logit_penalty=0.0, **TINY)
    coefficients = [[1.0, 2.0], [3.0, 5.0]]
    batch = batch_of(agent)
    batch = batch._replace(actions=batch.actions.requires_grad_())
    scores = agent.policy.network(batch.windows)
    asked = agent._asked(scores, batch.actions, batch.acted)
    values = Linear(coefficients)(batch.windows, asked, batch.acted)
    (found,) = torch.autograd.grad(values.mean(), scores)
    slope = (1 - torch.tanh(scores).square())[..., 0] / values.numel()
    per_agent = torch.tensor(coefficients)
    wanted = slope * (per_agent.sum(0) if others == "joint" else per_agent.diagonal())
    assert torch.allclose(found[..., 0], wanted, atol=1e-8)
    assert batch.actions.grad is None
    if others == "replay":  # the value itself is asked at the buffer's actions of the others
        chosen = torch.tanh(scores)[..., 0]
        assert torch.allclose(values[:, 0], chosen[:, 0] + 2 * batch.actions[:, 1, 0])
        assert torch.allclose(values[:, 1], 3 * batch.actions[:, 0, 0] + 5 * chosen[:, 1])


def test_each_actor_learns_from_its_own_window_alone():
    agent = MADDPG(env=Points(), shared=False, **TINY)
    windows = torch.randn(5, 2, 3, requires_grad=True)
    for k in range(2):
        (gradient,) = torch.autograd.grad(agent.policy.network(windows)[:, k].sum(), windows)
        assert (gradient[:, 1 - k] == 0).all()
        assert (gradient[:, k] != 0).any()


def test_a_critic_sees_its_own_agent_first_and_all_others():
    layout = MADDPG(env=Points(3), **TINY).layout
    critic = Critic(layout, 1, (8,), "silu")
    windows, actions, alive = torch.randn(4, 3, 3), torch.randn(4, 3, 1), torch.ones(4, 3, dtype=torch.bool)
    values = critic(windows, actions, alive)
    order = [1, 0, 2]  # agents 0 and 1 change places: their values do
    assert torch.allclose(
        critic(windows[:, order], actions[:, order], alive)[:, order][:, :2], values[:, :2], atol=1e-6
    )
    expanded = actions.unsqueeze(1).expand(-1, 3, -1, -1)
    assert torch.equal(critic(windows, expanded, alive), values)


def test_the_discrete_actors_gradient_is_that_of_the_soft_sample():
    agent = MADDPG(env=Points(action_space=spaces.MultiDiscrete([3, 3])), **TINY)
    scores = torch.randn(200, 2, 3, requires_grad=True)
    sample = agent._differentiable(scores)
    assert torch.equal(sample.detach().round().sum(-1), torch.ones(200, 2))  # one-hot forwards
    (gradient,) = torch.autograd.grad((sample * torch.tensor([1.0, 2.0, 4.0])).sum(), scores)
    assert (gradient != 0).all()
    assert gradient.sum(-1).abs().max() < 1e-5  # softmax: no change along (1, 1, 1)
    counts = torch.stack([agent._differentiable(scores).detach() for _ in range(400)]).mean((0, 1, 2))
    assert torch.allclose(counts, torch.softmax(scores, -1).mean((0, 1)), atol=0.02)


# Sets


def moved(columns, order):
    return [columns[k] for k in order]


def test_a_set_critic_and_a_set_actor_do_not_depend_on_the_order_of_things_and_others():
    layout = MADDPG(env=SimpleSpreadEnv(agents=4), **TINY).layout
    critic, actor = SetCritic(layout, 8, "silu"), SetActor(layout, 8, "silu")
    observations, _ = SimpleSpreadEnv(agents=4).reset(seed=0)
    windows, actions = torch.as_tensor(observations)[None], torch.randn(1, 4, 5)
    alive = torch.ones(1, 4, dtype=torch.bool)
    values, logits = critic(windows, actions, alive), actor(windows)
    things = layout.sets["things"]
    index = torch.arange(24)
    for to, source in zip(things, moved(things, [2, 0, 3, 1]), strict=True):
        index[to] = torch.tensor(source)
    assert torch.allclose(critic(windows[..., index], actions, alive), values, atol=1e-6)
    assert torch.allclose(actor(windows[..., index]), logits, atol=1e-6)
    swapped = gym.make("agentgym/SimpleSpread-v0", agents=4).unwrapped  # agents 1 and 3 change names
    swapped.reset(seed=0)
    swapped.batch.position[0, [1, 3]] = swapped.batch.position[0, [3, 1]]
    others = torch.as_tensor(swapped.batch._observe())
    order = [0, 3, 2, 1]
    assert torch.allclose(critic(others, actions[:, order], alive)[:, order], values, atol=1e-5)
    assert torch.allclose(actor(others)[:, order], logits, atol=1e-5)


def test_curvature_in_the_inputs_is_there_with_smooth_activations_and_not_with_relu():
    layout = MADDPG(env=Points(3), **TINY).layout
    windows, alive = torch.randn(1, 3, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.bool)
    for activation, curved in (("silu", True), ("tanh", True), ("relu", False)):
        critic = Critic(layout, 1, (16, 16), activation).double()

        def total(actions, critic=critic):
            return critic(windows, actions, alive).sum()

        found = torch.autograd.functional.hessian(total, torch.randn(1, 3, 1).double())
        assert (found.abs().max() > 1e-8) == curved


# Dead agents


@pytest.mark.parametrize("junk", [1e6, float("nan"), float("inf")])
@pytest.mark.parametrize("critic", ["mlp", "set"])
@pytest.mark.parametrize("choices", [True, False])
def test_junk_in_dead_slots_leaves_the_update_bit_equal(junk, critic, choices):
    space = spaces.MultiDiscrete([3, 3, 3]) if choices else spaces.Box(-1, 1, (3, 2), np.float32)
    acted = torch.rand(16, 3, generator=torch.Generator().manual_seed(1)) < 0.6
    acted[:, 0] = True
    states = []
    for dirty in (False, True):
        agent = MADDPG(env=Points(3, space), critic=critic, **TINY)
        agent._total_timesteps = 100
        batch = batch_of(agent, acted=acted)
        gone, ended = ~acted, ~(acted & ~batch.terminated)
        if dirty:
            for part in (batch.windows, batch.actions, batch.rewards):
                part[gone] = junk
            batch.reached[ended] = junk
        for _ in range(3):
            agent._update(batch)
        states.append([*agent.policy.state_dict().values(), agent._sums])
    assert all(torch.equal(one, two) for one, two in zip(*states, strict=True))
    assert all(torch.isfinite(each).all() for each in states[0])


@pytest.mark.parametrize("critic", ["mlp", "set"])
def test_a_team_whose_agents_fall_trains_in_every_form(critic):
    agents = [
        MADDPG(env=SkirmishVectorEnv(4, autoreset_mode=mode), critic=critic, **TINY)
        for mode in ("Disabled", "SameStep")
    ]
    agents.append(MADDPG(env=agentgym.parallel_env("agentgym/Skirmish-v0"), critic=critic, **TINY))
    for agent in agents:
        agent.learn(500)
        rows = min(agent.replay.rows, agent.replay.capacity)
        acted, ended = (agent.replay.arrays[name][:rows] for name in ("acted", "terminated"))
        assert not acted.all()  # some had fallen
        assert ended.any()
        assert not (ended & ~acted).any()
        back = acted[1:] & ~acted[:-1]  # the fallen come back with a new episode only, and then all of them
        starts = acted[1:].all(-1)
        assert (starts | ~back.any(-1)).all()


# Truncation


def test_a_truncated_agent_is_bootstrapped_from_its_true_last_observation():
    env = SimpleSpreadVectorEnv(2, max_cycles=3, autoreset_mode="Disabled")
    agent = MADDPG(env=env, **{**TINY, "learning_starts": 10**6})
    agent.learn(2 * 7)
    arrays = agent.replay.arrays
    assert not arrays["terminated"][:7].any()
    for row in range(6):
        follows = np.array_equal(arrays["reached"][row], arrays["windows"][row + 1])
        assert follows == (row % 3 != 2)  # after the last step of an episode the next window is a new episode's
    x, v = (arrays["windows"][2, ..., columns] for columns in (slice(2, 4), slice(0, 2)))
    assert np.allclose(arrays["reached"][2, ..., 2:4], x + 0.1 * v, atol=1e-6)
    batch = agent.replay.sample(64, agent.generator)
    batch = batch._replace(terminated=torch.zeros_like(batch.terminated))
    with torch.no_grad():
        for target in agent.policy.target_q.stack.weights:
            target.zero_()
        agent.policy.target_q.stack.biases[-1].fill_(10.0)
        assert torch.allclose(agent._targets(batch), batch.rewards + 0.8 * 10.0)
        ended = batch._replace(terminated=torch.ones_like(batch.terminated))
        assert torch.equal(agent._targets(ended), batch.rewards)


class Leaving(ParallelEnv):
    """Agent a is truncated in its step 2, agent b in its step 4; both see their name's number and the step."""

    def __init__(self):
        self.metadata, self.possible_agents = {"name": "leaving"}, ["a", "b"]

    def observation_space(self, agent):
        return spaces.Box(0, 9, (3,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def _seen(self):
        return {name: np.array([name == "b", self.now, 1], np.float32) for name in self.agents}

    def reset(self, seed=None, options=None):
        self.agents, self.now = ["a", "b"], 0
        return self._seen(), {name: {} for name in self.agents}

    def step(self, actions):
        self.now += 1
        seen, names = self._seen(), self.agents
        cut = {name: self.now == (2 if name == "a" else 4) for name in names}
        self.agents = [name for name in names if not cut[name]]
        return seen, dict.fromkeys(names, 1.0), dict.fromkeys(names, False), cut, {name: {} for name in names}


@pytest.mark.parametrize("kind", [MADDPG, HATRPO, HATRPOQ])
def test_an_agent_that_is_truncated_before_the_others_is_bootstrapped_from_its_own_last_observation(kind):
    small = {"actor_layers": (8,), "seed": 0}
    agent = kind(env=Leaving(), **small, **({} if kind is MADDPG else {"n_steps": 10}))
    steps, step = [], agent._step

    def watched(*arguments):
        found = step(*arguments)
        steps.append(found[0])
        return found

    agent._step = watched
    agent.learn(10)
    acted, reached, windows = (
        np.concatenate([getattr(one, name) for one in steps]) for name in ("acted", "reached", "windows")
    )
    assert acted.tolist() == [[True, True], [True, True], [False, True], [False, True]] * 2 + [[True, True]] * 2
    assert not any(one.terminated.any() for one in steps)
    assert reached[1].tolist() == [[0, 2, 1], [1, 2, 1]]  # a's true last observation
    assert reached[3, 1].tolist() == [1, 4, 1]  # b's, although the next episode has begun
    assert windows[4].tolist() == [[0, 0, 1], [1, 0, 1]]
    if kind is HATRPO:
        assert [bool(one.truncated.any()) for one in steps[:4]] == [False, True, False, True]
    else:  # what replay holds is what was reached
        assert np.array_equal(agent.replay.arrays["reached"][:10, 0], reached)


# Spaces and doors


def test_actors_map_into_any_box():
    low, high = np.array([[-3.0, 0.0], [10.0, -1e-3]], np.float32), np.array([[5.0, 1.0], [11.0, 7.0]], np.float32)
    agent = MADDPG(env=Points(action_space=spaces.Box(low, high)), shared=False, **TINY)
    agent.learn(80)
    ends = agent.layout.to_environment(torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]]))[0]
    assert np.array_equal(ends, [[-3.0, 1.0], [11.0, low[1, 1]]])
    unit = 2 * torch.rand(50, 2, 2) - 1
    assert torch.allclose(agent.layout.from_environment(agent.layout.to_environment(unit)), unit, atol=1e-3)
    seen = np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32) * 100
    assert all(agent.action_space.contains(action) for action in agent.predict(seen)[0])


def test_agents_with_other_choices_have_networks_of_their_own():
    space = spaces.MultiDiscrete([2, 4], start=[1, 0])
    agent = MADDPG(env=Points(action_space=space), shared=False, **TINY)
    agent.learn(200)
    seen = np.random.default_rng(0).normal(size=(50, 2, 3)).astype(np.float32)
    for deterministic in (True, False):
        assert all(space.contains(action) for action in agent.predict(seen, deterministic=deterministic)[0])
    with pytest.raises(InvalidParameter, match="shared=False"):
        MADDPG(env=Points(action_space=space), **TINY)


@pytest.mark.parametrize(
    ("env", "error"),
    [
        (lambda: gym.make("Pendulum-v1"), InvalidParameter),
        (lambda: Points(action_space=spaces.Discrete(3)), InvalidParameter),
        (lambda: Points(action_space=spaces.Box(-np.inf, np.inf, (2, 1), np.float32)), InvalidParameter),
        (lambda: Points(sets={"own": [0], "things": [[7]], "others": [[1]]}), InvalidParameter),
        (lambda: Points(sets={"own": [0], "things": [], "others": []}), InvalidParameter),
        (lambda: None, InvalidParameter),
        (lambda: "agentgym/SimpleSpred-v0", AskError),
    ],
)
def test_environments_that_are_no_teams_are_refused(env, error):
    with pytest.raises(error):
        MADDPG(env=env(), **TINY)


def test_values_that_are_not_finite_are_refused():
    for rewards, error in (([1.0, np.nan], NonFinite), ([1.0], InvalidParameter)):
        with pytest.raises(error):
            MADDPG(env=Points(rewards=np.array(rewards)), **TINY).learn(10)
    env = Points()
    env.step = lambda _: (np.full((2, 3), np.nan, np.float32), 0.0, False, False, {})
    with pytest.raises(NonFinite):
        MADDPG(env=env, **TINY).learn(10)
    agent = MADDPG(env=Points(), **TINY)
    with torch.no_grad():
        agent.policy.network.stack.weights[0].fill_(float("nan"))
    with pytest.raises(NonFinite):
        agent.learn(200)
    with pytest.raises(NonFinite):
        agent.predict(np.full((2, 3), np.inf, np.float32))
    with pytest.raises(SpaceMismatch):
        agent.predict(np.zeros((3, 3), np.float32))


def test_a_saved_team_acts_the_same_and_learns_on(tmp_path):
    env = SimpleSpreadVectorEnv(4, autoreset_mode="Disabled")
    agent = MADDPG(env=env, critic="set", **TINY).learn(300)
    agent.save(tmp_path / "team")
    again = load_agent(tmp_path / "team")
    seen, _ = SimpleSpreadVectorEnv(9).reset(seed=0)
    assert np.array_equal(agent.predict(seen, deterministic=True)[0], again.predict(seen, deterministic=True)[0])
    assert again.num_timesteps == 300
    with pytest.raises(InvalidParameter, match="no environment"):
        again.learn(10)
    MADDPG.load(tmp_path / "team", SimpleSpreadVectorEnv(2, autoreset_mode="Disabled")).learn(20)
    with pytest.raises(SpaceMismatch):
        MADDPG.load(tmp_path / "team", SimpleSpreadEnv(agents=4))
    values = (tmp_path / "team" / "values.json").read_text()
    (tmp_path / "team" / "values.json").write_text(values.replace('"sets"', '"stes"'))
    with pytest.raises(CorruptFile):
        load_agent(tmp_path / "team")


def test_global_generators_are_seeded_for_environments_and_not_moved_by_playing_and_learning():
    states = []
    for _ in range(2):
        agent = MADDPG(env=SimpleSpreadEnv(), **TINY)
        states.append(torch.get_rng_state())
    agent.learn(60).predict(np.zeros((3, 18), np.float32))
    states.append(torch.get_rng_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    weights = []
    for number in (0, 0, 1):
        agent = MADDPG(env=SimpleSpreadVectorEnv(4, autoreset_mode="Disabled"), **{**TINY, "seed": number}).learn(200)
        weights.append(torch.cat([each.flatten() for each in agent.policy.network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_attacks_follow_the_teams_gradients():
    seen = SimpleSpreadVectorEnv(6).reset(seed=0)[0]
    agent = MADDPG(env=SimpleSpreadEnv(), **TINY)
    generators = [np.random.default_rng(k) for k in range(6)]
    found = MaximalActionDifference(0.5, scale=np.ones((3, 18))).perturb(agent, seen, generators)
    assert np.abs(found - seen).max() <= 0.5 + 1e-6
    assert not np.array_equal(found, seen)
    boxes = MADDPG(env=SimpleSpreadEnv(continuous_actions=True), **TINY)
    found = CriticAttack(0.5, scale=np.ones((3, 18))).perturb(boxes, seen, generators)
    values = [
        boxes.critic(*map(torch.as_tensor, (seen, boxes.policy.actor(torch.as_tensor(x)).detach())))[0]
        for x in (seen, found)
    ]
    assert (values[1] <= values[0] + 1e-6).all()
    assert (values[1] < values[0] - 1e-6).any()


def test_layouts_are_compared_with_their_sets():
    one = MADDPG(env=SimpleSpreadEnv(), **TINY).layout
    other = deepcopy(one.to_json())
    other["sets"]["own"] = [2, 3]
    with pytest.raises(SpaceMismatch):
        one.require_same(TeamLayout.from_json(other))
