"""Ratios, clipping and weights of decisions against the values of shared/specs/language_second_ring.md."""

import math

import pytest
import torch

from agentgym.agents import GRPO
from agentgym.agents.language.loop.surrogate import aggregate, ratios
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.high_entropy import HighEntropy
from agentgym.agents.language.methods.mini_rl import MiniRL
from agentgym.agents.language.methods.plugin import make_plugins
from agentgym.agents.language.methods.rec import REC
from agentgym.agents.language.methods.steer import STEER
from agentgym.agents.language.methods.tis import TIS
from agentgym.errors import InvalidParameter
from tests.agents.language.batches import close, episode, flat
from tests.agents.language.worlds import small

# Four decisions: log-probabilities, those before the update, advantages R - mean of R = [1, 0, 0, 0].
LOGP, OLD, ADVANTAGES = [-0.5, -1.0, -2.0, -0.1], [-0.7, -0.9, -1.5, -0.1], [0.75, -0.25, -0.25, -0.25]


def mean(loss):
    return float(loss.detach().mean())


# Ratios


def test_ratio_of_an_episode():
    settings = GRPO.Config.preset("gspo")
    terms = flat([0.02, -0.01, 0.005], [0.0] * 3, settings=settings)
    close(ratios(terms.logp, terms.batch, "episode").detach(), [[1.005013] * 3], 1e-6)
    close(terms.loss.detach(), [[-1.0004] * 3], 1e-6)  # A = 1, clipped
    assert terms.clipped.all()
    wide = flat([0.02, -0.01, 0.005], [0.0] * 3, settings=GRPO.Config.preset("gspo-chosen"))
    assert not wide.clipped.any()
    assert (settings.aggregation, settings.clip_low) == ("episodes", 3e-4)


def test_decisions_keep_gradients_of_their_own():
    """As many times the ratio as the decision's advantage, for each decision (GSPO-token)."""
    settings = GRPO.Config(ratio="episode", clip_low=1.0, clip_high=9.0)
    terms = flat([0.3, -0.1, 0.4], [0.0] * 3, advantages=[1.0, 2.0, -1.0], settings=settings)
    (gradient,) = torch.autograd.grad(terms.loss.sum(), terms.logp)
    close(gradient, [[-math.exp(0.2), -2 * math.exp(0.2), math.exp(0.2)]])


def test_ratios_of_turns():
    settings = GRPO.Config.preset("turn-ppo")
    moved = [0.3, -0.1, -0.4, -0.2, -0.3]
    terms = flat(moved, [0.0] * 5, advantages=[1.0, 1.0, -1.0, -1.0, -1.0], turns=[2, 3], settings=settings)
    close(ratios(terms.logp, terms.batch, "turn").detach(), [[1.105171] * 2 + [0.740818] * 3], 1e-6)
    assert terms.clipped.tolist() == [[False, False, True, True, True]]
    arithmetic = torch.tensor(moved).exp()
    close([arithmetic[:2].mean(), arithmetic[2:].mean()], [1.127348, 0.743290], 1e-6)
    # The page's -0.444491 is the mean of g A over all five decisions with those that clipping takes out.
    ratio = ratios(terms.logp, terms.batch, "turn").detach()
    unit = ratio * terms.advantages
    assert float(unit[terms.clipped].sum() / 5) == pytest.approx(-0.444491, abs=1e-6)


def test_what_had_no_alternative_does_not_dilute():
    one = episode(0, (0.0, 0.0), logps=[0.0, 0.0])
    for turn, options in zip(one.turns, ([[5], [6]], [[5]]), strict=True):
        turn.choices = options
    made = collate([one], choosing=True)
    assert made.free.tolist() == [[True, False]]
    close(ratios(torch.tensor([[0.2, 0.0]]), made, "episode"), [[math.exp(0.2)] * 2])
    made.mask[0, 0] = False  # nor what is not learned from
    close(ratios(torch.tensor([[0.2, 0.0]]), made, "episode")[0, 1], 1.0)


def test_without_a_ratio_nothing_is_clipped():
    terms = flat(LOGP, OLD, advantages=ADVANTAGES, settings=GRPO.Config(ratio="none", clip_dual=1.1))
    close(terms.loss, -terms.advantages * terms.logp)
    assert not terms.clipped.any()


# REC


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"side": "one-side"}, -0.06875),
        ({"side": "one-side", "weight": "ratio"}, -0.062802),
        ({"side": "all", "regulariser": "k2"}, -0.0925),
    ],
)
def test_rec(settings, value):
    assert mean(REC(**settings).surrogate(flat(LOGP, OLD, advantages=ADVANTAGES))) == pytest.approx(value, abs=1e-6)


