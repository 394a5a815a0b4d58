"""Agents see in evaluations what wrappers showed them in training."""

import gymnasium
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from gymnasium.wrappers import NormalizeObservation
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.common.saving import load_agent
from agentgym.agents.sac.sac import SAC
from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.evaluation.attacks import from_config
from agentgym.evaluation.evaluate import evaluate
from agentgym.wrappers.preprocessing import AsTrained, as_trained

ENV = "Far-v0"


class Far(gymnasium.Env):
    """Observations around 1000; the return is what the actions add up to, so equal returns mean equal actions."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def __init__(self, dictionary=False):
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        if dictionary:
            self.observation_space = spaces.Dict({"far": Far.observation_space, "choice": spaces.Discrete(3)})
        self.dictionary = dictionary

    def _see(self):
        seen = (1000.0 + self.np_random.normal(size=2)).astype(np.float32)
        return {"far": seen, "choice": np.int64(self.t % 3)} if self.dictionary else seen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._see(), {}

    def step(self, action):
        self.t += 1
        return self._see(), float(action[0]), False, self.t >= 6, {}


class Pictures(gymnasium.Env):
    """Images with the channels last."""

    observation_space, action_space = spaces.Box(0, 255, (36, 36, 3), np.uint8), spaces.Discrete(2)

    def __init__(self, dictionary=False):
        self.dictionary = dictionary
        if dictionary:
            self.observation_space = spaces.Dict({"eye": Pictures.observation_space, "ear": Far.observation_space})

    def _see(self):
        seen = self.np_random.integers(0, 255, (36, 36, 3)).astype(np.uint8)
        return {"eye": seen, "ear": np.zeros(2, np.float32)} if self.dictionary else seen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._see(), {}

    def step(self, action):
        self.t += 1
        return self._see(), float(action), False, self.t >= 4, {}


for name, kind in ((ENV, Far), ("FarPictures-v0", Pictures)):
    if name not in gymnasium.registry:
        gymnasium.register(name, kind)


def normalized(venv=None, **settings):
    """VecNormalize with statistics of some steps."""
    worlds = VecNormalize(venv or DummyVecEnv([lambda: gymnasium.make(ENV)]), **settings)
    worlds.seed(0)
    worlds.action_space.seed(0)
    worlds.reset()
    for _ in range(20):
        worlds.step(np.array([worlds.action_space.sample() for _ in range(worlds.num_envs)]))
    return worlds


def by_sb3(agent, worlds, seeds):
    """Returns of Stable-Baselines3's own loop, episode by episode."""
    normalize = agent.get_vec_normalize_env()
    if normalize is not None:
        normalize.training = normalize.norm_reward = False
    returns = []
    for seed in seeds:
        worlds.seed(seed)
        seen, total, over = worlds.reset(), 0.0, False
        while not over:
            action, _ = agent.predict(seen, deterministic=True)
            seen, reward, dones, _ = worlds.step(action)
            total, over = total + float(reward[0]), bool(dones[0])
        returns.append(total)
    return returns


def by_us(agent, env=ENV, **settings):
    result = evaluate({"a": agent}, "stochasticity:dials=reward_noise", env, episodes=2, progress=False, **settings)
    assert {row.error for row in result.rows} == {""}
    rows = [row for row in result.rows if row.condition == "nominal"]
    return [row.episode_return for row in rows], [row.seed for row in rows]


def same(agent, worlds, env=ENV, **settings):
    ours, seeds = by_us(agent, env, **settings)
    np.testing.assert_allclose(ours, by_sb3(agent, worlds, seeds), atol=1e-5)
    return ours


SMALL = {"n_steps": 16, "batch_size": 16, "seed": 0}


@pytest.mark.parametrize("kind", [PPO, SAC, sb3.PPO, sb3.SAC, sb3.A2C, sb3.TD3])
def test_vec_normalize_is_applied(kind):
    worlds = normalized(clip_obs=1.5)
    agent = kind("MlpPolicy", worlds, **(SMALL if kind in (PPO, sb3.PPO) else {"seed": 0}))
    ours = same(agent, agent.get_env())
    raw = by_sb3(agent, DummyVecEnv([lambda: gymnasium.make(ENV)]), [0, 1])
    assert not np.allclose(ours, raw)  # what it would do on raw observations is something else


