"""Stage 2's mathematics: derivatives against the planted game's closed forms, edges, walk, gate, small gain."""

import numpy as np
import pytest
import torch
from torch import nn

from agentgym.envs.particles.planted import LinearGame
from agentgym.errors import InvalidParameter, NonFinite, UnknownId
from agentgym.evaluation.forensics.contagion.derivatives import (
    blocks,
    gradients,
    influence,
    require_curvature,
)  # fmt: skip
from agentgym.evaluation.forensics.contagion.edges import EdgeScale, gap_edges, growth, pooled
from agentgym.evaluation.forensics.contagion.gain import small_gain
from agentgym.evaluation.forensics.contagion.walk import Evidence, Tally, find_source, risen

GAMES = {
    "chain": [[0, 0, 0, 0], [0.4, 0, 0, 0], [0, 0.4, 0, 0], [0, 0, 0.4, 0]],
    "fork": [[0, 0, 0], [0.5, 0, 0], [-0.5, 0, 0]],
    "join": [[0, 0, 0], [0, 0, 0], [0.4, 0.3, 0]],
    "cycle": [[0, 0, 0.35], [0.35, 0, 0], [0, 0.35, 0]],
    "apart": [[0, 0], [0, 0]],
    "pair": [[0, 0.3], [-0.3, 0]],
}


def critic_of(game, x):
    """Q(x, a) of a planted game as a critic of actions [B, A, 1]."""
    matrix, values = torch.tensor(game.matrix), torch.tensor(game.values)
    state = torch.as_tensor(x)

    def critic(actions):
        a = actions.squeeze(-1)
        y = state @ matrix.T + game.push * a
        return -(game.q * state**2 + game.r * a**2) - game.gamma * torch.einsum("bj,ijk,bk->bi", y, values, y)

    return critic


@pytest.fixture(params=GAMES)
def planted(request):
    """A game, states, actions and moves of seven samples."""
    game = LinearGame(GAMES[request.param])
    x, a, d = np.random.default_rng(0).normal(size=(3, 7, game.agents))
    return game, critic_of(game, x), x, a, d


def test_derivatives_are_the_closed_forms_to_1e_8(planted):
    game, critic, x, a, d = planted
    actions, moves = torch.tensor(a)[..., None], torch.tensor(d)[..., None]
    slope = np.einsum("bij,bj->bji", game.gradients(x, a), d)
    own = np.arange(game.agents)
    curvature = np.einsum("ij,bj->bji", game.hessians()[:, own, own], d**2)
    mixed = np.einsum("ij,bj,bi->bji", game.hessians()[own, own], d, d)
    assert np.abs(gradients(critic, actions)[..., 0].numpy() - game.gradients(x, a).transpose(0, 2, 1)).max() < 1e-8
    found = influence(critic, actions, moves, mixed=True)
    assert np.abs(found.slope.numpy() - slope).max() < 1e-8
    assert np.abs(found.curvature.numpy() - curvature).max() < 1e-8
    assert np.abs(found.mixed.numpy() - mixed).max() < 1e-8
    # Of a quadratic, slope + curvature / 2 is the whole change, whatever the size of the move.
    for j in own:
        moved = torch.where(torch.tensor(own == j)[None, :, None], actions + moves, actions)
        assert torch.allclose(critic(moved) - critic(actions), found.effect[:, j], atol=1e-9)
    differences = influence(critic, actions, moves, "differences", step=0.1, mixed=True)
    for name in ("slope", "curvature", "mixed"):
        assert torch.allclose(getattr(differences, name), getattr(found, name), atol=1e-8), name
    first = influence(critic, actions, moves, "first order", mixed=True)
    assert torch.equal(first.slope, found.slope)
    assert first.curvature is None
    assert torch.equal(first.strength, first.slope.abs())
    assert np.abs(first.mixed.numpy() - mixed).max() < 1e-8


