"""Code repair from the table: rules, oracle, explorer, snapshots, words."""

import gymnasium as gym
import numpy as np
import pytest

import agentgym  # noqa: F401
from agentgym.envs.code.repair.explorer import Explorer
from agentgym.envs.code.repair.world import ALL, RepairWorld
from agentgym.envs.text.demonstrations import demonstrations
from agentgym.envs.text.language import words
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import stream

TIERS = ("easy", "medium", "hard")
IDS = {tier: f"agentgym/CodeRepair{tier.title()}-v0" for tier in TIERS}


def play(world, choose, seed, turns=None):
    """An episode; returns all texts, the last answer and the number of commands."""
    texts, answer = [world.begin(seed, 0)], None
    for turn in range(turns or world.max_turns):
        answer = world.act(choose(world))
        texts.append(answer.text)
        if answer.over:
            return texts, answer, turn + 1
    return texts, answer, turns or world.max_turns


def randomly(seed):
    draw = stream(seed, "test player")
    return lambda world: world.commands()[draw.integers(len(world.commands()))]


def share_won(world, player, episodes=150):
    return np.mean([play(world, player(world, seed), seed)[1].won for seed in range(episodes)])


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
def test_the_oracle_takes_the_shortest_way(tier, split):
    world = RepairWorld(tier, split)
    for seed in range(60):
        world.begin(seed, 0)
        plan = world.plan()
        if world.task_kind == "hopeless":
            assert len(plan) == 1
            continue
        assert len(plan) == {"easy": 3, "medium": 3}.get(tier, len(plan)) <= 5
        for left, command in zip(range(len(plan), 0, -1), plan, strict=True):
            assert world.distance() == left
            answer = world.act(command)
            assert answer.problem is None
        assert answer.won
        assert answer.reward == pytest.approx(1 - 0.01 * len(plan))


def test_no_command_shortens_the_plan_by_more_than_one():
    for tier in TIERS:
        world = RepairWorld(tier)
        for seed in range(12):
            world.begin(seed, 0)
            choose = randomly(seed)
            for _ in range(10):
                before = world.distance()
                answer = world.act(choose(world))
                if answer.over:
                    break
                assert world.distance() >= before - 1
                plan, state = world.plan(), world.state_values()
                if world.task_kind != "hopeless":
                    assert [world.act(command) for command in plan][-1].won
                    world.set_state_values(state)


def test_players():
    world = RepairWorld("easy", "unseen")
    results = {}
    for name, hints in (("explorer", True), ("without hints", False)):

        def player(world, seed, hints=hints):
            mine = []

            def choose(world):
                if not mine:
                    mine.append(Explorer(world, hints))
                return mine[0].command()

            return choose

        results[name] = share_won(world, player)
    results["random"] = share_won(world, lambda world, seed: randomly(seed))
    assert results["random"] < 0.15
    assert results["without hints"] < results["explorer"] - 0.1
    assert results["explorer"] > 0.75


def test_words_are_known_and_texts_fit():
    for tier in TIERS:
        for split in ("train", "unseen"):
            world = RepairWorld(tier, split)
            known = set(world.vocabulary)
            for seed in range(40):
                texts, _, _ = play(world, randomly(seed), seed)
                for text in [*texts, *world.commands()]:
                    assert set(words(text)) <= known, set(words(text)) - known
                    assert len(text) <= world.max_observation_length
                    assert len(words(text)) <= world.max_observation_words
                assert all(len(words(command)) <= world.max_command_words for command in world.commands())
    assert len(known) < 350


def test_commands_are_distinct_and_known_things_are_not_offered_again():
    for tier in TIERS:
        world = RepairWorld(tier)
        for seed in range(40):
            world.begin(seed, 0)
            choose, tried = randomly(seed), set()
            for _ in range(world.max_turns):
                offered = world.commands()
                assert len(offered) == len(set(offered))
                row = world.placed
                assert not {(row, name) for name in offered if name.startswith(("run", "search", "open"))} & tried
                command = choose(world)
                if world.act(command).over:
                    break
                tried.add((row, command))


def test_an_edit_is_withdrawn_only_after_a_test_has_failed_with_it():
    world = RepairWorld("easy")
    for seed in range(30):
        world.begin(seed, 0)
        for file in world.file_names:
            world.act(f"open {file}")
        wrong = next(n for n in world.offered if world.shown[0] in world.of.rows[(n,)])
        command = world.edit_commands[wrong]
        world.act(command)
        world.act("undo")
        assert command in world.commands()
        world.act(command)
        assert world.act(f"run {world.test_names[world.shown[0]]}").text.split()[1] == "fails"
        world.act("undo")
        assert command not in world.commands()
        assert world.act(command).problem == "impossible"


def test_names_mean_nothing():
    """The same task under other names: only names differ."""
    world = RepairWorld("easy")
    first = {}
    for seed in range(400):
        text = world.begin(seed, 0)
        first.setdefault(id(world.of), set()).add(text)
    assert max(map(len, first.values())) > 1
    assert len({text for texts in first.values() for text in texts}) > 380


def test_hopeless_tasks_have_no_right_edit():
    world = RepairWorld("medium")
    kinds = []
    for seed in range(200):
        world.begin(seed, 0)
        kinds.append(world.task_kind)
        if world.task_kind == "hopeless":
            assert 17 <= len(world.offered) < 20
            assert all(world.of.rows[(n,)] for n in world.offered)
        else:
            assert len(world.offered) == 20
    assert 0.15 < kinds.count("hopeless") / 200 < 0.35


