import csv
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from agentgym.agents.common.activations import ACTIVATIONS
from agentgym.agents.sac.config import SACConfig
from agentgym.agents.sac.sac import SAC
from agentgym.errors import InvalidParameter, SpaceMismatch, UnknownId

SMALL: dict[str, Any] = {
    "policy_kwargs": {"net_arch": [16, 16]},
    "learning_starts": 20,
    "buffer_size": 500,
    "batch_size": 16,
}


def _weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in agent.policy.state_dict().values()])


def _small(env: Any = "Pendulum-v1", **options: Any) -> SAC:
    return SAC("MlpPolicy", env, **{**SMALL, "device": "cpu", **options})


# Learning


def test_equal_seeds_give_bit_equal_weights_and_others_do_not():
    weights = [_weights(_small(seed=seed).learn(120)) for seed in (4, 4, 5)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_step_budget_is_exact_and_continues():
    agent = _small(seed=0).learn(130)
    assert (agent.num_timesteps, agent._n_updates) == (130, 110)
    agent.learn(30, reset_num_timesteps=False)
    assert (agent.num_timesteps, agent._n_updates) == (160, 140)


def _columns(cls: Any, folder: Path) -> list[str]:
    environment = make_vec_env("Pendulum-v1", n_envs=2, seed=0, env_kwargs={}, wrapper_kwargs={})
    agent = cls("MlpPolicy", environment, seed=0, device="cpu", **SMALL)
    agent.set_logger(configure(str(folder), ["csv"]))
    evaluation = EvalCallback(
        VecMonitor(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])), eval_freq=150, n_eval_episodes=1, verbose=0
    )
    agent.learn(450, callback=evaluation, log_interval=1)
    agent._logger.close()
    with (folder / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["eval/mean_reward"] and row["train/actor_loss"] for row in rows)  # what callbacks dump is complete
    return sorted(rows[0])


def test_the_logged_columns_are_stable_baselines3s(tmp_path):
    assert _columns(SAC, tmp_path / "ours") == _columns(stable_baselines3.SAC, tmp_path / "theirs")


def test_callbacks_save_what_load_reads(tmp_path):
    checkpoints = CheckpointCallback(60, str(tmp_path), save_replay_buffer=True)
    best = EvalCallback(
        gymnasium.make("Pendulum-v1"), eval_freq=60, best_model_save_path=str(tmp_path / "best"), verbose=0
    )
    agent = _small(seed=0).learn(125, callback=[checkpoints, best])
    observation = np.ones(3, np.float32)
    assert SAC.load(tmp_path / "best" / "best_model").predict(observation, deterministic=True)[0].shape == (1,)
    later = SAC.load(tmp_path / "rl_model_120_steps.zip")
    assert later.num_timesteps == 120
    later.load_replay_buffer(tmp_path / "rl_model_replay_buffer_120_steps.pkl")
    # Stable-Baselines3 calls back before it stores the step's transition
    np.testing.assert_array_equal(later.replay_buffer.observations[:119], agent.replay_buffer.observations[:119])
    assert later.replay_buffer.size() == 119


def test_progress_bar_tensorboard_and_function_callbacks_work(tmp_path):
    calls = []
    agent = _small(seed=0, tensorboard_log=str(tmp_path))
    agent.learn(
        210, callback=lambda local, _: not calls.append(local["self"].num_timesteps), log_interval=1, progress_bar=True
    )
    assert calls == list(range(1, 211))
    assert list(tmp_path.glob("SAC_1/events*"))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_vector_env_trains_as_the_dummy_vec_env(mode):
    def make() -> gymnasium.Env:
        return gymnasium.make("Pendulum-v1", max_episode_steps=30)

    peer = _small(VecMonitor(DummyVecEnv([make] * 3)), seed=0).learn(240)
    ours = _small(SyncVectorEnv([make] * 3, autoreset_mode=mode), seed=0).learn(240)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        np.testing.assert_array_equal(getattr(ours.replay_buffer, name), getattr(peer.replay_buffer, name))
    assert ours.replay_buffer.timeouts.sum() == 6
    assert torch.equal(_weights(ours), _weights(peer))
    assert [episode["l"] for episode in ours.ep_info_buffer] == [30] * 6


