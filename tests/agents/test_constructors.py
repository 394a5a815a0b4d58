"""Every hyperparameter of every agent: in the signature, by keyword, by preset, and saved with the agent."""

import dataclasses
import inspect

import pytest
import torch

from agentgym import catalog
from agentgym.agents.sac.sac import SAC
from agentgym.cli.train import _defaults
from agentgym.contracts.settings import from_settings
from agentgym.errors import UnknownId

CLASSES = {entry.id: catalog.load(entry) for entry in catalog.OURS if entry.kind == "agent"}
EVERY = pytest.mark.parametrize("agent", CLASSES)
ONLINE = dict.fromkeys(("sac", "mdpo", "mdpo-onpolicy", "ppo", "trpo"), "Pendulum-v1")
ONLINE |= dict.fromkeys(("dqn", "qrdqn"), "CartPole-v1")
SMALL = {"buffer_size": 60, "learning_starts": 10, "n_steps": 16, "batch_size": 16, "value_batch_size": 8}
CHANGED = {
    "learning_rate": 2e-3, "gamma": 0.9, "tau": 0.1, "gae_lambda": 0.8, "target_kl": 0.02, "ent_coef": 0.3,
    "regularization": 0.01, "tsallis_q": 1.5, "step_size": 0.5, "clip_range": 0.3, "policy_steps": 3, "value_epochs": 2,
    "n_epochs": 2, "cg_max_steps": 4, "actor_layers": (8,), "critic_layers": (6,), "value_layers": (6,),
    "activation": "elu", "normalize": True, "anneal_learning_rate": True, "bootstrap_time_limits": False,
    "orthogonal": False, "n_critics": 3, "divergence": "old||new", "clip_values": False, "vf_coef": 0.7,
    "target_entropy": -2.5, "snapshot_interval": 7, "deterministic_collection": True,
    "clip_rewards": True, "exploration_fraction": 0.4, "exploration_initial_eps": 0.9, "exploration_final_eps": 0.2,
    "n_quantiles": 5, "target_update_interval": 30,
}  # fmt: skip


@EVERY
def test_help_shows_every_hyperparameter_with_its_default(agent):
    parameters, config = inspect.signature(CLASSES[agent]).parameters, CLASSES[agent].Config()
    for field in dataclasses.fields(config):
        assert field.name in parameters, field.name
        if field.name != "policy":
            assert parameters[field.name].default == field.default, field.name


@EVERY
def test_the_command_line_and_a_run_have_the_same_fields(agent):
    config = CLASSES[agent].Config
    assert vars(_defaults(config, "")).keys() == {field.name for field in dataclasses.fields(config)}
    default = config()
    assert from_settings(config, dataclasses.asdict(default), "it") == default


@pytest.mark.parametrize("agent", ONLINE)
def test_keywords_reach_the_agent_and_are_saved_with_it(agent, tmp_path):
    cls = CLASSES[agent]
    fields = {field.name for field in dataclasses.fields(cls.Config)}
    given = {name: value for name, value in (SMALL | CHANGED).items() if name in fields}
    made = cls("MlpPolicy", ONLINE[agent], seed=0, device="cpu", **given)
    wanted = cls.Config(**given).arguments()
    made.learn(16).save(tmp_path / "agent")
    loaded = cls.load(tmp_path / "agent", env=ONLINE[agent], device="cpu")
    for one in (made, loaded):
        for name, value in wanted.items():
            found = vars(one)[name]
            if name == "train_freq":
                found = found.frequency
            if name == "policy_kwargs":
                assert {key: found[key] for key in value} == value
            elif callable(value):
                assert found(0.3) == value(0.3)
            elif callable(found):
                assert found(0.3) == value
            else:
                assert found == value, name
    for name, weights in made.policy.state_dict().items():
        assert torch.equal(loaded.policy.state_dict()[name], weights), name


def test_policy_kwargs_win_over_the_fields_about_networks():
    agent = SAC("MlpPolicy", "Pendulum-v1", actor_layers=(8,), policy_kwargs={"net_arch": [4]}, buffer_size=10)
    assert agent.policy.state_dict()["actor.latent_pi.0.weight"].shape == (4, 3)


@pytest.mark.parametrize("agent", ["sac", "mdpo", "mdpo-onpolicy"])
def test_a_preset_by_keyword(agent):
    name = next(iter(CLASSES[agent].Config.presets))
    wanted = CLASSES[agent].Config.preset(name).arguments()
    made = CLASSES[agent]("MlpPolicy", "Pendulum-v1", preset=name, gamma=0.5)
    for key in wanted.keys() - {"policy_kwargs", "learning_rate", "train_freq", "gamma", "target_entropy"}:
        assert vars(made)[key] == wanted[key], key
    assert made.gamma == 0.5
    with pytest.raises(UnknownId, match=name):
        CLASSES[agent]("MlpPolicy", "Pendulum-v1", preset="nothing")
