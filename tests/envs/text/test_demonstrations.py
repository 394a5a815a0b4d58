"""Expert trajectories: they win, can be followed, and the explorer does not know what it has not seen."""

import pytest

from agentgym.envs.text.demonstrations import demonstrations
from agentgym.envs.text.env import ArchiveEnv, HouseholdEnv
from agentgym.envs.text.household.home import NOWHERE
from agentgym.envs.text.presets import HOUSEHOLDS
from agentgym.errors import InvalidParameter


@pytest.mark.parametrize("size", HOUSEHOLDS)
@pytest.mark.parametrize("expert", ["oracle", "explorer"])
def test_experts_win_in_every_home(size, expert):
    env = HouseholdEnv(size)
    for shown in demonstrations(env, range(60), expert):
        assert shown.won
        _, info = env.reset(seed=shown.seed)
        assert shown.task == info["task"]
        if expert == "oracle":
            assert len(shown.rows) == info["shortest"]
        assert len(shown.rows) >= info["shortest"]


@pytest.mark.parametrize("expert", ["oracle", "explorer"])
def test_rows_can_be_followed(expert):
    env = HouseholdEnv("medium")
    for shown in demonstrations(env, range(20), expert, random_share=0.3):
        observation, info = env.reset(seed=shown.seed)
        for row in shown.rows:
            assert (row.observation, row.commands) == (observation, info["admissible_commands"])
            assert row.action in row.commands
            assert row.given in row.commands
            observation, _, _, _, info = env.step(row.given)
        assert info["won"] == shown.won


def test_random_turns_come_at_their_share_and_are_seeded():
    env = HouseholdEnv("large")
    first = list(demonstrations(env, range(60), "explorer", random_share=0.3))
    assert first == list(demonstrations(env, range(60), "explorer", random_share=0.3))
    rows = [row for shown in first for row in shown.rows]
    assert 0.15 < sum(row.given != row.action for row in rows) / len(rows) < 0.35
    assert all(row.given == row.action for shown in demonstrations(env, range(5)) for row in shown.rows)


@pytest.mark.parametrize("task", ["place", "light", "two"])
def test_the_explorer_does_not_know_what_it_has_not_seen(task):
    """Two homes that look the same so far get the same commands, wherever things are."""
    env = HouseholdEnv("flat", [task])
    moved = 0
    for seed in range(30):
        env.reset(seed=seed)
        explorer, world = env.world.explorer(), env.world
        seen: set[int] = set()
        for _ in range(12):
            command = explorer.command()
            if world.state.at != NOWHERE and world.state.opened[world.state.at]:
                seen.add(world.state.at)
            hidden = [n for n, place in enumerate(world.state.where) if place >= 0 and place not in seen]
            free = [n for n in range(len(world.home.kinds)) if n not in seen and n not in world.home.targets]
            where = world.state.where.copy()
            for n in hidden:
                world.state.where[n] = free[(n + seed) % len(free)] if free else where[n]
            moved += world.state.where != where
            assert explorer.command() == command
            world.state.where = where
            if env.step(command)[2]:
                break
    assert moved > 50


def test_an_archive_has_an_oracle_only():
    env = ArchiveEnv("medium", failure_rate=0.3, max_turns=50)
    assert all(shown.won for shown in demonstrations(env, range(20)))
    with pytest.raises(InvalidParameter, match="only households"):
        demonstrations(env, range(2), "explorer")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"expert": "guru"}, "oracle"), ({"random_share": 1.0}, "random_share"), ({"random_share": -0.1}, "random_share")],
)
def test_bad_arguments_are_refused_at_once(arguments, says):
    with pytest.raises(InvalidParameter, match=says):
        demonstrations(HouseholdEnv(), range(2), **arguments)