def test_rec_with_forward_kl_is_asymre():
    terms = flat(LOGP, OLD, advantages=ADVANTAGES)
    shifted = -(terms.advantages + 0.1) * terms.logp
    close(make_plugins(("rec:preset=asymre",))["rec"].surrogate(terms), shifted)
    assert mean(shifted) == pytest.approx(-0.01, abs=1e-6)


def test_ranges_of_rec():
    ratio, advantages = torch.tensor([3.5, 1.5, 0.3, 0.7]), torch.tensor([-1.0, -1.0, 1.0, 1.0])
    wanted = {"one-side": [1, 1, 1, 1], "two-side": [0, 0, 0, 0], "ring": [1, 0, 1, 0]}
    for side, kept in wanted.items():
        assert REC(side=side).inside(ratio, advantages).tolist() == [bool(one) for one in kept], side


def test_weights_of_rec_have_no_gradient():
    terms = flat(LOGP, OLD, advantages=ADVANTAGES)
    loss = REC(side="all", weight="ratio").surrogate(terms)
    (gradient,) = torch.autograd.grad(loss.sum(), terms.logp)
    close(gradient, -(terms.logp - terms.old_logp).exp() * terms.advantages)
    close(REC(side="all", weight="exp").surrogate(terms), -terms.advantages * terms.advantages.exp() * terms.logp)


def test_what_rec_masks_is_logged_as_clipped():
    terms = flat(LOGP, OLD, advantages=ADVANTAGES)
    REC().surrogate(terms)
    assert terms.clipped.tolist() == [[True, False, True, False]]


# The rollout's policy


def test_mini_rl():
    terms = flat([-1.0, -2.0, -0.5], [-1.3, -1.9, -0.4], acted=[-1.2, -3.8, -0.45])
    loss = MiniRL().surrogate(terms)
    assert aggregate(loss, terms.mask, "fixed", 1).item() == pytest.approx(10.475615, abs=1e-5)
    assert terms.clipped.tolist() == [[True, False, False]]
    (gradient,) = torch.autograd.grad(loss.sum(), terms.logp)
    close(gradient, [[0.0, -5.0, -0.951229]])
    assert GRPO.Config.preset("mini-rl").fixed_length == 1


def test_tis():
    terms = flat([0.0] * 3, [0.1, -0.2, 1.0], acted=[0.0] * 3)
    close(TIS().weights(terms), [[1.105171, 0.818731, 2.0]], 1e-6)
    episode_ = TIS(of="episode", beyond="reject", bound=3.0)
    close(episode_.weights(terms), [[2.459603] * 3], 1e-6)
    assert not TIS(of="episode", beyond="reject", bound=2.0).weights(terms).any()
    assert (TIS().weights(flat([0.3], [0.2])) == 1).all()  # acted as it is


# Entropy


def test_steer():
    def given():
        return flat(
            [math.log(p) for p in (0.9, 0.5, 0.1)], [math.log(p) for p in (0.8, 0.5, 0.2)],
            entropies=[0.4, 1.0, 1.5], advantages=[1.0, -1.0, 0.5],
        )  # fmt: skip

    close(STEER().weights(given()), [[0.959868, 0.8273, 0.8]], 1e-5)
    close(STEER(form="linear").weights(given()), [[1.2, 0.873674, 0.8]], 1e-5)
    terms = given()
    before = terms.loss.clone()
    close(STEER().surrogate(terms), before * STEER().weights(terms))
    same = flat([-1.0, -1.0], entropies=[1.0, 1.0])
    close(STEER(form="linear").weights(same), [[1.0, 1.0]])


def test_only_the_highest_entropies_have_a_loss():
    terms = flat([-1.0] * 5)
    terms.entropy = torch.tensor([[0.1, 0.9, 0.5, 0.9, 0.2]])
    assert HighEntropy(share=0.4).kept(terms).tolist() == [[False, True, False, True, False]]
    assert HighEntropy(share=0.2, over="episode").kept(terms).tolist() == [[False] * 5]  # the bound is a tie
    assert HighEntropy(share=0.6, over="episode").kept(terms).tolist() == [[False, True, True, True, False]]
    terms.mask[0, 1] = False
    assert HighEntropy(share=0.25).kept(terms).tolist() == [[False, False, False, True, False]]


# Combinations that make no sense


@pytest.mark.parametrize("names", [("steer", "rec"), ("rec", "mini-rl"), ("clip-cov", "mini-rl")])
def test_a_loss_is_replaced_first_and_once(names):
    with pytest.raises(InvalidParameter, match=f"{names[1]} replaces the loss that {names[0]} changes"):
        make_plugins(names)
    make_plugins((names[1], *(() if names[0] == "rec" else (names[0],))))


def test_a_replaced_loss_has_no_ratio():
    with pytest.raises(InvalidParameter, match="REC has a loss of its own"):
        small(methods=("rec",), ratio="turn")
