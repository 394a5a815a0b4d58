"""Agents against an adversary: their updates, what nature does, bad input, saving."""

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from agentgym.agents import M2TD3, RARL, SoftM2TD3, TimeConstrained
from agentgym.agents.robust.adversarial import td3
from agentgym.agents.robust.adversarial.config import GameConfig
from agentgym.agents.robust.adversarial.td3 import GameTD3
from agentgym.agents.robust.metrics import LinearGame
from agentgym.errors import InvalidParameter, SpaceMismatch, UnknownId

ENV = "agentgym/RobustInvertedPendulum-v0"
SMALL = {"actor_layers": (16, 16), "critic_layers": (16, 16), "buffer_size": 500, "learning_starts": 50}
ALL = [M2TD3, SoftM2TD3, RARL, TimeConstrained]


def made(cls, env=ENV, **settings):
    return cls("MlpPolicy", env, seed=1, device="cpu", **{**SMALL, **settings})


class Told(BaseCallback):
    """Keeps the parameters of each step as the environments report them, and which episodes began with it."""

    def __init__(self):
        super().__init__()
        self.values, self.starts = [], []

    def _on_step(self):
        infos = self.locals["infos"]
        self.values.append([list(info["parameters"].values()) for info in infos])
        return True


class Alone(GameTD3):
    """TD3: a game without an adversary."""

    Config = GameConfig
    catalog_name = "alone"
    metric_names = ("critic_loss", "q_mean", "actor_loss")

    def _choose(self, starts, uniform):
        pass

    def _next_moves(self, moves, next_states):
        return moves

    def _improve(self, states, moves):
        loss = -self._value(states, self.actor.mu(states), moves).mean()
        td3.set_gradients(loss, self._of_actor)
        self.actor.optimizer.step()
        return (loss.detach(),)


def test_without_parameters_it_is_stable_baselines3s_td3(monkeypatch):
    monkeypatch.setattr(td3, "ranges_of", lambda *_: {})
    ours = made(Alone, "Pendulum-v1", exploration=0.0, batch_size=32, learning_starts=64)
    theirs = stable_baselines3.TD3(
        "MlpPolicy", "Pendulum-v1", learning_rate=3e-4, buffer_size=500, learning_starts=64, batch_size=32,
        policy_kwargs={"net_arch": [16, 16]}, seed=1, device="cpu",
    )  # fmt: skip
    for one in (ours, theirs):  # equal from the start, and what the updates draw is drawn in the same order
        one.set_random_seed(2)
        one.learn(164)
    own, other = ours.policy.state_dict(), theirs.policy.state_dict()
    assert own.keys() == other.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=5e-6, msg=name)  # 6e-7 measured, in float32


