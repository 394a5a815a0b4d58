"""Detectors: what they see, that they look at the past and at nobody else, and whom they refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from agentgym.agents import HATRPO, MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.detectors.by_name import DETECTORS, make_detector
from agentgym.evaluation.forensics.detectors.combined import Combined
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics
from agentgym.evaluation.forensics.detectors.mahalanobis import Mahalanobis
from agentgym.evaluation.forensics.detectors.policy_nll import PolicyCUSUM, PolicyNLL, entropies
from agentgym.evaluation.forensics.detectors.taylor_fixed import TaylorFixed
from agentgym.evaluation.forensics.detectors.taylor_low import moments
from agentgym.evaluation.forensics.detectors.taylor_move import TaylorMove
from agentgym.evaluation.forensics.detectors.td_error import TDError
from agentgym.evaluation.forensics.evasion import EvasiveTeam
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.monitor import Monitor
from agentgym.evaluation.forensics.team import LearnedTeam
from tests.evaluation.forensics.teams import GAME, SPREAD, Headed, Regulators

CONTACTS = SimpleSpreadVectorEnv(1).contact_inputs


@pytest.fixture(scope="module")
def team():
    agent = MADDPG(env=SimpleSpreadEnv(), seed=3, actor_layers=(16,), critic_layers=(16,), buffer_size=100)
    for weight in agent.policy.network.parameters():
        weight.data *= 3
    return LearnedTeam(agent)


@pytest.fixture(scope="module")
def clean(team):
    return collect(team, SPREAD, range(120))


@pytest.fixture(scope="module")
def fitted(team, clean):
    """All detectors, with short training."""
    made = {name: make_detector(name, team, CONTACTS) for name in DETECTORS}
    for detector in made.values():
        for part in getattr(detector, "members", [detector]):
            if isinstance(part, Dynamics):
                part.steps, part.units = 40, 8
        detector.fit(clean)
    return made


@pytest.mark.parametrize("name", DETECTORS)
def test_one_episode_or_many_and_the_future_make_no_difference(fitted, team, name):
    episodes = collect(team, SPREAD, range(500, 570), Fault("arand"))  # more than a block
    scores = fitted[name].score(episodes)
    assert scores.shape == episodes.alive.shape
    assert (scores >= 0).all()
    assert np.isfinite(scores).all()
    assert scores[:, 1:].max() > 0
    assert np.allclose(fitted[name].score(episodes.take(slice(66, 67)))[0], scores[66], rtol=1e-6, atol=1e-9)
    cut = {each: getattr(episodes, each)[:3, :12] for each in ("received", "commanded", "executed", "rewards", "alive")}
    past = fitted[name].score(replace(episodes.take(slice(3)), true=None, truth=None, **cut))
    assert np.allclose(past, scores[:3, :12], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "chance"])
def test_what_stands_in_dead_slots_is_not_read(fitted, clean, name):
    alive = clean.alive[:4].copy()
    alive[:, 9:, 1] = False
    some = replace(clean.take(slice(4)), alive=alive, true=None)
    junk = {}
    for each in ("received", "commanded", "executed", "rewards"):
        junk[each] = getattr(some, each).copy()
        junk[each][~alive] = np.nan
    scores = fitted[name].score(some)
    assert np.array_equal(fitted[name].score(replace(some, **junk)), scores)
    assert not scores[~alive].any()


def test_every_detector_fits_and_scores_where_agents_fall():
    env = "agentgym/Skirmish-v0"
    agent = MADDPG(env=env, seed=0, actor_layers=(8,), critic_layers=(8,), buffer_size=100)
    team = LearnedTeam(agent)
    clean, fresh = collect(team, env, range(80)), collect(team, env, range(200, 240))
    for name in ("taylor_move", "taylor_low", "mahalanobis", "td_error", "return_drop", "policy_nll"):
        monitor = Monitor(make_detector(name, team), 0.05).fit(clean, fresh)
        assert np.isfinite(monitor.examine(fresh).ratios).all()


def test_moves_are_expanded_where_they_are_said_to_be(team, clean):
    episode = clean.take(slice(1))
    windows = torch.as_tensor(episode.received[0]).double()
    before, after = windows[6], windows[7]
    for at, start, end in (("previous", before, after), ("current", after, before)):
        tau = team.act(start[None].float())[0].double()

        def cost(seen, tau=tau):
            return -team.log_probs(seen[None], tau[None])[0]

        slope = torch.stack([torch.autograd.functional.jacobian(cost, start)[k, k] for k in range(3)])
        along = ((end - start) * slope).sum(-1)
        wanted = (cost(end) - cost(start) - along).abs()
        found = TaylorMove(team, at).score(episode)[0, 7]
        assert np.allclose(found, wanted.numpy(), atol=1e-12)
        assert np.allclose(TaylorMove(team, at, first=True).score(episode)[0, 7], along.abs().numpy(), atol=1e-12)


def test_probes_have_their_norm_and_leave_dead_columns(team, clean):
    detector = TaylorFixed(team, size=0.07).fit(clean)
    moves = detector._moves(clean.take(slice(2)))
    assert np.allclose(moves.norm(dim=-1), 0.07)
    assert not moves[..., 14:].any()
    assert detector.live.tolist() == list(range(14))


def test_likelihoods_and_entropies_are_those_of_the_policy(team, clean):
    logits = team._scores(torch.as_tensor(clean.received[:5]).double().flatten(0, 1))
    logs = torch.log_softmax(logits, -1)
    taken = torch.as_tensor(clean.executed[:5]).double().flatten(0, 1)
    wanted = -(logs * taken).sum(-1).reshape(5, 25, 3).numpy()
    assert np.allclose(PolicyNLL(team).score(clean.take(slice(5))), wanted, atol=1e-12)
    spread = -(logs.exp() * logs).sum(-1).reshape(5, 25, 3).numpy()
    assert np.allclose(entropies(team, clean.take(slice(5))), spread, atol=1e-12)
    total = np.zeros((5, 3))
    for t in range(10):
        total = np.maximum(0, total + wanted[:, t] - spread[:, t] - 0.2)
    assert np.allclose(PolicyCUSUM(team).score(clean.take(slice(5)))[:, 9], total, atol=1e-12)


def test_td_errors_are_the_critics(team, clean):
    some = clean.take(slice(2))
    seen, done = (torch.as_tensor(each).double().flatten(0, 1) for each in (some.received, some.executed))
    with torch.no_grad():
        values = team.critic(seen, done, torch.ones(50, 3, dtype=torch.bool)).reshape(2, 25, 3).numpy()
    wanted = np.abs(some.rewards[:, 8] + team.gamma * values[:, 9] - values[:, 8])
    assert np.allclose(TDError(team).score(some)[:, 9], wanted)


def test_mahalanobis_norms_are_those_of_scipy(team):
    clean = collect(team, SPREAD, range(300))
    detector = Mahalanobis(team).fit(clean)
    own = clean.received[:, 10, 2, :14].astype(np.float64)
    inverse = np.linalg.inv(np.cov(own.T))
    apart = own[7] - own.mean(0)
    assert np.isclose(detector.score(clean)[7, 10, 2], np.sqrt(apart @ inverse @ apart), rtol=1e-3)


def test_moments_of_steps_with_few_values_are_those_of_all():
    values = np.random.default_rng(0).normal(3, 2, (200, 4, 2))
    values[20:, 3] = np.nan
    mean, std = moments(values)
    assert np.allclose(mean[0], values[:, 0].mean(0))
    assert np.allclose(std[1], values[:, 1].std(0))
    assert np.allclose(mean[3], np.nanmean(values))
    assert np.allclose(std[3], np.nanstd(values), rtol=1e-3)


@pytest.fixture(scope="module")
def game():
    """A planted game, a team of its own, and a dynamics detector."""
    team = Regulators()
    detector = Dynamics(team, steps=300, units=16)
    return team, Monitor(detector, 0.05).fit(collect(team, GAME, range(200)), collect(team, GAME, range(1000, 1200)))


@pytest.mark.parametrize("fault", ["bias:2", "gauss:2", "astuck"])
def test_dynamics_finds_planted_faults_in_a_game_of_a_team_of_ones_own(game, fault):
    team, monitor = game
    episodes = collect(team, GAME, range(3000, 3100), Fault.parse(fault))
    found, truth = monitor.examine(episodes), episodes.truth
    right = (found.agent == truth.victim) & (found.step >= truth.onset)
    rows, onset = np.arange(100), truth.onset
    push = 5 * np.abs(episodes.executed - episodes.commanded)[rows, onset, truth.victim, 0]  # of the state, noise 0.1
    visible = (push > 1) | (fault != "astuck")  # an action stuck near the one that is commanded changes nothing
    assert visible.mean() > 0.7
    assert right[visible].mean() > 0.85
    assert np.median((found.step - truth.onset)[right]) <= 1


def test_dynamics_residuals_of_the_game_have_the_size_of_its_noise(game):
    """The game's noise of 0.1 is all that cannot be predicted by an agent that nobody pushes."""
    team, monitor = game
    episodes = collect(team, GAME, range(4000, 4100))
    standard = monitor.detector._standard(episodes)[:, :, 0, 0]
    assert 0.85 < float(standard.std()) < 1.3


