"""What environments offer beyond Gymnasium's interface is found by protocols, and nothing where it is not offered."""

import gymnasium
import pytest

import agentgym  # noqa: F401
from agentgym.contracts.environment import (
    Controlled,
    Convecting,
    Demonstrating,
    Stateful,
    TurnLimited,
    Uncertain,
    Worded,
    controllers_of,
)
from agentgym.make import has_native_batch

OFFERED = {
    "agentgym/RobustHopper-v0": {Uncertain},
    "agentgym/Convection-v0": {Controlled, Convecting, Stateful},
    "agentgym/Household-v0": {Controlled, TurnLimited, Worded},
    "agentgym/BernoulliBandit-v0": set(),
    "CartPole-v1": set(),
}
BATCHES = {
    "agentgym/RobustHopper-v0": {Stateful, Uncertain},
    "agentgym/Convection-v0": {Convecting, Stateful},
    "agentgym/Household-v0": {Demonstrating, Stateful, Worded},
}
PROTOCOLS = {Controlled, Convecting, Demonstrating, Stateful, TurnLimited, Uncertain, Worded}


@pytest.mark.parametrize("name", OFFERED)
def test_single_environments(name):
    env = gymnasium.make(name)
    assert {one for one in PROTOCOLS if isinstance(env.unwrapped, one)} == OFFERED[name]
    assert bool(controllers_of(env)) == (Controlled in OFFERED[name])
    env.close()


@pytest.mark.parametrize("name", BATCHES)
def test_native_batches(name):
    env = gymnasium.make_vec(name, 2, "vector_entry_point")
    assert {one for one in PROTOCOLS if isinstance(env.unwrapped, one)} == BATCHES[name]
    assert has_native_batch(name)
    env.close()


def test_a_batch_without_state_is_not_trained_in():
    assert gymnasium.spec("CartPole-v1").vector_entry_point
    assert not has_native_batch("CartPole-v1")
