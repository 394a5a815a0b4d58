"""Agents with a shared policy: reproducible, mirror-invariant, saved, attacked; and they learn."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from agentgym import catalog
from agentgym.agents.common.saving import load_agent
from agentgym.agents.marl.shared.mdpo import SharedMDPO
from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.errors import CorruptFile, InvalidParameter, NonFinite, SpaceMismatch
from agentgym.evaluation.attacks import from_config
from agentgym.evaluation.attacks.surface import surface
from agentgym.seeding import stream

from . import ring

ring.register()
BOTH = pytest.mark.parametrize("cls", [SharedPPO, SharedMDPO])


def batch(worlds=8):
    return ring.RingVectorEnv(worlds, autoreset_mode=AutoresetMode.SAME_STEP)


def agent(cls, env=None, seed=0, **config):
    arguments = cls.Config(**config).to_kwargs()
    return cls("MlpPolicy", env or batch(), seed=seed, device="cpu", **arguments)


def weights(one):
    return torch.cat([tensor.flatten() for tensor in one.learner.policy.state_dict().values()])


def observations(count, seed=0):
    return ring.observe(np.random.default_rng(seed).uniform(-1, 1, (count, ring.AGENTS)))


@BOTH
def test_equal_seeds_give_bit_equal_weights_and_others_do_not(cls):
    found = [weights(agent(cls, seed=seed).learn(400)) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@BOTH
def test_a_step_is_a_step_of_a_world(cls):
    seen, progress = [], []

    class Watch(BaseCallback):
        def _on_step(self):
            seen.append((self.model, self.num_timesteps))
            return True

        def _on_rollout_end(self):
            progress.append(self.model.learner._current_progress_remaining)

    one = agent(cls).learn(600, callback=Watch())
    assert one.num_timesteps == 600
    assert one.n_envs == 8
    assert seen == [(one, steps) for steps in range(8, 601, 8)]
    assert one.learner._n_updates == (30 if cls is SharedPPO else 120)  # three iterations of 25 x 8 steps
    first = one.learner.lr_schedule(1.0)
    rate = one.logger.name_to_value["train/learning_rate"]
    expected = 1e-4 if cls is SharedPPO else 1e-4 + (first - 1e-4) / 3  # MDPO: what remained before the batch
    assert rate == pytest.approx(expected)
    assert all(episode["l"] <= 20 for episode in one.ep_info_buffer)


def test_stable_baselines3s_callbacks_see_the_joint_agent(tmp_path):
    callback = EvalCallback(
        gymnasium.make("tests/Ring-v0"), eval_freq=25, n_eval_episodes=2, best_model_save_path=str(tmp_path), verbose=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the environment for evaluation has no Monitor
        one = agent(SharedPPO).learn(400, callback=callback, progress_bar=True)
    assert one.num_timesteps == 400
    assert callback.best_mean_reward >= callback.last_mean_reward > 0
    assert SharedPPO.load(tmp_path / "best_model", device="cpu").num_timesteps > 0


@BOTH
def test_action_and_value_are_those_of_the_mirrored_window_to_the_bit(cls):
    one = agent(cls).learn(400)
    indices, signs = one.layout.mirror
    windows = one.layout.split(observations(40))
    mirrored = windows[:, indices] * signs
    policy = one.learner.policy
    with torch.no_grad():
        for ask in (lambda o: policy.get_distribution(o).distribution.mean, policy.predict_values):
            found, image = ask(torch.as_tensor(windows)), ask(torch.as_tensor(mirrored))
            assert torch.equal(found, image)
            assert found.std() > 0
        forward = [policy.forward(torch.as_tensor(o), deterministic=True)[:2] for o in (windows, mirrored)]
    assert torch.equal(forward[0][0], forward[1][0])
    assert torch.equal(forward[0][1], forward[1][1])


def test_without_a_mirror_nothing_is_symmetrised():
    one = agent(SharedPPO, mirror=False)
    windows, (indices, signs) = one.layout.split(observations(9)), one.layout.mirror
    values = [one.learner.policy.predict_values(torch.as_tensor(o)) for o in (windows, windows[:, indices] * signs)]
    assert not torch.equal(*values)


@BOTH
def test_running_statistics_and_a_mirror_exclude_each_other(cls):
    with pytest.raises(InvalidParameter, match="mirror=False"):
        agent(cls, normalize=True)
    assert agent(cls, normalize=True, mirror=False).learn(400).num_timesteps == 400


@BOTH
def test_a_batch_of_observations_gets_what_each_gets_alone(cls):
    one, seen = agent(cls).learn(400), observations(7)
    together, state = one.predict(seen, deterministic=True)
    assert (together.shape, together.dtype, state) == ((7, ring.AGENTS), np.float32, None)
    for row, joint in zip(seen, together, strict=True):
        alone, _ = one.predict(row, deterministic=True)
        np.testing.assert_allclose(alone, joint, atol=1e-6)
        own = [one.learner.predict(row.flatten()[window], deterministic=True)[0][0] for window in ring.WINDOWS]
        np.testing.assert_allclose(own, joint, atol=1e-6)
    assert (abs(one.predict(seen)[0]) <= 1).all()


@pytest.mark.parametrize("wrong", [np.zeros(10), np.zeros((3, 5)), np.full((2, 5), np.nan), np.full((4, 2, 5), np.inf)])
def test_observations_that_cannot_be_are_refused(wrong):
    with pytest.raises((SpaceMismatch, NonFinite), match=r"oint observations are|not finite"):
        agent(SharedPPO).predict(wrong)


@BOTH
def test_saved_and_loaded_it_predicts_and_goes_on_alike(cls, tmp_path):
    one = agent(cls).learn(400)
    one.save(tmp_path / "agent")
    assert not list((tmp_path / "agent").glob("*.pkl"))
    loaded, seen = load_agent(tmp_path / "agent", device="cpu"), observations(9)
    assert type(loaded) is cls
    assert loaded.get_env() is None
    assert (loaded.observation_space, loaded.action_space) == (one.observation_space, one.action_space)
    np.testing.assert_array_equal(one.predict(seen, deterministic=True)[0], loaded.predict(seen, deterministic=True)[0])
    later = cls.load(tmp_path / "agent", env=batch(), device="cpu")
    later.set_env(batch())
    assert (later.num_timesteps, later.n_envs) == (400, 8)
    found = []
    for each in (one, later):
        each.set_random_seed(7)
        each.learner._last_obs = None
        found.append(weights(each.learn(200, reset_num_timesteps=False)))
        assert each.num_timesteps == 600
    assert torch.equal(*found)


def test_another_layout_or_class_is_refused(tmp_path):
    agent(SharedPPO).save(tmp_path / "agent")
    other = batch()
    other.agent_windows = ring.WINDOWS[:, ::-1]
    with pytest.raises(SpaceMismatch, match="agent_windows"):
        SharedPPO.load(tmp_path / "agent", env=other)
    with pytest.raises(SpaceMismatch, match="observation space"):
        SharedPPO.load(tmp_path / "agent", env=ring.RingParallelEnv())
    with pytest.raises(CorruptFile, match="shared-ppo"):
        SharedMDPO.load(tmp_path / "agent")
    catalog.load(catalog.find("agent", "ppo"))("MlpPolicy", "Pendulum-v1", device="cpu").save(tmp_path / "ppo")
    with pytest.raises(CorruptFile, match="class 'ppo', not 'shared-ppo'"):
        SharedPPO.load(tmp_path / "ppo")


@BOTH
def test_an_attack_finds_what_changes_the_joint_policy_most(cls):
    one, seen = agent(cls).learn(400), observations(6)
    (joint,) = surface(one).distribution(torch.as_tensor(seen))
    assert joint.mean.shape == joint.stddev.shape == (6, ring.AGENTS)
    own = one.learner.policy.get_distribution(torch.as_tensor(one.layout.split(seen))).distribution
    torch.testing.assert_close(joint.mean, own.mean.reshape(6, ring.AGENTS))
    torch.testing.assert_close(joint.stddev, own.stddev.reshape(6, ring.AGENTS))
    moved = {}
    for kind in ("random", "maximal_action_difference"):
        attack = from_config({"type": kind, "epsilon": 0.1, "scale": np.ones((2, ring.AGENTS)).tolist()})
        found = attack.perturb(one, seen, [stream(3, "attack", row) for row in range(6)])
        assert (abs(found - seen) <= 0.1 + 1e-6).all()
        actions = [one.predict(o, deterministic=True)[0] for o in (seen, found)]
        moved[kind] = np.square(actions[1] - actions[0]).sum(1).mean()
    assert moved["maximal_action_difference"] > 2 * moved["random"]
    with pytest.raises(InvalidParameter, match="critic"):
        from_config({"type": "critic", "epsilon": 0.1, "scale": np.ones((2, 5)).tolist()}).perturb(
            one, seen, [stream(3, "attack", row) for row in range(6)]
        )


def mean_return(one, episodes=16):
    env, total = batch(episodes), np.zeros(episodes)
    seen, _ = env.reset(seed=1000)
    alive = np.ones(episodes, bool)
    while alive.any():
        seen, rewards, terminated, truncated, _ = env.step(one.predict(seen, deterministic=True)[0])
        total += rewards * alive
        alive &= ~(terminated | truncated)
    return total.mean()


@BOTH
def test_it_learns_to_hold_the_ring(cls):
    one = agent(cls, seed=3)
    untrained = mean_return(one)
    trained = mean_return(one.learn(3000))
    assert untrained < 14
    assert trained > 19


@pytest.mark.parametrize("env", ["tests/RingOneReward-v0", "single", "several", "pettingzoo"])
def test_it_learns_from_every_kind_of_environment(env):
    made = {
        "single": lambda: gymnasium.make("tests/Ring-v0"),
        "several": lambda: DummyVecEnv([lambda: gymnasium.make("tests/Ring-v0")] * 2),
        "pettingzoo": ring.RingParallelEnv,
    }.get(env, lambda: env)()
    one = agent(SharedPPO, made, n_steps=10, batch_size=50).learn(40)
    assert one.num_timesteps == 40
    assert one.action_space.shape == ((ring.AGENTS, 1) if env == "pettingzoo" else (ring.AGENTS,))
    assert one.predict(one.observation_space.sample())[0].shape == one.action_space.shape


def test_an_environment_of_one_agent_is_refused():
    with pytest.raises(InvalidParameter, match="no agent_windows"):
        agent(SharedPPO, "Pendulum-v1")
