"""The split of joint environments, against a plain loop, and what is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.agents.marl.layout import Layout
from agentgym.agents.marl.shared.agents_as_envs import AgentsAsEnvs
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch

from . import ring

SEEN, DONE = spaces.Box(-10, 10, (2, ring.AGENTS)), spaces.Box(-1, 1, (ring.AGENTS,))


def singles(agent_rewards=True, worlds=3):
    make = lambda: gymnasium.wrappers.TimeLimit(ring.RingEnv(agent_rewards), 20)  # noqa: E731
    return VecMonitor(DummyVecEnv([make] * worlds))


def batch(agent_rewards=True, worlds=3):
    env = ring.RingVectorEnv(worlds, autoreset_mode=AutoresetMode.SAME_STEP, agent_rewards=agent_rewards)
    return VecMonitor(VectorEnvAdapter(env))


@pytest.mark.parametrize("agent_rewards", [True, False])
@pytest.mark.parametrize("make", [singles, batch])
def test_every_transition_is_a_plain_loops(make, agent_rewards):
    joint, own = make(agent_rewards), make(agent_rewards)
    split = AgentsAsEnvs(own, Layout.of(own))
    assert split.num_envs == 3 * ring.AGENTS
    assert (split.observation_space.shape, split.action_space.shape) == ((6,), (1,))
    joint.seed(4)
    split.seed(4)
    observations, windows = joint.reset(), split.reset()
    generator, finished, cut = np.random.default_rng(0), 0, 0
    for _ in range(60):
        expected = [observations[i].flatten()[ring.WINDOWS[k]] for i in range(3) for k in range(ring.AGENTS)]
        np.testing.assert_array_equal(windows, expected)
        actions = generator.uniform(-1, 1, (3 * ring.AGENTS, 1)).astype(np.float32)
        actions[:5] = np.clip(-2 * windows[:5, 1:2], -1, 1)  # world 0 is held until the time limit
        observations, rewards, dones, infos = joint.step(actions.reshape(3, ring.AGENTS))
        windows, own_rewards, own_dones, own_infos = split.step(actions)
        for i in range(3):
            for k in range(ring.AGENTS):
                row, info = i * ring.AGENTS + k, own_infos[i * ring.AGENTS + k]
                assert own_dones[row] == dones[i]
                given = infos[i]["agent_rewards"][k] if agent_rewards else rewards[i]
                assert own_rewards[row] == np.float32(given)
                assert ("episode" in info) == (bool(dones[i]) and k == 0)
                if dones[i]:
                    last = infos[i]["terminal_observation"].flatten()[ring.WINDOWS[k]]
                    np.testing.assert_array_equal(info["terminal_observation"], last)
                    assert info["TimeLimit.truncated"] == infos[i]["TimeLimit.truncated"]
                    finished, cut = finished + 1, cut + info["TimeLimit.truncated"]
    assert finished > cut > 0


def test_a_batch_gives_what_single_worlds_give():
    first, second = singles(), batch()
    first.seed(7)
    second.seed(7)
    np.testing.assert_array_equal(first.reset(), second.reset())
    for _ in range(5):
        actions = np.full((3, ring.AGENTS), -0.2, np.float32)
        np.testing.assert_array_equal(first.step(actions)[0], second.step(actions)[0])


def test_actions_with_more_than_one_number_an_agent_keep_their_order():
    layout = Layout(spaces.Box(-1, 1, (4,)), spaces.Box(-1, 1, (2, 3)), np.arange(4).reshape(2, 2))
    assert layout.own_action_space.shape == (3,)
    np.testing.assert_array_equal(layout.join(np.arange(12).reshape(4, 3)), np.arange(12).reshape(2, 2, 3))


def test_the_mirror_of_the_layout_is_the_mirror_of_the_world():
    x = np.random.default_rng(0).uniform(-1, 1, ring.AGENTS)
    layout = Layout(SEEN, DONE, ring.WINDOWS, ring.MIRROR)
    windows, of_mirrored = layout.split(ring.observe(x)[None]), layout.split(ring.observe(x[::-1])[None])
    indices, signs = layout.mirror
    np.testing.assert_array_equal(of_mirrored, (windows[:, indices] * signs)[::-1])


def test_a_layout_comes_back_from_json():
    layout = Layout(SEEN, DONE, ring.WINDOWS, ring.MIRROR)
    layout.require_same(Layout.from_json(layout.to_json()))
    with pytest.raises(SpaceMismatch, match="agent_windows"):
        layout.require_same(Layout(SEEN, DONE, ring.WINDOWS[:, ::-1], ring.MIRROR))
    with pytest.raises(SpaceMismatch, match="agent_mirror"):
        layout.require_same(Layout(SEEN, DONE, ring.WINDOWS))
    with pytest.raises(SpaceMismatch, match="observation space"):
        layout.require_same(Layout(spaces.Box(-9, 9, (2, ring.AGENTS)), DONE, ring.WINDOWS, ring.MIRROR))
    with pytest.raises(CorruptFile, match="no joint environment"):
        Layout.from_json(None)


LOW = -np.ones((2, ring.AGENTS), np.float32)
UNEQUAL = spaces.Box(LOW * np.array([1, 1, 2, 1, 1], np.float32), -LOW)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((SEEN, DONE, ring.WINDOWS + 5), "entries 5 to 14 for 10"),
        ((SEEN, DONE, ring.WINDOWS - 1), "entries -1 to 8"),
        ((SEEN, DONE, ring.WINDOWS[:3]), "3 rows for 5 agents"),
        ((SEEN, DONE, ring.WINDOWS.astype(float)), "integers"),
        ((SEEN, DONE, ring.WINDOWS[0]), "integers"),
        ((UNEQUAL, DONE, ring.WINDOWS), "can see other values than agents"),
        ((SEEN, spaces.Box(LOW[0], np.array([1, 1, 2, 1, 1], np.float32)), ring.WINDOWS), r"can do .* agents \[2\]"),
        ((SEEN, spaces.Discrete(5), ring.WINDOWS), "as actions"),
        ((spaces.Discrete(5), DONE, ring.WINDOWS), "as observations"),
        ((SEEN, DONE, ring.WINDOWS, (ring.MIRROR[0][:5], ring.MIRROR[1])), "6 indices"),
        ((SEEN, DONE, ring.WINDOWS, (ring.MIRROR[0], 2 * ring.MIRROR[1])), "1 or -1"),
        ((SEEN, DONE, ring.WINDOWS, (np.array([1, 2, 0, 5, 4, 3]), ring.MIRROR[1])), "not a reflection"),
        ((SEEN, DONE, ring.WINDOWS, (ring.MIRROR[0] + 3, ring.MIRROR[1])), "not a reflection"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(arguments, said):
    with pytest.raises(InvalidParameter, match=said):
        Layout(*arguments)


def test_an_environment_without_windows_is_refused():
    with pytest.raises(InvalidParameter, match="no agent_windows"):
        Layout.of(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]))


class Wrong(gymnasium.Wrapper):
    """Gives what it should not from the third step on."""

    def __init__(self, what):
        super().__init__(ring.RingEnv())
        self.what, self.steps = what, 0

    def step(self, action):
        observation, reward, *ends, info = self.env.step(action)
        self.steps += 1
        if self.steps > 2:
            if self.what == "observations":
                observation[0, 0] = np.nan
            elif self.what == "rewards":
                info["agent_rewards"][2] = np.inf
            elif self.what == "too few":
                info["agent_rewards"] = info["agent_rewards"][:4]
            else:
                del info["agent_rewards"]
        return observation, reward, *ends, info


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("observations", FloatingPointError, r"Worlds \[1\] gave observations"),
        ("rewards", FloatingPointError, r"Worlds \[1\] gave rewards"),
        ("too few", InvalidParameter, "5 numbers"),
        ("none", InvalidParameter, "or be absent"),
    ],
)
def test_what_a_world_must_not_give_is_named(what, error, said):
    env = DummyVecEnv([ring.RingEnv, lambda: Wrong(what)])
    split = AgentsAsEnvs(env, Layout.of(env))
    env.seed(0)  # no episode ends in these steps
    split.reset()
    actions = np.zeros((10, 1), np.float32)
    split.step(actions)
    split.step(actions)
    with pytest.raises(error, match=said):
        split.step(actions)
