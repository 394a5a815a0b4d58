"""HATRPO: agents take trust-region steps one after another, each allowing for those before it (Kuba et al. 2022)."""

from functools import partial
from typing import Any, ClassVar

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import huber_loss, log_softmax

from agentgym.agents.common.optim import FusedAdam, set_gradients
from agentgym.agents.marl.teams.agent import TeamAgent, TeamDistribution, TeamPolicy, TeamStep
from agentgym.agents.marl.teams.choices import best, sampled
from agentgym.agents.marl.teams.config import HATRPOConfig
from agentgym.agents.marl.teams.natural_step import natural_step
from agentgym.agents.marl.teams.networks import Actor, OwnActors, TeamValue, only

__all__ = ["HATRPO", "step_settings"]


def step_settings(settings: Any) -> dict[str, Any]:
    """The settings of a natural step, from a configuration."""
    names = ("max_kl", "cg_steps", "cg_damping", "line_search_steps", "line_search_shrink", "accept_ratio")
    return {name: getattr(settings, name) for name in names}


class HATRPO(TeamAgent):
    """Heterogeneous-agent trust region policy optimisation, with a value of the whole team's state.

    In every iteration the agents are updated in a random order. Agent i maximises E[M ratio_i A], where A is the team's
    advantage and M the product of the ratios of the agents before it (Algorithm 1 of the paper), within a mean KL of
    ``max_kl``. A step that cannot be taken leaves the agent's weights as they were and is counted in the log.

    Agents that have left enter nothing. A truncated episode is bootstrapped from its true last observation.

    The arguments are those of :class:`~agentgym.agents.marl.teams.agent.TeamAgent`, and the hyperparameters those of
    :class:`~agentgym.agents.marl.teams.config.HATRPOConfig`.
    """

    catalog_name: ClassVar[str] = "hatrpo"
    Config = HATRPOConfig
    metric_names: ClassVar[tuple[str, ...]] = ("value_loss", "improvement", "kl", "steps_skipped", "entropy")

    policy: "_Policy"

    def _build(self) -> None:
        settings, layout = self.settings, self.layout
        layout.require_alike() if settings.shared else None
        if settings.shared:
            actor: nn.Module = Actor(layout, 1, settings.actor_layers, settings.activation)
        else:
            actor = OwnActors(layout, settings.actor_layers, settings.activation)
        value = TeamValue(layout, settings.value_layers, settings.activation)
        self.policy = _Policy(layout, actor, settings.initial_std, value=value)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"value": FusedAdam(self.policy.value.parameters())}

    # Acting

    def _choose(self, windows: Tensor, deterministic: bool) -> Tensor:
        scores = self.policy.network(windows)
        if self.layout.discrete:
            return best(scores) if deterministic else sampled(scores, self.generator)
        if deterministic:
            return scores
        noise = torch.randn(scores.shape, generator=self.generator, device=self.device)
        return scores + self.policy.log_std.exp() * noise

    # Learning

    def _iterate(self, heard: BaseCallback) -> bool:
        steps: list[TeamStep] = []
        taken: list[Tensor] = []
        more = True
        while more and len(steps) < self.settings.n_steps:
            with torch.no_grad():
                actions = self._choose(torch.as_tensor(self._seen, device=self.device), deterministic=False)
            step, more = self._step(actions, heard)
            steps.append(step)
            taken.append(actions)
        if more:
            self._update(steps, torch.stack(taken))
        return more

    def _update(self, steps: list[TeamStep], actions: Tensor) -> None:
        """One iteration on T steps of N worlds with actions [T, N, A, a]."""
        acted = self._stacked(steps, "acted")
        windows = only(acted, self._stacked(steps, "windows"))
        advantages, returns = self._advantages(steps, windows)
        advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8)).flatten()
        windows, actions, acted = (part.flatten(0, 1) for part in (windows, only(acted, actions), acted))
        told = self._improve(windows, actions, acted, advantages)
        value_loss = self._fit_value(windows, acted, returns.flatten())
        self._measure(value_loss, *told)

    def _stacked(self, steps: list[TeamStep], name: str) -> Tensor:
        return torch.stack([torch.as_tensor(getattr(step, name), device=self.device) for step in steps])

    @torch.no_grad()
    def _advantages(self, steps: list[TeamStep], windows: Tensor) -> tuple[Tensor, Tensor]:
        """Generalised advantages of the team and returns, [T, N] each."""
        settings, value = self.settings, self.policy.value
        acted, terminated, truncated = (self._stacked(steps, name) for name in ("acted", "terminated", "truncated"))
        goes_on = acted & ~terminated
        over = ~(goes_on & ~truncated).any(-1)  # the world's episode ends with this step
        paid = only(acted, self._stacked(steps, "rewards")).sum(-1)
        here = value.denormalised(value(windows, acted))
        reached = value.denormalised(value(only(goes_on, self._stacked(steps, "reached")), goes_on))
        ahead = torch.where(goes_on.any(-1), reached, torch.zeros_like(reached))
        surprise = paid + settings.gamma * ahead - here
        advantages, running = torch.zeros_like(paid), torch.zeros_like(paid[0])
        for t in reversed(range(len(steps))):
            running = surprise[t] + settings.gamma * settings.gae_lambda * torch.where(over[t], 0.0, running)
            advantages[t] = running
        return advantages, advantages + here

    def _improve(self, windows: Tensor, actions: Tensor, acted: Tensor, advantages: Tensor) -> list[Tensor]:
        """Update the policies; returns improvement, KL, skipped steps and entropy, means over agents."""
        policy, agents = self.policy, self.layout.agents
        groups = [[*range(agents)]]
        if not self.settings.shared:
            order = torch.randperm(agents, generator=self.generator, device=self.device).tolist()
            groups = [[agent] for agent in order]
        weight, results = advantages, []
        entropy = []
        for group in groups:
            rows, columns = acted[:, group].nonzero(as_tuple=True)
            if not len(rows):
                continue
            own = torch.tensor(group, device=self.device)[columns]
            seen, done, weights = windows[rows, own], actions[rows, own], weight[rows]
            with torch.no_grad():
                old = policy.scores(group, seen)
                old_log, old_std = policy.log_prob(group, old, done), policy.log_std.detach().clone()
            objective = partial(policy.objective, group, seen, done, old, old_std, weights)
            every = self.settings.curvature_every
            curved = partial(policy.mean_divergence, group, old[::every], old_std, seen[::every])
            own_weights = policy.weights_of(group)
            results.append(natural_step(own_weights, objective, curved, **step_settings(self.settings)))
            with torch.no_grad():
                scores = policy.scores(group, seen)
                entropy.append(policy.entropy(group, scores).mean())
                if len(group) == 1:  # those after it are weighted by what this one has changed
                    ratio = torch.ones_like(advantages)
                    ratio[rows] = (policy.log_prob(group, scores, done) - old_log).exp()
                    weight = weight * ratio
        skipped = torch.tensor([float(not result.taken) for result in results], device=self.device)
        columns_of = zip(*((result.improvement, result.divergence) for result in results), strict=True)
        told = [torch.stack(list(column)).mean() for column in columns_of]
        return [*told, skipped.mean(), torch.stack(entropy).mean()]

    def _fit_value(self, windows: Tensor, acted: Tensor, returns: Tensor) -> Tensor:
        """Regress the value on returns [B] in standard units; returns the last epoch's mean loss."""
        settings, value, optimizer = self.settings, self.policy.value, self.optimizers["value"]
        for group in optimizer.param_groups:
            group["lr"] = self._rate(settings.value_rate)
        value.learn_scale(returns)
        targets, parameters = value.normalised(returns), list(value.parameters())
        losses: list[Tensor] = []
        for _ in range(settings.value_epochs):
            losses = []
            order = torch.randperm(len(returns), generator=self.generator, device=self.device)
            for rows in order.chunk(settings.value_batches):
                loss = huber_loss(value(windows[rows], acted[rows]), targets[rows], delta=settings.huber)
                set_gradients(loss, parameters)
                optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).mean()


