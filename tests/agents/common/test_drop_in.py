"""What Stable-Baselines3 documents and its users call: it works here, or it is refused with what to do instead."""

import io
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import NatureCNN

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO
from agentgym.agents.sac.sac import SAC
from agentgym.errors import CorruptFile, InvalidParameter, NonFinite, SpaceMismatch, UnknownId

SETTINGS: dict[Any, dict[str, Any]] = {
    SAC: {"buffer_size": 100, "learning_starts": 10, "batch_size": 8},
    MDPO: {"buffer_size": 100, "learning_starts": 10, "batch_size": 8},
    PPO: {"n_steps": 16},
    OnPolicyMDPO: {"n_steps": 16},
}
EACH = pytest.mark.parametrize("cls", SETTINGS, ids=lambda cls: cls.__name__)
SEEN = np.array([0.5, 0.1, 1.0], np.float32)


def make(cls: Any, **options: Any) -> Any:
    return cls("MlpPolicy", "Pendulum-v1", device="cpu", **{"seed": 0, **SETTINGS[cls], **options})


def mode(agent: Any) -> np.ndarray:
    return np.asarray(agent.predict(SEEN, deterministic=True)[0])


@EACH
def test_load_takes_stable_baselines3_s_arguments(cls, tmp_path, capsys):
    agent = make(cls)
    agent.save(tmp_path / "agent")
    loaded = cls.load(
        tmp_path / "agent", "Pendulum-v1", "cpu", custom_objects={"learning_rate": 1e-5}, print_system_info=True,
        force_reset=True, verbose=0,
    )  # fmt: skip
    assert loaded.lr_schedule(1.0) == 1e-5  # on-policy MDPO lowers it from there
    said = capsys.readouterr().out
    assert "Stable-Baselines3:" in said
    assert "- agentgym" in said
    np.testing.assert_array_equal(mode(loaded), mode(agent))
    with pytest.raises(InvalidParameter, match=r"force_reset.*agentgym resume"):
        cls.load(tmp_path / "agent", force_reset=False)
    with pytest.raises(UnknownId, match="lr_schedule"):
        cls.load(tmp_path / "agent", custom_objects={"lr_schedule": lambda _: 0.0})
    with pytest.raises(InvalidParameter, match="policy_kwargs cannot change them"):
        cls.load(tmp_path / "agent", policy_kwargs={"net_arch": [3]})


@EACH
def test_parameters_are_got_and_set(cls, tmp_path):
    agent, other = make(cls).learn(32), make(cls, seed=1)
    agent.save(tmp_path / "agent")
    assert not np.array_equal(mode(agent), mode(other))
    for given in (agent.get_parameters(), tmp_path / "agent", str(tmp_path / "agent")):
        other = make(cls, seed=1)
        other.set_parameters(given)
        np.testing.assert_array_equal(mode(other), mode(agent))
        other.learn(32)
    before = mode(other)
    for wrong, says in (
        ({"policy": {}}, "missing"),
        ({"polcy": agent.policy.state_dict()}, "polcy"),
        ({**agent.get_parameters(), "policy": {**agent.policy.state_dict(), "more": torch.ones(1)}}, "more"),
    ):
        with pytest.raises((InvalidParameter, UnknownId), match=says):
            other.set_parameters(wrong)
    np.testing.assert_array_equal(mode(other), before)


@EACH
def test_some_parameters_are_set_and_a_dictionary_without_any_is_refused(cls):
    agent, other = make(cls), make(cls, seed=1)
    names = [name for name in agent.policy.state_dict() if "weight" in name][:3]
    some = {name: agent.policy.state_dict()[name] for name in names}
    other.set_parameters({"policy": {**some, "unknown": torch.zeros(1)}}, exact_match=False)
    for name in names:
        assert torch.equal(other.policy.state_dict()[name], agent.policy.state_dict()[name])
    with pytest.raises(InvalidParameter, match="nothing would be loaded"):
        other.set_parameters({"policy": {"unknown": torch.zeros(1)}}, exact_match=False)
    with pytest.raises(InvalidParameter, match="shape"):
        other.set_parameters({"policy": {names[0]: torch.zeros(1)}}, exact_match=False)