def test_the_graph_of_influence_is_the_planted_one(planted):
    game, critic, _x, a, d = planted
    found = influence(critic, torch.tensor(a)[..., None], torch.tensor(d)[..., None])
    assert np.array_equal((found.slope.abs() > 1e-12).all(0).numpy(), game.reach)
    assert np.array_equal((found.curvature.abs() > 1e-12).all(0).numpy(), game.reach)


def network(activation, seed=0):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(6, 32), activation, nn.Linear(32, 32), activation, nn.Linear(32, 3)).double()
    return lambda x: layers(x.flatten(1))


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.SiLU(), nn.Softplus()])
def test_of_smooth_networks_differences_approach_the_derivatives(activation):
    critic = network(activation)
    x, d = torch.randn(2, 64, 3, 2, dtype=torch.float64)
    exact = influence(critic, x, d, mixed=True)
    errors = []
    for step in (0.1, 0.05):
        near = influence(critic, x, d, "differences", step, mixed=True)
        errors.append(
            [float((getattr(near, n) - getattr(exact, n)).abs().max()) for n in ("slope", "curvature", "mixed")]
        )
    assert float(exact.curvature.abs().max()) > 1e-3
    assert np.allclose(np.array(errors[0]) / errors[1], 4, atol=0.4)  # second order in the step
    require_curvature(critic, x, d)


def test_hidden_curvature_of_relu_is_refused_and_differences_see_it():
    critic = network(nn.ReLU())
    x, d = torch.randn(2, 64, 3, 2, dtype=torch.float64)
    assert float(influence(critic, x, d).curvature.abs().max()) == 0.0
    with pytest.raises(InvalidParameter, match=r"smooth activation.*'differences'.*'first order'"):
        require_curvature(critic, x, d)
    assert float(influence(critic, x, d, "differences", 0.1).curvature.abs().max()) > 1e-3
    require_curvature(lambda at: at.sum((1, 2))[:, None], x, d)  # truly linear: nothing is hidden


def test_a_value_of_the_state_alone_has_derivatives_too():
    matrix = torch.randn(4, 4, dtype=torch.float64)
    x, d = torch.randn(2, 5, 2, 2, dtype=torch.float64)

    def value(seen):
        return torch.einsum("bi,ij,bj->b", seen.flatten(1), matrix, seen.flatten(1))[:, None]

    found = influence(value, x, d)
    assert found.slope.shape == found.curvature.shape == (5, 2, 1)
    moved = x.clone()
    moved[:, 1] += d[:, 1]
    assert torch.allclose(value(moved) - value(x), found.effect[:, 1])
    with pytest.raises(InvalidParameter, match=r"not \[5, 2\]"):
        influence(value, x, d, mixed=True)


def test_bad_arguments_of_derivatives_are_refused():
    critic, (x, d) = network(nn.Tanh()), torch.zeros(2, 4, 3, 2, dtype=torch.float64)
    with pytest.raises(UnknownId, match="first order"):
        influence(critic, x, d, "first")
    with pytest.raises(InvalidParameter, match="must both be"):
        influence(critic, x, d[:, :2])
    with pytest.raises(InvalidParameter, match="step"):
        influence(critic, x, d, "differences", 0.0)
    with pytest.raises(InvalidParameter, match="returned values"):
        influence(lambda at: at.sum(), x, d)
    with pytest.raises(NonFinite):
        influence(lambda at: at[:, :, 0].sqrt(), x, d + 1)  # infinite slope at 0


# Edges


def test_the_window_weighs_the_past_and_never_the_future():
    series = np.random.default_rng(0).normal(size=(2, 12, 3, 3))
    found = pooled(series)
    for t in (0, 3, 11):
        wanted = sum(0.8**k * series[:, t - k] for k in range(6) if t >= k)
        assert found[:, t] == pytest.approx(wanted, abs=1e-12)
    later = series.copy()
    later[:, 7:] = 99.0
    assert np.array_equal(pooled(later)[:, :7], found[:, :7])
    assert growth(np.array([1.0, 3.0, 5.0])) == pytest.approx(2.0)
    assert growth(np.ones((1, 3, 3))).tolist() == np.zeros((3, 3)).tolist()


