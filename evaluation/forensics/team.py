"""What forensics asks of a team: three methods, with float64 probabilities and values that gradients pass through."""

from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from agentgym.errors import InvalidParameter

__all__ = ["LearnedTeam", "Team", "require_critic"]


@runtime_checkable
class Team(Protocol):
    """A team of A agents, each of which acts on its own window. Rows of a batch and agents do not depend on each other,
    except in the critic.

    Attributes:
        layout: which part of the joint spaces belongs to whom, with the attributes ``agents``, ``windows`` [A, F],
            ``discrete``, ``width`` (a), ``to_environment`` and ``from_environment`` of
            :class:`agentgym.agents.marl.teams.layout.TeamLayout`.
        gamma: discount of the critic.
    """

    layout: Any
    gamma: float

    def act(self, windows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The agents' actions float32 [B, A, a] for windows float32 [B, A, F]: one-hot, or in [-1, 1].

        Greedy without a generator; else sampled from the policies.
        """

    def log_probs(self, windows: Tensor, actions: Tensor) -> Tensor:
        """The log-probability (density) of each agent's action, float64 [B, A]; differentiable in the windows.

        Args:
            windows: float64 [B, A, F].
            actions: one-hot or in [-1, 1], float64 [B, A, a].
        """

    def critic(self, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor | None:
        """Q_i of every agent, float64 [B, A], or V of the team, float64 [B, 1], which ignores the actions.

        Differentiable in windows and actions. None if the team has no critic.

        Args:
            windows: float64 [B, A, F].
            actions: float64 [B, A, a].
            alive: bool [B, A].
        """


class LearnedTeam:
    """A team that ``maddpg``, ``hatrpo`` or ``hatrpo-q`` trained, as a :class:`Team`.

    Its networks are copied to float64 on the CPU and in evaluation mode; ``agent`` itself acts.

    Args:
        agent: the trained agent.

    Raises:
        InvalidParameter: it is no such agent.
    """

    def __init__(self, agent: Any) -> None:
        policy: Any = getattr(agent, "policy", None)
        if not isinstance(getattr(policy, "network", None), nn.Module) or not hasattr(agent, "layout"):
            raise InvalidParameter(
                f"{type(agent).__name__} is no team that forensics knows (maddpg, hatrpo, hatrpo-q). Give another team "
                "an adapter with the methods of agentgym.evaluation.forensics.team.Team."
            )
        self.agent, self.layout, self.gamma = agent, agent.layout, float(agent.settings.gamma)
        exact = deepcopy(policy).double().cpu().eval().requires_grad_(False)
        self._policy: Any = exact
        self._std = getattr(exact, "log_std", None)  # hatrpo's Box actions; maddpg's have its exploration noise

    def act(self, windows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :class:`Team`."""
        with torch.no_grad():
            if generator is None:
                found: Tensor = self.agent._choose(windows.to(self.agent.device), True).cpu()
                return found if self.layout.discrete else found.clamp(-1, 1)
            means, std = self._scores(windows.double()), self._deviation()
            noise = torch.rand(means.shape, generator=generator, dtype=means.dtype).clamp(1e-20, 1 - 1e-12)
            if std is None:
                best = (means - torch.log(-torch.log(noise))).argmax(-1)
                return torch.nn.functional.one_hot(best, means.shape[-1]).float()
            normal = torch.randn(means.shape, generator=generator, dtype=means.dtype)
            return (means + std * normal).clamp(-1, 1).float()

    def log_probs(self, windows: Tensor, actions: Tensor) -> Tensor:
        """See :class:`Team`."""
        scores, std = self._scores(windows), self._deviation()
        if std is None:
            return (torch.log_softmax(scores, -1) * actions).sum(-1)
        return Normal(scores, std).log_prob(actions).sum(-1)

    def critic(self, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor | None:
        """See :class:`Team`."""
        policy = self._policy
        if hasattr(policy, "q"):
            values: Tensor = policy.q(windows, actions, alive)
            return values
        seen = torch.where(alive.unsqueeze(-1), windows, 0.0)
        found: Tensor = policy.value.denormalised(policy.value(seen, alive)).unsqueeze(-1)
        return found

    def _scores(self, windows: Tensor) -> Tensor:
        """Logits [B, A, C], or the means of Box actions [B, A, a]."""
        scores: Tensor = self._policy.network(windows)
        return torch.tanh(scores) if not self.layout.discrete and self._std is None else scores

    def _deviation(self) -> Tensor | None:
        if self.layout.discrete:
            return None
        if self._std is not None:
            return self._std.exp()
        return torch.tensor(max(self.agent.settings.noise, 1e-3), dtype=torch.float64)


def require_critic(team: Team, windows: Tensor, actions: Tensor, alive: Tensor) -> Tensor:
    """The critic's values, see :meth:`Team.critic`.

    Raises:
        InvalidParameter: the team has no critic.
    """
    values = team.critic(windows, actions, alive)
    if values is None:
        raise InvalidParameter(
            f"{type(team).__name__} has no critic. Detectors of observations and actions (dynamics, policy_gap, "
            "combined) and the graph by action_gap work without one."
        )
    return values