@pytest.mark.parametrize("cls", [M2TD3, SoftM2TD3])
def test_the_policy_and_the_worst_candidate_follow_their_gradients(cls):
    agent = made(cls).learn(60)
    states, moves = torch.randn(8, 4), torch.zeros(8, 2)
    weights = torch.tensor(agent._frequencies / agent._frequencies.sum(), dtype=torch.float32)

    def value(position, actions):
        return agent.critic.q_values(states, torch.cat([actions, position.expand(8, -1)], 1))[0].mean()

    positions = [torch.tanh(each.detach()).requires_grad_() for each in agent.adversary.each]
    values = [value(position, agent.actor.mu(states)) for position in positions]
    worst = int(torch.stack(values).argmin())
    wanted = values[worst] if cls is M2TD3 else sum(w * v for w, v in zip(weights, values, strict=True))
    of_actor = torch.autograd.grad(-wanted, agent._of_actor, retain_graph=True)
    (of_position,) = torch.autograd.grad(value(positions[worst], agent.actor.mu(states).detach()), positions[worst])
    of_candidate = of_position * (1 - positions[worst].detach() ** 2)

    before = [each.detach().clone() for each in agent.adversary.each]
    critics = [each.clone() for each in agent._of_critic]
    frequency = agent._frequencies[worst]
    agent._improve(states, moves)
    for parameter, gradient in zip(agent._of_actor, of_actor, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    torch.testing.assert_close(agent.adversary.each[worst].grad, of_candidate)
    moved = [index for index, each in enumerate(agent.adversary.each) if not torch.equal(each, before[index])]
    assert moved == [worst]
    assert all(torch.equal(one, other) for one, other in zip(critics, agent._of_critic, strict=True))
    assert agent._frequencies[worst] > frequency


def test_candidates_are_drawn_anew_when_near_another_or_hardly_ever_the_worst():
    agent = made(M2TD3)
    with torch.no_grad():
        for index, position in enumerate([[0.5, 0.5], [0.5, 0.501], [-0.9, 0.9], [0.9, -0.9], [-0.5, -0.5]]):
            agent.adversary.each[index].copy_(torch.atanh(torch.tensor(position)))
    agent._frequencies = np.array([0.3, 0.3, 0.04, 0.3, 0.06])
    before = [each.detach().clone() for each in agent.adversary.each]
    agent._restart_candidates()
    changed = [index for index, each in enumerate(agent.adversary.each) if not torch.equal(each, before[index])]
    assert changed == [0, 2]  # the first of the two that are .015 apart in kg, and the one below .05
    np.testing.assert_allclose(agent._frequencies[[1, 3, 4]], [0.3, 0.3, 0.06])
    first = (0.3 + 0.04 + 0.3 + 0.06) / 4
    np.testing.assert_allclose(agent._frequencies[[0, 2]], [first, (first + 0.3 + 0.3 + 0.06) / 4])


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("cls", ALL)
def test_what_the_critics_see_is_what_the_environment_had(cls, num_envs):
    env = ENV if num_envs == 1 else gym.make_vec(ENV, num_envs=num_envs)
    agent, told = made(cls, env, radius=0.3) if cls is TimeConstrained else made(cls, env), Told()
    agent.learn(120 * num_envs, callback=told)
    buffer = agent.replay_buffer
    stored = buffer.moves[: buffer.pos]
    positions = agent._moved(torch.from_numpy(stored.reshape(-1, 4))).numpy() if cls is TimeConstrained else stored
    values = agent.nature.values(positions).reshape(buffer.pos, num_envs, 2)
    np.testing.assert_allclose(values, np.array(told.values), rtol=1e-6)
    within = ~buffer.dones[: buffer.pos - 1].astype(bool)[..., None]
    steps = np.abs(np.diff(values, axis=0)) * within
    if issubclass(cls, M2TD3):
        assert steps.max() == 0.0  # constant in an episode
    if cls is TimeConstrained:
        assert 0.1 < steps.max() <= 0.3 + 1e-5
    assert len(np.unique(values[..., 0])) > 3


def test_the_players_of_rarl_learn_by_turns():
    agent = made(RARL, agent_updates=2, adversary_updates=1).learn(60)
    states, turns = torch.randn(8, 4), []
    for _ in range(6):
        before = [each.clone() for each in (*agent._of_actor, *agent._of_adversary)]
        agent._n_updates += agent.policy_delay
        agent._improve(states, torch.zeros(8, 2))
        moved = [not torch.equal(*pair) for pair in zip(before, (*agent._of_actor, *agent._of_adversary), strict=True)]
        assert all(moved[: len(agent._of_actor)]) != all(moved[len(agent._of_actor) :])
        turns.append(moved[0])
    assert sorted(turns) == [False, False, True, True, True, True]
    assert "FFF" not in "".join(str(turn)[0] for turn in turns)


def test_rarls_adversary_can_choose_the_papers_forces_alone():
    env = gym.make(ENV, forces="rarl")
    agent, told = made(RARL, env, uncertain=("pole_force_x", "pole_force_z")), Told()
    agent.learn(80, callback=told)
    names = list(env.unwrapped.parameters)
    values = np.array(told.values)[:, 0]
    fixed = [values[:, names.index(name)] for name in ("pole_mass", "cart_mass")]
    assert all(len(np.unique(column)) == 1 for column in fixed)
    forces = values[:, names.index("pole_force_x")]
    assert len(np.unique(forces)) > 20
    assert np.abs(forces).max() <= 3.0


@pytest.mark.parametrize("cls", ALL)
def test_a_saved_agent_acts_and_learns_on(cls, tmp_path):
    agent = made(cls).learn(120)
    agent.save(tmp_path / "agent")
    assert not list((tmp_path / "agent").rglob("*.pkl"))
    seen = np.random.default_rng(0).normal(size=(5, 4))
    alone = cls.load(tmp_path / "agent", device="cpu")
    np.testing.assert_array_equal(alone.predict(seen)[0], agent.predict(seen)[0])
    again = cls.load(tmp_path / "agent", env=ENV, device="cpu")
    assert again.get_parameters().keys() == agent.get_parameters().keys()
    torch.testing.assert_close(again.adversary.state_dict(), agent.adversary.state_dict(), rtol=0, atol=0)
    again.learn(70)


@pytest.mark.parametrize("cls", ALL)
def test_bad_input_is_refused_before_any_work(cls, tmp_path):
    with pytest.raises(InvalidParameter, match="uncertainty set"):
        made(cls, "Pendulum-v1")
    with pytest.raises(UnknownId, match="pole_mass"):
        made(cls, uncertain=("pole_masss",))
    with pytest.raises(InvalidParameter, match="each once"):
        made(cls, uncertain=("pole_mass", "pole_mass"))
    with pytest.raises(InvalidParameter, match="policy_delay"):
        made(cls, policy_delay=0)
    agent = made(cls)
    agent.save(tmp_path / "agent")
    other = gym.make(ENV, uncertainty="1d")
    for attempt in (lambda: agent.set_env(other), lambda: cls.load(tmp_path / "agent", env=other)):
        with pytest.raises(SpaceMismatch, match="uncertainty set"):
            attempt()


def test_a_radius_must_be_positive():
    with pytest.raises(InvalidParameter, match="radius"):
        made(TimeConstrained, radius=0.0)


class Scalar(gym.Env):
    """x' = 0.9 x + 0.5 u + 0.3 w with the reward -(x^2 + 0.1 u^2), u in [-2, 2]; the parameter is w."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-2.0, 2.0, (1,), np.float32)
    parameter_ranges = {"push": (-1.0, 1.0)}  # noqa: RUF012

    def set_parameters(self, values):
        self.push = values["push"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.steps, self.push = self.np_random.uniform(-1, 1), 0, 0.0
        return np.array([self.x], np.float32), {}

    def step(self, action):
        u = float(action[0])
        reward = -(self.x**2 + 0.1 * u**2)
        self.x = 0.9 * self.x + 0.5 * u + 0.3 * self.push
        self.steps += 1
        return np.array([self.x], np.float32), reward, False, self.steps >= 5, {}


def test_the_adversary_pays_its_price_in_the_critics_targets():
    agent = made(RARL, Scalar(), price=0.7, gamma=0.0, target_noise=0.0)
    moves = torch.tensor([[0.0], [1.0], [-0.5]])
    torch.testing.assert_close(agent._paid(torch.ones(3), moves), torch.tensor([1.0, 1.7, 1.175]))
    constrained = made(TimeConstrained, Scalar(), price=0.7)
    moves = torch.tensor([[0.9, 0.0], [0.9, 1.0]])  # the position is free, the move is not
    torch.testing.assert_close(constrained._paid(torch.ones(2), moves), torch.tensor([1.0, 1.7]))


@pytest.mark.slow
def test_the_game_that_rarl_learns_is_the_riccati_equations():
    price, gamma = 0.5, 0.8
    _, gain, push = LinearGame(0.9, 0.5, 0.3, 1.0, 0.1, gamma).solve(np.sqrt(price))
    agent = made(
        RARL, DummyVecEnv([Scalar] * 8), price=price, gamma=gamma, batch_size=128, tau=0.02, target_noise=0.05,
        learning_rate=lambda left: 3e-3 * left, learning_starts=1600, buffer_size=40_000, exploration=0.3,
        adversary_exploration=0.3, actor_layers=(32,), critic_layers=(64, 64), adversary_layers=(32,),
    ).learn(11_200)  # fmt: skip
    points = np.array([[-0.8], [-0.4], [0.4], [0.8]], np.float32)
    actions, _ = agent.predict(points, deterministic=True)
    with torch.no_grad():
        pushes = agent.adversary(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(actions, -gain.item() * points, atol=0.15)  # up to 1.08 in size
    np.testing.assert_allclose(pushes, push.item() * points, atol=0.06)  # up to 0.13
