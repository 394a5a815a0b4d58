from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import FlattenObservation, TimeLimit
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecNormalize

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.baselines.trpo import TRPO
from agentgym.agents.common.saving import load_agent
from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO
from agentgym.agents.sac.sac import SAC
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train
from tests.agents.common.odd_worlds import SEEN, Odd, Reusing, ReusingBatch
from tests.agents.marl import ring

OFF: dict[str, Any] = {"learning_starts": 8, "buffer_size": 200, "batch_size": 8}
ON: dict[str, Any] = {"n_steps": 16}
AGENTS = {SAC: OFF, MDPO: OFF, PPO: ON, TRPO: ON, OnPolicyMDPO: ON}
BOX = spaces.Box(-1, 1, (2,))


def make(cls: Any, env: Any, **options: Any) -> Any:
    return cls("MlpPolicy", env, **{"seed": 0, "device": "cpu", **AGENTS[cls], **options})


def weights(agent: Any) -> torch.Tensor:
    policy = getattr(agent, "learner", agent).policy
    return torch.cat([tensor.flatten().double() for tensor in policy.state_dict().values()])


# Spaces


@pytest.mark.parametrize("cls", [PPO, TRPO, OnPolicyMDPO])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=5),
        spaces.MultiDiscrete([2, 3], start=[4, -2]),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.MultiBinary([2, 2]),
        spaces.Box(0, 10, (1,), np.int64),
        spaces.Box(-1.4, 0.8, (2,), np.float64),
        spaces.Box(-1, 1, ()),
    ],
    ids=str,
)
def test_on_policy_agents_play_in_the_space_and_go_on_after_loading(cls, space, tmp_path):
    agent = make(cls, Odd(space)).learn(32)  # Odd refuses what is not in it
    agent.save(tmp_path / "agent")
    loaded = cls.load(tmp_path / "agent", env=Odd(space), device="cpu")
    batch = np.stack([SEEN.sample() for _ in range(4)])
    for one in (agent, loaded):
        assert one.action_space == space
        assert space.contains(one.predict(batch[0])[0])
        assert all(map(space.contains, one.predict(batch)[0]))
    np.testing.assert_array_equal(
        loaded.predict(batch, deterministic=True)[0], agent.predict(batch, deterministic=True)[0]
    )
    loaded.learn(16, reset_num_timesteps=False)


@pytest.mark.parametrize("cls", [SAC, MDPO])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 10, (1,), np.int64),
        spaces.Box(0, 255, (2,), np.uint8),
        spaces.Box(-1.4, 0.8, (2,)),
        spaces.Box(-1, 1, (), np.float64),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [False, True])
def test_off_policy_agents_play_in_the_space(cls, space, batch):
    env = SyncVectorEnv([lambda: Odd(space)] * 2) if batch else Odd(space)
    agent = make(cls, env).learn(30)
    stored = agent.replay_buffer.actions[: agent.replay_buffer.pos]
    assert abs(stored).max() <= 1 + 1e-6
    assert space.contains(agent.predict(SEEN.sample())[0])


def test_random_actions_before_learning_reach_all_whole_numbers_alike():
    env = Odd(spaces.Box(0, 3, (1,), np.int64))
    make(SAC, env, learning_starts=400, buffer_size=500).learn(400)
    counts = np.bincount(np.ravel(env.played), minlength=4)
    assert counts.min() > 70  # of 400; rounding real numbers would give the ends half of it


@pytest.mark.parametrize("cls", [SAC, PPO])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4, start=-1),
        spaces.MultiDiscrete([[2, 3], [2, 2]]),
        spaces.MultiBinary([2, 2]),
        spaces.Box(-1, 1, ()),
    ],
    ids=str,
)
def test_other_observations_are_learned_from(cls, space):
    env = DummyVecEnv([lambda: TimeLimit(Odd(BOX, space), 6)] * 1)
    agent = make(cls, env).learn(32)
    assert agent.observation_space == space
    assert BOX.contains(agent.predict(space.sample())[0])
    assert len(agent.predict(np.stack([space.sample()] * 3))[0]) == 3


