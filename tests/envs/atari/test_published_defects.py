"""Defects of the published code, shown on minimal copies of their mechanism, beside what is here instead."""

import numpy as np
from scipy.stats import binomtest

from agentgym.envs.atari.emulator import Emulator
from agentgym.envs.atari.env import AtariEnv
from agentgym.evaluation import evaluate

HIDE = {"type": "HideObjects", "objects": ["enemy"]}


class GloballySeeded:
    """The mechanism: actions are replaced by draws from NumPy's global generator, which reset(seed) does not seed."""

    def reset(self, seed):
        return []

    def step(self, action):
        return int(np.random.randint(4)) if np.random.random() < 0.3 else action  # noqa: NPY002


def test_equal_reset_seeds_differed():
    published = GloballySeeded()
    rollouts = []
    for _ in range(2):
        published.reset(seed=3)
        rollouts.append([published.step(0) for _ in range(200)])
    assert rollouts[0] != rollouts[1]

    env, ours = AtariEnv(game="Breakout", setting="1", observation="ram", noop_max=0), []
    for _ in range(2):
        env.reset(seed=3)
        ours.append(np.concatenate([env.step(0)[4]["executed"] for _ in range(40)]))
    np.testing.assert_array_equal(*ours)
    assert (ours[0] != 0).any()


def test_the_maximum_of_two_frames_undid_the_masks():
    """The mechanism: each frame is black with p = 0.75, then the maximum of two frames is taken."""
    generator = np.random.default_rng(0)
    frames = np.where(generator.random((2, 4000)) < 0.75, 0, 100)
    black = int((frames.max(axis=0) == 0).sum())
    low, high = binomtest(black, 4000).proportion_ci(0.999)
    assert low <= 0.75**2 <= high
    assert high < 0.6  # not 0.75; tests/envs/atari/test_effects.py has both rates of the environment


def test_hidden_pictures_looked_one_frame_ahead():
    """The mechanism: poke the RAM, emulate a frame without action, take the picture, restore the state."""
    emulator = Emulator("boxing")
    emulator.reset()
    env = AtariEnv(game="Boxing", observation="rgb", frame_skip=1, noop_max=0, fire_reset=False, effects=[HIDE])
    env.reset(seed=0)
    late = exact = 0
    for step in range(60):
        action = 3 if step % 20 < 10 else 4
        emulator.act(action)
        now = emulator.ale.getScreenRGB()
        ours = env.step(action)[0]
        state = emulator.ale.cloneState()
        emulator.poke({2: 214})
        emulator.act(0)
        published = emulator.ale.getScreenRGB()
        emulator.ale.restoreState(state)
        # the player, left half of the ring, is where it is now in ours, and where it would be next in theirs
        player = np.s_[36:177, 32:75]
        exact += int((ours[player] == now[player]).all())
        late += int((published[player] != now[player]).any())
    assert exact > 40  # the enemy comes into this half at times
    assert late > 10


def test_agents_of_other_libraries_are_evaluated_as_they_are():
    """Stable-Baselines3's DQN and sb3-contrib's QR-DQN learn in the environments and enter an evaluation."""
    from sb3_contrib import QRDQN
    from stable_baselines3 import DQN

    kwargs = {"max_frames": 80}
    agents = {}
    for name, kind in (("dqn", DQN), ("qr-dqn", QRDQN)):
        env = AtariEnv(game="Boxing", setting="1", observation="ram", **kwargs)
        agents[name] = kind("MlpPolicy", env, buffer_size=100, learning_starts=20, seed=0, device="cpu").learn(40)
    result = evaluate(
        agents, [], env="agentgym/Stori-Boxing-1-v0", env_kwargs={"observation": "ram", **kwargs}, episodes=2,
        progress=False,
    )  # fmt: skip
    assert not result.failures()
    assert {row.agent for row in result.rows} == {"dqn", "qr-dqn"}
    assert all(row.measures["replaced actions"] > 0 for row in result.rows)
