"""Each effect: its rate, what it does, and what it leaves alone."""

import numpy as np
import pytest
from scipy.stats import binomtest

from agentgym.envs.atari.effects import Drift, effect_from_config
from agentgym.envs.atari.env import AtariEnv
from agentgym.envs.atari.events import Modification

QUICK = {"noop_max": 0}


def rollout(env, steps=150, seed=0, action=None):
    """Observations, rewards and infos of one rollout; a new game starts at the end of one."""
    generator = np.random.default_rng(5)
    seen, told, paid = [], [], []
    observation, info = env.reset(seed=seed)
    for step in range(steps):
        seen.append(observation.copy())
        told.append(info)
        chosen = int(generator.integers(env.action_space.n)) if action is None else action(step)
        observation, reward, over, _, info = env.step(chosen)
        info["chosen"] = chosen
        paid.append(reward)
        if over:
            break
    return np.array([*seen, observation]), [*told, info], paid


def within(successes, trials, probability):
    low, high = binomtest(successes, trials).proportion_ci(0.999)
    return low <= probability <= high


@pytest.mark.parametrize(("per", "draws"), [("frame", 4), ("decision", 1)])
def test_random_actions_replace_at_their_rate(per, draws):
    """A replaced action equals the chosen one in one of four cases."""
    env = AtariEnv(game="Breakout", observation="ram", effects=[{"type": "RandomAction", "per": per}], **QUICK)
    _, told, _ = rollout(env, 400)
    changed = np.array([info["executed"] != info["chosen"] for info in told[1:] if info["executed"][-1] >= 0])
    if draws == 1:
        assert (changed.all(axis=1) == changed.any(axis=1)).all()
        changed = changed[:, :1]
    assert within(int(changed.sum()), changed.size, 0.3 * 3 / 4)
    if draws == 4:  # with p = 0.3 the chosen action survives four frames in about a third of the decisions
        assert within(int((~changed.any(axis=1)).sum()), len(changed), (1 - 0.3 * 3 / 4) ** 4)


def test_the_published_random_actions_of_bank_heist_are_the_first_ten():
    env = AtariEnv(game="BankHeist", setting="1", observation="ram", **QUICK)
    _, told, _ = rollout(env, 200, action=lambda step: 17)
    executed = np.concatenate([info["executed"] for info in told[1:]])
    assert set(executed[executed != 17]) == set(range(10))


def test_a_sticky_action_is_the_last_executed_one():
    env = AtariEnv(game="Boxing", observation="ram", effects=[{"type": "StickyAction", "probability": 0.5}], **QUICK)
    _, told, _ = rollout(env, 200)
    executed = np.concatenate([info["executed"] for info in told[1:]])
    chosen = np.repeat([info["chosen"] for info in told[1:]], 4)
    before = np.concatenate([[0], executed[:-1]])
    assert ((executed == chosen) | (executed == before)).all()
    differs = chosen != before
    assert within(int((executed != chosen)[differs].sum()), int(differs.sum()), 0.5)


@pytest.mark.parametrize(("per", "rate"), [("decision", 0.75), ("frame", 0.75**2)])
def test_masks_hide_at_their_rate(per, rate):
    """After pooling the rate is p. In the published order both of the last two frames must be masked: p squared."""
    crop = {"type": "Crop", "part": "bottom", "probability": 0.75, "per": per}
    env = AtariEnv(game="Gopher", stack=1, effects=[crop], **QUICK)
    seen, told, _ = rollout(env, 300)
    black = ~(seen[:, 0, 43:] > 0).any(axis=(1, 2))
    assert (seen[:, 0, :41] > 0).any(axis=(1, 2)).all()
    assert within(int(black[1:].sum()), len(black) - 1, rate)
    if per == "decision":
        np.testing.assert_array_equal(black, [info["masked"] for info in told])


def test_the_union_of_two_circles_is_seen_in_the_published_order():
    areas = {}
    for per in ("decision", "frame"):
        env = AtariEnv(game="Boxing", stack=1, effects=[{"type": "Crop", "per": per, "radius": 40}], **QUICK)
        seen, _, _ = rollout(env, 60)
        areas[per] = (seen[1:] > 0).mean()
        if per == "decision":
            assert (seen > 0).sum(axis=(1, 2, 3)).max() <= np.pi * 42**2 * 84 * 84 / (210 * 160)
    assert areas["frame"] > 1.3 * areas["decision"]


