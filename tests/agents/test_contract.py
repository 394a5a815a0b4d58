"""The contract of agents: traits agree with what the class does, and agents of other libraries have the defaults."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import stable_baselines3
from gymnasium import spaces

from agentgym import agents, catalog
from agentgym.agents.offline.agent import OfflineAgent
from agentgym.contracts.agent import Player, Traits, acting_in, predict_actions, promised_returns, traits_of, words_of
from agentgym.envs.text.env import HouseholdEnv
from agentgym.wrappers.preprocessing import AsTrained, Preprocessing

ENTRIES = [entry for entry in catalog.OURS if entry.kind == "agent"]
SPACE = spaces.Box(-1, 1, (2,))


class Foreign:
    observation_space = action_space = SPACE

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return observation, state


class Sized(Foreign):
    traits = Traits(resizable=True)

    def acting_in(self, env):
        return env


def test_mypy_reads_every_agent_of_the_catalog():
    source = Path(agents.__file__).with_name("contract.py").read_text()
    assert set(re.findall(r"agents\.(\w+),", source)) == {entry.target.partition(":")[2] for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_traits_agree_with_the_class(entry):
    if entry.id == "trpo":
        pytest.importorskip("sb3_contrib")
    cls = catalog.load(entry)
    traits, settings = traits_of(cls), cls.Config()
    takes_data = "dataset" in inspect.signature(cls).parameters
    assert (traits.learns_from == "dataset") == takes_data
    assert traits.hears_rewards == ("reward" in inspect.signature(cls.predict).parameters)
    assert traits.promises == hasattr(cls, "promised")
    assert traits.knows_words == hasattr(cls, "words")
    assert traits.resizable == hasattr(cls, "acting_in")
    assert traits.sets_worlds == hasattr(settings, "worlds")
    assert traits.names_policy == hasattr(settings, "policy")
    assert traits.suite in {other.id for other in catalog.entries("suite")}
    assert catalog.find("agent", cls.catalog_name) is entry


def test_traits_are_inherited_with_the_base():
    assert traits_of(agents.PercentBC) == Traits(learns_from="dataset", promises=True, suite="stochasticity")
    assert traits_of(agents.BC) == OfflineAgent.traits


@pytest.mark.parametrize("agent", [Foreign, Foreign(), stable_baselines3.PPO, None])
def test_a_foreign_agent_has_the_defaults(agent):
    assert traits_of(agent) == Traits()


def test_an_attribute_of_the_same_name_is_no_trait():
    class Named(Foreign):
        traits = ("fast", "small")

    assert traits_of(Named()) == Traits()


def test_a_foreign_agent_is_asked_in_the_plain_way():
    agent = Foreign()
    assert isinstance(agent, Player)
    observations = np.ones((3, 2))
    actions, state = predict_actions(agent, observations, None, np.ones(3, bool), np.zeros(3), deterministic=True)
    assert actions is observations
    assert state is None
    assert promised_returns(agent, state, 3) is None
    assert words_of(agent) is None
    assert acting_in(agent, "elsewhere") is agent


def test_who_is_behind_wrappers_keeps_its_traits():
    wrapped = AsTrained(Sized(), Preprocessing(SPACE, ()))
    assert traits_of(wrapped).resizable
    assert acting_in(wrapped, "elsewhere") == AsTrained("elsewhere", wrapped.preprocessing)


def test_controllers_of_text_worlds_play_where_they_are_told():
    env = HouseholdEnv(size="tiny")
    controller = env.controllers["oracle"]
    player = acting_in(controller, env)
    assert isinstance(player, Player)
    assert player.predict(env.reset(seed=0)[0])[0] == env.plan()[0]
