import importlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule

from agentgym.agents.common.saving import load_agent
from agentgym.agents.sac.sac import SAC
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.runs import state_files

SMALL: dict[str, Any] = {
    "policy_kwargs": {"net_arch": [16, 12]},
    "learning_starts": 20,
    "buffer_size": 500,
    "batch_size": 16,
}
OBSERVATIONS = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _nothing_is_unpickled(monkeypatch, request):
    if "export" in request.node.name or "theirs" in request.node.name:
        return  # Stable-Baselines3 itself unpickles its zips

    def refused(load: Any) -> Any:
        def refuse(*arguments: Any, **keywords: Any) -> Any:
            if sys._getframe(1).f_globals["__name__"].startswith("numba."):  # its cache of the machine code it compiled
                return load(*arguments, **keywords)
            raise AssertionError("a pickle was opened")

        return refuse

    for name in ("pickle.load", "pickle.loads", "cloudpickle.loads"):
        module, _, function = name.partition(".")
        monkeypatch.setattr(name, refused(getattr(importlib.import_module(module), function)))


def _trained(**options: Any) -> SAC:
    return SAC("MlpPolicy", "Pendulum-v1", seed=0, device="cpu", **{**SMALL, **options}).learn(120)


def _assert_same_state(ours: Any, theirs: Any) -> None:
    """Weights, every optimiser's moments and rates, temperature and counters, bit for bit."""
    wanted = theirs.policy.state_dict()
    for name, tensor in ours.policy.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name
    for mine, its in zip(ours._optimizers(), theirs._optimizers(), strict=True):
        state, expected = mine.state_dict(), its.state_dict()
        assert state["state"].keys() == expected["state"].keys()
        for index, slots in expected["state"].items():
            for slot, tensor in slots.items():
                assert torch.equal(state["state"][index][slot], tensor), (index, slot)
        assert state["param_groups"] == expected["param_groups"]
    if theirs.log_ent_coef is not None:
        assert torch.equal(ours.log_ent_coef, theirs.log_ent_coef)
    for name in ("num_timesteps", "_n_updates", "_episode_num", "_total_timesteps"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ent_coef": 0.1},
        {"policy_kwargs": {"net_arch": {"pi": [8], "qf": [9, 7]}, "n_critics": 3, "activation_fn": torch.nn.Tanh}},
        {"learning_rate": LinearSchedule(1e-3, 1e-4, 0.5), "train_freq": (3, "step"), "gamma": 0.9, "n_steps": 2},
        {"policy_kwargs": {"optimizer_class": torch.optim.RMSprop}},
    ],
    ids=["defaults", "fixed temperature", "other networks", "schedule", "other optimiser"],
)
def test_a_loaded_agent_is_the_saved_one(tmp_path, options):
    agent = _trained(**options)
    agent.save(tmp_path / "agent")
    loaded = SAC.load(tmp_path / "agent", device="cpu")
    _assert_same_state(loaded, agent)
    np.testing.assert_array_equal(
        loaded.predict(OBSERVATIONS, deterministic=True)[0], agent.predict(OBSERVATIONS, deterministic=True)[0]
    )
    for name in ("gamma", "tau", "batch_size", "train_freq", "target_entropy", "n_steps", "seed", "buffer_size"):
        assert getattr(loaded, name) == getattr(agent, name), name
    assert loaded.lr_schedule(0.4) == agent.lr_schedule(0.4)


def test_training_goes_on_as_if_never_saved(tmp_path):
    """With the replay buffer, the same generators and an environment at a reset, the next updates are the same."""
    agent = _trained()
    agent.save(tmp_path / "agent")
    agent.save_replay_buffer(tmp_path / "replay")
    loaded = SAC.load(tmp_path / "agent", env="Pendulum-v1", device="cpu")
    loaded.load_replay_buffer(tmp_path / "replay")
    for each in (agent, loaded):
        each.set_env("Pendulum-v1")
        each.set_random_seed(7)
        each.learn(40, reset_num_timesteps=False)
    _assert_same_state(loaded, agent)


