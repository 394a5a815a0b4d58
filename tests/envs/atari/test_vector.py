"""The batch: equal to single games, whatever their neighbours do; restored exactly; and what users reported."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import agentgym  # noqa: F401  (registers the environments)
from agentgym import catalog
from agentgym.envs.atari.env import AtariEnv
from agentgym.envs.atari.presets import STORI
from agentgym.envs.atari.vector import AtariVectorEnv
from agentgym.errors import InvalidParameter, ResetNeeded

EVERYTHING = [
    {"type": "RandomAction"}, {"type": "RandomEvent", "mode": 2, "probability": 0.5},
    {"type": "Drift", "period": 10, "schedule": "cyclic", "concepts": [[], [{"type": "Crop", "part": "left"}]]},
    {"type": "HideObjects", "objects": ["ball"], "probability": 0.5},
]  # fmt: skip


def equal(first, second):
    assert first.keys() == second.keys()
    for key in first:
        if isinstance(first[key], dict):
            equal(first[key], second[key])
        elif first[key].dtype == object:
            for one, other in zip(first[key], second[key], strict=True):
                np.testing.assert_array_equal(one, other, err_msg=key)
        else:
            np.testing.assert_array_equal(first[key], second[key], err_msg=key)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_game_of_a_batch_equals_the_single_one(threads):
    batch = AtariVectorEnv(3, AutoresetMode.DISABLED, game="Breakout", effects=EVERYTHING, threads=threads)
    singles = [AtariEnv(game="Breakout", effects=EVERYTHING) for _ in range(3)]
    seen, _ = batch.reset(seed=7)
    for n, single in enumerate(singles):
        np.testing.assert_array_equal(single.reset(seed=7 + n)[0], seen[n])
    assert len({picture.tobytes() for picture in seen}) > 1  # seeds differ, so do the starts
    generator = np.random.default_rng(0)
    for _ in range(40):
        actions = generator.integers(4, size=3)
        seen, rewards, over, cut, infos = batch.step(actions)
        for n, single in enumerate(singles):
            picture, reward, ended, limited, info = single.step(actions[n])
            np.testing.assert_array_equal(picture, seen[n])
            assert (reward, ended, limited) == (rewards[n], over[n], cut[n])
            np.testing.assert_array_equal(info["executed"], infos["executed"][n])
    # one game alone, the others at rest or reset
    batch.rest(np.array([True, False, True]))
    for action in (1, 2, 3):
        seen = batch.step(np.full(3, action))[0]
        np.testing.assert_array_equal(singles[1].step(action)[0], seen[1])
    seen, _ = batch.reset(seed=[3, None, None], options={"reset_mask": np.array([True, False, False])})
    np.testing.assert_array_equal(singles[0].reset(seed=3)[0], seen[0])


@pytest.mark.parametrize("limit", [30, 108_000])
def test_the_infos_of_a_single_game_are_those_of_a_batch(limit):
    """The single environment takes a shorter way."""
    given = {"game": "Breakout", "stack": 1, "effects": EVERYTHING, "unmasked": True, "max_frames": limit}
    batch, single = AtariVectorEnv(1, AutoresetMode.DISABLED, **given), AtariEnv(**given)
    batch.reset(seed=5)
    single.reset(seed=5)
    ended, step = False, 0
    while not ended:
        step += 1
        seen, rewards, over, cut, infos = batch.step(np.array([step % 3]))
        observation, reward, terminated, truncated, info = single.step(step % 3)
        np.testing.assert_array_equal(observation, seen[0])
        assert (reward, terminated, truncated) == (rewards[0], over[0], cut[0])
        told = infos.pop("measures", None)
        assert ("measures" in info) == (told is not None)
        for name, value in {key: value for key, value in infos.items() if not key.startswith("_")}.items():
            np.testing.assert_array_equal(info[name], value[0], err_msg=name)
        ended = terminated or truncated
    assert info["measures"] == {name: value[0] for name, value in told.items() if not name.startswith("_")}
    assert single.get_state()["batch"] == batch.get_state()["batch"]
    with pytest.raises(ResetNeeded):
        single.step(0)


def test_equal_seeds_give_equal_rollouts_and_no_global_generator_is_touched():
    """Published defect: STORI draws from global generators, so that two rollouts with one reset seed differ."""
    env = AtariEnv(game="Breakout", effects=EVERYTHING, observation="pixels", stack=1)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    rollouts = []
    for seed in (4, 4, 5):
        seen = [env.reset(seed=seed)[0]]
        np.random.seed(len(rollouts))  # noqa: NPY002
        seen += [env.step(step % 4)[0] for step in range(30)]
        rollouts.append(np.array(seen))
    np.testing.assert_array_equal(rollouts[0], rollouts[1])
    assert (rollouts[0] != rollouts[2]).any()
    np.random.seed(1)  # noqa: NPY002
    after = np.random.get_state()[1].copy()  # noqa: NPY002
    env.step(0)
    np.testing.assert_array_equal(np.random.get_state()[1], after)  # noqa: NPY002
    assert before.shape == after.shape


def test_a_restored_batch_goes_on_bit_for_bit():
    """By replay, in another batch, including stacks, drifts, objects hidden by RAM and episodes that began unseeded."""
    first, second = (AtariVectorEnv(2, "SameStep", game="Breakout", effects=EVERYTHING, max_episode_steps=25)
                     for _ in range(2))  # fmt: skip
    first.reset(seed=3)
    for step in range(40):  # past the time limit: the second episodes have no seed of their own
        first.step(np.array([step % 4, 1]))
    state = first.get_state()
    second.set_state(state)
    for step in range(15):
        for one, other in zip(first.step(np.array([2, step % 3])), second.step(np.array([2, step % 3])), strict=True):
            equal(one, other) if isinstance(one, dict) else np.testing.assert_array_equal(one, other)
    with pytest.raises(InvalidParameter, match="4 actions"):
        second.set_state({**state, "actions": {"0": np.array([9]), "1": np.array([])}})


def test_the_published_settings_are_registered_and_made():
    ids = [entry.id for entry in catalog.entries("env") if entry.id.startswith("agentgym/Stori-")]
    assert len(ids) == 24 + 4
    assert sum(len(settings) for settings in STORI.values()) == 24
    for name in ids:
        spec = gymnasium.spec(name)
        assert (
            spec.kwargs["setting"] in STORI[{"BankHeist": "bank_heist"}.get(*[spec.kwargs["game"]] * 2).lower()]
        ) or (spec.kwargs["setting"] == "0")
    env = gymnasium.make("agentgym/Stori-Gopher-3.2-v0")
    assert env.unwrapped.setting.effects[0].regions == ("underground-offset",)
    assert env.spec.max_episode_steps == 27_000
    batch = gymnasium.make_vec("agentgym/Stori-Boxing-0-v0", num_envs=2)
    assert batch.single_observation_space.shape == (14,)


# What users of other libraries reported


def games(count=1, mode="NextStep", **given):
    return AtariVectorEnv(count, mode, **{"game": "Breakout", "stack": 2, "noop_max": 0, **given})


def lose_a_life(env):
    lives = 5
    while lives == 5:
        lives = int(env.step(np.full(env.num_envs, 1))[4]["lives"][0])


def test_a_reset_is_always_a_new_game():
    """envpool#120, #301, Gymnasium#166: after a lost life an explicit reset went on with the old game."""
    env = games(2, "Disabled")
    first, infos = env.reset(seed=0)
    assert infos["lives"].tolist() == [5, 5]
    lose_a_life(env)
    again, infos = env.reset(options={"reset_mask": np.array([True, False])})
    assert (infos["lives"][0], infos["frames"][0]) == (5, 0)
    np.testing.assert_array_equal(again[0], first[0])
    assert env.step(np.array([0, 0]))[4]["lives"].tolist() == [5, 4]


