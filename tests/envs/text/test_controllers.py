"""What an episode's measures say, and the players that stand beside agents."""

import pickle

import gymnasium
import pytest

import agentgym
from agentgym.envs.text.controllers import Controller
from agentgym.envs.text.household.world import HouseholdWorld
from agentgym.envs.text.text_env import TextEnv
from agentgym.errors import InvalidParameter

assert agentgym


def played(env, kind, seed):
    player = env.unwrapped.controllers[kind].acting_in(env)
    (text, info), over, commands = env.reset(seed=seed), False, []
    shortest = info["shortest"]
    while not over:
        assert "measures" not in info
        command, _ = player.predict(text, None, not commands)
        commands.append(command)
        text, _, terminated, truncated, info = env.step(command)
        over = terminated or truncated
    return commands, info, shortest


def test_an_oracle_wastes_nothing_and_an_explorer_what_it_searched(make):
    env = make(max_turns=60)
    for seed in range(2 if make.kind == "TextWorld" else 5):  # there are two games
        commands, info, shortest = played(env, "oracle", seed)
        wanted = {"success": 1.0, "turns": float(shortest), "invalid_turns": 0.0, "regret": 0.0}
        assert info["measures"] == wanted
        assert len(commands) == shortest
        if "explorer" in env.unwrapped.controllers:
            commands, info, _ = played(env, "explorer", seed)
            assert info["measures"]["regret"] == len(commands) - shortest
    assert ("explorer" in env.unwrapped.controllers) == (make.kind == "Household")


def test_regret_counts_what_was_wasted_also_where_time_ran_out():
    env = gymnasium.make("agentgym/Household-v0", max_turns=6).unwrapped
    env.reset(seed=0)  # five turns to the end
    first, *_ = env.plan()
    env.step("look")
    env.step("nonsense")
    env.step(first)
    for _ in range(3):
        *_, info = env.step("look")
    assert info["measures"] == {"success": 0.0, "turns": 6.0, "invalid_turns": 1.0, "regret": 5.0}


def test_a_wrong_answer_has_no_regret():
    pytest.importorskip("bm25s")
    env = gymnasium.make("agentgym/Archive-v0")
    env.reset(seed=0)
    measures = env.step("answer nonsense")[4]["measures"]
    assert measures == {"success": 0.0, "turns": 1.0, "invalid_turns": 0.0}


def test_measures_go_on_after_a_snapshot():
    env, other = (gymnasium.make("agentgym/Household-v0", max_turns=5).unwrapped for _ in range(2))
    env.reset(seed=3)
    env.step("nonsense")
    other.restore(env.snapshot())
    for _ in range(4):
        left, right = env.step("look"), other.step("look")
    assert left == right
    assert left[4]["measures"]["invalid_turns"] == 1.0


def test_a_random_player_is_fixed_by_the_seed_and_says_what_is_admissible(make):
    env = make(max_turns=15)
    first = played(env, "random", 4)[0]
    assert played(make(max_turns=15), "random", 4)[0] == first
    player = env.unwrapped.controllers["random"].acting_in(env)
    text, info = env.reset(seed=8)
    for turn in range(10):
        command = player.predict(text, None, turn == 0)[0]
        assert command in info["admissible_commands"]
        text, _, terminated, truncated, info = env.step(command)
        if terminated or truncated:
            break


def test_controllers_are_sent_to_workers_and_refuse_other_worlds():
    controller = gymnasium.make("agentgym/Household-v0").unwrapped.controllers["explorer"]
    assert pickle.loads(pickle.dumps(controller)) == controller
    with pytest.raises(InvalidParameter, match="text worlds"):
        controller.acting_in(gymnasium.make("CartPole-v1"))
    env = TextEnv(HouseholdWorld())
    assert isinstance(env.controllers["oracle"], Controller)
