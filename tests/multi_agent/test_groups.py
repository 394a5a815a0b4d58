"""Who belongs together: by equal spaces, or as one is told."""

import json
from types import SimpleNamespace

import pytest
from gymnasium import spaces

from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch
from agentgym.multi_agent import check_same_groups, group_agents, groups_from_json, groups_to_json
from tests.multi_agent.worlds import LeavingEnv

BOX = spaces.Box(-1, 1, (2,))


def env(agents):
    return SimpleNamespace(
        possible_agents=list(agents), observation_space=lambda a: agents[a][0], action_space=lambda a: agents[a][1]
    )


def test_agents_with_equal_spaces_are_a_group():
    groups = group_agents(LeavingEnv())
    assert {name: (group.agents, group.index.tolist()) for name, group in groups.items()} == {
        "red": (("red_0", "red_1"), [0, 2]), "blue": (("blue_0",), [1]), "scout": (("scout",), [3]),
    }  # fmt: skip
    assert groups["red"].action_space == spaces.Discrete(4, start=1)


def test_names_are_unique_whatever_agents_are_called():
    other = spaces.Box(-1, 1, (3,))
    found = group_agents(env({"a_0": (BOX, BOX), "a_1": (other, BOX), "b_0": (BOX, BOX), 7: (BOX, other)}))
    assert {name: list(group.agents) for name, group in found.items()} == {
        "a+b": ["a_0", "b_0"], "a": ["a_1"], "agents": [7],
    }  # fmt: skip
    found = group_agents(env({"a_0": (BOX, BOX), "a_1": (other, BOX)}))
    assert list(found) == ["a", "a (a_1)"]


def test_groups_as_one_is_told():
    groups = group_agents(LeavingEnv(), {"one": ["red_1"], "two": ["red_0"], "rest": ["blue_0"], "last": ["scout"]})
    assert {name: group.index.tolist() for name, group in groups.items()} == {
        "one": [2], "two": [0], "rest": [1], "last": [3],
    }  # fmt: skip
    assert group_agents(env({"a": (BOX, BOX), "b": (BOX, BOX)}), {"all": ["b", "a"]})["all"].agents == ("a", "b")


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"one": ["red_0", "red_1", "blue_0"]}, r"\['scout'\] are in none or in several"),
        ({"one": ["red_0"], "two": ["red_0", "red_1"], "b": ["blue_0"], "s": ["scout"]}, r"\['red_0'\] are in none"),
        ({"all": ["red_0", "red_1", "blue_0", "scout"]}, r"\['blue_0', 'scout'\] have other spaces"),
        ({"all": ["green"]}, r"no agents \['green'\]"),
    ],
)
def test_groups_that_do_not_fit_are_named(groups, said):
    with pytest.raises(InvalidParameter, match=said):
        group_agents(LeavingEnv(), groups)


def test_environments_without_known_agents_and_spaces_are_refused():
    with pytest.raises(InvalidParameter, match="possible_agents"):
        group_agents(env({}))
    with pytest.raises(InvalidParameter, match="'a' has the observation space Dict"):
        group_agents(env({"a": (spaces.Dict({"own": BOX}), BOX)}))
    with pytest.raises(InvalidParameter, match="'a' has the action space Text"):
        group_agents(env({"a": (BOX, spaces.Text(5))}))


def saved(groups):
    return json.loads(json.dumps(groups_to_json(groups)))


@pytest.mark.parametrize("given", [None, {"late": ["scout"], "rest": ["red_1", "red_0"], "b": ["blue_0"]}])
def test_groups_survive_json(given):
    groups = group_agents(LeavingEnv(), given)
    back = groups_from_json(saved(groups))
    check_same_groups(back, groups)
    assert [group.name for group in back.values()] == list(groups)
    assert all(back[name].index.tolist() == group.index.tolist() for name, group in groups.items())
    numbered = group_agents(env({0: (BOX, BOX), 1: (BOX, BOX)}))
    assert groups_from_json(saved(numbered))["agents"].agents == (0, 1)
    with pytest.raises(InvalidParameter, match="cannot be saved"):
        groups_to_json(group_agents(env({("a", 1): (BOX, BOX)})))


def test_groups_of_another_environment_are_named():
    groups, one = group_agents(LeavingEnv()), group_agents(env({"a": (BOX, BOX), "b": (BOX, BOX)}))
    with pytest.raises(SpaceMismatch, match="red"):
        check_same_groups(groups, one)
    for other, said in (
        ({"a": (BOX, BOX), "c": (BOX, BOX)}, "agents"),
        ({"a": (spaces.Discrete(2), BOX), "b": (spaces.Discrete(2), BOX)}, "observation space"),
        ({"a": (BOX, spaces.Discrete(2)), "b": (BOX, spaces.Discrete(2))}, "action space"),
    ):
        with pytest.raises(SpaceMismatch, match=said):
            check_same_groups(one, group_agents(env(other), {"a+b": list(other)}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values[0].pop("agents"),
        lambda values: values[0].update(index=["x"]),
        lambda values: values[0].update(index=[0, 9]),
        lambda values: values[1].update(name=values[0]["name"]),
        lambda values: values[2].update(action_space={"kind": "Sphere"}),
        lambda values: values.append(None),
    ],
)
def test_damaged_groups_are_refused(damage):
    values = saved(group_agents(LeavingEnv()))
    damage(values)
    with pytest.raises(CorruptFile):
        groups_from_json(values)