@pytest.mark.parametrize("setting", ["3.2A", "3.2B", "3.2C"])
@pytest.mark.parametrize("game", ["Breakout", "Boxing"])
def test_masks_change_the_picture_and_nothing_else(game, setting):
    """Rewards, RAM and the unmasked picture are those of the plain game, also where frames are emulated twice."""
    plain = AtariEnv(game=game, stack=1)
    masked = AtariEnv(game=game, stack=1, setting=setting, unmasked=True)
    seen, _, paid = rollout(plain, 80)
    hidden, told, also = rollout(masked, 80)
    assert paid == also
    np.testing.assert_array_equal(plain.batch.worlds[0].emulator.ram, masked.batch.worlds[0].emulator.ram)
    for picture, other, info in zip(seen, hidden, told, strict=True):
        np.testing.assert_array_equal(info["unmasked"], picture[0])
        if not info["masked"]:
            np.testing.assert_array_equal(other, picture)
    assert sum((a != b).any() for a, b in zip(seen, hidden, strict=True)) > 30


def test_a_hidden_object_is_missing_from_the_present_frame_not_the_next():
    """Without the look-ahead: outside the enemy, picture t is picture t. Then a frame ahead would differ."""
    same = {"game": "Boxing", "stack": 1, "frame_skip": 1, "observation": "rgb", "noop_max": 0}
    plain = AtariEnv(**same)
    hidden = AtariEnv(effects=[{"type": "HideObjects", "objects": ["enemy"]}], **same)
    seen, told, _ = rollout(plain, 60, action=lambda step: 3 if step % 20 < 10 else 9)
    other, _, _ = rollout(hidden, 60, action=lambda step: 3 if step % 20 < 10 else 9)
    moved = 0
    for step in range(10, 60):
        now, ahead = ((seen[t] != other[step]).any(axis=-1)[30:] for t in (step, step + 1))  # below the scores
        assert 20 < now.sum() < 900  # one boxer, gone
        assert np.ptp(np.nonzero(now)[1]) < 60
        moved += int(ahead.sum() > now.sum())
    assert moved > 10  # the picture of the next frame differs in more than the boxer
    assert not told[-1]["masked"]


def test_hiding_in_ram_leaves_the_other_entries():
    plain = AtariEnv(game="Breakout", observation="ram", stack=1)
    hidden = AtariEnv(game="Breakout", observation="ram", stack=1,
                      effects=[{"type": "HideObjects", "objects": ["ball"], "probability": 0.5}])  # fmt: skip
    seen, _, _ = rollout(plain, 60)
    other, told, _ = rollout(hidden, 60)
    ball = np.array([name.startswith("ball") for name in plain.entries])
    assert ball.sum() == 6
    np.testing.assert_array_equal(seen[:, ~ball], other[:, ~ball])
    for row, info in enumerate(told):
        np.testing.assert_array_equal(other[row, ball], 0 if info["masked"] else seen[row, ball])
    assert {bool(info["masked"]) for info in told} == {True, False}


def ram_of(env):
    return env.batch.worlds[0].emulator.ram


@pytest.mark.parametrize("probability", [0.0, 1.0])
@pytest.mark.parametrize(
    ("game", "mode"),
    [("Breakout", 1), ("Breakout", 2), ("Breakout", 3), ("Boxing", 2), ("Gopher", 2), ("BankHeist", 1)],
)
def test_an_event_happens_whenever_it_can_or_never(game, mode, probability):
    effect = {"type": "RandomEvent", "mode": mode, "probability": probability}
    env = AtariEnv(game=game, observation="ram", effects=[effect])
    _, told, paid = rollout(env, 400, seed=3, action=ball_follower(env) if game == "Breakout" else None)
    possible = sum(int(info["event_chances"]) for info in told)
    happened = sum(bool(info["event"]) for info in told)
    if mode == 3:
        assert possible == 0 if probability == 1.0 and happened == 0 else possible > 0
    else:
        assert possible > 0
        assert (happened > 0) == (probability == 1.0)
    if probability == 1.0 and game == "Breakout" and mode in (1, 2):
        assert all(each == 0 for each in paid) == (mode == 2)
        bricks = [name for name in env.entries if name.startswith("bricks")]
        values = env.batch.worlds[0].observation[-len(env.entries) :][-len(bricks) :]
        assert (values == 1).all()  # no brick is ever missing


def ball_follower(env):
    """Keeps the paddle under the ball, by RAM."""

    def act(step):
        ram = ram_of(env)
        if not ram[101] or step % 25 == 0:
            return 1
        return 2 if ram[99] > ram[72] + 8 else 3 if ram[99] < ram[72] + 4 else 0

    return act


def test_events_happen_at_their_rate():
    env = AtariEnv(game="Boxing", observation="ram", effects=[{"type": "RandomEvent", "mode": 1, "probability": 0.1}])
    _, told, _ = rollout(env, 300)
    assert sum(int(info["event_chances"]) for info in told[1:]) == 4 * 300
    once = np.array([bool(info["event"]) for info in told[1:]])
    assert within(int(once.sum()), 300, 1 - 0.9**4)


