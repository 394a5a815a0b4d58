"""Environments by name."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import agentgym  # noqa: F401  (registers the environments)
from agentgym.contracts.check_env import check_interface
from agentgym.errors import AskError, MissingExtra, UnknownId
from agentgym.make import check_id, has_native_batch, make_env
from agentgym.runs.build import training_environments
from agentgym.runs.run import RunConfig


def test_mujoco_warns_of_one_thing_once(capfd: pytest.CaptureFixture[str]) -> None:
    """HalfCheetah's model file makes MuJoCo warn with every world; the first one's warning is MuJoCo's own."""
    make_env("HalfCheetah-v5").close()
    capfd.readouterr()
    for _ in range(4):
        make_env("HalfCheetah-v5").close()
    captured = capfd.readouterr()
    assert (captured.out + captured.err).count("settotalmass") <= 1


@pytest.mark.parametrize(
    ("env_id", "typed", "meant"),
    [
        ("agentgym/RobustHopper-v0", "randomise", "randomize"),
        ("Hopper-v5", "forward_weight", "forward_reward_weight"),
        ("CliffWalking-v1", "slippery", "is_slippery"),  # takes no **kwargs
        ("agentgym/BernoulliBandit-v0", "q", "p"),
    ],
)
def test_an_unknown_keyword_argument_gives_the_nearest_of_that_environment(env_id, typed, meant):
    with pytest.raises(UnknownId, match=rf"keyword argument of .* named '{typed}'.*\b{meant}\b"):
        make_env(env_id, {typed: 1})


@pytest.mark.parametrize(
    ("env_id", "kwargs", "said"),
    [
        ("Hopper-v5", {"frame_skip": 0}, "ZeroDivisionError"),
        ("Hopper-v5", {"xml_file": "none.xml"}, "does not exist"),
        ("FrozenLake-v1", {"map_name": "5x5"}, "5x5"),
        ("Pendulum-v1", {"id": 3}, "multiple values"),
        ("Pendulum-v1", {"g": "heavy"}, "fails when it is made with"),
    ],
)
def test_keyword_arguments_that_an_environment_cannot_have(env_id, kwargs, said):
    with pytest.raises(AskError, match=said):
        check_interface(env_id, kwargs)


def test_a_package_that_is_missing_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(gym.registry, "Far-v0", gym.envs.registration.EnvSpec("Far-v0", "no_such_module:Env",
                        vector_entry_point="no_such_module:Batch"))  # fmt: skip
    for make in (make_env, has_native_batch):
        with pytest.raises(MissingExtra, match="pip install no_such_module"):
            make("Far-v0")


NO_IDS = ["", ":", "no_such_module:X-v0", ".relative:X-v0", "a b:X-v0", "broken:X-v0", "CartPole-v99", "json:CartPole"]


@pytest.mark.parametrize("env_id", [*NO_IDS, "a:b:c", "-", "x" * 10_000])
def test_ids_that_are_none(env_id, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AskError):
        check_id(env_id)


class Right(gym.Env):
    observation_space, action_space = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 1.0, False, False, {}


class FourValues(Right):
    def step(self, action):
        return np.zeros(3, np.float32), 1.0, False, {}


class BareReset(Right):
    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32)


class NoSeed(Right):
    def reset(self):
        return np.zeros(3, np.float32), {}


class OneEntry(Right):
    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}


class TwoRewards(Right):
    def step(self, action):
        return np.zeros(3, np.float32), np.ones(2), False, False, {}


class NoReward(Right):
    def step(self, action):
        return np.zeros(3, np.float32), None, False, False, {}


class MissingKey(Right):
    observation_space = spaces.Dict(a=spaces.Discrete(2), b=spaces.Discrete(2))

    def reset(self, *, seed=None, options=None):
        return {"a": 1}, {}


class Turned(Right):
    observation_space = spaces.Box(0, 255, (8, 8, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        return np.zeros((3, 8, 8), np.uint8), {}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (FourValues, r"step\(\) of Old-v0 returns 4 values; it must return \(observation"),
        (BareReset, r"must return \(observation, info\)"),
        (NoSeed, "must take seed and options"),
        (OneEntry, r"array of shape \(1,\)"),
        (TwoRewards, r"array of shape \(2,\) as reward"),
        (NoReward, "None as reward"),
        (MissingKey, "dict"),
        (Turned, r"array of shape \(3, 8, 8\)"),
    ],
)
def test_environments_of_an_older_interface_are_named(env, said, monkeypatch):
    monkeypatch.setitem(gym.registry, "Old-v0", gym.envs.registration.EnvSpec("Old-v0", env, max_episode_steps=5))
    with pytest.raises(AskError, match=said):
        check_interface("Old-v0")


def test_a_wrapper_may_mend_an_older_interface_and_spaces_keep_their_seeds(monkeypatch):
    class Mended(gym.Wrapper):
        def step(self, action):
            observation, reward, done, info = self.env.step(action)
            return observation, reward, done, False, info

    monkeypatch.setitem(gym.registry, "Old-v0", gym.envs.registration.EnvSpec("Old-v0", lambda: Mended(FourValues())))
    Right.action_space.seed(3)
    expected = [Right.action_space.sample() for _ in range(20)]
    Right.action_space.seed(3)
    check_interface("Old-v0")
    assert [Right.action_space.sample() for _ in range(20)] == expected


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "FrozenLake-v1", "Blackjack-v1", "Pendulum-v1", "Hopper-v5", "Taxi-v4"]
)
def test_gymnasiums_own_are_right(env_id):
    check_interface(env_id)


def test_a_reward_in_an_array_of_one_entry_is_a_number(monkeypatch):
    class ArrayReward(Right):
        def step(self, action):
            return np.zeros(3, np.float32), np.ones(1), np.False_, np.array(True), {}

    monkeypatch.setitem(gym.registry, "Array-v0", gym.envs.registration.EnvSpec("Array-v0", ArrayReward))
    check_interface("Array-v0")
    env = training_environments(RunConfig("ppo", "Array-v0", num_envs=2))
    env.reset()
    _, rewards, dones, _ = env.step(np.zeros(2, int))
    assert rewards.tolist() == [1.0, 1.0]
    assert dones.all()