@pytest.mark.parametrize(
    "options",
    [
        {"action_noise": NormalActionNoise(np.zeros(1), 0.3 * np.ones(1))},
        {"train_freq": (1, "episode"), "gradient_steps": -1},
        {"train_freq": 4, "gradient_steps": 2},
        {"n_steps": 3},
        {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}},
        {"policy_kwargs": {"optimizer_class": torch.optim.RMSprop, "net_arch": [8]}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_stable_baselines3s_options_train(options):
    agent = _small(seed=0, **options)
    before = _weights(agent).clone()
    agent.learn(250)
    assert agent._n_updates > 0
    assert _weights(agent).isfinite().all()
    assert not torch.equal(_weights(agent), before)


@pytest.mark.parametrize(("update_by", "tolerance"), [("autograd", 0), ("stack", 1e-5)])
@pytest.mark.parametrize("n_envs", [1, 5])
def test_collection_is_stable_baselines3s(update_by, tolerance, n_envs):
    """Same seed, before the first update: warm-up, then actions from the fresh policy. By autograd to the bit."""
    buffers = []
    for cls, own in ((SAC, {"update_by": update_by}), (stable_baselines3.SAC, {})):
        env = make_vec_env("Pendulum-v1", n_envs, seed=0)
        agent = cls("MlpPolicy", env, seed=2, device="cpu", **{**SMALL, "gradient_steps": 0}, **own)
        buffers.append(agent.learn(60 * n_envs).replay_buffer)
    for name in ("observations", "actions", "rewards"):
        np.testing.assert_allclose(getattr(buffers[0], name), getattr(buffers[1], name), rtol=0, atol=tolerance)


@pytest.mark.parametrize("update_by", ["autograd", "stack"])
def test_training_is_stable_baselines3s_until_rounding_shows(update_by):
    """Same seed, 40 updates while acting: some 1e-6 apart, as two runs whose first weights differ by 1e-7."""
    played = []
    for cls, own in ((SAC, {"update_by": update_by}), (stable_baselines3.SAC, {})):
        agent = cls(
            "MlpPolicy", "HalfCheetah-v5", seed=3, device="cpu", batch_size=64, learning_rate=1e-3, buffer_size=200,
            policy_kwargs={"net_arch": [64, 64]}, **own,
        )  # fmt: skip
        played.append(agent.learn(140).replay_buffer.actions[:140])
    np.testing.assert_allclose(played[0], played[1], rtol=0, atol=1e-4)


def test_vec_normalize_is_undone_in_the_buffer():
    agent = _small(VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])), seed=0).learn(60)
    assert agent.replay_buffer.rewards[:60].min() < -2  # the environment's own
    assert _weights(agent).isfinite().all()


# Prediction


@pytest.mark.parametrize("environment", ["Pendulum-v1", "HalfCheetah-v5"])
def test_predictions_are_stable_baselines3s_bit_for_bit(environment):
    ours = SAC("MlpPolicy", environment, seed=1, buffer_size=10, device="cpu")
    theirs = stable_baselines3.SAC("MlpPolicy", environment, seed=1, buffer_size=10, device="cpu")
    space = ours.observation_space
    generator = np.random.default_rng(0)
    for shape in ((), (1,), (7,), (256,)):
        observation = generator.normal(size=(*shape, *space.shape)).astype(space.dtype)
        for deterministic in (True, False):
            torch.manual_seed(0)
            mine, state = ours.predict(observation, deterministic=deterministic)
            torch.manual_seed(0)
            its, _ = theirs.predict(observation, deterministic=deterministic)
            np.testing.assert_array_equal(mine, its)
            assert mine.dtype == its.dtype
            assert state is None
            assert ours.action_space.contains(mine) if shape == () else mine.shape == (*shape, *ours.action_space.shape)


class Shapes(gymnasium.Env):
    """Any observation space; reports what it was asked."""

    def __init__(self, observation_space: spaces.Space) -> None:
        self.observation_space = observation_space
        self.action_space = spaces.Box(-2, 3, (2, 2), np.float32)
        self.reward = 1.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        return self.observation_space.sample(), self.reward, False, bool(self.np_random.random() < 0.1), {}