def test_contact_inputs_point_away_from_who_touches():
    windows = np.zeros((1, 3, 18), np.float32)
    windows[0, 0, 10:14] = [0.1, 0.0, 2.0, 0.0]  # another agent 0.1 to the right, and one far away
    found = CONTACTS(windows)[0, 0]
    assert np.allclose(found, [-2.0, 0.0], atol=1e-3)  # (0.3 - 0.1) / 0.01 / 10
    windows[0, 0, 10] = 0.5
    assert np.abs(CONTACTS(windows)[0, 0]).max() < 1e-6


def test_combined_sees_what_its_members_see():
    team = Headed(sharpness=8.0)
    members = [Dynamics(team, CONTACTS, steps=150, units=16), PolicyNLL(team)]
    monitor = Monitor(Combined(members), 0.05).fit(
        collect(team, SPREAD, range(250)), collect(team, SPREAD, range(1000, 1200))
    )
    for fault, member in (("gauss:0.5", 0), ("arand", 1)):
        episodes = collect(team, SPREAD, range(3000, 3100), Fault.parse(fault))
        found = monitor.examine(episodes)
        right = (found.agent == episodes.truth.victim) & (found.step >= episodes.truth.onset)
        assert right.mean() > 0.8, fault
        evidence = monitor.detector.which(episodes)[np.arange(100), found.step, found.agent]
        assert (evidence[right] == member).mean() > 0.6, fault


