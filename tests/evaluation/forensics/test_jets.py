"""Second-order jets give the derivatives of nested differentiation, for every critic that agentgym trains."""

import pytest
import torch

from agentgym.agents import HATRPO, HATRPOQ, MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv
from agentgym.evaluation.forensics.contagion.derivatives import along
from agentgym.evaluation.forensics.contagion.jets import second_order
from agentgym.evaluation.forensics.contagion.stage2 import BoundCritic
from agentgym.evaluation.forensics.team import LearnedTeam

SMALL = {"buffer_size": 100}
CRITICS = {
    "mlp": (MADDPG, SMALL), "own": (MADDPG, {"shared": False, **SMALL}), "set": (MADDPG, {"critic": "set", **SMALL}),
    "tanh": (MADDPG, {"activation": "tanh", **SMALL}),
    "gelu set": (MADDPG, {"critic": "set", "activation": "gelu", **SMALL}),
    "hatrpo": (HATRPO, {}), "hatrpo-q": (HATRPOQ, SMALL),
}  # fmt: skip


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("everyone", [True, False])
def test_jets_are_nested_differentiation(name, everyone):
    make, settings = CRITICS[name]
    agents = 3
    team = LearnedTeam(make(env=SimpleSpreadEnv(agents), seed=0, **settings))
    torch.manual_seed(0)
    windows = torch.randn(20, *team.layout.windows.shape, dtype=torch.float64)
    actions = torch.softmax(torch.randn(20, agents, team.layout.width, dtype=torch.float64), -1)
    alive = torch.rand(20, agents) > (-1 if everyone else 0.3)
    of_state = name == "hatrpo"
    x = windows if of_state else actions
    critic = BoundCritic(team, None if of_state else windows, actions if of_state else None, alive)
    move = torch.randn_like(x)
    fast, exact = along(critic, x, move, jets=True), along(critic, x, move)
    for ours, theirs in zip(fast, exact, strict=True):
        assert float(theirs.abs().max()) > 1e-6
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-13)


def test_an_operation_without_a_rule_is_refused():
    x = torch.ones(2, 3, 1, dtype=torch.float64)
    with pytest.raises(NotImplementedError, match="no rule for exp"):
        second_order(lambda at: torch.exp(at).sum(2), x, x)
