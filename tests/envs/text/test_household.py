"""The rules of households: what commands do, what they refuse, and what never happens whatever is commanded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.envs.text.env import HouseholdEnv
from agentgym.envs.text.household.home import IN_HAND, NOWHERE, solved
from agentgym.envs.text.household.names import APPLIANCES, ITEM_KINDS, RECEPTACLES, TASKS, can, goals
from agentgym.envs.text.household.phrases import CLEAN, COOL, HOT, parse
from agentgym.envs.text.household.world import HouseholdWorld
from agentgym.envs.text.language import REFUSALS, Command, words
from agentgym.errors import InvalidParameter, UnknownId


def entered(task, size="small", seed=0, **dials):
    world = HouseholdWorld(size, [task], **dials)
    world.begin(seed, 0)
    return world


def do(world, command):
    answer = world.act(command)
    assert answer.problem is None, (command, answer)
    return answer


def refused(world, command, problem):
    before = world.anchor()
    answer = world.act(command)
    assert (answer.problem, answer.text, answer.reward, answer.over) == (problem, REFUSALS[problem], 0.0, False)
    assert world.anchor() == before


def test_a_whole_errand_word_by_word():
    world = HouseholdWorld("tiny", ["heat"])
    said = [world.begin(3, 0)] + [world.act(command).text for command in world.plan()]
    target, item = world.home.target, world.home.item
    assert said[0].startswith(f"Your task: put a hot {item} ")
    assert said[0].endswith(".")
    assert "You see: " in said[0]
    assert any(text.startswith(f"You take {item} 1 from ") for text in said)
    assert f"You heat {item} 1 with microwave 1." in said
    assert said[-1].startswith(f"You put hot {item} 1 ")
    assert said[-1].endswith(f" {target} 1. Well done.")


def test_doors_hide_and_bar():
    world = entered("place", closed=1.0)
    home = world.home
    shut = next(n for n, opens in enumerate(home.openable) if opens)
    name = home.receptacles[shut]
    inside = [home.items[n] for n, place in enumerate(world.state.where) if place == shut]
    assert do(world, f"go to {name}").text == f"You are at {name}. It is closed."
    for item in inside:
        refused(world, f"take {item} from {name}", "impossible")
    refused(world, f"close {name}", "impossible")
    said = do(world, f"open {name}").text
    assert all(item in said for item in inside)
    refused(world, f"open {name}", "impossible")
    assert do(world, f"close {name}").text == f"You close {name}."


def test_one_holds_one_thing_and_the_things_change():
    world = entered("heat", seed=4)
    take = world.plan()
    for command in take[: next(n for n, c in enumerate(take) if c.startswith("take")) + 1]:
        do(world, command)
    held = world.state.hand
    item, at = world.home.items[held], world.home.receptacles[world.state.at]
    refused(world, f"take {item} from {at}", "impossible")
    assert f"You hold: {item}." in do(world, "look").text
    assert not any(command.startswith("take") for command in world.commands())
    refused(world, f"heat {item} with {at}" if "microwave" not in at else f"cool {item} with {at}", "impossible")


def test_hot_and_cool_exclude_each_other_and_clean_stays():
    world = HouseholdWorld("large", ["heat"], receptacles=40, items=40)
    for seed in range(20):
        world.begin(seed, 0)
        places = dict(zip(world.home.kinds, world.home.receptacles, strict=True))
        suits = all(can(world.home.item, task) and kind in places for task, kind in APPLIANCES.items())
        if suits and world.home.target not in APPLIANCES.values():
            break
    wanted = world.home.wanted[0]
    item, seen = world.home.items[wanted], []
    world.state.where[wanted], world.state.hand = IN_HAND, wanted
    for task in ("clean", "heat", "cool", "heat"):
        do(world, f"go to {places[APPLIANCES[task]]}")
        do(world, f"{task} {item} with {places[APPLIANCES[task]]}")
        seen.append(world.state.condition[wanted])
    assert seen == [CLEAN, CLEAN | HOT, CLEAN | COOL, CLEAN | HOT]
    assert f"You hold: clean hot {item}." in do(world, "look").text


def test_the_lamp_is_lit_once_and_waits():
    world = entered("light", size="tiny", seed=1)
    lamp = world.home.receptacles[world.home.lamp]
    refused(world, "use desklamp 1", "impossible")
    assert "desklamp 1" in do(world, f"go to {lamp}").text
    assert do(world, "use desklamp 1").text == "You turn on desklamp 1."
    refused(world, "use desklamp 1", "impossible")
    assert "lit desklamp 1" in do(world, "look").text
    for command in world.plan()[:-1]:
        do(world, command)
    assert do(world, world.plan()[0]).won


def test_two_need_the_same_receptacle():
    world = HouseholdWorld("large", ["two"], closed=0.0)
    for seed in range(100):
        world.begin(seed, 0)
        if len(world.home.targets) == 2:
            break
    first, second = world.home.wanted[:2]
    one, other = world.home.targets
    world.state.where[first], world.state.where[second] = one, other
    assert not solved(world.home, world.state)
    world.state.where[second] = one
    assert solved(world.home, world.state)


def test_rooms_are_entered_one_by_one():
    world = entered("place", size="house")
    home, start = world.home, world.state.room
    far = next(n for n in range(len(home.rooms)) if home.apart[start][n] == 2)
    refused(world, f"go to {home.rooms[far]}", "impossible")
    elsewhere = next(n for n, room in enumerate(home.room_of) if room != start)
    refused(world, f"go to {home.receptacles[elsewhere]}", "impossible")
    near = home.exits[start][0]
    said = do(world, f"go to {home.rooms[near]}").text
    assert said.startswith(f"You are in the {home.rooms[near]}. You see: ")
    assert home.rooms[start] in said.split("Exits: ")[1]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        (".", "empty"),
        ("x" * 49, "overlong"),
        ("look " * 100_000, "overlong"),
        ("dance", "unparsable"),
        ("go to the moon", "unparsable"),
        ("go to", "unparsable"),
        ("take mug 1", "unparsable"),
        ("take mug 1 with desk 1", "unparsable"),
        ("put mug 1 from desk 1", "unparsable"),
        ("open fridge", "unparsable"),
        ("open 冰箱 1", "unparsable"),
        ("look\x00", "unparsable"),
        ("<|im_end|>", "unparsable"),
        ("take mug 9 from desk 9", "impossible"),
        ("go to mug 1", "impossible"),
        ("open mug 1", "impossible"),
        ("use mug 1", "impossible"),
        ("heat desk 1 with mug 1", "impossible"),
    ],
)
def test_bad_commands_change_nothing_and_say_so(command, problem):
    world = entered("place")
    refused(world, command, problem)
    env = HouseholdEnv("small", ["place"])
    _, before = env.reset(seed=0)
    text, reward, terminated, truncated, info = env.step(command)
    assert (text, reward, terminated, truncated) == (REFUSALS[problem], 0.0, False, False)
    assert (info["valid"], info["problem"], info["turn"]) == (False, problem, 1)
    assert (info["anchor"], info["admissible_commands"]) == (before["anchor"], before["admissible_commands"])


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ("LOOK", Command("look")),
        ("  go   to\tfridge 1 . ", Command("go", "fridge 1")),
        ("put mug 1 in/on desk 1", Command("put", "mug 1", "desk 1")),
        ("Put Mug 1 in desk 1.", Command("put", "mug 1", "desk 1")),
    ],
)
def test_upper_case_spaces_and_a_period_do_not_matter(command, meaning):
    assert parse(command) == meaning


_CHOICES = st.tuples(st.integers(0, 1000), st.sampled_from(["admissible", "made up", "text"]), st.text(max_size=60))


@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from(["tiny", "small", "flat", "house"]),
    choices=st.lists(_CHOICES, max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_commanded_the_home_stays_whole(seed, size, choices):
    world = HouseholdWorld(size)
    said = [world.begin(seed, 0)]
    home = world.home
    names = [*home.receptacles, *home.items, *home.rooms]
    for n, how, text in choices:
        before, state = world.anchor(), world.state.copy()
        possible = world.commands()
        assert len(set(possible)) == len(possible)
        if how == "admissible":
            command = possible[n % len(possible)]
        elif how == "made up":
            verbs = ["go to {}", "take {} from {}", "put {} on {}", "open {}", "close {}", "heat {} with {}", "use {}"]
            command = verbs[n % len(verbs)].format(names[n % len(names)], names[(n * 7 + 3) % len(names)])
        else:
            command = text
        answer = world.act(command)
        said.append(answer.text)
        now = world.state
        assert (answer.problem is None) == (parse(command[:48]) in map(parse, possible)) or len(command) > 48
        if answer.problem:
            assert world.anchor() == before
        held = [item for item, place in enumerate(now.where) if place == IN_HAND]
        assert held == ([] if now.hand == NOWHERE else [now.hand])
        assert all(0 <= place < len(home.kinds) for item, place in enumerate(now.where) if item not in held)
        assert len(now.where) == len(home.items)
        assert now.at == NOWHERE or home.room_of[now.at] == now.room
        assert all(bits & (HOT | COOL) != HOT | COOL for bits in now.condition)
        assert all(is_open for is_open, opens in zip(now.opened, home.openable, strict=True) if not opens)
        moved = [item for item in range(len(home.items)) if now.where[item] != state.where[item]]
        assert len(moved) <= 1
        assert answer.won == answer.over == (answer.reward == 1.0) == (answer.problem is None and solved(home, now))
        if answer.over:
            break
    known = set(world.vocabulary)
    for text in said:
        assert len(text) <= world.max_observation_length
        assert set(text) <= world.characters
        assert len(words(text)) <= world.max_observation_words
        assert set(words(text)) <= known


@pytest.mark.parametrize("size", ["tiny", "large", "manor"])
def test_lengths_hold_with_everything_in_one_place(size):
    world = HouseholdWorld(size)
    for seed in range(30):
        world.begin(seed, 0)
        at = max(range(len(world.home.kinds)), key=lambda n: len(world.home.receptacles[n]))
        world.state.opened[at] = True
        world.state.where = [at] * len(world.home.items)
        world._labels = [f"clean cool {name}" for name in world.home.items]
        world.state.room, world.state.at = world.home.room_of[at], at
        text = world.act("look").text
        assert len(text) <= world.max_observation_length
        assert len(words(text)) <= world.max_observation_words
        assert max(map(len, world.commands())) <= world.max_command_length


def test_every_command_is_within_the_lengths_and_the_vocabulary():
    world = HouseholdWorld()
    longest = max(ITEM_KINDS, key=len), max(RECEPTACLES, key=len)
    command = f"clean {longest[0]} 1 with {longest[1]} 1"
    assert len(command) <= world.max_command_length
    assert len(words(command)) == world.max_command_words
    assert set(words(command)) <= set(world.vocabulary)
    assert list(world.vocabulary) == sorted(set(world.vocabulary))


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_kinds_but_no_pair(task):
    train, unseen = set(goals(task, False)), set(goals(task, True))
    assert not train & unseen
    assert 0.1 < len(unseen) / len(train | unseen) < 0.3
    assert {item for item, _ in unseen} <= {item for item, _ in train} or task == "light"
    assert {target for _, target in unseen} <= {target for _, target in train}


def test_train_and_seen_are_different_homes():
    train, seen = HouseholdWorld(split="train"), HouseholdWorld(split="seen")
    assert [train.begin(seed, 0) for seed in range(5)] != [seen.begin(seed, 0) for seed in range(5)]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"size": "smal"}, UnknownId, "Nearest: small"),
        ({"tasks": ["plase"]}, UnknownId, "Nearest: place"),
        ({"tasks": []}, InvalidParameter, "at least one"),
        ({"tasks": "place"}, InvalidParameter, "list"),
        ({"split": "test"}, UnknownId, "split"),
        ({"item": 3}, UnknownId, "Nearest: items"),
        ({"items": 2}, InvalidParameter, "from 3 to 60"),
        ({"items": 4.5}, InvalidParameter, "type int"),
        ({"rooms": 17}, InvalidParameter, "from 1 to 16"),
        ({"rooms": 10}, InvalidParameter, "receptacles must be from 10"),
        ({"closed": float("nan")}, InvalidParameter, "from 0 to 1"),
        ({"far_apart": 1}, InvalidParameter, "bool"),
        ({"max_turns": 0}, InvalidParameter, "max_turns"),
        ({"render_mode": "human"}, InvalidParameter, "ansi"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        HouseholdEnv(**arguments)
