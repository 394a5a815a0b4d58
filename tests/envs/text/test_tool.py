"""Text environments as TRL sees them."""

import inspect

import gymnasium
import pytest

import agentgym  # noqa: F401  (registers the environments)
from agentgym.envs.text.tool import ToolEnvironment, tool_rows
from agentgym.errors import InvalidParameter, UnknownId

HOMES = {"env": "agentgym/Household-v0", "size": "tiny", "max_turns": 6}
ARCHIVES = {"env": "agentgym/Archive-v0"}


@pytest.mark.parametrize("arguments", [HOMES, ARCHIVES], ids=["homes", "archives"])
def test_equal_seeds_are_equal_worlds_through_both_doors(arguments):
    (env_id, *_), rest = arguments.values(), {key: value for key, value in arguments.items() if key != "env"}
    env, tools = gymnasium.make(env_id, **rest).unwrapped, [ToolEnvironment(**arguments) for _ in range(2)]
    for seed in (3, 4):
        text, info = env.reset(seed=seed)
        said = [tool.reset(seed=seed, prompt="ignored") for tool in tools]
        assert said[0] == said[1] == f"{text} Commands now: {'; '.join(info['admissible_commands'])}."
        total, over, commands = 0.0, False, [*env.plan(), *["look"] * 50]
        for command in commands:
            text, reward, terminated, truncated, _ = env.step(command)
            answers = [tool.act(command) for tool in tools]
            assert answers[0] == answers[1]
            assert answers[0].startswith(text)
            total, over = total + reward, terminated or truncated
            if over:
                break
        assert over
        assert total == 1
        assert [tool.get_reward() for tool in tools] == [total] * 2
        with pytest.raises(ValueError, match="over"):
            tools[0].act("look")
        assert tools[0].get_reward() == total


def test_the_model_gets_one_tool():
    """As GRPOTrainer lists tools: functions of the class without underscore, but reset and get_reward."""
    found = [name for name, _ in inspect.getmembers(ToolEnvironment, inspect.isfunction) if not name.startswith("_")]
    assert found == ["act", "get_reward", "reset"]
    tool = ToolEnvironment(**HOMES)
    transformers = pytest.importorskip("transformers")
    schema = transformers.utils.get_json_schema(tool.act)["function"]
    assert schema["name"] == "act"
    assert schema["parameters"]["required"] == ["command"]


def test_what_cannot_be_is_refused():
    tool = ToolEnvironment(**HOMES)
    with pytest.raises(InvalidParameter, match='"seed"'):
        tool.reset(prompt="no seed")
    with pytest.raises(InvalidParameter, match="seed"):
        tool.reset(seed=-1)
    with pytest.raises(ValueError, match="over"):
        tool.act("look")
    with pytest.raises(InvalidParameter, match="no text environment"):
        ToolEnvironment("CartPole-v1")
    with pytest.raises(UnknownId, match="Household"):
        ToolEnvironment("agentgym/Houshold-v0")


def test_rows_have_prompts_and_seeds():
    rows = tool_rows(range(3), **HOMES)
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert all("tool act" in row["prompt"][0]["content"] for row in rows)
