"""The single and batched doors: Gymnasium's contracts, seeds, ends, snapshots."""

import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import agentgym
from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.make import make_env
from agentgym.wrappers.replay import RecordedEnv

assert agentgym
INFO = {"task", "task_kind", "turn", "valid", "problem", "won", "anchor", "admissible_commands"}


@pytest.mark.filterwarnings("ignore")
def test_gymnasiums_checker_passes(make):
    check_env(make().unwrapped, skip_render_check=True)


def test_spaces_and_info_are_as_documented(make):
    env = make()
    observation, info = env.reset(seed=0)
    assert set(info) == INFO | {"shortest"}
    assert observation in env.observation_space
    assert info["shortest"] == len(env.unwrapped.plan()) == env.unwrapped.distance()
    hash(info["anchor"])
    assert info["task"] in observation or make.kind == "TextWorld"
    for command in info["admissible_commands"]:
        assert command in env.action_space
    observation, _, _, _, info = env.step(info["admissible_commands"][0])
    assert set(info) == INFO
    assert observation in env.observation_space
    quiet = make(admissible=False)
    assert set(quiet.reset(seed=0)[1]) == (INFO | {"shortest"}) - {"admissible_commands"}


def test_equal_seeds_give_equal_rollouts_and_others_differ(make, rollout):
    first = rollout(make(), 3, 40)
    assert rollout(make(), 3, 40) == first
    assert rollout(make(), 4, 40) != first
    env = make()
    rollout(env, 5, 13)
    assert rollout(env, 3, 40) == first


def test_an_unseeded_environment_differs_each_time(make):
    if make.kind == "TextWorld":
        pytest.skip("two games only")
    assert len({make().reset()[0] for _ in range(4)}) > 1


def test_no_global_generator_is_drawn_from_or_seeded(make, rollout):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rollout(make(), 0, 10)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_episodes_are_truncated_honestly_and_then_need_a_reset(make):
    env = make().unwrapped
    with pytest.raises(ResetNeeded):
        env.step("look")
    with pytest.raises(ResetNeeded):
        env.snapshot()
    env.reset(seed=0)
    for turn in range(1, 8):
        _, reward, terminated, truncated, info = env.step("")
        assert (reward, terminated, truncated, info["turn"]) == (0.0, False, turn == 7, turn)
    assert info["admissible_commands"] == []
    with pytest.raises(ResetNeeded):
        env.step("look")
    assert env.reset()[1]["turn"] == 0


def test_success_in_the_last_turn_is_not_a_truncation(make):
    env = make(max_turns=100)
    shortest = env.reset(seed=0)[1]["shortest"]
    env = make(max_turns=shortest)
    env.reset(seed=0)
    for command in env.unwrapped.plan():
        _, reward, terminated, truncated, info = env.step(command)
    assert (reward, terminated, truncated, info["won"]) == (1.0, True, False, True)
    assert (env.unwrapped.plan(), env.unwrapped.distance()) == ([], 0)


@pytest.mark.parametrize("action", [None, 3, ["look"], b"look", np.zeros(2), {"command": "look"}])
def test_what_is_no_string_is_refused_and_changes_nothing(make, action):
    env = make().unwrapped
    _, before = env.reset(seed=0)
    with pytest.raises(InvalidAction, match="string"):
        env.step(action)
    assert env.step("")[4]["turn"] == 1
    assert env.world.anchor() == before["anchor"]


def test_snapshots_bring_everything_back_also_elsewhere_and_from_json(make, rollout):
    env, twin = make().unwrapped, make().unwrapped
    generator = np.random.default_rng(1)
    observation, info = env.reset(seed=6)
    env.reset()
    for _ in range(3):
        commands = env.world.commands()
        observation, _, _, _, info = env.step(commands[generator.integers(len(commands))])
    taken = env.snapshot()
    after = [env.step(command) for command in env.plan()[:2]]
    for other in (env, twin):
        text = json.dumps(taken)
        assert other.restore(json.loads(text)) == (observation, info | {"valid": True, "problem": None})
        assert other.snapshot() == taken
        assert [other.step(command) for command in other.plan()[:2]] == after
    assert env.reset() == twin.reset()
    assert env.restore(taken)[0] == observation


def test_a_snapshot_of_the_end_is_an_end(make):
    env = make(max_turns=2).unwrapped
    env.reset(seed=0)
    env.step("")
    env.step("")
    taken = env.snapshot()
    env.reset(seed=1)
    env.restore(taken)
    with pytest.raises(ResetNeeded):
        env.step("look")


def test_foreign_and_broken_snapshots_are_refused(make):
    env = make().unwrapped
    env.reset(seed=0)
    taken = env.snapshot()
    broken = [None, {}, {**taken, "world": "?"}, {**taken, "state": {}}, {**taken, "state": None}]
    broken += [{key: value for key, value in taken.items() if key != "seed"}, {**taken, "seed": "x"}]
    for snapshot in broken:
        with pytest.raises(InvalidParameter, match="snapshot"):
            env.restore(snapshot)
        with pytest.raises(ResetNeeded):
            env.step("look")
    env.restore(taken)
    with pytest.raises(InvalidParameter, match="same arguments"):
        make(split="unseen").unwrapped.restore(taken)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("where", [0]),
        ("where", [99] * 5),
        ("hand", 2),
        ("at", 77),
        ("room", 5),
        ("condition", "hot"),
        ("opened", [1.5] * 6),
    ],
)
def test_impossible_states_of_a_household_are_refused(key, value):
    env = gym.make("agentgym/Household-v0").unwrapped
    env.reset(seed=0)
    taken = copy.deepcopy(env.snapshot())
    taken["state"][key] = value
    with pytest.raises(InvalidParameter, match="snapshot"):
        env.restore(taken)


