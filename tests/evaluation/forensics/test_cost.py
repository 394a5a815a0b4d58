"""Taylor remainders of the commitment cost against closed forms, and where they have no meaning."""

import numpy as np
import pytest
import torch

from agentgym.agents import MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv
from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.detectors.cost import (
    commitment,
    remainder,
    require_curvature,
    richardson,
    slope,
)
from agentgym.evaluation.forensics.team import LearnedTeam
from tests.evaluation.forensics.teams import Softmax

DRAWN = torch.Generator().manual_seed(0)
WEIGHTS = torch.randn(4, 6, generator=DRAWN, dtype=torch.float64)
WINDOWS = torch.randn(50, 2, 6, generator=DRAWN).double()
MOVES = 0.05 * torch.nn.functional.normalize(torch.randn(3, 50, 2, 6, generator=DRAWN, dtype=torch.float64), dim=-1)


def linear():
    return Softmax(lambda windows: windows @ WEIGHTS.T)


def test_softmax_costs_slopes_and_remainders_have_their_closed_forms():
    team = linear()
    tau = commitment(team, WINDOWS)
    logits = WINDOWS @ WEIGHTS.T
    chances = torch.softmax(logits, -1)
    cost, gradient = slope(team, WINDOWS, tau)
    assert torch.allclose(cost, torch.logsumexp(logits, -1) - logits.max(-1).values, atol=1e-14)
    assert torch.allclose(gradient, (chances - tau) @ WEIGHTS, atol=1e-13)  # grad_z J = p - tau
    found, along = remainder(team, WINDOWS, tau, MOVES)
    shifts = MOVES @ WEIGHTS.T
    exact = torch.log((chances * shifts.exp()).sum(-1)) - (chances * shifts).sum(-1)
    assert torch.allclose(found, exact, atol=1e-13)
    assert torch.allclose(along, ((chances - tau) * shifts).sum(-1), atol=1e-13)
    assert (found > -1e-15).all()  # the Hessian diag(p) - pp' is positive semidefinite
    half = 0.5 * ((chances * shifts.square()).sum(-1) - (chances * shifts).sum(-1).square())
    assert (found - half).abs().max() < 0.2 * half.max()


def test_a_smooth_remainder_falls_to_a_quarter_when_the_probe_is_halved():
    team = LearnedTeam(MADDPG(env=SimpleSpreadEnv(), seed=0, actor_layers=(32, 32), buffer_size=100))
    windows = torch.randn(40, 3, 18, generator=DRAWN).double()
    moves = 0.01 * torch.nn.functional.normalize(torch.randn(2, 40, 3, 18, generator=DRAWN).double(), dim=-1)
    ratio, _ = richardson(team, windows, moves)
    assert abs(ratio - 4) < 0.1
    require_curvature(team, windows, moves, "test")


def test_piecewise_linear_costs_are_refused_by_what_is_measured():
    relu = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)).double()
    team = Softmax(relu)
    team.log_probs = lambda windows, actions: (relu(windows) * actions).sum(-1)  # a cost without a softmax
    with pytest.raises(InvalidParameter, match="smooth activation"):
        require_curvature(team, WINDOWS, 1e-4 * MOVES, "test")
    steps = Softmax(lambda windows: 5 * torch.floor(20 * windows @ WEIGHTS.T) + windows @ WEIGHTS.T)
    with pytest.raises(InvalidParameter, match="kinks"):
        require_curvature(steps, WINDOWS, MOVES, "test")


def test_a_box_policy_commits_to_its_mean():
    agent = MADDPG(env=SimpleSpreadEnv(continuous_actions=True), seed=0, actor_layers=(16,), buffer_size=100)
    team = LearnedTeam(agent)
    windows = torch.randn(20, 3, 18, generator=DRAWN).double()
    tau = commitment(team, windows)
    _, gradient = slope(team, windows, tau)
    assert gradient.abs().max() < 1e-3  # zero but for the float32 mean
    moves = 0.01 * torch.randn(1, 20, 3, 18, generator=DRAWN, dtype=torch.float64)
    found, _ = remainder(team, windows, tau, moves)
    std = agent.settings.noise
    move = torch.tanh(agent.policy.network((windows + moves[0]).float())).double() - tau
    assert np.allclose(found[0].detach(), (move**2).sum(-1).detach() / (2 * std**2), atol=1e-3)