@pytest.mark.parametrize(
    "space",
    [spaces.Box(-1, 1, (2, 3)), spaces.Discrete(4), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(5)],
    ids=str,
)
def test_other_observation_spaces_train_and_predict_alike(space):
    ours = _small(Shapes(space), seed=0)
    theirs = stable_baselines3.SAC("MlpPolicy", Shapes(space), seed=0, device="cpu", **SMALL)
    for observation in (space.sample(), np.stack([space.sample() for _ in range(3)])):
        mine, its = (agent.predict(observation, deterministic=True)[0] for agent in (ours, theirs))
        np.testing.assert_array_equal(mine, its)
    assert _weights(ours.learn(60)).isfinite().all()


# What is refused


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"use_sde": True}, InvalidParameter, "stable_baselines3.SAC"),
        ({"cuda_graphs": True}, InvalidParameter, "cuda"),
        ({"policy_kwargs": {"activation_fn": torch.nn.PReLU}}, InvalidParameter, "PReLU"),
        ({"policy_kwargs": {"activation_fn": lambda: torch.nn.ReLU()}}, InvalidParameter, "activation_fn"),
        ({"policy_kwargs": {"share_features_extractor": True}}, InvalidParameter, "FlattenExtractor"),
    ],
)
def test_unsupported_options_are_refused_at_once(options, error, says):
    with pytest.raises(error, match=says):
        _small(**options)


def test_unknown_names_and_spaces_are_refused():
    with pytest.raises(UnknownId, match="Pendulum-v1"):
        _small("Pendulums-v1")
    with pytest.raises(UnknownId, match=r"MlpPolicy.*Stable-Baselines3"):
        SAC("CnnPolicy", "Pendulum-v1")
    with pytest.raises(ValueError, match="MultiInputPolicy"):
        _small(Shapes(spaces.Dict({"a": spaces.Box(-1, 1, (2,))})))
    agent = _small()
    with pytest.raises(SpaceMismatch, match=r"\(3,\).*\(17,\)"):
        agent.set_env("HalfCheetah-v5")
    with pytest.raises(ValueError, match="Unexpected observation shape"):
        agent.predict(np.zeros(4, np.float32))


def test_infinite_rewards_stop_learning_with_the_cause():
    environment = Shapes(spaces.Box(-1, 1, (3,)))
    environment.reward = np.inf
    with pytest.raises(FloatingPointError, match=r"^The reward is not finite at step 1: it is inf"):
        _small(environment, seed=0).learn(60, log_interval=1)


def test_divergence_stops_learning_with_advice():
    with pytest.raises(FloatingPointError, match="learning_rate"):
        _small(seed=0, learning_rate=1e30).learn(60)


# Configuration


def test_the_config_is_the_constructor():
    agent = _small(seed=0, **{k: v for k, v in SACConfig().to_kwargs().items() if k not in SMALL})
    peer = stable_baselines3.SAC("MlpPolicy", "Pendulum-v1", buffer_size=10)
    built = SAC("MlpPolicy", "Pendulum-v1", seed=0, **SACConfig(buffer_size=10).to_kwargs())
    for name in (
        "learning_rate",
        "learning_starts",
        "batch_size",
        "tau",
        "gamma",
        "train_freq",
        "gradient_steps",
        "n_steps",
    ):
        assert getattr(built, name) == getattr(peer, name), name
    for name in ("ent_coef", "target_update_interval", "target_entropy"):
        assert getattr(built, name) == getattr(peer, name), name
    assert {n: t.shape for n, t in built.policy.state_dict().items()} == {
        n: t.shape for n, t in peer.policy.state_dict().items()
    }
    assert SAC.Config is SACConfig
    assert SACConfig.preset("mujoco").learning_starts == 10_000
    assert agent.policy.critic.n_critics == 2


def test_every_field_reaches_the_agent():
    config = SACConfig(
        actor_layers=(8, 4),
        critic_layers=(5,),
        n_critics=3,
        activation="tanh",
        ent_coef="0.3",
        target_entropy="-2.5",
        buffer_size=10,
    )
    agent = SAC("MlpPolicy", "Pendulum-v1", **config.to_kwargs())
    assert agent.policy.state_dict()["actor.latent_pi.2.weight"].shape == (4, 8)
    assert agent.policy.state_dict()["critic.qf2.0.weight"].shape == (5, 4)
    assert agent.actor.activation_fn is ACTIVATIONS["tanh"]
    assert agent.ent_coef_tensor.item() == pytest.approx(0.3)
    assert agent.target_entropy == -2.5