def test_the_recorder_plays_an_episode_again(make):
    env = RecordedEnv(make(), 5, 0)
    env.reset()
    for command in ("look", "nonsense", "search ada"):
        env.step(command)
    state = env.state()
    again = RecordedEnv(make(), 5, 0)
    again.restore(state)
    assert again.replayed_exactly
    assert again.unwrapped.world.anchor() == env.unwrapped.world.anchor()


def test_a_pickled_environment_is_made_anew_with_its_arguments(make):
    env = make().unwrapped
    twin = pickle.loads(pickle.dumps(env))
    assert twin.world.fingerprint == env.world.fingerprint
    assert twin.reset(seed=2) == env.reset(seed=2)


def test_the_text_is_rendered(make):
    env = make(render_mode="ansi")
    first, _ = env.reset(seed=0)
    assert env.render() == first
    text = env.step("look")[0]
    assert env.render() == f"> look\n{text}"


def unstacked(infos, n):
    """World n's part of a batch's infos."""
    return {key: values[n] for key, values in infos.items() if f"_{key}" in infos and infos[f"_{key}"][n]}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_batch_is_gymnasiums_batch_of_the_single_environment(make, mode):
    ours = make(num_envs=3, autoreset_mode=mode)
    theirs = SyncVectorEnv([make for _ in range(3)], autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == mode
    generator = np.random.default_rng(0)

    def same(one, other):
        assert set(one) == set(other)
        for key, value in one.items():
            if isinstance(value, dict):
                same(value, other[key])
            else:
                assert value.dtype == other[key].dtype, key
                np.testing.assert_array_equal(value, other[key], err_msg=key)

    (seen, infos), (their_seen, their_infos) = ours.reset(seed=4), theirs.reset(seed=4)
    assert seen == tuple(their_seen)
    same(infos, their_infos)
    for _ in range(25):
        offers = [commands or ["look"] for commands in infos["admissible_commands"]]
        actions = [offer[generator.integers(len(offer))] for offer in offers]
        (seen, *values, infos), (their_seen, *their_values, their_infos) = ours.step(actions), theirs.step(actions)
        assert seen == tuple(their_seen)
        for value, their_value in zip(values, their_values, strict=True):
            np.testing.assert_array_equal(value, their_value)
        same(infos, their_infos)
    ours.close()


def test_copies_of_one_world_are_one_world(make):
    batch = make(num_envs=4)
    seen, infos = batch.reset(seed=[9] * 4)
    assert len(set(seen)) == len(set(infos["anchor"])) == len(set(infos["task"])) == 1
    if make.kind != "TextWorld":
        assert len(set(batch.reset(seed=9)[0])) > 1
    batch.close()


def test_a_batch_without_autoreset_waits_for_masks(make):
    batch = make(num_envs=2, autoreset_mode="Disabled")
    batch.reset(seed=0)
    for _ in range(7):
        truncated = batch.step(["", ""])[3]
    assert truncated.all()
    with pytest.raises(RuntimeError, match=r"\[0, 1\]"):
        batch.step(["look", "look"])
    _, infos = batch.reset(options={"reset_mask": np.array([True, False])})
    assert list(infos["_turn"]) == [True, False]
    with pytest.raises(RuntimeError, match=r"\[1\]"):
        batch.step(["look", "look"])
    with pytest.raises(ValueError, match="reset_mask"):
        batch.reset(options={"reset_mask": [1, 0]})
    with pytest.raises(ValueError, match="seeds"):
        batch.reset(seed=[1])
    batch.close()


@pytest.mark.parametrize("actions", ["ab", ["look"], ["look", 3], 5, None])
def test_a_batch_refuses_what_is_no_command_before_any_world_steps(make, actions):
    batch = make(num_envs=2)
    batch.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"command"):
        batch.step(actions)
    assert list(batch.step(("", ""))[4]["turn"]) == [1, 1]
    batch.close()


def test_the_ids_are_made_as_every_other():
    env = make_env("agentgym/Household-v0", {"size": "tiny", "tasks": ["place"]})
    assert env.reset(seed=0)[1]["task_kind"] == "place"
    with pytest.raises(InvalidParameter):
        gym.make_vec("agentgym/Household-v0", num_envs=0)


def test_a_batch_gives_its_state_away(make):
    batch, other = make(3), make(3)
    other.unwrapped.set_state(json.loads(json.dumps(other.unwrapped.get_state())))  # before the first reset
    batch.reset(seed=[4, 4, 9])
    for command in ("look", "go to armchair 1", "look"):
        batch.step([command] * 3)
    other.unwrapped.set_state(json.loads(json.dumps(batch.unwrapped.get_state())))
    for _ in range(9):  # past the episodes' ends
        left, right = batch.step(["look"] * 3), other.step(["look"] * 3)
        assert left[0] == right[0]
        for one, another in zip(left[1:4], right[1:4], strict=True):
            np.testing.assert_array_equal(one, another)


def test_a_batch_shows_demonstrations_beside_its_worlds(make):
    batch = make(2)
    observations, _ = batch.reset(seed=[1, 2])
    shown = list(batch.unwrapped.demonstrations([5, 6], "oracle", 0.2))
    assert [one.seed for one in shown] == [5, 6]
    assert all(one.rows for one in shown)
    assert batch.unwrapped.worlds[0].render_mode is None
    assert batch.unwrapped.get_state()["texts"] == list(observations)