def test_a_game_whose_policy_never_fires_ends():
    """After a lost life a decision is FIRE, as Stable-Baselines3's wrappers do; otherwise the game waits for it."""
    env = AtariEnv(game="Breakout", observation="ram", noop_max=0)
    _, info = env.reset(seed=0)
    lives, fired, over = info["lives"], [], False
    while not over:
        _, _, over, cut, info = env.step(0)
        assert not cut
        assert set(info["executed"].tolist()) <= ({1, -1} if fired and fired[-1] else {0, -1})
        fired.append(info["lives"] < lives)
        lives = info["lives"]
    assert sum(fired) == 5
    assert len(fired) < 200
    waiting = AtariEnv(game="Breakout", observation="ram", noop_max=0, fire_lives=False, max_frames=4000)
    waiting.reset(seed=0)
    lives = [waiting.step(0)[4]["lives"] for _ in range(1000)]
    assert lives[-1] == 4


def test_lives_are_no_clock():
    """envpool#171, baselines#568: Pong always has 0 lives, and is not over."""
    env = AtariEnv(game="Pong", observation="rgb", noop_max=0)
    _, info = env.reset(seed=0)
    for _ in range(20):
        _, _, over, cut, info = env.step(2)
        assert info["lives"] == 0
        assert not over
        assert not cut


