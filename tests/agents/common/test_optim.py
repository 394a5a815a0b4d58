import pytest
import torch

from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients


def _parameters() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(5, 4).requires_grad_(), torch.randn(3).requires_grad_(), torch.randn(1).requires_grad_()]


@pytest.mark.parametrize("options", [{}, {"eps": 1e-5, "betas": (0.5, 0.99)}, {"weight_decay": 0.1}, {"amsgrad": True}])
def test_fused_adam_is_adam(options):
    ours, theirs = _parameters(), _parameters()
    fused, adam = FusedAdam(ours, lr=1e-2, **options), torch.optim.Adam(theirs, lr=1e-2, foreach=False, **options)
    for step in range(50):
        if step == 20:  # continue from the saved state
            state = fused.state_dict()
            fused = FusedAdam(ours, lr=1, **options)
            fused.load_state_dict(state)
        if step == 30:
            fused.param_groups[0]["lr"] = adam.param_groups[0]["lr"] = 3e-3
        for mine, its in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        fused.step()
        adam.step()
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-6, atol=1e-7)
        assert fused.state[mine]["step"] == 50


def test_fused_adam_says_when_a_gradient_is_missing():
    parameters = _parameters()
    parameters[0].grad = torch.zeros(5, 4)
    with pytest.raises(ValueError, match="no gradient"):
        FusedAdam(parameters, lr=1e-3).step()


def test_set_gradients_replaces_and_reaches_only_what_is_asked_for():
    a, b, _ = _parameters()
    for _ in range(3):
        set_gradients((a.sum() * b.sum()).square(), [a])
    expected = 2 * a.sum() * b.sum() ** 2
    torch.testing.assert_close(a.grad, expected.detach().expand(5, 4))
    assert b.grad is None


def test_polyak_update_moves_by_tau():
    parameters, targets = _parameters(), [parameter.detach() * 3 + 1 for parameter in _parameters()]
    expected = [
        0.75 * target + 0.25 * parameter.detach() for parameter, target in zip(parameters, targets, strict=True)
    ]
    polyak_update(parameters, targets, 0.25)
    for target, value in zip(targets, expected, strict=True):
        torch.testing.assert_close(target, value)


def test_gradients_of_transposed_weights_step_the_right_entries():
    """Autograd gives such a gradient in the other memory order; the fused kernel reads memory, not entries."""
    torch.manual_seed(0)
    ours, theirs = [torch.randn(5, 4).requires_grad_()], [torch.randn(5, 4).requires_grad_()]
    with torch.no_grad():
        theirs[0].copy_(ours[0])
    factor = torch.randn(3, 4)
    fused, adam = FusedAdam(ours, lr=1e-2), torch.optim.Adam(theirs, lr=1e-2)
    for _ in range(3):
        set_gradients((factor @ ours[0].T).square().sum(), ours)
        fused.step()
        adam.zero_grad()
        (factor @ theirs[0].T).square().sum().backward()
        adam.step()
    torch.testing.assert_close(ours[0], theirs[0])
