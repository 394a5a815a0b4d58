import itertools

import pytest
import torch
from torch import nn

from agentgym.agents.common.mlp import stacked_mlp


def _networks(n: int, sizes: list[int], activation: type[nn.Module]) -> list[nn.Sequential]:
    torch.manual_seed(0)
    networks = []
    for _ in range(n):
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(sizes):
            layers += [nn.Linear(wide, narrow), activation()]
        networks.append(nn.Sequential(*layers[:-1]))
    return networks


def _stack(networks: list[nn.Sequential]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    layers = [[layer for layer in network if isinstance(layer, nn.Linear)] for network in networks]
    weights = [torch.stack([layer.weight.detach() for layer in same]) for same in zip(*layers, strict=True)]
    biases = [torch.stack([layer.bias.detach() for layer in same]).unsqueeze(1) for same in zip(*layers, strict=True)]
    return [w.requires_grad_() for w in weights], [b.requires_grad_() for b in biases]


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize(("n", "sizes"), [(1, [5, 64, 32, 4]), (2, [7, 300, 300, 1]), (3, [4, 1]), (5, [6, 16, 1])])
def test_outputs_and_gradients_are_those_of_separate_networks(n, sizes, activation):
    networks = _networks(n, sizes, activation)
    weights, biases = _stack(networks)
    inputs = torch.randn(33, sizes[0], requires_grad=True)
    theirs_in = inputs.detach().clone().requires_grad_()
    direction = torch.randn(n, 33, sizes[-1])

    outputs = stacked_mlp(inputs, weights, biases, activation)
    expected = torch.stack([network(theirs_in) for network in networks])
    _close(outputs, expected)
    (outputs * direction).sum().backward()
    (expected * direction).sum().backward()

    _close(inputs.grad, theirs_in.grad)
    for k in range(len(weights)):
        layers = [[layer for layer in network if isinstance(layer, nn.Linear)][k] for network in networks]
        _close(weights[k].grad, torch.stack([layer.weight.grad for layer in layers]))
        _close(biases[k].grad.squeeze(1), torch.stack([layer.bias.grad for layer in layers]))


def test_detached_weights_get_no_gradient_but_the_inputs_do():
    weights, biases = _stack(_networks(2, [3, 8, 1], nn.ReLU))
    inputs = torch.randn(4, 3, requires_grad=True)
    stacked_mlp(inputs, [w.detach() for w in weights], [b.detach() for b in biases]).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in weights + biases)


def test_a_network_used_twice_in_one_loss_adds_both_gradients():
    weights, biases = _stack(_networks(2, [3, 8, 8, 1], nn.ReLU))
    first, second = torch.randn(2, 6, 3)
    (stacked_mlp(first, weights, biases).sum() + stacked_mlp(second, weights, biases).square().sum()).backward()
    both = [weight.grad.clone() for weight in weights]
    for weight in weights:
        weight.grad = None
    stacked_mlp(first, weights, biases).sum().backward()
    stacked_mlp(second, weights, biases).square().sum().backward()
    for together, apart in zip(both, weights, strict=True):
        _close(together, apart.grad)


def test_a_graph_survives_other_passes_and_runs_only_once():
    weights, biases = _stack(_networks(1, [3, 8, 1], nn.ReLU))
    inputs = torch.randn(4, 3)
    expected = torch.autograd.grad(stacked_mlp(inputs, weights, biases).sum(), weights)
    expected = [gradient.clone() for gradient in expected]
    loss = stacked_mlp(inputs, weights, biases).sum()
    with torch.no_grad():
        for _ in range(20):
            stacked_mlp(torch.randn(4, 3), weights, biases)
    for ours, theirs in zip(torch.autograd.grad(loss, weights, retain_graph=True), expected, strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(RuntimeError, match="already differentiated"):
        torch.autograd.grad(loss, weights)


def test_weights_changed_before_the_backward_pass_are_noticed():
    weights, biases = _stack(_networks(1, [3, 8, 1], nn.ReLU))
    loss = stacked_mlp(torch.randn(4, 3), weights, biases).sum()
    with torch.no_grad():
        weights[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_rows_without_gradient_are_constants_and_single_networks_need_no_axis():
    """One pass over six rows of which four are graded, in parts, against a plain pass over those four."""
    network = _networks(1, [5, 16, 3], nn.ReLU)[0]
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    left, right = torch.randn(6, 2), torch.randn(6, 3, requires_grad=True)
    outputs = stacked_mlp(
        (left, right), [layer.weight for layer in layers], [layer.bias for layer in layers], graded=4
    ).squeeze(0)
    _close(outputs, network(torch.cat([left, right], 1)))
    outputs[:4].square().sum().backward()
    ours = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    theirs = right.detach()[:4].requires_grad_()
    network(torch.cat([left[:4], theirs], 1)).square().sum().backward()
    for mine, parameter in zip(ours, network.parameters(), strict=True):
        _close(mine, parameter.grad)
    _close(right.grad[:4], theirs.grad)
    assert not right.grad[4:].any()
