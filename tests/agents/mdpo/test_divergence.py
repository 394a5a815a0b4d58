import math

import numpy as np
import pytest
import torch
from scipy import integrate
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from agentgym.agents.mdpo.divergence import bregman_divergence, tsallis_log

GAUSSIANS = ([0.3, -1.2, 0.0], [0.5, 1.3, 2.0]), ([-0.4, -1.0, 0.5], [0.8, 0.6, 1.0])
CATEGORICALS = [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], [[0.6, 0.3, 0.1], [0.3, 0.3, 0.4]]


def _gaussians() -> list[Normal]:
    return [Normal(torch.tensor([mean]).double(), torch.tensor([std]).double()) for mean, std in GAUSSIANS]


def _categoricals() -> list[Categorical]:
    return [Categorical(probs=torch.tensor(rows).double()) for rows in CATEGORICALS]


@pytest.mark.parametrize("q", [1.0, 1.3, 2.0])
def test_the_gaussian_divergence_is_its_monte_carlo_estimate(q):
    """B_q = E_p[ln_q p - q ln_q r] + (q - 1) E_r[ln_q r], entry by entry."""
    p, r = _gaussians()
    torch.manual_seed(0)
    own, other = p.sample((400_000,)), r.sample((400_000,))
    draws = tsallis_log(p.log_prob(own), q) - q * tsallis_log(r.log_prob(own), q)
    estimate = draws + (q - 1) * tsallis_log(r.log_prob(other), q)
    error = estimate.sum(-1).std() / math.sqrt(len(own))
    closed = bregman_divergence([p], [r], q)
    assert closed.shape == (1,)
    assert abs(closed.item() - estimate.sum(-1).mean().item()) < 4 * error
    assert error < 0.01 * closed.item()


@pytest.mark.parametrize("q", [1.05, 1.5, 2.0])
def test_the_gaussian_divergence_is_the_integral(q):
    p, r = _gaussians()
    total = 0.0
    for k in range(3):
        one, two = (Normal(d.mean[0, k].item(), d.stddev[0, k].item()) for d in (p, r))

        def density(d, x):
            return math.exp(d.log_prob(torch.tensor(x).double()).item())

        def bregman(x, one=one, two=two):
            a, b = density(one, x), density(two, x)
            return (a**q - b**q) / (q - 1) - q / (q - 1) * b ** (q - 1) * (a - b)

        total += integrate.quad(bregman, -20, 20, limit=200)[0]
    assert bregman_divergence([p], [r], q).item() == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("q", [1.0, 1.3, 2.0])
def test_the_categorical_divergence_is_its_monte_carlo_estimate(q):
    p, r = _categoricals()
    torch.manual_seed(0)
    own, other = p.sample((400_000,)), r.sample((400_000,))
    draws = tsallis_log(p.log_prob(own), q) - q * tsallis_log(r.log_prob(own), q)
    estimate = draws + (q - 1) * tsallis_log(r.log_prob(other), q)
    error = estimate.std(0) / math.sqrt(len(own))
    assert ((bregman_divergence([p], [r], q) - estimate.mean(0)).abs() < 4 * error).all()


def test_a_binary_choice_is_a_categorical_of_two():
    high, low = torch.tensor([[0.9, 0.2]]).double(), torch.tensor([[0.4, 0.5]]).double()
    for q in (1.0, 1.7):
        pair = [Categorical(probs=torch.stack([1 - x, x], -1)) for x in (high, low)]
        binary = bregman_divergence([Bernoulli(high)], [Bernoulli(low)], q)
        torch.testing.assert_close(binary, bregman_divergence([pair[0]], [pair[1]], q))


def test_one_is_the_library_s_kl_and_factors_add_up():
    p, r = _categoricals()
    torch.testing.assert_close(bregman_divergence([p], [r]), kl_divergence(p, r))
    torch.testing.assert_close(bregman_divergence([p, r], [r, p]), kl_divergence(p, r) + kl_divergence(r, p))


@pytest.mark.parametrize("pair", [_gaussians(), _categoricals()], ids=["gaussian", "categorical"])
def test_the_divergence_is_continuous_at_one(pair):
    p, r = pair
    limit = bregman_divergence([p], [r], 1.0)
    gaps = [(bregman_divergence([p], [r], 1.0 + s) - limit).abs().max().item() for s in (1e-2, 1e-4, 1e-6)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 2e-5


@pytest.mark.parametrize("q", [1.0, 1.2, 2.0])
@pytest.mark.parametrize("pair", [_gaussians(), _categoricals()], ids=["gaussian", "categorical"])
def test_the_divergence_vanishes_at_equality_only_and_so_does_its_gradient(pair, q):
    p, r = pair
    assert (bregman_divergence([p], [r], q) > 0.01).all()
    torch.testing.assert_close(bregman_divergence([r], [r], q), torch.zeros(len(r.mean)).double(), atol=1e-12, rtol=0)
    if isinstance(r, Normal):
        mean, std = r.mean.clone().requires_grad_(), r.stddev.clone().requires_grad_()
        parameters, moving = [mean, std], Normal(mean, std)
    else:
        logits = r.logits.clone().requires_grad_()
        parameters, moving = [logits], Categorical(logits=logits)
    for gradient in torch.autograd.grad(bregman_divergence([moving], [r], q).sum(), parameters):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)


def test_the_tsallis_logarithm():
    x = np.array([0.25, 1.0, 3.0])
    log_x = torch.from_numpy(np.log(x))
    np.testing.assert_allclose(tsallis_log(log_x, 1.0), np.log(x))
    np.testing.assert_allclose(tsallis_log(log_x, 2.0), x - 1, rtol=1e-12)
    np.testing.assert_allclose(tsallis_log(log_x, 1.5), 2 * (np.sqrt(x) - 1), rtol=1e-12)
    np.testing.assert_allclose(tsallis_log(log_x, 1 + 1e-9), np.log(x), rtol=1e-7)
