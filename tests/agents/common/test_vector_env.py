from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from agentgym.agents.common.vector_env import VectorEnvAdapter, split_infos
from agentgym.errors import InvalidParameter

Make = Callable[[], gymnasium.Env]


class Uneven(gymnasium.Wrapper):
    """Ends and cuts episodes at random lengths, sometimes both in one step."""

    def step(self, action):
        observation, reward, _, _, info = self.env.step(action)
        draw = self.unwrapped.np_random.random()
        return observation, reward, draw < 0.2, 0.1 < draw < 0.35, info | {"draw": draw}


def _pendulum() -> gymnasium.Env:
    return Uneven(gymnasium.make("Pendulum-v1", max_episode_steps=9))


def _dictionary() -> gymnasium.Env:
    return gymnasium.wrappers.TransformObservation(
        _pendulum(),
        lambda observation: {"velocity": observation[2:], "angle": observation[:2]},
        spaces.Dict({"velocity": spaces.Box(-8, 8, (1,)), "angle": spaces.Box(-1, 1, (2,))}),
    )


def _modes() -> list[Any]:
    return [pytest.param(SyncVectorEnv, mode, id=f"sync-{mode.value}") for mode in AutoresetMode] + [
        pytest.param(AsyncVectorEnv, mode, id=f"async-{mode.value}")
        for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
    ]


def _equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key in theirs:
            _equal(ours[key], theirs[key])
    else:
        np.testing.assert_array_equal(ours, theirs)
        if isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("make", [_pendulum, _dictionary])
@pytest.mark.parametrize(("batch", "mode"), _modes())
def test_every_transition_is_dummy_vec_envs(make: Make, batch, mode):
    peer = DummyVecEnv([make] * 3)
    ours = VectorEnvAdapter(batch([make] * 3, autoreset_mode=mode))
    peer.seed(5)
    ours.seed(5)
    _equal(ours.reset(), peer.reset())
    generator = np.random.default_rng(0)
    ends = {"terminated": 0, "cut": 0, "both at once": 0}
    for _ in range(60):
        actions = generator.uniform(-2, 2, (3, 1)).astype(np.float32)
        (obs, rewards, dones, infos), expected = ours.step(actions), peer.step(actions)
        _equal(obs, expected[0])
        _equal(rewards, expected[1])
        _equal(dones, expected[2])
        for info, wanted in zip(infos, expected[3], strict=True):
            _equal(info, wanted)
        ends["terminated"] += sum(
            done and not info["TimeLimit.truncated"] for done, info in zip(dones, infos, strict=True)
        )
        ends["cut"] += sum(info["TimeLimit.truncated"] for info in infos)
        ends["both at once"] += int(dones.sum() > 1)
    assert min(ends.values()) > 0
    ours.close()


def test_monitor_and_normalise_wrappers_work_on_it():
    def build(base):
        environment = VecNormalize(VecMonitor(base))
        environment.seed(3)
        return environment

    ours = build(VectorEnvAdapter(SyncVectorEnv([_pendulum] * 2)))
    peer = build(DummyVecEnv([_pendulum] * 2))
    _equal(ours.reset(), peer.reset())
    episodes = 0
    for _ in range(40):
        step, expected = ours.step(np.ones((2, 1), np.float32)), peer.step(np.ones((2, 1), np.float32))
        _equal(step[0], expected[0])
        for info, wanted in zip(step[3], expected[3], strict=True):
            assert ("episode" in info) == ("episode" in wanted)
            if "episode" in info:
                episodes += 1
                assert info["episode"]["r"] == wanted["episode"]["r"]
                assert info["episode"]["l"] == wanted["episode"]["l"]
    assert episodes > 3


class Batch(VectorEnv):
    """A native batch that counts up and ends at 3 + its index; it may or may not know the reset mask."""

    def __init__(self, n: int, knows_mask: bool) -> None:
        self.num_envs, self.knows_mask = n, knows_mask
        self.single_observation_space = spaces.Box(0, 99, (1,), np.float64)
        self.single_action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, n)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, n)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.render_mode = None
        self.count = np.zeros((n, 1))
        self.seeds: list[Any] = []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        mask = (options or {}).get("reset_mask") if self.knows_mask else None
        self.count[mask if mask is not None else slice(None)] = 0
        return self.count, {}

    def step(self, actions):
        self.count += 1
        ends = self.count[:, 0] >= 3 + np.arange(self.num_envs)
        return self.count, np.ones(self.num_envs), ends, np.zeros(self.num_envs, bool), {}


def test_a_native_batch_runs_and_gets_one_seed():
    batch = Batch(2, knows_mask=True)
    ours = VectorEnvAdapter(batch)
    ours.seed(7)
    ours.reset()
    seen = [ours.step(np.zeros((2, 1), np.float32)) for _ in range(12)]
    assert [step[0][:, 0].tolist() for step in seen[:4]] == [[1, 1], [2, 2], [0, 3], [1, 0]]
    assert seen[2][3][0]["terminal_observation"] == [3]
    assert batch.seeds[0] == 7


def test_a_batch_that_ignores_the_reset_mask_is_refused():
    ours = VectorEnvAdapter(Batch(2, knows_mask=False))
    ours.reset()
    for _ in range(2):
        ours.step(np.zeros((2, 1), np.float32))
    with pytest.raises(InvalidParameter, match="SAME_STEP"):
        ours.step(np.zeros((2, 1), np.float32))
    alone = VectorEnvAdapter(Batch(1, knows_mask=False))  # a single environment needs no mask
    alone.reset()
    assert [alone.step(np.zeros((1, 1), np.float32))[0].item() for _ in range(4)] == [1, 2, 0, 1]


def test_attributes_methods_and_wrappers_are_reached():
    ours = VectorEnvAdapter(SyncVectorEnv([lambda: Monitor(_pendulum())] * 2))
    assert [spec.id for spec in ours.get_attr("spec")] == ["Pendulum-v1"] * 2
    assert ours.env_is_wrapped(Monitor) == [True, True]
    assert ours.env_is_wrapped(gymnasium.wrappers.ClipReward) == [False, False]
    assert len(ours.env_method("get_wrapper_attr", "metadata")) == 2
    with pytest.raises(InvalidParameter, match="indices"):
        ours.env_method("close", indices=[0])
    ours.set_options([{"x": 1}, {"x": 2}])
    with pytest.raises(InvalidParameter, match="same reset options"):
        ours.reset()


def test_split_infos_follows_the_masks():
    infos = {
        "a": np.array([1, 0]),
        "_a": np.array([True, False]),
        "b": {"c": np.array([3, 4]), "_c": np.array([False, True])},
    }
    assert split_infos(infos, 2) == [{"a": 1, "b": {}}, {"b": {"c": 4}}]