def test_loading_seeds_no_generator(tmp_path):
    _trained().save(tmp_path / "agent")
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    first = SAC.load(tmp_path / "agent")
    drawn = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    assert drawn == np.random.random()  # noqa: NPY002
    assert first.seed == 0


def test_the_folder_holds_no_pickle_and_load_agent_finds_the_class(tmp_path):
    _trained().save(tmp_path / "agent")
    assert {file.name for file in (tmp_path / "agent").iterdir()} == {
        "manifest.json",
        "values.json",
        "tensors.safetensors",
    }
    assert isinstance(load_agent(tmp_path / "agent"), SAC)
    values = json.loads((tmp_path / "agent" / "values.json").read_text())
    assert values["agent"] == "sac"
    assert values["versions"]["torch"] == torch.__version__


def test_arguments_can_be_changed_and_vector_envs_given(tmp_path):
    _trained().save(tmp_path / "agent")
    environment = SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")] * 2)
    loaded = SAC.load(tmp_path / "agent", env=environment, device="cpu", gamma=0.5, buffer_size=64)
    assert (loaded.n_envs, loaded.gamma, loaded.replay_buffer.buffer_size) == (2, 0.5, 32)
    loaded.learn(60)


def test_what_a_file_cannot_hold_must_be_given_again(tmp_path):
    noise = NormalActionNoise(np.zeros(1), np.ones(1))
    _trained(learning_rate=lambda progress: 1e-3 * progress, action_noise=noise).save(tmp_path / "agent")
    loaded = SAC.load(tmp_path / "agent", env="Pendulum-v1", learning_rate=1e-4)
    loaded.predict(OBSERVATIONS)
    with pytest.raises(InvalidParameter, match="action_noise"):
        loaded.learn(10)
    SAC.load(tmp_path / "agent", env="Pendulum-v1", learning_rate=1e-4, action_noise=noise).learn(10)


def test_foreign_and_damaged_folders_are_refused(tmp_path):
    agent = _trained()
    agent.save(tmp_path / "agent")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SAC.load(tmp_path / "nowhere")
    with pytest.raises(SpaceMismatch, match=r"\(3,\).*\(17,\)"):
        SAC.load(tmp_path / "agent", env="HalfCheetah-v5")
    with pytest.raises(InvalidParameter, match="exclude"):
        agent.save(tmp_path / "other", exclude=["policy"])

    contents = state_files.read(tmp_path / "agent")
    state_files.write(tmp_path / "elsewhere", state_files.Contents({}, {}, {"model": "gpt"}))
    contents.values["agent"] = "poe"
    state_files.write(tmp_path / "poe", contents)
    contents.values["agent"] = "sac"
    contents.tensors["policy/actor.mu.weight"] = torch.zeros(5, 5)
    state_files.write(tmp_path / "shape", contents)
    for name, says in (("elsewhere", "no saved agent"), ("poe", "class 'poe'"), ("shape", "does not fit")):
        with pytest.raises(CorruptFile, match=says):
            SAC.load(tmp_path / name)
    with pytest.raises(UnknownId, match="poe"):
        load_agent(tmp_path / "poe")
    contents.values["arguments"]["policy_kwargs"]["dict"]["activation_fn"] = {"class": "system", "of": "os"}
    state_files.write(tmp_path / "class", contents)
    with pytest.raises(CorruptFile):
        SAC.load(tmp_path / "class")

    tensors = tmp_path / "agent" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(CorruptFile, match="truncated"):
        SAC.load(tmp_path / "agent")


# Stable-Baselines3's zips


def _their_agent(path: Path, environment: str = "Pendulum-v1", **options: Any) -> stable_baselines3.SAC:
    agent = stable_baselines3.SAC("MlpPolicy", environment, seed=0, device="cpu", **{**SMALL, **options}).learn(60)
    agent.save(path)
    return agent


