"""Stage 2 in the planted game, where it is known who acts on whom: it is right in every case."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.envs.particles.planted import LinearGame
from agentgym.errors import InvalidParameter, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.contagion.stage2 import Contagion
from agentgym.evaluation.forensics.contagion.walk import Tally, find_source
from agentgym.evaluation.forensics.episodes import Episodes

CHAIN = 0.4 * np.eye(4, k=-1)
COUPLINGS = {
    "chain": CHAIN,
    "chain backwards": CHAIN.T,
    "fork": np.array([[0, 0, 0], [0.5, 0, 0], [-0.5, 0, 0]]),
    "join": np.array([[0, 0, 0], [0, 0, 0], [0.4, 0.3, 0]]),
    "cycle": np.array([[0, 0, 0.35], [0.35, 0, 0], [0, 0.35, 0]]),
    "pair": np.array([[0, 0.3], [-0.3, 0]]),
    "diamond": np.array([[0, 0, 0, 0], [0.4, 0, 0, 0], [0.4, 0, 0, 0], [0, 0.3, 0.3, 0]]),
}
STEPS, BOUND, QUIET, STUCK = 25, 10.0, 0.02, 2.0


class PlantedTeam:
    """The planted game's own policy and critic, by the three methods that forensics asks for."""

    gamma = 0.9

    def __init__(self, couplings, values="q"):
        self.game, self.values = LinearGame(couplings, noise=QUIET), values
        agents = self.game.agents
        seen, done = (spaces.Box(-end, end, (agents, 1), np.float32) for end in (np.inf, BOUND))
        self.layout = TeamLayout(seen, done, np.arange(agents)[:, None], None, None)

    def act(self, windows, generator=None):
        return -self.game.gain * windows / BOUND

    def log_probs(self, windows, actions):
        return -((actions - self.act(windows)) ** 2).sum(-1)

    def critic(self, windows, actions, alive):
        game, x, a = self.game, windows[..., 0], actions[..., 0] * BOUND
        matrix, values = torch.tensor(game.matrix), torch.tensor(game.values)
        if self.values == "none":
            return None
        if self.values == "v":
            return -torch.einsum("bj,ijk,bk->b", x, values, x)[:, None]
        y = x @ matrix.T + game.push * a
        return -(game.q * x**2 + game.r * a**2) - game.gamma * torch.einsum("bj,ijk,bk->bi", y, values, y)


def play(game, seeds, noise=QUIET, victim=None, onset=9, stuck=STUCK):
    """Episodes [E, 25, A, 1]; from its onset on the victim's action is stuck, whatever it commands."""
    received, commanded, executed = (np.zeros((len(seeds), STEPS, game.agents)) for _ in range(3))
    for episode, seed in enumerate(seeds):
        random = np.random.default_rng(seed)
        x = noise * random.normal(size=game.agents)
        for t in range(STEPS):
            received[episode, t] = x
            commanded[episode, t] = executed[episode, t] = game.act(x)
            if victim is not None and t >= onset:
                executed[episode, t, victim] = stuck
            x = game.next(x, executed[episode, t]) + noise * random.normal(size=game.agents)
    rewards = game.rewards(received, executed)
    arrays = [np.float32(each)[..., None] for each in (received, commanded / BOUND, executed / BOUND)]
    return Episodes(*arrays, rewards, np.ones(rewards.shape, bool))


def after(first, following):
    """What follows [E, T, A] one step later; the first step as in ``first``."""
    return np.concatenate([first[:, :1], following[:, :-1]], axis=1)


