"""EPO's band on histories made by hand, and the released code's missing gradient."""

import math

import pytest
import torch

from agentgym.agents.language.methods.epo import RELEASED_LIMIT, EPOPlugin
from agentgym.agents.language.methods.plugin import make_plugins
from tests.agents.language.batches import batch, close, episode


def loss_and_gradient(method, made, values, iteration=0):
    entropy = torch.tensor(values, requires_grad=True)
    loss = method.loss(made, torch.zeros_like(entropy), entropy, iteration)
    (gradient,) = torch.autograd.grad(loss, entropy)
    return loss.item(), gradient


def test_history_is_by_true_turn():
    method = EPOPlugin()
    method.finish(batch(episode(0, (0.0, 0.0), entropies=[1.0, 2.0]), episode(0, (0.0,), entropies=[3.0])), 0)
    close(method.references(3)[:2], [2.0, 2.0])
    assert method.references(3)[2].isnan()
    method.finish(batch(episode(0, (0.0, 0.0, 0.0), entropies=[4.0, 4.0, 4.0])), 1)
    close(method.references(3), [3.0, 3.0, 4.0])  # the mean of iterations' means, each turn by itself


def test_hinge_is_the_distance_from_the_band():
    method = EPOPlugin(weight=1.0, smoothing=1.0, alpha=0.5, low=0.5, high=1.5)
    method.finish(batch(episode(0, (0.0, 0.0, 0.0), entropies=[2.0, 2.0, 2.0])), 0)
    made = batch(episode(0, (0.0, 0.0, 0.0)))
    loss, gradient = loss_and_gradient(method, made, [[0.4, 2.0, 4.0]])  # the band is [1, 3]
    mean, penalty = 6.4 / 3, 0.5 * (0.6 + 1.0) / 3
    assert loss == pytest.approx(-(mean - penalty))
    close(gradient, [[-1 / 3 - 0.5 / 3, -1 / 3, -1 / 3 + 0.5 / 3]])
    assert method.numbers["outside"] == pytest.approx(2 / 3)


def test_the_first_iteration_knows_no_band():
    loss, gradient = loss_and_gradient(EPOPlugin(weight=1.0), batch(episode(0, (0.0,))), [[5.0]])
    assert loss == pytest.approx(-5.0)
    close(gradient, [[-1.0]])


def penalty_gradient(preset):
    """The gradient of the penalty alone: that of the loss with it, less that of the loss without."""
    gradients = []
    for smoothing in (1.0, 0.0):
        method = make_plugins((f"epo:preset={preset},weight=1.0,smoothing={smoothing}",))["epo"]
        length = RELEASED_LIMIT if preset == "as_released" else 3
        for iteration in range(2):
            method.finish(batch(episode(0, (0.0,) * length, entropies=[1.0] * length)), iteration)
        made = batch(episode(0, (0.0,) * length))
        loss, gradient = loss_and_gradient(method, made, [[5.0] * length])
        gradients.append((loss, gradient))
    (with_it, first), (without, second) = gradients
    assert with_it > without  # it does cost something
    return (first - second).abs().sum().item()


def test_the_penalty_has_a_gradient_in_the_paper_and_none_as_released():
    assert penalty_gradient("paper") > 0
    assert penalty_gradient("as_released") == 0


def test_as_released_compares_with_other_turns():
    method = EPOPlugin(form="step")
    method.finish(batch(episode(0, (0.0, 0.0), entropies=[1.0, 2.0])), 0)
    reference = method.references(RELEASED_LIMIT)
    assert reference[:2].tolist() == [0.0, 0.0]  # filled from the left
    assert reference[-2:].tolist() == [1.0, 2.0]


def test_short_minibatches_pay_nothing_where_a_limit_is_set():
    method = EPOPlugin(weight=1.0, limit=6)
    method.finish(batch(episode(0, (0.0,) * 3)), 0)
    short, _ = loss_and_gradient(method, batch(episode(0, (0.0,) * 2)), [[5.0, 5.0]])
    assert short == pytest.approx(-5.0)
    long, _ = loss_and_gradient(method, batch(episode(0, (0.0,) * 3)), [[5.0, 5.0, 5.0]])
    assert long > -5.0


def test_turn_means_can_be_penalised_instead():
    method = EPOPlugin(weight=1.0, alpha=1.0, low=0.5, high=1.5, per_decision=False)
    method.finish(batch(episode(0, (0.0,), entropies=[2.0])), 0)
    loss, _ = loss_and_gradient(method, batch(episode(0, (0.0,))), [[4.0]])
    assert loss == pytest.approx(-(4.0 - 1.0))


def test_beta():
    method = EPOPlugin(epochs=150)
    assert method.beta(0) == 1
    assert method.beta(74) == pytest.approx(1 - 0.2 * (1 - math.exp(-2 * 74 / 75)))
    assert method.beta(75) == pytest.approx(0.8)
    assert method.beta(150) == method.beta(900) == pytest.approx(0.8 * math.exp(-3))


def test_state():
    method, other = EPOPlugin(), EPOPlugin()
    method.finish(batch(episode(0, (0.0, 0.0), entropies=[1.0, 2.0])), 0)
    other.restore(method.state())
    assert other.references(2).tolist() == method.references(2).tolist()
