"""Repairing agents with strong and with weak links, in the planted game where it is known who harms whom."""

import numpy as np
import pytest
import torch

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.collect import Repair, collect
from agentgym.evaluation.forensics.contagion.edges import EdgeScale, gap_edges
from agentgym.evaluation.forensics.contagion.stage2 import Contagion, moves_of
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.repair import repair_links, sources
from tests.evaluation.forensics.teams import GAME, SPREAD, Headed, Regulators

STUCK = Fault("astuck", earliest=5, latest=8)


@pytest.fixture(scope="module")
def played():
    """Episodes of the planted chain in which one agent's action is stuck, with their twins."""
    team = Regulators()
    return team, collect(team, GAME, range(40), STUCK, with_twin=True)


def test_a_repaired_victim_plays_the_clean_twin_and_nobody_else_is_touched(played):
    team, faulty = played
    truth, seeds = faulty.truth, faulty.seeds.tolist()
    mended = collect(team, GAME, seeds, STUCK, repair=Repair(truth.victim, np.zeros(40, np.int64)))
    assert np.array_equal(mended.executed, faulty.twin.executed)
    assert np.array_equal(mended.rewards, faulty.twin.rewards)
    nobody = collect(team, GAME, seeds, STUCK, repair=Repair(np.full(40, -1), np.zeros(40, np.int64)))
    assert np.array_equal(nobody.executed, faulty.executed)
    late = collect(team, GAME, seeds, STUCK, repair=Repair(truth.victim, truth.onset + 3))
    for episode, (victim, onset) in enumerate(zip(truth.victim, truth.onset, strict=True)):
        assert np.array_equal(late.executed[episode, : onset + 3], faulty.executed[episode, : onset + 3])
        wanted = team.act(torch.as_tensor(late.true[episode, None, onset + 3])).numpy()[0, victim]
        assert np.allclose(late.executed[episode, onset + 3, victim], wanted, atol=1e-6)


def test_in_the_planted_game_strong_links_give_the_return_back_and_weak_ones_do_not(played):
    team, faulty = played
    graph = Contagion(team, lambda episodes: episodes.received, edges="action_gap").fit(
        collect(team, GAME, range(100, 150))
    )
    found = repair_links(team, GAME, faulty, STUCK, graph.series(faulty), graph.scale, faulty.truth.onset + 1)
    assert found.episodes == 40
    assert found.lost > 1
    assert found.shares["victim"] > 0.5
    assert found.shares["strongest"] == pytest.approx(found.shares["victim"], abs=0.02)
    assert abs(found.shares["weakest"]) < 0.05 * found.shares["victim"]


def test_faults_of_observations_are_repaired_at_the_true_observation():
    team, fault = Headed(), Fault("gauss", 1.0)
    faulty = collect(team, SPREAD, range(30), fault, with_twin=True)
    mended = collect(team, SPREAD, range(30), fault, repair=Repair(faulty.truth.victim, np.zeros(30, np.int64)))
    assert not np.array_equal(mended.commanded, mended.executed)
    assert np.array_equal(mended.executed, faulty.twin.executed)


def test_sources_and_refusals(played):
    team, faulty = played
    pooled = np.zeros((1, 2, 3, 3))
    pooled[0, 1, 2, 0], pooled[0, 1, 1, 2], pooled[0, 1, 0, 0] = 5.0, -1.0, 9.0
    strongest, weakest = sources(pooled, [1])
    assert (strongest.tolist(), weakest.tolist()) == ([2], [1])
    with pytest.raises(InvalidParameter, match="2 repairs for 40"):
        collect(team, GAME, range(40), STUCK, repair=Repair(np.zeros(2, np.int64), np.zeros(2, np.int64)))
    edges = gap_edges(moves_of(team, faulty, "previous"))
    with pytest.raises(InvalidParameter, match="with_twin=True"):
        repair_links(team, GAME, collect(team, GAME, range(3), STUCK), STUCK, edges[:3], EdgeScale.of(edges), [5] * 3)
