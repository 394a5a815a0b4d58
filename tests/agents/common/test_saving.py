"""Every kind of agent is saved by the same rules: in a folder of its own, and nothing of anybody else's is touched."""

import numpy as np
import pytest
import torch

from agentgym.agents import GRPO
from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.common.saving import load_agent
from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.agents.offline.bc.bc import BC
from agentgym.agents.sac.sac import SAC
from agentgym.errors import CorruptFile, InvalidParameter, NotWritable, UnknownId
from tests.agents.marl.ring import RingEnv
from tests.agents.offline.conftest import pendulum_data

MAKERS = {
    "ppo": lambda: PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64),
    "sac": lambda: SAC("MlpPolicy", "Pendulum-v1", buffer_size=100, device="cpu"),
    "shared-ppo": lambda: SharedPPO("MlpPolicy", RingEnv(), n_steps=64, batch_size=64),
    "bc": lambda: BC(dataset=pendulum_data(1), layers=(8,)),
    "grpo": lambda: GRPO("tiny", "agentgym/Household-v0", tasks=1, group_size=2, width=16, layers=1, heads=2),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_agent_takes_the_place_of_an_agent_only(kind, tmp_path):
    agent = MAKERS[kind]()
    thesis, model = tmp_path / "thesis", tmp_path / "model"
    (thesis / "figures").mkdir(parents=True)
    for path in (thesis / "notes.txt", thesis / "figures/one.csv", tmp_path / "model.zip", tmp_path / "paper.pdf"):
        path.write_text("a month of work")
    for taken in (thesis, tmp_path, tmp_path / "paper.pdf", thesis / "notes.txt"):
        with pytest.raises(NotWritable):
            agent.save(taken)
    with pytest.raises(CorruptFile, match="is a file"):
        type(agent).load(tmp_path / "model.zip")
    for _ in range(2):
        agent.save(tmp_path / "model.zip")  # as programs for Stable-Baselines3 name it
        (model / "README.txt").write_text("mine")
    assert (model / "README.txt").read_text() == "mine"
    assert (tmp_path / "model.zip").read_text() == "a month of work"
    assert type(load_agent(model)) is type(load_agent(tmp_path / "model.zip")) is type(agent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.zip", "paper.pdf", "thesis"]
    assert sorted(path.name for path in thesis.rglob("*")) == ["figures", "notes.txt", "one.csv"]


def test_replay_buffers_too(tmp_path):
    agent = MAKERS["sac"]()
    (tmp_path / "notes.txt").write_text("a month of work")
    with pytest.raises(NotWritable):
        agent.save_replay_buffer(tmp_path)
    agent.save_replay_buffer(tmp_path / "buffer")
    np.testing.assert_array_equal(sorted(path.name for path in tmp_path.iterdir()), ["buffer", "notes.txt"])


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_is_loaded_with_the_same_arguments(kind, tmp_path, capsys):
    agent = MAKERS[kind]()
    agent.save(tmp_path / "agent")
    cls = type(agent)
    other = {"grpo": "gamma", "shared-ppo": "gamma", "bc": "batch_size"}.get(kind, "learning_rate")
    loaded = cls.load(tmp_path / "agent", None, "cpu", {other: 1}, print_system_info=True, force_reset=True)
    assert "- agentgym" in capsys.readouterr().out
    assert {**vars(getattr(loaded, "settings", loaded)), **vars(getattr(loaded, "learner", loaded))}[other] == 1
    with pytest.raises(InvalidParameter, match=r"force_reset.*agentgym resume"):
        cls.load(tmp_path / "agent", force_reset=False)
    with pytest.raises(UnknownId, match="learnin_rate"):
        cls.load(tmp_path / "agent", custom_objects={"learnin_rate": 1e-3})
    with pytest.raises(CorruptFile, match=f"class '{kind}'"):
        (BC if kind == "ppo" else PPO).load(tmp_path / "agent")


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_gives_and_takes_parameters(kind, tmp_path):
    agent, other = MAKERS[kind](), MAKERS[kind]()
    policy = agent.parts()["policy"]
    with torch.no_grad():
        for weights in policy.parameters():
            weights.add_(1.0)
    agent.save(tmp_path / "agent")
    for given in (agent.get_parameters(), tmp_path / "agent"):
        other = MAKERS[kind]()
        other.set_parameters(given)
        for name, tensor in other.parts()["policy"].state_dict().items():
            assert torch.equal(tensor, policy.state_dict()[name]), name
    with pytest.raises(InvalidParameter, match="missing"):
        other.set_parameters({"policy": policy.state_dict()})
    other.set_parameters({"policy": policy.state_dict()}, exact_match=False)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_was_saved_by_another_version_is_refused_before_anything_is_changed(kind):
    agent = MAKERS[kind]()
    before = {name: tensor.clone() for name, tensor in agent.parts()["policy"].state_dict().items()}
    state = agent.inventory().read()
    state["policy"] = {name: torch.zeros_like(tensor) for name, tensor in before.items()}
    del state["num_timesteps"]
    with pytest.raises(CorruptFile, match=r"has no num_timesteps.*another version of agentgym"):
        agent.inventory().write(state, "before")
    assert all(torch.equal(tensor, before[name]) for name, tensor in agent.parts()["policy"].state_dict().items())
