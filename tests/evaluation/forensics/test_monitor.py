"""Thresholds keep their guarantee; first crossings, ties and no detection."""

import numpy as np
import pytest

from agentgym.errors import InvalidParameter, ResetNeeded, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.benchmark import wilson
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.detectors.jump import Jump
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.monitor import Monitor, conformal_threshold, least_episodes, m_of_w
from tests.evaluation.forensics.teams import SPREAD, Headed


class Given:
    """Scores that are the rewards of the episodes."""

    name = "given"

    def fit(self, clean):
        return self

    def score(self, episodes):
        return np.where(episodes.alive, episodes.rewards, 0.0)


def scored(scores):
    scores = np.asarray(scores, float)
    actions = np.zeros((*scores.shape, 1), np.float32)
    return Episodes(actions, actions, actions, scores, np.ones(scores.shape, bool))


@pytest.mark.parametrize(("alpha", "count"), [(0.05, 39), (0.05, 200), (0.01, 99), (0.01, 250)])
def test_clean_alarms_are_those_that_were_promised(alpha, count):
    drawn, repeats = np.random.default_rng(0), 600
    alarms = []
    for _ in range(repeats):
        values = drawn.standard_t(2, (count + 100, 5, 3)) ** 2 * [1.0, 10.0, 100.0]  # heavy tails, unequal agents
        monitor = Monitor(Given(), alpha).calibrate(scored(values[:50]), scored(values[:count]))
        # exchangeable with the threshold's, so the scales must not be of the same episodes for a test of coverage
        monitor.scales = np.array([[1.0, 10.0, 100.0]])
        monitor.threshold = conformal_threshold(monitor.scaled(scored(values[:count])).max((1, 2)), alpha)
        alarms.append((monitor.examine(scored(values[count:])).agent >= 0).mean())
    mean, error = np.mean(alarms), np.std(alarms) / np.sqrt(repeats)
    assert alpha - 1 / (count + 1) - 3 * error < mean < alpha + 3 * error  # the exact coverage of the rule


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_clean_play_stays_within_the_guarantee(alpha):
    team = Headed()
    clean, fresh, test = (collect(team, SPREAD, range(at, at + n)) for at, n in ((0, 100), (1000, 600), (5000, 800)))
    found = Monitor(Jump(team), alpha).fit(clean, fresh).examine(test)
    assert wilson(int((found.agent >= 0).sum()), len(test))[0] <= alpha


def test_too_few_episodes_are_refused_with_the_number_that_is_needed():
    assert [least_episodes(alpha) for alpha in (0.5, 0.1, 0.05, 0.01, 1.0)] == [1, 9, 19, 99, 1]
    values = np.random.default_rng(0).random((99, 4, 2))
    Monitor(Given(), 0.05).fit(scored(values), scored(values[:19]))
    with pytest.raises(InvalidParameter, match=r"at least 19 .* there are 18"):
        Monitor(Given(), 0.05).fit(scored(values), scored(values[:18]))
    with pytest.raises(InvalidParameter, match="at least 99"):
        Monitor(Given(), 0.01).calibrate(scored(values), scored(values[:98]))
    with pytest.raises(ResetNeeded):
        Monitor(Given()).examine(scored(values))
    for settings in ({"alpha": 0.0}, {"alpha": 1.5}, {"needed": 3, "window": 2}):
        with pytest.raises(InvalidParameter):
            Monitor(Given(), **settings)
    with pytest.raises(UnknownId):
        Monitor(Given(), scaling="step")


def test_the_first_crossing_names_ties_go_to_the_largest_ratio_and_nobody_is_an_outcome():
    clean = np.random.default_rng(0).random((400, 6, 3)) * [1.0, 1.0, 10.0]
    monitor = Monitor(Given(), 0.05).fit(scored(clean), scored(clean))
    quiet = np.full((6, 3), 0.1)
    late, tie, start, none = (quiet.copy() for _ in range(4))
    late[3, 1], late[5, 0] = 5.0, 900.0
    tie[2] = [4.0, 2.0, 30.0]  # agent 2's usual scores are ten times larger
    start[0, 1] = 99.0  # step 0 does not count
    found = monitor.examine(scored([late, tie, start, none]))
    assert found.agent.tolist() == [1, 0, -1, -1]
    assert found.step.tolist() == [3, 2, -1, -1]
    assert found.onsets[0].tolist() == [5, 3, -1]
    assert (found.ratios[1, 2] > 1).all()


def test_m_of_w_needs_m_large_scores():
    scores = np.array([0, 5, 1, 4, 0, 3, 9, 9.0])[None, :, None]
    assert m_of_w(scores, 1, 1)[0, :, 0].tolist() == scores[0, :, 0].tolist()
    assert m_of_w(scores, 2, 3)[0, :, 0].tolist() == [0, 0, 1, 4, 1, 3, 3, 9]
    monitor = Monitor(Given(), 0.1, needed=2, window=3).fit(scored(np.ones((20, 8, 1))), scored(np.ones((20, 8, 1))))
    single, double = np.zeros((8, 1)), np.zeros((8, 1))
    single[4], double[[4, 6]] = 50.0, 50.0
    found = monitor.examine(scored([single, double]))
    assert found.step.tolist() == [-1, 6]


def test_scales_of_time_follow_the_time():
    clean = np.random.default_rng(0).random((800, 5, 2)) * np.array([1, 100, 1, 1, 1.0])[None, :, None]
    odd = clean[:1].copy()
    odd[0, 3, 1] = 50.0  # ordinary at step 1, not at step 3
    by_agent, by_time = (Monitor(Given(), scaling=s).fit(scored(clean), scored(clean)) for s in ("agent", "time"))
    assert by_agent.examine(scored(odd)).agent.tolist() == [-1]
    assert by_time.examine(scored(odd)).agent.tolist() == [1]
    with pytest.raises(InvalidParameter, match="scaling='agent'"):
        by_time.examine(scored(np.zeros((1, 6, 2))))


def test_episodes_of_other_agents_are_refused():
    team, other = Headed(), Headed(agents=2)
    detector = Jump(team).fit(collect(team, SPREAD, range(20)))
    with pytest.raises(SpaceMismatch, match="3 agents"):
        detector.score(collect(other, SPREAD, range(2), env_kwargs={"agents": 2}))
