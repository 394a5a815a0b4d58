"""Any string as a command, any value as an argument: it works, or is refused by one of our errors."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym.envs.perturb import perturb
from agentgym.envs.text.env import ArchiveEnv, HouseholdEnv, TextWorldEnv
from agentgym.envs.text.presets import Archive, Household
from agentgym.errors import AskError, InvalidAction, InvalidParameter, UnknownId

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # halves of pairs and control characters too
JOINTS = st.sampled_from([" then ", ". ", "; ", "\n", ", and ", " and ", ".", "\x00", "\u2028"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["any", "listed", "joined", "longer", "shouted"]), st.integers(0, 99), ANY_TEXT, JOINTS),
    min_size=1,
    max_size=12,
)


def said(how, commands, n, text, joint):
    """A command, made of the possible ones and of any text."""
    first, second = commands[n % len(commands)], commands[(7 * n + 3) % len(commands)]
    made = {"any": text, "listed": first, "joined": first + joint + second, "longer": f"{first} {text}"}
    return made.get(how) or f"  {first.upper()}. "


def check_every_listed_command(env):
    """Each is carried out, from here."""
    here = env.snapshot()
    for command in env.world.commands():
        _, reward, _, _, info = env.step(command)
        assert info["valid"], command
        assert math.isfinite(reward)
        env.restore(here)


def play(env, seed, steps):
    _, info = env.reset(seed=seed)
    for how, n, text, joint in steps:
        command = said(how, info["admissible_commands"], n, text, joint)
        before, turn = env.world.anchor(), info["turn"]
        observation, reward, terminated, truncated, info = env.step(command)
        assert isinstance(observation, str)
        assert env.observation_space.contains(observation), observation
        assert type(reward) is float
        assert math.isfinite(reward)
        assert info["turn"] == turn + 1
        assert info["valid"] == (info["problem"] in (None, "failed"))
        if not info["valid"]:
            assert (env.world.anchor(), reward, terminated) == (before, 0.0, False)
        json.dumps(env.snapshot())
        if terminated or truncated:
            return
        assert env.world.commands() == info["admissible_commands"]
        check_every_listed_command(env)


@given(seed=st.integers(0, 2**31), size=st.sampled_from(["tiny", "small", "flat"]), steps=STEPS)
@settings(max_examples=120, deadline=None)
def test_any_command_in_a_household(seed, size, steps):
    play(HouseholdEnv(size), seed, steps)


@given(seed=st.integers(0, 50), size=st.sampled_from(["small", "medium"]), steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_command_in_an_archive(seed, size, steps):
    play(ArchiveEnv(size), seed, steps)


JOINED = ["{0} then {1}", "{0}. {1}", "{0}.{1}", "{0}; {1}", "{0}\n{1}", "{0}, and {1}", "{0} and {1}", "{0} {1}"]


@pytest.mark.parametrize("joined", JOINED)
@pytest.mark.parametrize("size", ["tiny", "flat"])
def test_joined_commands_are_none_in_a_household(joined, size):
    env = HouseholdEnv(size)
    env.reset(seed=0)
    before, plan = env.snapshot()["state"], env.plan()
    for first, second in pairwise(plan):
        assert env.step(joined.format(first, second))[4]["problem"] in ("unparsable", "overlong")
        assert env.snapshot()["state"] == before


@pytest.mark.parametrize("joined", JOINED)
def test_joined_commands_are_one_at_most_in_an_archive(joined):
    env = ArchiveEnv()
    env.reset(seed=0)
    search, opening = env.plan()[:2]
    info = env.step(joined.format(search, opening))[4]
    assert not env.snapshot()["state"]["opened"]  # a search for these words, or nothing
    assert info["turn"] == 1
    env.step(search)
    for again in (opening, "answer nobody"):
        info = env.step(joined.format(opening, again))[4]
        assert (info["won"], info["problem"]) in ((False, "unparsable"), (False, None))
        assert not env.snapshot()["over"]


@pytest.mark.parametrize("action", [None, 3, b"look", ["look"], np.array("look"), math.nan])
@pytest.mark.parametrize("kind", [HouseholdEnv, ArchiveEnv])
def test_what_is_no_text_is_no_command(kind, action):
    env = kind()
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="string"):
        env.step(action)
    assert env.step("look")[4]["turn"] == 1


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.floats(-3, 40), st.sampled_from([math.nan, math.inf, 1e308]),
    st.sampled_from([np.int64(8), np.float32(0.5), np.float64("nan"), np.bool_(True), np.array([1, 2]), b"tiny"]),
    st.sampled_from(["tiny", "small", "train", "place", ["place"], ["light", "two"], ("heat", 3), {"a": 1}]),
    st.text(max_size=8), st.lists(st.text(max_size=4), max_size=2), st.just(()), st.just({}),
)  # fmt: skip
COMMON = ["size", "split", "admissible", "render_mode"]
ARGUMENTS = {
    HouseholdEnv: [*COMMON, "tasks", "rum", *Household.__dataclass_fields__],
    ArchiveEnv: [*COMMON, "hop", *Archive.__dataclass_fields__],
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@given(data=st.data(), value=ANYTHING)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_of_any_argument(kind, data, value):
    name = data.draw(st.sampled_from(ARGUMENTS[kind]))
    try:
        env = kind(**{name: value})
    except AskError:
        return
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for command in env.plan()[:3]:
        _, reward, terminated, truncated, _ = env.step(command)
        assert math.isfinite(reward)
        if terminated or truncated:
            break


def test_numpy_scalars_make_the_same_world():
    home = HouseholdEnv(rooms=np.int64(2), receptacles=np.int32(8), closed=np.float64(0.5), far_apart=np.bool_(False))
    same = HouseholdEnv(rooms=2, receptacles=8, closed=0.5, far_apart=False)
    home.reset(seed=3)
    same.restore(home.snapshot())
    assert ArchiveEnv(results=np.uint8(2), failure_rate=np.float32(0.25)).world.size.failure_rate == 0.25


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"settings": ["level"]}, InvalidParameter, "settings must be a dictionary"),
        ({"settings": "level=3"}, InvalidParameter, "settings must be a dictionary"),
        ({"game": ["simple"]}, UnknownId, "TextWorld game"),
        ({"game": "coin-collector", "settings": {"level": math.nan}}, InvalidParameter, "type int"),
        ({"games": True}, InvalidParameter, "games is True"),
        ({"max_turns": math.nan}, InvalidParameter, "max_turns is nan"),
        ({"max_turns": -1}, InvalidParameter, "max_turns is -1"),
        ({"folder": 5}, InvalidParameter, "folder must be a path"),
        ({"admissible": "no"}, InvalidParameter, "admissible"),
    ],
)
def test_arguments_of_textworld(arguments, error, says):
    pytest.importorskip("textworld", reason="needs the extra text, and a C compiler: pip install textworld")
    with pytest.raises(error, match=says):
        TextWorldEnv(**arguments)


def test_textworld_takes_numpy_scalars():
    pytest.importorskip("textworld", reason="needs the extra text, and a C compiler: pip install textworld")
    env = TextWorldEnv("coin-collector", {"level": np.int64(3)}, games=np.int64(2), max_turns=np.uint8(9))
    assert (env.world.settings, env.world.games, env.max_turns) == ({"level": 3}, 2, 9)
    env.close()


EFFECTS = {
    "Typos": ["rate"], "Paraphrase": ["rate"], "RenamedVerbs": ["rate", "told"], "PermutedCommands": ["rate"],
    "ToolFailure": ["rate"], "ToolTimeout": ["rate", "turns"], "InjectedInstruction": ["rate", "instruction", "shown"],
}  # fmt: skip
INSTRUCTIONS = st.sampled_from(["{} {x}", "{0} {}", "{}", "}{ {}", "no hole", "{} {}", "%s {}", "\ud800 {}"])


@given(data=st.data(), value=st.one_of(ANYTHING, INSTRUCTIONS, st.floats(0, 1)))
@settings(max_examples=150, deadline=None)
def test_any_setting_of_any_effect(data, value):
    effect = data.draw(st.sampled_from(sorted(EFFECTS)))
    name = data.draw(st.sampled_from(EFFECTS[effect]))
    try:
        env = perturb(HouseholdEnv("tiny"), [{"type": effect, name: value}])
    except AskError:
        return
    _, info = env.reset(seed=0)
    json.dumps(env.perturbations[0].to_config())
    for n in range(6):
        commands = info["admissible_commands"]
        observation, reward, terminated, truncated, info = env.step(commands[n % len(commands)])
        assert env.observation_space.contains(observation)
        assert math.isfinite(reward)
        if terminated or truncated:
            break


def test_scienceworld_checks_its_arguments_before_java_starts():
    from agentgym.envs.text.env import ScienceWorldEnv

    for arguments, says in (
        ({"tasks": "boil"}, "tasks must be a list"), ({"tasks": []}, "tasks must be a list"),
        ({"max_turns": 0}, "max_turns is 0"), ({"simplifications": 3}, "simplifications must be a string"),
        ({"gold": "yes"}, "gold"),
    ):  # fmt: skip
        with pytest.raises(InvalidParameter, match=says):
            ScienceWorldEnv(**arguments)