@pytest.mark.parametrize("kind", [PPO, SAC])
def test_statistics_are_saved_and_loaded(kind, tmp_path):
    settings = SMALL if kind is PPO else {"seed": 0}
    agent = kind("MlpPolicy", normalized(gamma=0.9), **settings)
    before, _ = by_us(agent)
    agent.save(tmp_path / "a")
    assert by_us(tmp_path / "a")[0] == before
    loaded = load_agent(tmp_path / "a")
    loaded.save(tmp_path / "b")  # saved again without environments
    assert by_us(tmp_path / "b")[0] == before
    fresh = VecNormalize(DummyVecEnv([lambda: gymnasium.make(ENV)]))
    again = kind.load(tmp_path / "b", env=fresh)
    for name in ("obs_rms", "ret_rms"):
        ours, theirs = getattr(again.get_vec_normalize_env(), name), getattr(agent.get_vec_normalize_env(), name)
        assert ours.count == theirs.count
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.var, theirs.var)
    with pytest.raises(InvalidParameter, match="VecNormalize"):
        kind.load(tmp_path / "a", env=gymnasium.make(ENV))


def test_a_normalizer_that_has_seen_something_keeps_its_own_statistics(tmp_path):
    PPO("MlpPolicy", normalized(), **SMALL).save(tmp_path / "a")
    other = normalized()
    mean = other.obs_rms.mean.copy()
    assert PPO.load(tmp_path / "a", env=other).get_vec_normalize_env() is other
    np.testing.assert_array_equal(other.obs_rms.mean, mean)


def test_normalised_rewards_alone_change_nothing_of_what_is_seen(tmp_path):
    agent = PPO("MlpPolicy", normalized(norm_obs=False), **SMALL)
    assert as_trained(agent) is agent
    agent.save(tmp_path / "a")
    assert by_us(tmp_path / "a")[0] == by_us(agent)[0]


def test_entries_of_dictionaries_are_normalised_as_they_were():
    worlds = DummyVecEnv([lambda: gymnasium.make(ENV, dictionary=True)])
    agent = sb3.PPO("MultiInputPolicy", normalized(worlds, norm_obs_keys=["far"]), **SMALL)
    same(agent, agent.get_env(), env_kwargs={"dictionary": True})


def test_an_entry_of_a_dictionary_is_taken_out():
    worlds = VecExtractDictObs(DummyVecEnv([lambda: gymnasium.make(ENV, dictionary=True)]), "far")
    agent = sb3.PPO("MlpPolicy", normalized(worlds), **SMALL)
    same(agent, agent.get_env(), env_kwargs={"dictionary": True})


@pytest.mark.parametrize("kind", [sb3.PPO, PPO])
def test_stacked_observations(kind, tmp_path):
    worlds = normalized(VecFrameStack(DummyVecEnv([lambda: gymnasium.make(ENV)]), 3))
    agent = kind("MlpPolicy", worlds, **SMALL)
    ours = same(agent, agent.get_env())
    if kind is PPO:
        agent.save(tmp_path / "a")
        assert by_us(tmp_path / "a")[0] == ours


def test_gymnasiums_normalizer(tmp_path):
    world = NormalizeObservation(gymnasium.make(ENV))
    for seed in range(3):
        world.reset(seed=seed)
    agent = PPO("MlpPolicy", world, **SMALL)
    world.update_running_mean = False
    ours = same(agent, agent.get_env())
    agent.save(tmp_path / "a")
    assert by_us(tmp_path / "a")[0] == ours
    several = DummyVecEnv([lambda: NormalizeObservation(gymnasium.make(ENV))] * 2)
    with pytest.raises(InvalidParameter, match="Use VecNormalize"):
        by_us(PPO("MlpPolicy", several, **SMALL))


def test_a_zip_gets_its_normalizer_when_it_is_loaded(tmp_path):
    agent = sb3.SAC("MlpPolicy", normalized(), seed=0)
    agent.save(tmp_path / "a.zip")
    agent.get_vec_normalize_env().save(tmp_path / "n.pkl")
    worlds = VecNormalize.load(tmp_path / "n.pkl", DummyVecEnv([lambda: gymnasium.make(ENV)]))
    assert by_us(sb3.SAC.load(tmp_path / "a.zip", env=worlds))[0] == by_us(agent)[0]


