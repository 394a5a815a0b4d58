"""Both stages on any team in any PettingZoo environment, one recorded episode in words, and bad input."""

import dataclasses
import re

import numpy as np
import pytest
from torch import nn

from agentgym.errors import AskError, CorruptFile, InvalidParameter, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.examine import episodes_of, examine, replayed, require_stage2
from agentgym.evaluation.forensics.examiner import Examiner
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.pages import as_csv, examination_page, trial_page
from agentgym.evaluation.forensics.trial import Plan, run_trial
from agentgym.play.recording import Recording

PLAN = Plan(("gauss:0.5", "arand", "shift:0.5"), ("combined", "jump"), 20, clean=60, fresh=40, seed=7)


def recording_of(episodes, k, team, env):
    """A recording, as the player writes one, of an episode that was collected."""
    layout = team.layout
    received = np.zeros((episodes.steps, *layout.observation_space.shape), np.float32)
    received.reshape(episodes.steps, -1)[:, layout.windows] = episodes.received[k]
    done = [layout.to_environment(as_tensor(each[k])) for each in (episodes.commanded, episodes.executed)]
    rewards = episodes.rewards[k]
    return Recording(env, {}, int(episodes.seeds[k]), received, *done, rewards.mean(1), rewards, episodes.alive[k])


def as_tensor(array):
    import torch

    return torch.as_tensor(array)


@pytest.fixture(scope="module")
def trial(request, meeting, walkers):
    """A trial of the hand-written team."""
    import functools

    from agentgym.evaluation.forensics.detectors import by_name
    from agentgym.evaluation.forensics.detectors.dynamics import Dynamics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_name, "Dynamics", functools.partial(Dynamics, steps=150, batch_size=256))
        return run_trial(walkers(), meeting, {}, PLAN)


def test_a_trial_works_on_any_team_in_any_pettingzoo_environment(trial):
    table = {(row["detector"], row["fault"]): row for row in trial.table}
    assert len(table) == 2 * 4
    for fault in ("gauss:0.5", "arand"):
        row = table["combined", fault]
        assert row["accuracy"] > 0.7, row
        assert row["low"] < row["accuracy"] < row["high"] or row["accuracy"] == 1.0
        for stage2 in ("walk action_gap", "gate action_gap", "walk critic", "gate critic"):
            after = row["accuracy"] + (row[f"{stage2}: corrected"] - row[f"{stage2}: broken"]) / 20
            assert row[f"{stage2}: accuracy"] == pytest.approx(after)
    assert "accuracy" not in table["combined", "shift:0.5"]  # nobody failed first
    assert table["combined", "shift:0.5"]["alarms"] > 0.5
    assert len(trial.rows) == 2 * 4 * 20
    right = [r for r in trial.rows if (r["detector"], r["fault"]) == ("combined", "arand") and r["agent"] == r["victim"]
             and r["step"] >= r["onset"]]  # fmt: skip
    assert len(right) / 20 == table["combined", "arand"]["accuracy"]


def test_its_page_and_its_rows(trial):
    page = trial_page(trial, "walkers <b>", "by hand", "Meeting-v0")
    assert "Patient-0 accuracy" in page
    assert "88.2 to 99.4 %" in page
    assert "walkers &lt;b&gt;" in page
    lines = as_csv(trial.table).splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("detector,alpha,noise,fault,episodes,alarms")


@pytest.fixture(scope="module")
def faulty(trial, meeting):
    """An episode whose agent acts at random from step 6 on, and its recording."""
    fault = Fault("arand", earliest=6, latest=6)
    episodes = collect(trial.examiner.team, meeting, [4242], fault)
    return episodes, recording_of(episodes, 0, trial.examiner.team, meeting)


def test_one_episode_is_answered_in_words(trial, faulty, meeting):
    episodes, recording = faulty
    team, victim = trial.examiner.team, int(episodes.truth.victim[0])
    read = episodes_of(recording, team, meeting)
    for name in ("received", "commanded", "executed", "rewards", "alive"):
        assert np.array_equal(getattr(read, name), getattr(episodes, name)), name
    found = examine(trial.examiner, read, meeting)
    assert found.finding.agent == victim
    assert 6 <= found.finding.since <= 8
    assert found.sentences[0].startswith(f"Agent {victim} failed first")
    assert "by combined" in found.sentences[0]
    assert "at most 5 % of clean episodes" in found.sentences[0]
    assert any("dragged along" in each.lower() or "Flagged later" in each for each in found.sentences)
    assert replayed(recording) is None  # it draws nothing
    page = examination_page(found, recording, "walkers", "by hand", "Meeting-v0")
    assert f"Agent {victim} failed first" in page
    assert "There is no film" in page