@pytest.mark.parametrize(("cls", "says"), [(SAC, "stable_baselines3.SAC"), (PPO, "stable_baselines3.PPO"),
                                           (TRPO, "sb3_contrib.TRPO"), (MDPO, "stable_baselines3.SAC")])  # fmt: skip
@pytest.mark.parametrize("policy", ["MlpPolicy", "MultiInputPolicy", "CnnPolicy"])
def test_images_and_dictionaries_are_refused_before_anything_is_made(cls, says, policy, monkeypatch):
    monkeypatch.setattr("stable_baselines3.common.buffers.ReplayBuffer.__init__", None)
    pictures = [] if cls is PPO else [spaces.Box(0, 255, (36, 36, 3), np.uint8)]  # PPO learns from pictures
    for space in (*pictures, spaces.Dict(a=BOX)):
        with pytest.raises(SpaceMismatch, match=says):
            cls(policy, Odd(BOX, space))


def test_the_way_out_of_dictionaries_and_images_exists():
    for space in (spaces.Dict(a=BOX, b=spaces.Discrete(2)), spaces.Box(0, 255, (6, 6, 3), np.uint8)):
        make(PPO, FlattenObservation(Odd(BOX, space))).learn(16)


def test_training_by_name_leaves_no_folder_behind(tmp_path):
    gymnasium.register("tests/Pictures-v0", lambda **_: Odd(BOX, spaces.Box(0, 255, (36, 36, 3), np.uint8)))
    for agent in ("sac", "mdpo", "trpo"):
        with pytest.raises(SpaceMismatch, match="CnnPolicy"):
            train(RunConfig(agent, "tests/Pictures-v0", steps=8), "run", tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("agent", ["ppo", "mdpo-onpolicy"])
def test_training_by_name_chooses_the_policy_for_pictures(agent, tmp_path):
    gymnasium.register("tests/Photographs-v0", lambda **_: Odd(BOX, spaces.Box(0, 255, (36, 36, 3), np.uint8)))
    given = {"n_steps": 8, **({"batch_size": 8} if agent == "ppo" else {})}
    run = train(RunConfig(agent, "tests/Photographs-v0", steps=8, config=given), "run", tmp_path, progress=False)
    assert load_agent(run.final).policy_name == "CnnPolicy"


def test_a_replay_buffer_beyond_the_memory_is_refused_before_it_is_made():
    with pytest.raises(InvalidParameter, match=r"needs [\d.]+ GiB, and [\d.]+ GiB are free. At most buffer_size=\d+"):
        make(SAC, Odd(BOX), buffer_size=10**12)


# Shapes


class Misshapen(gymnasium.ObservationWrapper):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(Odd(BOX))
        self.shape = shape

    def observation(self, observation: Any) -> np.ndarray:
        return np.zeros(self.shape, np.float32)


@pytest.mark.parametrize("cls", [SAC, PPO])
@pytest.mark.parametrize("shape", [(), (1,), (1, 3)])
@pytest.mark.parametrize("wrap", [lambda make: make(), lambda make: DummyVecEnv([make] * 2)], ids=["env", "VecEnv"])
def test_observations_of_another_shape_than_the_space_are_refused(cls, shape, wrap):
    agent = make(cls, wrap(lambda: Misshapen(shape)))
    with pytest.raises(SpaceMismatch, match=r"observation.*shape.*Fix"):
        agent.learn(16)


# NaN and infinity


@pytest.mark.parametrize("cls", AGENTS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("what", ["observation", "reward"])
@pytest.mark.parametrize("step", [13, 20])  # 20 ends an episode: the observation is its last
def test_what_is_not_finite_is_named_before_it_is_learned_from(cls, what, step):
    env = Odd(BOX, fault=(what, step))
    agent = make(cls, env)
    with pytest.raises(NonFinite, match=rf"^The {what} is not finite at step {step}: "):
        agent.learn(64)
    assert weights(agent).isfinite().all()


@pytest.mark.parametrize("cls", [SAC, PPO])
def test_in_a_batch_the_environment_is_named(cls):
    envs = [lambda: Odd(BOX), lambda: Odd(BOX, fault=("observation", 3))]
    for env in (SyncVectorEnv(envs), DummyVecEnv(envs)):
        with pytest.raises(
            NonFinite, match=r"^The observation of environment 1 is not finite at step 6: entry 1 is nan"
        ):
            make(cls, env).learn(64)


@pytest.mark.parametrize("cls", AGENTS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("actions", [BOX, spaces.Discrete(3)], ids=str)
def test_no_action_of_broken_weights_is_played(cls, actions):
    if cls in (SAC, MDPO) and actions is not BOX:
        return
    env = Odd(actions)
    agent = make(cls, env).learn(16)
    played = len(env.played)
    with torch.no_grad():
        for weight in agent.policy.parameters():
            weight.fill_(np.nan)
    with pytest.raises(NonFinite, match=r"weights .* are not finite by step 16.*learning_rate"):
        agent.learn(32, reset_num_timesteps=False)
    assert len(env.played) == played


@pytest.mark.parametrize("cls", AGENTS, ids=lambda cls: cls.__name__)
def test_a_learning_rate_that_destroys_the_weights_is_named(cls):
    with pytest.raises(NonFinite, match="learning_rate"):
        make(cls, Odd(BOX), learning_rate=1e30).learn(200)


def test_a_schedule_of_nan_is_named():
    with pytest.raises(NonFinite, match=r"^The learning_rate is not finite at step 16"):
        make(PPO, Odd(BOX), learning_rate=lambda progress: np.nan if progress < 1 else 1e-3).learn(32)


# What an environment writes into again


@pytest.mark.parametrize("cls", AGENTS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    "wrap",
    [
        Reusing,
        lambda fresh: DummyVecEnv([lambda: Reusing(fresh)] * 2),
        lambda fresh: VecNormalize(DummyVecEnv([lambda: Reusing(fresh)] * 2)),
        ReusingBatch,
    ],
    ids=["env", "VecEnv", "VecNormalize", "VectorEnv"],
)
def test_an_environment_may_use_its_arrays_again(cls, wrap):
    kept = [make(cls, wrap(fresh)).learn(48) for fresh in (True, False)]
    for name in ("observations", "next_observations", "rewards", "timeouts"):
        if hasattr(kept[0], "replay_buffer"):
            np.testing.assert_array_equal(*(getattr(agent.replay_buffer, name) for agent in kept))
    assert torch.equal(*map(weights, kept))


class OneArray(VecEnvWrapper):
    """A VecEnv that hands out the same arrays in every step."""

    def reset(self) -> np.ndarray:
        self.seen, self.paid = np.array(self.venv.reset()), np.zeros(self.num_envs, np.float32)
        return self.seen

    def step_wait(self) -> Any:
        self.seen[:], self.paid[:], dones, infos = self.venv.step_wait()
        return self.seen, self.paid, dones, infos


@pytest.mark.parametrize("cls", [SAC, PPO])
def test_a_vec_env_may_use_its_arrays_again(cls):
    def walks() -> DummyVecEnv:
        return DummyVecEnv([lambda: Reusing(fresh=True)] * 2)

    assert torch.equal(weights(make(cls, walks()).learn(48)), weights(make(cls, OneArray(walks())).learn(48)))


class ReusingRing(gymnasium.Wrapper):
    """The ring's agents, with one array for observations and one for their rewards."""

    def __init__(self) -> None:
        super().__init__(TimeLimit(ring.RingEnv(), 7))
        self.seen, self.paid = np.zeros((2, ring.AGENTS), np.float32), np.zeros(ring.AGENTS)

    def reset(self, **keywords: Any) -> tuple[np.ndarray, dict]:
        self.seen[:], info = self.env.reset(**keywords)
        self.paid[:] = 0
        return self.seen, info

    def step(self, action: np.ndarray) -> tuple[Any, ...]:
        self.seen[:], reward, *ends, info = self.env.step(action)
        self.paid[:] = info["agent_rewards"]
        return self.seen, reward, *ends, {"agent_rewards": self.paid}


def test_worlds_of_several_agents_may_use_their_arrays_again():
    settings = {"seed": 0, "device": "cpu", "n_steps": 16, "batch_size": 40}
    worlds = [lambda: TimeLimit(ring.RingEnv(), 7), ReusingRing]
    kept = [SharedPPO("MlpPolicy", DummyVecEnv([world] * 2), **settings).learn(64) for world in worlds]
    assert torch.equal(*map(weights, kept))
