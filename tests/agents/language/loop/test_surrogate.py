"""The surrogate loss and what plug-ins make of it, against numbers worked out by hand."""

import math

import pytest
import torch

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.surrogate import aggregate, clipped_surrogate, covariances
from agentgym.agents.language.methods.clip_cov import ClipCov
from agentgym.agents.language.methods.kl_cov import KLCov
from agentgym.agents.language.methods.plugin import Terms
from tests.agents.language.batches import batch, close, episode


def surrogate(ratio, advantage, dual=None):
    logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
    made = batch(episode(0, (0.0,), logps=[0.0]))
    loss, clipped = clipped_surrogate(logp, made, torch.tensor([[advantage]]), LanguageConfig(clip_dual=dual))
    (gradient,) = torch.autograd.grad(loss.sum(), logp)
    return loss.item(), bool(clipped), gradient.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "dual", "loss", "clipped"),
    [
        (1.1, 2.0, None, -2.2, False),
        (1.5, 2.0, None, -2 * 1.28, True),
        (0.5, 2.0, None, -1.0, False),
        (0.5, -2.0, None, 1.6, True),
        (1.5, -2.0, None, 3.0, False),
        (20.0, -2.0, 10.0, 20.0, True),
    ],
)
def test_clipping(ratio, advantage, dual, loss, clipped):
    found, is_clipped, gradient = surrogate(ratio, advantage, dual)
    assert found == pytest.approx(loss, rel=1e-5)
    assert is_clipped is clipped
    assert (gradient == 0) is clipped


def test_aggregation():
    loss = torch.tensor([[1.0, 2.0, 99.0], [6.0, 99.0, 99.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert aggregate(loss, mask, "decisions", 0).item() == pytest.approx(3.0)
    assert aggregate(loss, mask, "episodes", 0).item() == pytest.approx((1.5 + 6) / 2)
    assert aggregate(loss, mask, "fixed", 10).item() == pytest.approx(9 / 20)
    assert aggregate(loss, mask, "fixed", 10, episodes=8).item() == pytest.approx(9 / 80)


def terms(advantages, logp, clipped=None, old=None):
    made = batch(episode(0, (0.0,) * len(logp), logps=logp if old is None else old))
    made.advantages = torch.tensor([advantages])
    logp = torch.tensor([logp], requires_grad=True)
    return Terms(
        loss=-made.advantages * logp,
        logp=logp,
        entropy=made.old_entropy,
        clipped=torch.zeros_like(made.mask) if clipped is None else torch.tensor([clipped]),
        batch=made,
        settings=LanguageConfig(),
        generator=torch.Generator().manual_seed(0),
    )


def test_covariance_is_of_the_mask_only():
    mask = torch.tensor([[True, True, False]])
    found = covariances(torch.tensor([[-1.0, -3.0, -50.0]]), torch.tensor([[1.0, -1.0, 7.0]]), mask)
    close(found[0, :2], [1.0, 1.0])  # means -2 and 0


def test_clip_cov_drops_eligible_decisions_only():
    # Means: A 0, log p -4; covariances 8, 8, 0, 0 (the second is clipped).
    given = terms([2.0, -2.0, 0.0, 0.0], [0.0, -8.0, -4.0, -4.0], clipped=[False, True, False, False])
    method = ClipCov(share=1.0, low=2.0, high=60.0)
    found = method.surrogate(given)
    assert found[0].tolist() == [0.0, *given.loss[0, 1:].tolist()]
    assert method.numbers["dropped"] == 0.25
    outside = ClipCov(share=1.0, low=9.0, high=60.0).surrogate(given)
    assert outside.tolist() == given.loss.tolist()


def test_clip_cov_drops_a_share_at_random():
    size = 1000
    logp = [-1.0 if n % 2 else -5.0 for n in range(size)]
    given = terms([2.0 if n % 2 else -2.0 for n in range(size)], logp)  # all covariances are 4
    dropped = (ClipCov(share=0.02, low=2.0, high=60.0).surrogate(given) == 0).sum()
    assert dropped == 20


def test_kl_cov_penalises_the_largest():
    given = terms([2.0, -2.0, 0.0, 0.0], [0.0, -7.0, -4.0, -4.0], old=[-0.5, -7.0, -4.0, -4.0])
    found = KLCov(share=0.25, weight=3.0).surrogate(given)
    close(found - given.loss, [[3 * 0.5, 0.0, 0.0, 0.0]])
