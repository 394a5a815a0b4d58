import math

import pytest
import torch
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution

from agentgym.agents.common.tanh_gaussian import squashed_sample


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_action_and_log_probability_are_stable_baselines3s(dtype):
    torch.manual_seed(0)
    parameters = torch.randn(256, 12, dtype=dtype)
    torch.manual_seed(1)
    noise = torch.randn(256, 6, dtype=dtype)
    torch.manual_seed(1)
    mean, log_std = parameters.chunk(2, 1)
    action, log_prob = SquashedDiagGaussianDistribution(6).log_prob_from_params(mean, log_std.clamp(-20, 2))
    ours_action, ours_log_prob = squashed_sample(parameters, noise)
    assert torch.equal(ours_action, action)
    torch.testing.assert_close(ours_log_prob, log_prob, rtol=1e-5, atol=1e-5)


def test_the_density_integrates_to_one():
    """pi(a) over a grid of actions: the log-probability is a true density up to the epsilon of 1e-6."""
    mean, log_std = 0.3, -0.4
    action = torch.linspace(-1 + 1e-7, 1 - 1e-7, 2_000_001, dtype=torch.float64)
    noise = ((torch.atanh(action) - mean) / math.exp(log_std)).unsqueeze(1)
    parameters = torch.tensor([[mean, log_std]], dtype=torch.float64).expand(len(action), 2)
    _, log_prob = squashed_sample(parameters, noise)
    assert torch.trapezoid(log_prob.exp(), action).item() == pytest.approx(1, abs=1e-4)


def test_gradients_match_finite_differences():
    torch.manual_seed(0)
    parameters = torch.randn(8, 6, dtype=torch.float64)
    parameters[0, 3], parameters[1, 4] = 5, -30  # outside the clamp
    parameters.requires_grad_()
    noise = torch.randn(8, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: squashed_sample(p, noise), parameters)
    sum(part.sum() for part in squashed_sample(parameters, noise)).backward()
    assert parameters.grad[0, 3] == parameters.grad[1, 4] == 0


def test_saturated_actions_stay_finite():
    parameters = torch.tensor([[30.0, 2.0], [-30.0, -20.0], [0.0, -100.0]], requires_grad=True)
    action, log_prob = squashed_sample(parameters, torch.zeros(3, 1))
    (action.sum() + log_prob.sum()).backward()
    assert log_prob.isfinite().all()
    assert parameters.grad.isfinite().all()