def test_scores_are_of_whole_unclipped_games_also_across_a_time_limit():
    """cleanrl#454, envpool#299, DeepRL#48: returns ran on across a time limit, or were one life's."""
    env = games(1, "SameStep", game="Boxing", max_frames=400)
    env.reset(seed=0)
    returns, total = [], 0.0
    for step in range(250):
        _, rewards, _, cut, infos = env.step(np.array([step % 18]))
        total += rewards[0]
        if cut[0]:
            measures = infos["final_info"]["measures"]
            assert measures["score"][0] == total
            assert measures["cut by time"][0] == 1.0
            assert measures["frames"][0] == 400
            returns.append(total)
            total = 0.0
    assert len(returns) == 2
    breakout = games(1, "SameStep")
    breakout.reset(seed=0)
    over = [False]
    while not over[0]:
        _, _, over, _, infos = breakout.step(np.array([1]))
    assert infos["final_info"]["measures"]["cut by time"][0] == 0.0
    assert infos["final_info"]["lives"][0] == 0  # the game, not a life


@pytest.mark.parametrize(("skip", "decisions"), [(1, 40), (4, 10), (7, 5)])
def test_time_limits_count_emulated_frames(skip, decisions):
    """ALE#464, envpool PR#250: the limit ignored the frame skip."""
    env = AtariEnv(game="Boxing", observation="ram", frame_skip=skip, max_frames=40)
    assert env.time_limit == decisions
    env.reset(seed=0)
    ends = [env.step(0)[3] for _ in range(decisions)]
    assert ends == [False] * (decisions - 1) + [True]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_stacks_at_the_seam(mode):
    """SB3#1883, Gymnasium#829: the final stack holds the old game's last frames, the first stack of a game none."""
    env, single = games(1, mode, stack=4, max_frames=40), AtariEnv(game="Breakout", stack=1, noop_max=0)
    first, _ = env.reset(seed=0)
    frames = [single.reset(seed=0)[0][0]]
    assert not first[0, :3].any()
    for step in range(10):
        seen, _, _, cut, infos = env.step(np.array([step % 4]))
        frames.append(single.step(step % 4)[0][0])
    assert cut[0]
    last = infos["final_obs"][0] if mode == "SameStep" else seen[0]
    np.testing.assert_array_equal(last, frames[-4:])
    begun = seen if mode == "SameStep" else env.step(np.array([0]))[0]
    np.testing.assert_array_equal(begun, first)


def test_small_things_survive_pooling_and_shrinking():
    """gym PR#1790: resizing lost the ball. Here the ball is in every picture in which it is in play."""
    plain = AtariEnv(game="Breakout", stack=1)
    without = AtariEnv(game="Breakout", stack=1, effects=[{"type": "HideObjects", "objects": ["ball"]}])
    plain.reset(seed=0)
    without.reset(seed=0)
    in_play = 0
    for step in range(60):
        seen, other = plain.step(step % 4)[0], without.step(step % 4)[0]
        ram = plain.batch.worlds[0].emulator.ram
        if 100 < ram[101] < 180:
            in_play += 1
            assert np.abs(seen.astype(int) - other).max() >= 10
    assert in_play > 15


def test_worlds_that_are_given_different_actions_differ():
    """envpool#312, #324: all worlds gave one observation, without error."""
    env = games(3)
    env.reset(seed=[0, 0, 0])
    for _ in range(10):
        seen = env.step(np.array([0, 2, 3]))[0]
    assert len({picture.tobytes() for picture in seen}) == 3
    recorded = env.step(np.array([0, 2, 3]))[4]["executed"]
    np.testing.assert_array_equal(recorded, [[0] * 4, [2] * 4, [3] * 4])  # data can hold both actions