@pytest.mark.parametrize(
    "options",
    [{}, {"ent_coef": 0.3}, {"policy_kwargs": {"net_arch": [8], "n_critics": 3, "activation_fn": torch.nn.Tanh}}],
    ids=["defaults", "fixed temperature", "other networks"],
)
def test_an_imported_zip_is_the_same_agent(tmp_path, options):
    theirs = _their_agent(tmp_path / "model.zip", **options)
    with pytest.warns(UserWarning, match="train_freq only as a pickle"):
        ours = SAC.import_sb3(tmp_path / "model.zip", env="Pendulum-v1", device="cpu")
    np.testing.assert_array_equal(
        ours.predict(OBSERVATIONS, deterministic=True)[0], theirs.predict(OBSERVATIONS, deterministic=True)[0]
    )
    assert (ours.num_timesteps, ours._n_updates, ours.learning_starts) == (60, 40, 20)
    for agent in (ours, theirs):  # moments and temperature came along: the next update is the same
        agent.replay_buffer = theirs.replay_buffer
        agent.set_random_seed(3)
        agent.set_logger(stable_baselines3.common.logger.configure(None, []))
        agent.train(1, 64)
    wanted = theirs.policy.state_dict()
    for name, tensor in ours.policy.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-4, atol=1e-6)


def test_an_exported_zip_opens_in_stable_baselines3(tmp_path):
    ours = _trained(policy_kwargs={"net_arch": {"pi": [8], "qf": [9, 7]}, "n_critics": 3})
    ours.export_sb3(tmp_path / "model.zip")
    theirs = stable_baselines3.SAC.load(tmp_path / "model.zip", env=gymnasium.make("Pendulum-v1"), device="cpu")
    np.testing.assert_array_equal(
        ours.predict(OBSERVATIONS, deterministic=True)[0], theirs.predict(OBSERVATIONS, deterministic=True)[0]
    )
    for name in (*SAC.saved_arguments[:9], "target_entropy", "seed"):
        assert getattr(theirs, name) == getattr(ours, name), name
    back = SAC.import_sb3(tmp_path / "model.zip", env="Pendulum-v1", device="cpu", train_freq=1)
    _assert_same_state(back, ours)
    theirs.learn(30)


class Bounds(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(self.observation_space.shape, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize(
    ("low", "readable"),
    [
        (np.full(17, -np.inf), True),
        (np.array([-1, -0.4, -np.inf]), True),
        (np.full(3, -1 / 3), False),
        (np.full(2000, -1), False),
    ],
    ids=["infinite", "uneven", "many digits", "many numbers"],
)
def test_spaces_are_read_where_they_stand_exactly_in_plain_text(tmp_path, low, readable):
    environment = Bounds()
    environment.observation_space = gymnasium.spaces.Box(
        low.astype(np.float32), np.float32(2) * np.ones_like(low, np.float32)
    )
    stable_baselines3.SAC(
        "MlpPolicy", environment, buffer_size=9, device="cpu", policy_kwargs=SMALL["policy_kwargs"]
    ).save(tmp_path / "model.zip")
    if readable:
        ours = SAC.import_sb3(tmp_path / "model.zip", train_freq=1, device="cpu")
        assert (ours.observation_space, ours.action_space) == (environment.observation_space, environment.action_space)
    else:
        with pytest.raises(InvalidParameter, match="env="):
            SAC.import_sb3(tmp_path / "model.zip", train_freq=1)
        SAC.import_sb3(tmp_path / "model.zip", environment, train_freq=1)


def test_zips_of_other_models_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        SAC.import_sb3(tmp_path / "nothing")
    (tmp_path / "text.zip").write_text("not a zip")
    stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", device="cpu").save(tmp_path / "ppo.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("x", "y")
    for name in ("text", "ppo", "empty"):
        with pytest.raises(CorruptFile):
            SAC.import_sb3(tmp_path / f"{name}.zip", env="Pendulum-v1", train_freq=1)
    stable_baselines3.SAC("MlpPolicy", "Pendulum-v1", use_sde=True, buffer_size=9, device="cpu").save(
        tmp_path / "sde.zip"
    )
    with pytest.raises(InvalidParameter, match="gSDE"):
        SAC.import_sb3(tmp_path / "sde.zip", env="Pendulum-v1")