class _Policy(TeamPolicy):
    """Policies of all agents; a group is [i] for an agent's own network, or all agents for a shared one."""

    value: Any
    network: Any

    def __init__(self, layout: Any, actor: nn.Module, initial_std: float, **networks: nn.Module) -> None:
        super().__init__(layout, actor, **networks)
        shared = isinstance(actor, Actor)
        self.log_std = nn.Parameter(torch.full((1 if shared else layout.agents, layout.width), initial_std).log())

    def weights_of(self, group: list[int]) -> list[Tensor]:
        """The weights of a group's network; with Box actions, the standard deviations too."""
        network = self.network if len(group) > 1 or isinstance(self.network, Actor) else self.network.of(group[0])
        own = list(network.parameters())
        return own if self.layout.discrete else [*own, self.log_std]

    def scores(self, group: list[int], windows: Tensor) -> Tensor:
        """Logits or means [B, a] for windows [B, F] of the group's agents."""
        if isinstance(self.network, Actor):
            found: Tensor = self.network.of_any(windows)
        else:
            found = self.network.of(group[0]).of_any(windows)
        return found

    def _std(self, group: list[int], log_std: Tensor) -> Tensor:
        return log_std[0 if len(log_std) == 1 else group[0]].exp()

    def log_prob(self, group: list[int], scores: Tensor, actions: Tensor, log_std: Tensor | None = None) -> Tensor:
        """Log likelihoods [B] of actions [B, a]; with the current standard deviations if none are given."""
        if self.layout.discrete:
            return (log_softmax(scores, -1) * actions).sum(-1)
        std = self._std(group, self.log_std if log_std is None else log_std)
        found: Tensor = Normal(scores, std).log_prob(actions).sum(-1)
        return found

    def objective(
        self, group: list[int], windows: Tensor, actions: Tensor, old: Tensor, old_std: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The mean of weights times the ratios of new to old likelihoods, and the mean of KL(old || current)."""
        scores = self.scores(group, windows)
        ratio = (self.log_prob(group, scores, actions) - self.log_prob(group, old, actions, old_std)).exp()
        return (ratio * weights).mean(), self.divergence(group, old, old_std, scores).mean()

    def mean_divergence(self, group: list[int], old: Tensor, old_std: Tensor, windows: Tensor) -> Tensor:
        """The mean of KL(old || current)."""
        return self.divergence(group, old, old_std, self.scores(group, windows)).mean()

    def divergence(self, group: list[int], old: Tensor, old_std: Tensor, scores: Tensor) -> Tensor:
        """KL(old || new) of each row, [B]."""
        if self.layout.discrete:
            before = log_softmax(old, -1)
            return (before.exp() * (before - log_softmax(scores, -1))).sum(-1)
        normals = Normal(old, self._std(group, old_std)), Normal(scores, self._std(group, self.log_std))
        return torch.distributions.kl_divergence(*normals).sum(-1)

    def entropy(self, group: list[int], scores: Tensor) -> Tensor:
        """Entropies [B]."""
        if self.layout.discrete:
            own = log_softmax(scores, -1)
            return -(own.exp() * own).sum(-1)
        found: Tensor = Normal(scores, self._std(group, self.log_std).expand_as(scores)).entropy().sum(-1)
        return found

    def get_distribution(self, observations: Tensor) -> Any:
        """The distribution of joint actions for joint observations, in Stable-Baselines3's shape."""
        scores = self.network(self.windows(observations))
        return TeamDistribution(scores, None if self.layout.discrete else self.log_std.exp())