@pytest.mark.parametrize("kind", ["random", "maximal_action_difference", "critic"])
def test_attacks_move_what_the_environment_shows(kind):
    agent = as_trained(SAC("MlpPolicy", normalized(), seed=0))
    attack = from_config({"type": kind, "epsilon": 0.5, "scale": [2.0, 2.0]})
    true = np.full((3, 2), 1000.0, np.float32)
    seen = attack.perturb(agent, true, [np.random.default_rng(i) for i in range(3)])
    assert 0.0 < np.abs(seen - true).max() <= 1.0
    if kind == "critic":
        inputs = agent.differentiable(torch.as_tensor(true))
        actions = [torch.as_tensor(agent.predict(shown, deterministic=True)[0]) for shown in (true, seen)]
        harm = [agent.critic(inputs, action) for action in actions]
        clean, attacked = (torch.cat(q, 1).amin(1) for q in harm)
        assert (attacked <= clean + 1e-5).all()


def test_one_observation_alone_is_a_batch_of_one():
    agent = as_trained(PPO("MlpPolicy", normalized(VecFrameStack(DummyVecEnv([lambda: Far()]), 2)), **SMALL))
    seen = np.array([1000.0, 1001.0], np.float32)
    one, state = agent.predict(seen, deterministic=True)
    many, _ = agent.predict(seen[None], deterministic=True)
    assert one.shape == (1,)
    np.testing.assert_array_equal(one, many[0])
    assert agent.predict(seen, state, deterministic=True)[0] != one  # the stack has filled


@pytest.mark.parametrize("kind", [sb3.PPO, sb3.DQN])
def test_images_are_seen_as_stable_baselines_shows_them(kind, tmp_path):
    settings = {"n_steps": 16, "batch_size": 16} if kind is sb3.PPO else {"buffer_size": 10}
    agent = kind("CnnPolicy", "FarPictures-v0", seed=0, **settings)
    ours = same(agent, agent.get_env(), "FarPictures-v0")
    agent.save(tmp_path / "a.zip")
    assert by_us(kind.load(tmp_path / "a.zip"), "FarPictures-v0")[0] == ours  # its environments are not known any more


def test_stacked_images(tmp_path):
    agent = sb3.PPO("CnnPolicy", VecFrameStack(DummyVecEnv([Pictures]), 4), **SMALL)
    assert isinstance(agent.get_env(), VecTransposeImage)
    same(agent, agent.get_env(), "FarPictures-v0")
    agent.save(tmp_path / "a.zip")
    with pytest.raises(SpaceMismatch, match="observation space"):
        by_us(sb3.PPO.load(tmp_path / "a.zip"), "FarPictures-v0")


def test_images_in_dictionaries(tmp_path):
    agent = sb3.PPO("MultiInputPolicy", Pictures(dictionary=True), **SMALL)
    ours = same(agent, agent.get_env(), "FarPictures-v0", env_kwargs={"dictionary": True})
    agent.save(tmp_path / "a.zip")
    loaded = sb3.PPO.load(tmp_path / "a.zip")
    assert by_us(loaded, "FarPictures-v0", env_kwargs={"dictionary": True})[0] == ours


@pytest.mark.parametrize("kind", [PPO, SAC, sb3.PPO])
def test_workers_get_agents_whose_environments_cannot_be_sent(kind):
    """Stable-Baselines3's wrappers of batches cannot be pickled; the agent acts without them."""
    worlds = VecMonitor(normalized(VecFrameStack(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]), 2)))
    agent = kind("MlpPolicy", worlds, **({"seed": 0} if kind is SAC else SMALL))
    one, two = (evaluate(agent, [], "Pendulum-v1", episodes=2, workers=count, progress=False).rows for count in (1, 2))
    assert {row.error for row in one} == {""}
    assert one == two
    assert agent.get_env() is not None  # the agent itself keeps them


def test_what_nothing_was_done_to_is_left_alone():
    agent = PPO("MlpPolicy", ENV, **SMALL)
    assert as_trained(agent) is agent
    wrapped = as_trained(PPO("MlpPolicy", normalized(), **SMALL))
    assert isinstance(wrapped, AsTrained)
    assert as_trained(wrapped) is wrapped