@pytest.mark.parametrize("cls", [SAC, MDPO])
def test_a_part_of_the_critics_is_loaded_and_what_is_missing_is_named(cls):
    """The critics are one stack of weights; outside they are Stable-Baselines3's ``qf0``, ``qf1``."""
    agent, other = make(cls), make(cls, seed=1)
    own, before = agent.policy.state_dict(), {k: v.clone() for k, v in other.policy.state_dict().items()}
    some = {name: own[name] for name in own if name.startswith("critic.qf1.")}
    found = other.policy.load_state_dict(some, strict=False)
    assert not found.unexpected_keys
    for name, tensor in other.policy.state_dict().items():
        assert torch.equal(tensor, own[name] if name in some else before[name]), name
    with pytest.raises(RuntimeError, match=r"Missing.*qf0\.0\.weight"):
        other.critic.load_state_dict({name.removeprefix("critic."): own[name] for name in some})
    with pytest.raises(RuntimeError, match=r"size mismatch for critic\.qf1\.0\.bias"):
        other.policy.load_state_dict({"critic.qf1.0.bias": torch.zeros(3)}, strict=False)


@EACH
def test_file_objects_are_refused_with_the_way_out(cls, tmp_path):
    agent = make(cls)
    calls = [agent.save, cls.load, agent.set_parameters]
    if cls in (SAC, MDPO):
        calls += [agent.save_replay_buffer, agent.load_replay_buffer]
    for call in calls:
        with pytest.raises(InvalidParameter, match=r"folder.*give a path"):
            call(io.BytesIO())
    stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", n_steps=16, device="cpu").save(tmp_path / "theirs.zip")
    with pytest.raises(CorruptFile, match=r"is a file.*import_sb3"):
        cls.load(tmp_path / "theirs.zip")


@EACH
def test_predict_refuses_what_is_not_finite_or_of_another_shape(cls):
    agent = make(cls)
    with pytest.raises(NonFinite, match=r"^The observation is not finite: entry 1 is nan"):
        agent.predict(np.array([0, np.nan, 0]))
    with pytest.raises(SpaceMismatch, match="Unexpected observation shape"):
        agent.predict(np.zeros((2, 4)))
    with pytest.raises(SpaceMismatch, match=r"env.reset\(\)"):
        agent.predict((SEEN, {}))
    assert mode(agent).shape == (1,)
    assert agent.predict([0.0, 0.0, 0.0])[0].shape == (1,)
    assert agent.predict(np.zeros((5, 3), np.float64))[0].shape == (5, 1)


@EACH
def test_learn_and_the_environments_are_called_as_there(cls, tmp_path):
    env = make_vec_env("Pendulum-v1", 2)
    agent = cls("MlpPolicy", env, device="cpu", seed=0, tensorboard_log=str(tmp_path), **SETTINGS[cls])
    agent.learn(32, None, 1, "named", True, False)
    assert list(tmp_path.glob("named_1/events*"))
    assert agent.get_env() is env
    assert agent.get_vec_normalize_env() is None
    agent.set_env(make_vec_env("Pendulum-v1", 2), force_reset=True)
    agent.learn(32, reset_num_timesteps=False, tb_log_name="named")
    with pytest.raises(InvalidParameter, match=r"2 environments side by side, not 3.*load\(folder, env\)"):
        agent.set_env(make_vec_env("Pendulum-v1", 3))


@pytest.mark.parametrize("cls", [SAC, MDPO])
def test_what_the_cards_say_is_not_offered_is_refused_at_once(cls):
    """The tables in the cards of SAC and MDPO; Dict, images and file objects have their own tests."""
    refused: list[tuple[dict[str, Any], str]] = [
        ({"policy_kwargs": {"features_extractor_class": NatureCNN}}, "NatureCNN"),
        ({"policy_kwargs": {"share_features_extractor": True}}, "FlattenExtractor"),
        ({"policy_kwargs": {"critics": 3}}, "n_critics"),
    ]
    if cls is SAC:
        refused += [
            ({"use_sde": True}, "gSDE"),
            ({"replay_buffer_class": HerReplayBuffer}, "Dict obs space only"),
        ]
    else:
        refused += [({name: 1}, name) for name in ("use_sde", "action_noise", "n_steps", "replay_buffer_class")]
    for options, says in refused:
        with pytest.raises((InvalidParameter, UnknownId, SpaceMismatch), match=says):
            make(cls, **options)
    agent = make(cls)
    for options in ({"exclude": ["policy"]}, {"include": ["env"]}):
        with pytest.raises(InvalidParameter, match="exclude or include"):
            agent.save("nowhere", **options)
    with pytest.raises(UnknownId, match="Stable-Baselines3"):
        cls("CnnPolicy", "Pendulum-v1")
