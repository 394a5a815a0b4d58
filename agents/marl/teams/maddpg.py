"""MADDPG: actors of single windows, critics of everything (Lowe et al. 2017)."""

from copy import deepcopy
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn

from agentgym.agents.common.inventory import attributes
from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.common.replay import require_memory
from agentgym.agents.marl.teams.agent import TeamAgent, TeamDistribution, TeamPolicy
from agentgym.agents.marl.teams.choices import best, explored, gumbel, sampled
from agentgym.agents.marl.teams.config import MADDPGConfig
from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.agents.marl.teams.networks import Actor, Critic, JointCritic, SetCritic, only
from agentgym.agents.marl.teams.replay import Batch, TeamReplay
from agentgym.runs.state import Inventory

__all__ = ["MADDPG"]


class MADDPG(TeamAgent):
    """Multi-agent deep deterministic policy gradient: a critic of all windows and actions trains each actor.

    Discrete actors are trained through straight-through Gumbel-softmax samples. Agents that have left enter neither
    loss, and as inputs of the critic they are zeros whatever stands in their slots. A truncated agent is bootstrapped
    from its true last observation, a terminated one is not.

    The arguments are those of :class:`~agentgym.agents.marl.teams.agent.TeamAgent`, and the hyperparameters those of
    :class:`~agentgym.agents.marl.teams.config.MADDPGConfig`.
    """

    catalog_name: ClassVar[str] = "maddpg"
    Config = MADDPGConfig
    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss", "q_mean")

    policy: "_Policy"

    def _build(self) -> None:
        settings, layout = self.settings, self.layout
        if settings.shared:
            layout.require_alike()
        count = 1 if settings.shared else layout.agents
        actor = Actor(layout, count, settings.actor_layers, settings.activation)
        critic: nn.Module
        if settings.critic == "set":
            critic = SetCritic(layout, settings.set_units, settings.activation)
        else:
            critic = Critic(layout, count, settings.critic_layers, settings.activation)
        self.policy = _Policy(
            layout, actor, q=critic, target_actor=deepcopy(actor).requires_grad_(False),
            target_q=deepcopy(critic).requires_grad_(False),
        )  # fmt: skip
        seen: Any = spaces.Box(-1.0, 1.0, layout.windows.shape)
        require_memory(settings.buffer_size, seen, spaces.Box(-1.0, 1.0, (layout.agents * 4,)), next_apart=True)
        self.replay = TeamReplay(settings.buffer_size, self.n_envs, layout)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        actor, critic = FusedAdam(self.policy.network.parameters()), FusedAdam(self.policy.q.parameters())
        policy = self.policy
        pairs = ((policy.q, policy.target_q), (policy.network, policy.target_actor))
        self._online = [weight for online, _ in pairs for weight in online.parameters()]
        self._tracking = [weight for _, target in pairs for weight in target.parameters()]
        return {"actor": actor, "critic": critic}

    @property
    def critic(self) -> JointCritic:
        """The mean of the agents' Q, as a function of joint observations and joint actions."""
        return JointCritic(self.layout, self.policy.q)

    # Acting

    def _choose(self, windows: Tensor, deterministic: bool) -> Tensor:
        found = self.policy.network(windows)
        if not self.layout.discrete:
            return torch.tanh(found)
        return best(found) if deterministic else sampled(found, self.generator)

    @torch.no_grad()
    def _explore(self, windows: Tensor) -> Tensor:
        """Actions [N, A, a] for training."""
        settings, scores = self.settings, self.policy.network(windows)
        starting = self.num_timesteps < settings.learning_starts
        if self.layout.discrete:
            share = 1.0 if starting else settings.random_share
            return explored(scores, self.layout.impossible, share, self.generator)
        if starting:
            return 2 * torch.rand(scores.shape, generator=self.generator, device=self.device) - 1
        noise = settings.noise * torch.randn(scores.shape, generator=self.generator, device=self.device)
        return (torch.tanh(scores) + noise).clamp(-1, 1)

    # Learning

    def _iterate(self, heard: BaseCallback) -> bool:
        before = self.num_timesteps
        assert self._seen is not None
        actions = self._explore(torch.as_tensor(self._seen, device=self.device))
        step, more = self._step(actions, heard)
        self.replay.add(step, actions)
        every = self.settings.train_every
        if self.num_timesteps >= self.settings.learning_starts:
            for _ in range(self.num_timesteps // every - before // every):
                self._update(self.replay.sample(self.settings.batch_size, self.generator))
        return more

    def _update(self, batch: Batch) -> None:
        """One step of critics, actors and targets."""
        policy, settings = self.policy, self.settings
        for name, rate in (("actor", settings.learning_rate), ("critic", settings.critic_rate)):
            for group in self.optimizers[name].param_groups:
                group["lr"] = self._rate(rate)
        acted = batch.acted
        windows, actions = only(acted, batch.windows), only(acted, batch.actions)

        # Critics: y_i = r_i + gamma Q'_i(x', mu'_1(o'_1), ..., mu'_A(o'_A)), without the second term at terminations
        values = policy.q(windows, actions, acted)
        error = values - self._targets(batch)
        critic_loss = _mean(error.square(), acted)
        set_gradients(critic_loss, self.optimizers["critic"].param_groups[0]["params"])
        self.optimizers["critic"].step()

        # Actors: each ascends its own Q_i with the others' actions from the buffer, or all ascend the sum of all Q_i
        scores = policy.network(windows)
        ascended = _mean(policy.q(windows, self._asked(scores, actions, acted), acted), acted)
        penalty = settings.logit_penalty * _mean(scores.clamp_min(-1e4).square().mean(-1), acted)
        actor_loss = penalty - ascended
        set_gradients(actor_loss, self.optimizers["actor"].param_groups[0]["params"])
        self.optimizers["actor"].step()

        polyak_update(self._online, self._tracking, settings.tau)
        self._measure(critic_loss, actor_loss, _mean(values, acted))

    @torch.no_grad()
    def _targets(self, batch: Batch) -> Tensor:
        """y [B, A]; zero for agents that did not act."""
        goes_on = batch.acted & ~batch.terminated
        reached = only(goes_on, batch.reached)
        scores = self.policy.target_actor(reached)
        following = sampled(scores, self.generator) if self.layout.discrete else torch.tanh(scores)
        future = self.policy.target_q(reached, only(goes_on, following), goes_on)
        return only(batch.acted, batch.rewards) + self.settings.gamma * only(goes_on, future)

    def _differentiable(self, scores: Tensor) -> Tensor:
        """The actors' actions [B, A, a], through which gradients reach the actors."""
        if not self.layout.discrete:
            return torch.tanh(scores)
        soft = torch.softmax((scores + gumbel(scores, self.generator)) / self.settings.temperature, dim=-1)
        return best(soft) + soft - soft.detach()  # straight-through: one-hot forwards, soft backwards

    def _asked(self, scores: Tensor, replayed: Tensor, acted: Tensor) -> Tensor:
        """The joint actions at which the critics are asked: [B, A, a], or [B, A, A, a] with one for every critic."""
        chosen = only(acted, self._differentiable(scores))
        if self.settings.others == "joint":
            return chosen
        own = torch.eye(chosen.shape[1], dtype=torch.bool, device=chosen.device)[None, :, :, None]
        return torch.where(own, chosen.unsqueeze(1), replayed.unsqueeze(1))

    # Saving

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on, with the replay buffer in checkpoints."""
        return super().inventory() + Inventory(attributes(self.replay, ("rows",)), [self.replay.as_rows()])


class _Policy(TeamPolicy):
    """Actor and critic, with the distributions that attacks follow."""

    q: Any
    target_q: Any
    target_actor: Any

    def __init__(self, layout: TeamLayout, actor: nn.Module, **networks: nn.Module) -> None:
        super().__init__(layout, actor, **networks)
        self.actor = _Mode(self)

    def get_distribution(self, observations: Tensor) -> Any:
        """The distribution of joint actions for joint observations, in Stable-Baselines3's shape."""
        scores = self.network(self.windows(observations))
        return TeamDistribution(scores) if self.layout.discrete else TeamDistribution(torch.tanh(scores), 1.0)


class _Mode(nn.Module):
    """The mode of joint Box actions, in [-1, 1], as a function of joint observations; it has no weights of its own."""

    def __init__(self, policy: _Policy) -> None:
        super().__init__()
        self._owner = (policy,)  # in a tuple: torch registers no second copy

    def forward(self, observations: Tensor) -> Tensor:
        """Actions [N, A * a]."""
        (policy,) = self._owner
        return torch.tanh(policy.network(policy.windows(observations))).flatten(1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of values [B, A] over the agents that acted."""
    return only(mask, values).sum() / mask.sum()
