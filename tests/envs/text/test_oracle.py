"""The oracle of households: its plans work in every generated home, and none is shorter."""

import numpy as np
import pytest

from agentgym.envs.text.household.names import TASKS, held_out
from agentgym.envs.text.household.world import HouseholdWorld
from agentgym.envs.text.presets import HOUSEHOLDS

SMALL = {"receptacles": 4, "items": 3, "closed": 0.7}


def follow(world):
    """Carry out the plan; the distance must fall by one with each command."""
    plan = world.plan()
    for left, command in zip(range(len(plan), 0, -1), plan, strict=True):
        assert world.distance() == left
        assert command in world.commands()
        answer = world.act(command)
        assert answer.problem is None
        assert answer.over == answer.won == (left == 1)
    assert world.distance() == 0
    return len(plan)


def wander(world, generator, steps):
    """Random admissible commands, as long as they do not succeed."""
    for _ in range(steps):
        before = world.state.copy(), world._labels.copy()
        commands = world.commands()
        if world.act(commands[generator.integers(len(commands))]).over:
            world.state, world._labels = before


def fewest_turns(world):
    """By breadth-first search over all states, the rules being the only thing it knows."""
    frontier, seen, turns = [world.state.copy()], {world.anchor()}, 0
    start = world.state.copy()
    while True:
        turns += 1
        following = []
        for state in frontier:
            world.state = state
            for command in world.commands():
                world.state = state.copy()
                if world.act(command).won:
                    world.state = start
                    return turns
                if world.anchor() not in seen:
                    seen.add(world.anchor())
                    following.append(world.state)
        frontier = following


@pytest.mark.parametrize("task", TASKS)
def test_the_oracle_is_as_short_as_a_search_over_all_states(task):
    generator = np.random.default_rng(TASKS.index(task))
    for rooms, far_apart in ((1, False), (2, False), (2, True)):
        world = HouseholdWorld("tiny", [task], rooms=rooms, far_apart=far_apart, **SMALL)
        for seed in range(3):
            world.begin(seed, 0)
            if seed:
                wander(world, generator, 6 * seed)
            assert world.distance() == fewest_turns(world)


@pytest.mark.parametrize("size", HOUSEHOLDS)
@pytest.mark.parametrize("task", TASKS)
def test_no_command_shortens_the_way_by_more_than_one(size, task):
    """With the plans working, this makes them the shortest: a shorter one would have to jump somewhere."""
    world = HouseholdWorld(size, [task])
    generator = np.random.default_rng(0)
    for seed in range(2):
        world.begin(seed, 1)
        for _ in range(20):
            wander(world, generator, 3)
            here, state, labels = world.distance(), world.state.copy(), world._labels.copy()
            for command in world.commands():
                world.state, world._labels = state.copy(), labels.copy()
                if world.act(command).won:
                    assert here == 1
                assert world.distance() >= here - 1
            world.state, world._labels = state, labels
        follow(world)


@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
@pytest.mark.parametrize("task", TASKS)
def test_the_plan_solves_a_thousand_homes_of_each_task(task, split):
    world = HouseholdWorld("flat", [task], split)
    for seed in range(1000):
        world.begin(seed, 0)
        assert held_out(world.home.item, world.home.target) == (split == "unseen")
        assert 3 <= follow(world) <= world.max_turns


@pytest.mark.parametrize("size", HOUSEHOLDS)
def test_the_plan_solves_homes_of_each_size_within_the_turns(size):
    world = HouseholdWorld(size)
    lengths = []
    for seed in range(300):
        world.begin(seed, 0)
        lengths.append(follow(world))
    assert max(lengths) <= world.max_turns
    if size == "manor":
        assert min(lengths) > 30


def test_plans_put_down_what_is_in_the_way():
    world = HouseholdWorld("small", ["heat"])
    generator = np.random.default_rng(1)
    busy = 0
    for seed in range(60):
        world.begin(seed, 0)
        wander(world, generator, 25)
        busy += world.state.hand >= 0
        follow(world)
    assert busy > 5