def test_two_repairs_are_needed():
    world = RepairWorld("hard")
    for seed in range(30):
        world.begin(seed, 0)
        assert all(world.of.rows.get((n,), True) for n in (0, 1))
        assert not world.of.rows[(0, 1)]


def test_results_are_told():
    world = RepairWorld("easy")
    for seed in range(60):
        world.begin(seed, 0)
        plan = world.plan()
        for command in plan[:-1]:
            world.act(command)
        for test in world.shown:
            assert world.act(f"run {world.test_names[test]}").text == f"{world.test_names[test]} passes ."
        assert world.act("run all").text == "no tests fail ."
        assert world.results[world.placed] == [*world.shown, ALL]
        world.act("undo")
        text = world.act(f"run {world.test_names[world.shown[0]]}").text
        assert text.split()[1] == "fails"


@pytest.mark.parametrize("tier", TIERS)
def test_snapshots_branch(tier):
    env, other = (gym.make(IDS[tier], split="seen").unwrapped for _ in range(2))
    for seed in range(6):
        env.reset(seed=seed)
        choose = randomly(seed)
        for _ in range(seed + 2):
            if env.step(choose(env.world))[2]:
                env.reset()
        taken = env.snapshot()
        other.restore(taken)
        assert other.snapshot() == taken
        rest = randomly(seed + 1)
        over = False
        while not over:
            command = rest(env.world)
            mine, theirs = env.step(command), other.step(command)
            assert mine == theirs
            over = mine[2] or mine[3]
    with pytest.raises(InvalidParameter, match="snapshot"):
        other.restore({**taken, "state": {**taken["state"], "stack": [99]}})
    with pytest.raises(InvalidParameter, match="exclude"):
        other.restore({**taken, "state": {**taken["state"], "stack": [0, 1, 2]}})


def test_a_batch_is_its_single_environments():
    batch = gym.make_vec(IDS["easy"], num_envs=3, vectorization_mode="vector_entry_point")
    texts, infos = batch.reset(seed=[5, 6, 7])
    single = gym.make(IDS["easy"])
    for n, seed in enumerate((5, 6, 7)):
        text, info = single.reset(seed=seed)
        assert texts[n] == text
        assert infos["admissible_commands"][n] == info["admissible_commands"]
    batch.close()


def test_demonstrations_of_the_explorer():
    env = gym.make(IDS["easy"]).unwrapped
    shown = list(demonstrations(env, range(40), "explorer", 0.3))
    assert sum(one.won for one in shown) > 10
    for one in shown:
        assert all(row.action in row.commands and row.given in row.commands for row in one.rows)
    again = list(demonstrations(env, range(40), "explorer", 0.3))
    assert shown == again


def test_misleading_tasks_name_other_functions_and_cost_turns():
    named, turns = [], {}
    for misleading in (0.0, 1.0):
        env = gym.make(IDS["easy"], misleading=misleading).unwrapped
        player = env.controllers["explorer"].acting_in(env)
        turns[misleading] = []
        for seed in range(60):
            text, _ = env.reset(seed=seed)
            world, over, fresh = env.world, False, True
            faulty = world.function_names[world.of.candidates[0].function]
            told = []
            for test in world.shown:
                told.append(world._failure(world.of.rows[()][test]).partition(" in ")[2].split(" ")[0])
            world.mentioned.clear()
            named.append((misleading, sum(name == faulty for name in told)))
            while not over:
                command, _ = player.predict(text, None, np.array([fresh]))
                text, _, terminated, truncated, info = env.step(command)
                over, fresh = terminated or truncated, False
            turns[misleading].append(info["turn"])
    assert not any(hits for misleading, hits in named if misleading)
    assert sum(hits > 0 for misleading, hits in named if not misleading) > 40
    assert np.mean(turns[1.0]) > np.mean(turns[0.0]) + 2
    plain = RepairWorld().begin(5, 0)
    assert RepairWorld(misleading=0.0).begin(5, 0) == plain


def test_bad_settings_are_refused():
    with pytest.raises(InvalidParameter, match="misleading"):
        RepairWorld("hard", "unseen", misleading=1.0)
    with pytest.raises(InvalidParameter, match="misleading"):
        RepairWorld(misleading=1.5)
    with pytest.raises(UnknownId, match="tier"):
        RepairWorld("gentle")
    with pytest.raises(UnknownId, match="operators"):
        RepairWorld(operators="some")
    with pytest.raises(InvalidParameter, match="candidates"):
        RepairWorld(candidates=21)
    with pytest.raises(InvalidParameter, match="at most 10"):
        RepairWorld("hard", candidates=12)
    with pytest.raises(InvalidParameter, match="new operators"):
        RepairWorld("hard", operators="new")
    with pytest.raises(InvalidParameter, match="worth less"):
        RepairWorld(max_turns=101)


def test_commands_that_are_none_change_nothing():
    world = RepairWorld("easy")
    world.begin(0, 0)
    state = {**world.state_values(), "turns": 4}
    problems = [world.act(text).problem for text in ("", "dance", "run zz", "open " + "x" * 60)]
    assert problems == ["empty", "unparsable", "impossible", "overlong"]
    assert world.state_values() == state
