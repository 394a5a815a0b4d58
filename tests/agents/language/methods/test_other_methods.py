"""Modulators, filters, penalties and the likelihood term, against numbers worked out by hand."""

import math

import pytest
import torch

from agentgym import catalog
from agentgym.agents.language.methods.aem import AEM
from agentgym.agents.language.methods.dr_bot import DrBoT
from agentgym.agents.language.methods.empg import EMPG
from agentgym.agents.language.methods.entropy_bonus import EntropyBonus
from agentgym.agents.language.methods.invalid_penalty import InvalidPenalty
from agentgym.agents.language.methods.llds import LLDS
from agentgym.agents.language.methods.plugin import make_plugins
from agentgym.agents.language.methods.simpletir import SimpleTIR
from agentgym.errors import UnknownId
from tests.agents.language.batches import batch, close, episode


def test_empg():
    made = batch(episode(0, (0.0, 0.0), entropies=[1.0, 3.0]), episode(1, (0.0,), entropies=[2.0]))
    advantages = torch.tensor([[1.0, 1.0], [-1.0, 0.0]])
    found = EMPG(k=1.0, k_future=2.0, zeta=0.1, centre=False).modulate(made, advantages)
    raised = [math.exp(-h) for h in (0.0, 1.0, 0.5)]  # entropies 1, 3, 2 over the batch
    gain = [value / (sum(raised) / 3) for value in raised]
    close(found[0], [gain[0] + 0.1 * math.exp(-2.0), gain[1]])  # the next turn's entropy is the largest
    close(found[1, :1], [-gain[2]])
    centred = EMPG(k=1.0, k_future=2.0, zeta=0.1).modulate(made, advantages)
    assert (centred * made.mask).sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", [EMPG(k=2.0, zeta=0.0, centre=False), AEM(k=2.0)])
def test_entropies_that_differ_by_rounding_weigh_alike(method):
    made = batch(episode(0, (0.0, 0.0), entropies=[1.0, 1.0 + 3e-7]), episode(0, (0.0,), entropies=[1.0 - 2e-7]))
    close(method.modulate(made, torch.tensor([[1.0, 1.0], [1.0, 0.0]])), [[1.0, 1.0], [1.0, 0.0]])


def test_groups_that_differ_by_rounding_are_the_first_to_be_dropped():
    alike = [episode(0, (0.1, 0.6)), episode(0, (0.7, 0.0))]
    kept = DrBoT(groups=0.5).keep(batch(*alike, episode(1, (1e-5, 0.0)), episode(1, (0.0, 0.0)))).any(1)
    assert kept.tolist() == [False, False, True, True]


def test_aem_stays_within_a_group():
    made = batch(episode(0, (0.0, 0.0), entropies=[1.0, 3.0]), episode(1, (0.0,), entropies=[9.0]))
    found = AEM(k=2.0).modulate(made, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    mean = (1 + math.exp(-2)) / 2
    close(found[0], [1 / mean, math.exp(-2) / mean])
    close(found[1, :1], [1.0])


def test_simpletir_drops_whole_episodes():
    made = batch(episode(0, (0.0, 0.0), problems=[None, "unparsable"]), episode(0, (0.0,), problems=["impossible"]))
    assert SimpleTIR().keep(made).any(1).tolist() == [False, True]


def test_dr_bot():
    good = [episode(0, (1.0,)), episode(0, (0.0,))]
    same = [episode(1, (0.0,)), episode(1, (0.0,))]
    spoilt = [episode(2, (1.0,), ended="overlong"), episode(2, (0.0,), problems=["empty"])]
    repeating = episode(3, (0.0,) * 29 + (1.0,))
    repeating.ids = [7] * len(repeating.ids)
    kept = DrBoT(groups=0.75).keep(batch(*good, *same, *spoilt, repeating, episode(3, (0.0,)))).any(1)
    assert kept.tolist() == [True, True, False, False, False, False, False, True]


def test_invalid_penalty():
    made = batch(episode(0, (0.0, 1.0), problems=["impossible", None]), episode(0, (0.0,)))
    InvalidPenalty(0.25).shape_rewards(made, 0)
    close(made.rewards, [[-0.25, 1.0], [0.0, 0.0]])


def test_llds_counts_fallen_good_responses_only():
    made = batch(
        episode(0, (0.0, 0.0), logps=[-1.0, -1.0]), episode(0, (0.0, 0.0), logps=[-1.0, -1.0]),
        episode(0, (0.0, 0.0), logps=[-1.0, -1.0]),
    )  # fmt: skip
    made.advantages = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    logp = torch.tensor([[-3.0, -0.5], [-3.0, -3.0], [-1.5, -0.25]])
    close(LLDS(weight=0.1).loss(made, logp, logp, 0), 0.1 * 2.0 / 6)  # the third rose as a whole
    close(LLDS(weight=0.1, response="turn").loss(made, logp, logp, 0), 0.1 * 2.5 / 6)


def test_entropy_bonus():
    made = batch(episode(0, (0.0, 0.0)))
    close(EntropyBonus(0.5).loss(made, None, torch.tensor([[1.0, 3.0]]), 0), -1.0)


def test_all_methods_can_be_named_and_combined():
    names = [entry.id for entry in catalog.entries("method") if not catalog.load(entry).REPLACES]
    assert list(make_plugins(tuple(names))) == names


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("spaer",), "spear"),
        (("spear", "spear"), "further"),
        (("epo:alhpa=1",), "alpha"),
        (("epo:preset=released",), "as_released"),
    ],
)
def test_unknown_names_are_refused(names, said):
    with pytest.raises(UnknownId, match=said):
        make_plugins(names)