def test_swapped_colours_stay_until_the_next_swap():
    env = AtariEnv(game="Boxing", observation="ram", effects=[{"type": "RandomEvent", "mode": 1, "probability": 0.01}])
    env.reset(seed=1)
    colours, swaps = [], []
    for step in range(150):
        info = env.step(step % 18)[4]
        colours.append(tuple(ram_of(env)[1:3].tolist()))
        swaps.append(bool(info["event"]))
    assert 1 <= sum(swaps) < 20
    assert len(set(colours)) == 2
    for step in range(1, 150):
        if not swaps[step]:
            assert colours[step] == colours[step - 1]


def test_the_car_is_teleported_to_another_city():
    env = AtariEnv(game="BankHeist", observation="ram", effects=[{"type": "RandomEvent", "mode": 3, "probability": 1}],
                   frame_skip=1)  # fmt: skip
    env.reset(seed=0)
    before = int(ram_of(env)[0]) % 4
    for _ in range(5):
        info = env.step(0)[4]
        assert info["event"]
        assert int(ram_of(env)[0]) % 4 != before
        before = int(ram_of(env)[0]) % 4


def test_a_carrot_is_lost_once_and_never_the_last():
    env = AtariEnv(game="Gopher", observation="ram", effects=[{"type": "RandomEvent", "mode": 3, "probability": 0.2}])
    _, told, _ = rollout(env, 150, action=lambda step: 0)
    assert sum(bool(info["event"]) for info in told) == 1
    assert int(ram_of(env)[52] & 7).bit_count() == 2


# Drift


def test_schedules_of_a_drift():
    generator = np.random.default_rng(0)

    def concepts(**given):
        drift = Drift(concepts=[[]] * given.pop("count", 2), **given)
        return [drift.concept(decision, generator) for decision in range(14)]

    assert concepts(period=5) == [0] * 5 + [1] * 9
    assert concepts(period=5, count=3) == [0] * 5 + [1] * 5 + [2] * 4
    assert concepts(period=3, schedule="cyclic") == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    gradual = Drift(concepts=[[], []], period=100, width=50, schedule="gradual")
    drawn = np.array([[gradual.concept(decision, generator) for decision in range(200)] for _ in range(200)])
    assert (drawn[:, :100] == 0).all()
    assert (drawn[:, 150:] == 1).all()
    assert within(int(drawn[:, 100:150].sum()), 200 * 50, 0.5)
    assert drawn[:, 100:125].mean() < 0.4 < 0.6 < drawn[:, 125:150].mean()


def test_a_drift_switches_its_effects_and_begins_anew_with_each_episode():
    concepts = [[], [{"type": "Crop", "part": "top"}], [{"type": "RandomAction", "probability": 1.0}]]
    drift = {"type": "Drift", "period": 6, "schedule": "cyclic", "concepts": concepts}
    env = AtariEnv(game="Boxing", stack=1, effects=[drift])
    for _ in range(2):
        _, told, _ = rollout(env, 40)
        for decision, info in enumerate(told[1:]):
            assert info["concept"] == decision // 6 % 3
            assert info["masked"] == (info["concept"] == 1)
            if info["concept"] < 2:
                assert (info["executed"] == info["chosen"]).all()
    depth = len(env.batch.worlds[0]._lives)
    assert depth == 2  # nothing piles up over the cycles


def test_effects_combine_and_their_draws_are_independent():
    """Adding an effect does not change the draws of another."""
    alone = AtariEnv(game="Boxing", observation="ram", effects=[{"type": "RandomAction"}])
    hide = {"type": "HideObjects", "objects": ["enemy"], "probability": 0.3}
    both = AtariEnv(game="Boxing", observation="ram", effects=[{"type": "RandomAction"}, hide])
    _, first, paid = rollout(alone)
    _, second, also = rollout(both)
    assert paid == also
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one["executed"], other["executed"])
    assert {bool(info["masked"]) for info in second} == {True, False}


def test_configurations_of_effects_survive_a_round_trip():
    from agentgym.envs.atari.presets import STORI

    for published in STORI.values():
        for effects in published.values():
            for config in effects:
                effect = effect_from_config(config)
                assert effect_from_config(effect.config()).config() == effect.config()


def test_a_modification_of_ones_own_reads_and_pokes():
    class HalfCourt(Modification):
        """The player stays on the left half."""

        summary = "the player stays on the left"

        def frame(self, emulator, before, after):
            if after[32] > 60:
                emulator.poke({32: 60})

    env = AtariEnv(game="Boxing", observation="ram", modifications=[HalfCourt()])
    rollout(env, 80, action=lambda step: 3)
    assert ram_of(env)[32] <= 60
    plain = AtariEnv(game="Boxing", observation="ram")
    rollout(plain, 80, action=lambda step: 3)
    assert ram_of(plain)[32] > 60