def test_teams_and_data_that_a_detector_cannot_work_with_are_refused(team, clean):
    with pytest.raises(InvalidParameter, match="no critic"):
        TDError(Headed()).score(collect(Headed(), SPREAD, range(2)))
    with pytest.raises(InvalidParameter, match="at least 20 clean episodes"):
        Dynamics(team).fit(clean.take(slice(10)))
    with pytest.raises(InvalidParameter, match="covariance"):
        Mahalanobis(team).fit(clean.take(slice(1)))
    with pytest.raises(InvalidParameter, match="Box"):
        make_detector("entropy", Regulators()).fit(collect(Regulators(), GAME, range(3)))
    with pytest.raises(UnknownId, match="taylor"):
        make_detector("tailor", team)
    with pytest.raises(InvalidParameter, match="methods"):
        LearnedTeam(object())


def test_a_value_of_the_team_has_one_error_for_all_agents():
    agent = HATRPO(env=SimpleSpreadEnv(), seed=0, actor_layers=(8,), value_layers=(8,))
    team = LearnedTeam(agent)
    scores = TDError(team).score(collect(team, SPREAD, range(3)))
    assert np.allclose(scores, scores[..., :1])
    assert scores[:, 1:].min() > 0


def test_an_attacker_that_knows_the_dynamics_stays_within_its_residual_and_its_size(team, clean):
    detector = Dynamics(team, CONTACTS, steps=150, units=16).fit(clean)
    fault = Fault("fgsm", 0.3)
    plain = collect(team, SPREAD, range(800, 860), fault)
    hidden = collect(
        team, SPREAD, range(800, 860), fault,
        attacker=lambda truth, seeds, columns: EvasiveTeam(team.agent, detector, 0.5, truth, seeds, columns),
    )  # fmt: skip
    rows, victim, onset = np.arange(60), hidden.truth.victim, hidden.truth.onset
    assert np.array_equal(hidden.truth.victim, plain.truth.victim)
    moved = np.abs(hidden.received - hidden.true)
    assert moved.max() <= 0.3 + 1e-5
    assert moved[rows, onset, victim].max(-1).mean() > 1e-3  # it does something
    assert not moved[~(np.arange(3) == victim[:, None, None]).repeat(25, 1)].any()
    free = moved[rows, onset, victim].max(-1) < 0.3 - 1e-4  # where the ball around the truth did not bind
    scores = [detector.score(each)[rows, onset, victim] for each in (hidden, plain)]
    assert free.mean() > 0.5
    assert scores[0][free].max() < 0.6
    assert np.median(scores[1]) > 1.0  # beyond the clean 99.9 % quantile, as plain FGSM is


def test_predictions_are_those_behind_the_scores(team, clean):
    detector = Dynamics(team, CONTACTS, steps=30, units=8, windowed=False).fit(clean)
    some = clean.take(slice(5))
    centre, std = detector.predicted(some.received[:, 8], some.commanded[:, 8])
    residual = np.sqrt((((some.received[:, 9][..., detector.live] - centre) / std) ** 2).mean(-1))
    assert np.allclose(residual / detector.quiet, detector.score(some)[:, 9], rtol=1e-3, atol=1e-4)