def test_clean_edges_pass_their_limit_in_one_step_of_twenty():
    random = np.random.default_rng(1)
    clean, fresh = np.abs(random.normal(size=(2, 400, 25, 3, 3))) * [[1.0, 2.0, 30.0]] + 5.0
    there = np.ones((400, 25), bool)
    there[::2, 20:] = False  # half of the episodes are shorter, and what stands behind their end is no edge
    clean[::2, 20:] = np.nan
    scale = EdgeScale.of(clean, there)
    passed = (scale.pooled(fresh) > scale.limit).mean((0, 1))
    apart = ~np.eye(3, dtype=bool)
    assert np.abs(passed[apart] - 0.05).max() < 0.02
    assert not passed[~apart].any()
    with pytest.raises(InvalidParameter):
        EdgeScale.of(clean)  # the NaN counts now


def test_gaps_are_sent_to_all_others():
    moves = np.zeros((1, 2, 3, 2))
    moves[0, 1, 2] = 3.0, 4.0
    assert gap_edges(moves)[0, 1].tolist() == [[0, 0, 0], [0, 0, 0], [5, 5, 0]]


# Walk and gate, by hand


def evidence(edges, scores, limit=1.0):
    """Edges by (j, i) with their series over time; scores [T, A] in units of the clean quantile."""
    scores = np.array(scores, float)
    agents = scores.shape[1]
    series = np.zeros((len(scores), agents, agents))
    for (j, i), values in edges.items():
        series[:, j, i] = values
    limits = np.where(np.eye(agents, dtype=bool), np.inf, limit)
    return Evidence(series, pooled(series[None])[0], limits, scores, 6)


QUIET = [0, 0, 0, 0, 0, 0]
GROWS = [0, 0, 1, 2, 3, 4]


def scores_from(*rises, length=6):
    """Scores of 2 from the given steps on; 0 for None."""
    return np.array([[0.0 if rise is None or t < rise else 2.0 for rise in rises] for t in range(length)])


def test_the_walk_follows_growing_edges_to_whoever_rose_first():
    chain = evidence({(0, 1): GROWS, (1, 2): GROWS}, scores_from(1, 3, 5))
    found = find_source(chain, 2, 5)
    assert (found.agent, found.since) == (0, 1)
    assert [(step.blamed, step.source, step.when) for step in found.steps] == [(2, 1, 5), (1, 0, 3)]
    assert found.steps[0].edge > found.steps[0].limit
    assert find_source(chain, 0, 1).steps == ()


@pytest.mark.parametrize(
    ("edges", "scores"),
    [
        ({(0, 1): QUIET}, scores_from(1, 4)),  # the edge is within clean play
        ({(0, 1): GROWS[::-1]}, scores_from(1, 4)),  # it fades
        ({(0, 1): GROWS}, scores_from(4, 4)),  # both rose at once
        ({(0, 1): GROWS}, scores_from(5, 4)),  # the other rose later
        ({(0, 1): GROWS}, scores_from(None, 4)),  # the other did not rise
        ({(1, 0): GROWS}, scores_from(1, 4)),  # the wrong way round
    ],
)
def test_the_walk_stays_where_any_condition_fails(edges, scores):
    assert find_source(evidence(edges, scores), 1, 5).agent == 1


def test_the_walk_takes_the_strongest_edge_and_stops_on_a_cycle():
    strong = [2 * value for value in GROWS]
    found = find_source(evidence({(0, 2): GROWS, (1, 2): strong}, scores_from(1, 2, 4)), 2, 5)
    assert found.agent == 1
    around = evidence({(0, 1): GROWS, (1, 0): GROWS}, scores_from(1, 3))
    assert find_source(around, 1, 5).agent == 0  # once: what agent 1 sent before agent 0 rose is nothing


def test_the_gate_overrules_only_silent_candidates():
    scores = scores_from(None, 4)
    assert find_source(evidence({(0, 1): GROWS}, scores), 1, 5, "gate").agent == 0
    assert find_source(evidence({(0, 1): GROWS, (1, 0): GROWS}, scores), 1, 5, "gate").agent == 1
    assert find_source(evidence({}, scores), 1, 5, "gate").agent == 1
    assert find_source(evidence({}, scores), 1, 5, "gate").reason == "nobody sends more than in clean play"


