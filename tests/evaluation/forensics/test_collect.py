"""Recorded episodes: who is changed by which fault, since when, and the clean twin."""

import time

import numpy as np
import pytest

from agentgym.agents import MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv
from agentgym.errors import InvalidParameter, NonFinite, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.faults import KINDS, PAGE, Fault
from agentgym.evaluation.forensics.team import LearnedTeam
from tests.evaluation.forensics.teams import GAME, SPREAD, Headed, Regulators

SIZES = {"gauss": 0.5, "bias": 0.5, "drift": 0.1, "fgsm": 0.3, "pgd": 0.3, "adelay": 2, "wnoise": 0.5, "shift": 0.5}
SEEN = ("gauss", "bias", "drift", "freeze", "zero", "fgsm", "pgd", "shift")
DONE = ("arand", "astuck", "aflip", "adelay")


@pytest.fixture(scope="module")
def team():
    agent = MADDPG(env=SimpleSpreadEnv(), seed=3, actor_layers=(16,), critic_layers=(16,), buffer_size=100)
    for weight in agent.policy.network.parameters():
        weight.data *= 3  # so that agents move, and differently
    return LearnedTeam(agent)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_changes_what_it_says_of_the_victim_from_the_onset_on(team, kind):
    episodes = collect(team, SPREAD, range(60), Fault(kind, SIZES.get(kind, 1.0)), with_twin=True)
    truth, twin = episodes.truth, episodes.twin
    due = np.arange(25) >= truth.onset[:, None]
    assert (truth.onset >= 5).all()
    assert (truth.onset <= 15).all()
    hit = due[:, :, None] & ((np.arange(3) == truth.victim[:, None, None]) | (kind == "shift"))
    seen = (episodes.received != episodes.true).any(-1)
    done = (episodes.executed != episodes.commanded).any(-1)
    assert not seen[~hit].any()
    assert not done[~hit].any()
    assert (seen[hit].mean() > 0.8) == (kind in SEEN)
    assert done.any() == (kind in DONE)
    before = np.arange(25) < truth.onset[:, None]
    for name in ("received", "commanded", "executed", "rewards"):
        own, clean = getattr(episodes, name), getattr(twin, name)
        assert np.array_equal(own[before], clean[before]), name
    assert not np.array_equal(episodes.executed, twin.executed)
    assert (episodes.received[..., 14:] == 0).all()  # dead message slots stay dead


def test_sizes_of_observation_faults_are_those_asked_for(team):
    moved = {}
    for kind in ("gauss", "bias", "fgsm", "pgd", "drift"):
        found = collect(team, SPREAD, range(100), Fault(kind, 0.2))
        rows, onset = np.arange(100), found.truth.onset
        moved[kind] = (found.received - found.true)[rows, :, found.truth.victim][..., :14]
        moved[kind] = np.stack([each[start : start + 8] for each, start in zip(moved[kind], onset, strict=True)])
    assert abs(moved["gauss"].std() - 0.2) < 0.005
    assert np.allclose(np.abs(moved["bias"]), 0.2, atol=1e-5)
    assert np.allclose(np.abs(moved["fgsm"]), 0.2, atol=1e-5)
    assert np.abs(moved["pgd"]).max() <= 0.2 + 1e-5
    assert np.allclose(np.abs(moved["drift"]), 0.2 * np.arange(1, 9)[:, None], atol=1e-4)


def test_sensor_noise_is_part_of_what_is_received_and_not_of_the_truth():
    found = collect(Headed(), SPREAD, range(40), noise=0.1)
    apart = found.received - found.true
    assert abs(apart[..., :14].std() - 0.1) < 0.003
    assert not apart[..., 14:].any()


def test_equal_seeds_give_equal_episodes_alone_and_among_others(team):
    for kind in ("gauss", "fgsm", "wnoise", "arand"):
        many = collect(team, SPREAD, range(7, 12), Fault(kind, 0.3))
        one = collect(team, SPREAD, [9], Fault(kind, 0.3))
        assert np.allclose(one.received[0], many.received[2], atol=1e-6)
        assert np.array_equal(one.executed[0], many.executed[2])
        assert one.truth.victim[0] == many.truth.victim[2]


def test_agents_that_fall_leave_and_twins_have_the_same_length():
    agent = MADDPG(env="agentgym/Skirmish-v0", seed=0, actor_layers=(16,), critic_layers=(16,), buffer_size=100)
    found = collect(LearnedTeam(agent), "agentgym/Skirmish-v0", range(30), Fault("arand", earliest=1), with_twin=True)
    assert (np.diff(found.alive.astype(int), axis=1) <= 0).all()  # who has left stays away
    assert found.lengths.min() < found.steps
    assert not found.alive[:, -1].all()
    assert found.twin.alive.shape == found.alive.shape


def test_box_actions_of_a_team_of_ones_own():
    team = Regulators()
    found = collect(team, GAME, range(20), Fault("bias", 1.0))
    assert np.allclose(found.commanded, -team.game.gain * found.received / 10, atol=1e-6)
    with pytest.raises(InvalidParameter, match="networks"):
        collect(team, GAME, range(3), Fault("fgsm", 0.1))


def test_five_hundred_episodes_cost_about_a_second(team):
    collect(team, SPREAD, range(2))  # compiled
    start = time.process_time()
    collect(team, SPREAD, range(500), Fault("gauss", 0.2))
    assert time.process_time() - start < 3.0


def test_words_of_faults():
    assert [Fault.parse(words).name for words in PAGE] == list(PAGE)
    for words in ("gauss", "freeze:0.2", "gauss:x", "gauss:nan", "gauss:-1"):
        with pytest.raises((InvalidParameter, NonFinite)):
            Fault.parse(words)
    with pytest.raises(UnknownId, match="gauss"):
        Fault.parse("gaus:0.2")


def test_episodes_that_do_not_fit_are_refused(team):
    with pytest.raises(SpaceMismatch):
        collect(team, SPREAD, range(2), env_kwargs={"agents": 4})
    with pytest.raises(InvalidParameter):
        collect(team, SPREAD, [])
    good = collect(team, SPREAD, range(3))
    parts = {name: getattr(good, name) for name in ("received", "commanded", "executed", "rewards", "alive")}
    with pytest.raises(InvalidParameter, match="rewards"):
        Episodes(**{**parts, "rewards": parts["rewards"][:, :, :2]})
    broken = parts["received"].copy()
    broken[1, 2, 0, 3] = np.nan
    with pytest.raises(NonFinite, match="received"):
        Episodes(**{**parts, "received": broken})
    dead = parts["alive"].copy()
    dead[1, 2:, 0] = False
    assert len(Episodes(**{**parts, "received": broken, "alive": dead}).take(np.array([1, 2]))) == 2