def test_a_clean_episode_is_no_detection(trial, meeting):
    quiet = collect(trial.examiner.team, meeting, [99, 100, 101])
    verdicts = trial.examiner.monitors["combined"].examine(quiet)
    k = int(np.flatnonzero(verdicts.agent < 0)[0])
    found = examine(trial.examiner, quiet.take(slice(k, k + 1)), meeting)
    assert found.finding is None
    assert found.sentences[0].startswith("No detection")
    assert re.search(r"The largest score is 0\.\d+ of the threshold: agent \d", found.sentences[1])


def test_episodes_of_others_are_refused(trial, faulty):
    team, recording = trial.examiner.team, faulty[1]
    with pytest.raises(AskError, match=r"one of Meeting-v0, the team is examined in Elsewhere-v0\(a=1\)"):
        episodes_of(recording, team, "Elsewhere-v0", {"a": 1})
    other = dataclasses.replace(recording, received=recording.received[:, :2])
    with pytest.raises(SpaceMismatch, match="another team's"):
        episodes_of(other, team, "Meeting-v0")
    with pytest.raises(InvalidParameter, match="no rewards of single agents"):
        episodes_of(dataclasses.replace(recording, agent_rewards=None), team, "Meeting-v0")
    with pytest.raises(InvalidParameter, match="One episode"):
        examine(trial.examiner, trial.data.test, "Meeting-v0")


def test_what_a_team_cannot_have_is_left_out_and_said(trial, meeting, walkers, quick):
    data = dataclasses.replace(trial.data, faulty={})
    without = Examiner.fit(walkers(None), data, ["td_error", "policy_nll"])
    assert list(without.monitors) == ["policy_nll"]
    assert "no critic" in without.refused["td_error"]
    assert without.stage2 == ["walk action_gap", "gate action_gap"]
    with pytest.raises(InvalidParameter, match=r"has no critic.*Here stage 2 can be walk action_gap, gate action_gap"):
        require_stage2(without, "walk critic")
    with pytest.raises(UnknownId, match="walk critic"):
        require_stage2(without, "walk critics")
    with pytest.raises(InvalidParameter, match="no critic"):
        Examiner.fit(walkers(None), data, ["td_error"])
    bent = Examiner.fit(walkers(nn.ReLU), data, ["policy_nll"])
    assert "smooth activation" in bent.refused["critic"]


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"faults": ["gaus:0.5"]}, UnknownId, "gauss"),
        ({"faults": ["gauss"]}, InvalidParameter, "needs a size"),
        ({"detectors": ["combind"]}, UnknownId, "combined"),
        ({"detectors": []}, InvalidParameter, "at least one detector"),
        ({"alpha": 0.01, "fresh": 50}, InvalidParameter, "at least 99 clean episodes"),
        ({"alpha": 0.0}, InvalidParameter, "alpha"),
        ({"noise": -1.0}, InvalidParameter, "noise"),
        ({"episodes": 0}, InvalidParameter, "episodes"),
    ],
)
def test_bad_plans_are_refused_before_any_work(settings, error, match):
    with pytest.raises(error, match=match):
        Plan(**settings)


# Recordings


def test_recordings_are_read_as_they_were_written(faulty, tmp_path):
    recording = faulty[1]
    again = Recording.load(recording.save(tmp_path / "episode.npz"))
    assert (again.env, again.env_kwargs, again.seed) == (recording.env, recording.env_kwargs, recording.seed)
    for name in ("received", "commanded", "executed", "rewards", "agent_rewards", "alive"):
        assert np.array_equal(getattr(again, name), getattr(recording, name)), name


def test_damaged_recordings_are_refused(faulty, tmp_path):
    path = faulty[1].save(tmp_path / "episode.npz")
    whole = path.read_bytes()
    for number, content in enumerate([b"", b"no zip", whole[: len(whole) // 2], whole[:200] + whole[260:]]):
        bad = tmp_path / f"bad{number}.npz"
        bad.write_bytes(content)
        with pytest.raises(CorruptFile, match=re.escape(str(bad))):
            Recording.load(bad)
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", about=np.array([{}], dtype=object))
    for name in ("foreign", "objects"):
        with pytest.raises(CorruptFile, match="no recording"):
            Recording.load(tmp_path / f"{name}.npz")
    short = dataclasses.replace(faulty[1], executed=faulty[1].executed[:-1])
    with pytest.raises(CorruptFile, match="executed"):
        Recording.load(short.save(tmp_path / "short.npz"))
    hole = dataclasses.replace(faulty[1], rewards=np.where(np.arange(15) == 3, np.nan, faulty[1].rewards))
    with pytest.raises(CorruptFile, match="NaN or infinity in rewards"):
        Recording.load(hole.save(tmp_path / "hole.npz"))
    with pytest.raises(FileNotFoundError, match="agentgym play RUN --record"):
        Recording.load(tmp_path / "nowhere.npz")