def test_times_of_rises_lie_in_the_window():
    scores = scores_from(0, 4, None, length=9)
    assert risen(scores, 8, 6) == [3, 4, None]
    scores[3, 1] = 1.5  # next to the others: it began here
    scores[3, 2] = scores[6, 2] = 1.5  # not enough for the quiet steps between
    assert risen(scores, 8, 6) == [3, 3, None]
    scores[[5, 7], 1] = 0.5  # gaps in between
    assert risen(scores, 8, 6) == [3, 3, None]
    scores = scores_from(0, 4, None, length=9)
    assert risen(scores, 2, 6) == [0, None, None]
    with pytest.raises(UnknownId, match="walk"):
        find_source(evidence({}, scores), 0, 0, "wlak")
    with pytest.raises(InvalidParameter, match="no agent 7"):
        find_source(evidence({}, scores), 7, 0)
    with pytest.raises(InvalidParameter, match="Scores are"):
        Evidence.of(np.zeros((5, 3, 3)), EdgeScale.of(np.ones((1, 5, 3, 3))), scores)


def test_the_tally_counts_both_ways():
    truth = np.array([0, 0, 0, 0, 1])
    tally = Tally.of(np.array([0, 1, 0, -1, 1]), np.array([0, 0, 1, -1, 1]), truth)
    assert (tally.right, tally.corrected, tally.broken, tally.after) == (3, 1, 1, 3)


# Small gain


@pytest.mark.parametrize(("coupling", "label"), [(0.1, "dies out"), (3.0, "amplifies")])
def test_small_gain_of_a_quadratic_game(coupling, label):
    """Q_i = -a_i^2 / 2 * mu_i + coupling a_i a_{i-1} on a ring of three, and agent 3 apart: C is coupling / mu."""
    mu = torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64)

    def critic(x):
        a = x[..., 0]
        ring = torch.stack([a[:, 2], a[:, 0], a[:, 1], torch.zeros_like(a[:, 0])], 1)
        return -mu * a**2 / 2 + coupling * a * ring

    found = small_gain(blocks(critic, torch.randn(5, 4, 1, dtype=torch.float64)).numpy())
    wanted = coupling / np.cbrt(1.0 * 2.0 * 0.5)  # the geometric mean around the ring
    assert found.radius == pytest.approx(wanted, abs=1e-8)
    assert [cycle.agents for cycle in found.cycles] == [(0, 1, 2)]
    assert found.cycles[0].label == label
    assert found.couplings[0, 2] == pytest.approx(coupling, abs=1e-12)
    assert found.couplings[1, 0] == pytest.approx(coupling / 2, abs=1e-12)
    cut = np.ones((4, 4), bool)
    cut[2, 0] = False  # without the edge from 2 to 0 there is no cycle
    assert small_gain(blocks(critic, torch.zeros(1, 4, 1, dtype=torch.float64)).numpy(), cut).cycles == ()


def test_small_gain_of_planted_games_is_that_of_the_closed_form(planted):
    game, critic, _x, a, _d = planted
    own = np.arange(game.agents)
    hessian = game.hessians()[own, own]  # row i: d2Q_i / da_i da_j
    wanted = np.abs(hessian) / -np.diagonal(hessian)[:, None] * ~np.eye(game.agents, dtype=bool)
    found = small_gain(blocks(critic, torch.tensor(a)[..., None]).numpy())
    assert np.abs(found.couplings - wanted).max() < 1e-8
    assert found.radius == pytest.approx(np.abs(np.linalg.eigvals(wanted)).max(), abs=1e-8)


def test_small_gain_needs_concave_values():
    with pytest.raises(InvalidParameter, match="agent 1 is not strictly concave"):
        small_gain(np.array([[[-1.0, 0.5], [0.5, 2.0]]])[..., None, None])
    with pytest.raises(InvalidParameter, match="Blocks are"):
        small_gain(np.zeros((2, 2)))