def residuals(game, episodes):
    """What each agent's number is beside what it expects from its own number and command, [E, T, A]."""
    x, a = episodes.received[..., 0], episodes.commanded[..., 0] * BOUND
    own = np.diagonal(game.matrix)
    return np.abs(
        np.diff(x, axis=1, prepend=x[:, :1]) - np.pad((own - 1) * x + game.push * a, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    )


def as_received(episodes):
    return episodes.received


def calibrated(name, **settings):
    """A team, stage 2 fitted to clean episodes, and the scale of stage 1's scores."""
    team = PlantedTeam(COUPLINGS[name])
    clean = play(team.game, range(1000, 1050))
    scale = np.quantile(residuals(team.game, clean), 0.95, axis=(0, 1))
    return team.game, Contagion(team, as_received, **settings).fit(clean), scale


def cases(game, scale, victim, seeds=range(12), **settings):
    """Faulty episodes, their scores, and every agent that stage 1 could name when that one's own score passed 3."""
    episodes = play(game, seeds, victim=victim, **settings)
    scores = residuals(game, episodes) / scale
    onset = settings.get("onset", 9)
    for named in np.flatnonzero(game.reach[victim]):
        late = scores[:, onset:, named] > 3
        flagged = late.any(1)
        assert flagged.mean() > 0.9
        yield episodes.take(flagged), scores[flagged], int(named), onset + late.argmax(1)[flagged]


@pytest.mark.parametrize("name", COUPLINGS)
@pytest.mark.parametrize("edges", ["critic", "action_gap"])
def test_stage_2_is_right_in_every_planted_case(name, edges):
    game, contagion, scale = calibrated(name, edges=edges)
    for victim in range(game.agents):
        for onset, stuck in ((5, 2.0), (9, -2.0), (15, 6.0)):
            known = None
            for episodes, scores, named, when in cases(
                game, scale, victim, onset=onset, stuck=stuck, noise=0.0, seeds=[0]
            ):
                known = known or contagion.evidence(episodes, scores)[0]
                found = find_source(known, named, int(when[0]))
                assert found.agent == victim, (name, victim, named, onset)
                assert (len(found.steps) > 0) == (named != victim)


def test_with_noise_stage_2_corrects_far_more_than_it_breaks():
    tallies = []
    for name in ("chain", "cycle", "diamond"):
        game, contagion, scale = calibrated(name, edges="critic")
        for victim in range(game.agents):
            for episodes, scores, named, when in cases(game, scale, victim):
                first = np.full(len(episodes), named)
                found = np.array([each.agent for each in contagion.find(episodes, first, when, scores)])
                tallies.append(Tally.of(first, found, np.full(len(first), victim)))
    wrong = 12 * len(tallies) - sum(each.right for each in tallies)
    corrected, broken = sum(each.corrected for each in tallies), sum(each.broken for each in tallies)
    print(f"right {sum(each.right for each in tallies)}, wrong {wrong}, corrected {corrected}, broken {broken}")
    assert corrected > 0.9 * wrong
    assert broken < 0.02 * wrong
    quiet = play(game, range(3))
    assert contagion.find(quiet, [-1] * 3, [0] * 3, residuals(game, quiet)) == [None] * 3


def test_the_critics_edges_are_the_closed_form():
    team = PlantedTeam(COUPLINGS["cycle"])
    game, episodes = team.game, play(team.game, [0, 1], victim=1, onset=5)
    found = Contagion(team, as_received, edges="critic").series(episodes)
    x, a = episodes.received[..., 0].astype(float), episodes.executed[..., 0].astype(float) * BOUND
    d = a + game.gain * x
    wanted = np.abs(np.einsum("etij,etj->etji", game.gradients(x, a), d)) * ~np.eye(3, dtype=bool)  # concave: no growth
    assert np.abs(found - wanted).max() < 1e-5  # policy and actions are float32
    assert np.argwhere(found[:, 8].min(0) > 1e-3).tolist() == [[1, 0], [1, 2]]


def test_the_gate_finds_the_sender_where_the_candidate_is_silent():
    game, contagion, scale = calibrated("chain", edges="critic", rule="gate")
    right = named_right = total = 0
    for victim in range(3):  # the last of the chain sends nothing to anybody
        for episodes, scores, named, when in cases(game, scale, victim):
            first = np.full(len(episodes), named)
            found = np.array([each.agent for each in contagion.find(episodes, first, when, scores)])
            tally = Tally.of(first, found, np.full(len(first), victim))
            assert tally.broken == 0
            right, named_right, total = right + tally.after, named_right + tally.right, total + len(first)
    assert right == total > named_right


def test_a_critic_of_the_state_alone_reads_what_was_received():
    team = PlantedTeam(COUPLINGS["pair"], "v")
    game, episodes = team.game, play(team.game, [0, 1], victim=0, onset=9)
    seen = episodes.received[..., 0]
    expected = np.float32(after(seen, game.next(seen, game.act(seen))))[..., None]
    contagion = Contagion(team, lambda _: expected, edges="critic")
    found = contagion.series(episodes)
    x = episodes.received[..., 0].astype(float)
    d = x - expected[..., 0]
    pull = -2 * np.einsum("ijk,etk->etj", game.values, x) * d  # dV/do_j . d_j; V is concave
    assert found[..., 0, 1] == pytest.approx(np.abs(pull[..., 0]), abs=1e-5)
    with pytest.raises(InvalidParameter, match="values the state alone"):
        Contagion(team, None, edges="critic", moves="previous").series(episodes)


def test_what_cannot_be_had_is_said():
    none, team = PlantedTeam(COUPLINGS["pair"], "none"), PlantedTeam(COUPLINGS["pair"])
    clean = play(team.game, [0, 1])
    with pytest.raises(InvalidParameter, match=r"no critic.*action_gap"):
        Contagion(none, as_received, edges="critic").fit(clean)
    assert Contagion(none, as_received).fit(clean).scale is not None
    with pytest.raises(UnknownId, match="critic"):
        Contagion(team, as_received, edges="critics")
    with pytest.raises(InvalidParameter, match="moves='previous'"):
        Contagion(team)
    with pytest.raises(InvalidParameter, match="no clean twins"):
        Contagion(team, moves="twin").fit(clean)
    with pytest.raises(InvalidParameter, match="Fit the contagion graph"):
        Contagion(team, as_received).evidence(clean, np.zeros((2, 25, 2)))
    with pytest.raises(SpaceMismatch, match=r"windows \[2, 1\].*team has \[4, 1\]"):
        Contagion(PlantedTeam(CHAIN), as_received).fit(clean)
