"""Trust-region policies along the gradient of learned action values: a variant of HATRPO, not HATRPO."""

from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from agentgym.agents.common.inventory import attributes
from agentgym.agents.common.optim import FusedAdam, polyak_update, set_gradients
from agentgym.agents.common.replay import require_memory
from agentgym.agents.marl.teams.agent import TeamAgent, TeamDistribution, TeamPolicy
from agentgym.agents.marl.teams.choices import best, explored, sampled
from agentgym.agents.marl.teams.config import HATRPOQConfig
from agentgym.agents.marl.teams.hatrpo import step_settings
from agentgym.agents.marl.teams.natural_step import natural_step
from agentgym.agents.marl.teams.networks import Actor, Critic, JointCritic, SetActor, SetCritic, only
from agentgym.agents.marl.teams.replay import Batch, TeamReplay
from agentgym.errors import InvalidParameter
from agentgym.runs.state import Inventory

__all__ = ["HATRPOQ"]


class HATRPOQ(TeamAgent):
    """One trust-region step for a shared policy, with advantages from a critic Q(x, a_1, ..., a_A) learned from replay.

    The advantage of choice b of agent i is first-order: A_i(b) = sum_k dQ_k/da_i . (e_b - pi_i), at the joint action
    that was taken. The step maximises E[sum_b pi_i(b) A_i(b)] within a mean KL of ``max_kl``. Published HATRPO has no
    action values; this variant learns faster with five agents and leaves a critic to look into.

    Choices only. Agents that have left enter nothing. Arguments are those of
    :class:`~agentgym.agents.marl.teams.agent.TeamAgent`; the fields of ``Config`` are commented in
    :class:`~agentgym.agents.marl.teams.config.HATRPOQConfig`.
    """

    catalog_name: ClassVar[str] = "hatrpo-q"
    Config = HATRPOQConfig
    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "improvement", "kl", "steps_skipped", "entropy")

    policy: "_Policy"

    def _build(self) -> None:
        settings, layout = self.settings, self.layout
        layout.require_alike() if settings.shared else None
        if not layout.discrete:
            raise InvalidParameter(f"hatrpo-q needs choices, not {self.action_space}. Use hatrpo or maddpg.")
        if settings.actor == "set" and (layout.sets is None or not settings.shared):
            raise InvalidParameter("actor='set' needs shared=True and an environment with agent_sets. Use actor='mlp'.")
        count = 1 if settings.shared else layout.agents
        actor: nn.Module = Actor(layout, count, settings.actor_layers, settings.activation)
        if settings.actor == "set":
            actor = SetActor(layout, settings.set_units, settings.activation)
        critic: nn.Module = Critic(layout, count, settings.critic_layers, settings.activation)
        if settings.critic == "set":
            critic = SetCritic(layout, settings.set_units, settings.activation)
        self.policy = _Policy(layout, actor, q=critic, target_q=deepcopy(critic).requires_grad_(False))
        seen: Any = spaces.Box(-1.0, 1.0, layout.windows.shape)
        require_memory(settings.buffer_size, seen, spaces.Box(-1.0, 1.0, (layout.agents * 4,)), next_apart=True)
        self.replay = TeamReplay(settings.buffer_size, self.n_envs, layout)

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"critic": FusedAdam(self.policy.q.parameters())}

    @property
    def critic(self) -> JointCritic:
        """The mean of the agents' Q, as a function of joint observations and joint actions."""
        return JointCritic(self.layout, self.policy.q)

    # Acting

    def _choose(self, windows: Tensor, deterministic: bool) -> Tensor:
        scores = self.policy.network(windows)
        return best(scores) if deterministic else sampled(scores, self.generator)

    @torch.no_grad()
    def _explore(self, windows: Tensor) -> Tensor:
        scores = self.policy.network(windows)
        return explored(scores, self.layout.impossible, self.settings.random_share, self.generator)

    # Learning

    def _iterate(self, heard: BaseCallback) -> bool:
        steps, more = 0, True
        seen, taken, alive = [], [], []
        while more and steps < self.settings.n_steps:
            windows = torch.as_tensor(self._seen, device=self.device)
            actions = self._explore(windows)
            step, more = self._step(actions, heard)
            self.replay.add(step, actions)
            seen.append(windows)
            taken.append(actions)
            alive.append(torch.as_tensor(step.acted, device=self.device))
            steps += 1
        if more and self.num_timesteps >= self.settings.learning_starts:
            losses = [
                self._learn_q(self.replay.sample(self.settings.batch_size, self.generator))
                for _ in range(self.settings.q_updates)
            ]
            loss = torch.stack(losses).mean() if losses else torch.zeros((), device=self.device)
            self._measure(loss, *self._improve(*(torch.cat(each) for each in (seen, taken, alive))))
        return more

    def _learn_q(self, batch: Batch) -> Tensor:
        """One step of the critic towards r + gamma Q'(x', a'), with a' sampled from the current policies."""
        policy, settings, acted = self.policy, self.settings, batch.acted
        for group in self.optimizers["critic"].param_groups:
            group["lr"] = self._rate(settings.critic_rate)
        goes_on = acted & ~batch.terminated
        with torch.no_grad():
            reached = only(goes_on, batch.reached)
            following = only(goes_on, self._choose(reached, deterministic=False))
            future = only(goes_on, policy.target_q(reached, following, goes_on))
            targets = only(acted, batch.rewards) + settings.gamma * future
        values = policy.q(only(acted, batch.windows), only(acted, batch.actions), acted)
        loss = only(acted, (values - targets).square()).sum() / acted.sum()
        set_gradients(loss, self.optimizers["critic"].param_groups[0]["params"])
        self.optimizers["critic"].step()
        polyak_update(list(policy.q.parameters()), list(policy.target_q.parameters()), settings.tau)
        return loss.detach()

    def advantages(self, windows: Tensor, actions: Tensor, alive: Tensor, chances: Tensor | None = None) -> Tensor:
        """A_i(b) of every choice, [B, A, C], at joint actions that were taken; zero for agents that have left.

        ``chances`` are those of the current policies, if they are known.
        """
        windows, actions = only(alive, windows), only(alive, actions).requires_grad_()
        total = only(alive, self.policy.q(windows, actions, alive)).sum()
        (slope,) = torch.autograd.grad(total, actions)
        with torch.no_grad():
            chances = torch.softmax(self.policy.network(windows), -1) if chances is None else chances
            return only(alive, slope - (slope * chances).sum(-1, keepdim=True))

    def _improve(self, windows: Tensor, actions: Tensor, alive: Tensor) -> list[Tensor]:
        """One natural step of the policy on a rollout [B, A, ...]; returns improvement, KL, skipped and entropy."""
        policy, settings = self.policy, self.settings
        windows = only(alive, windows)
        with torch.no_grad():
            old = log_softmax(policy.network(windows), -1)
        gains = self.advantages(windows, actions, alive, old.exp())
        gains = gains / gains[alive].std().clamp_min(1e-8)
        every = settings.curvature_every
        objective = partial(policy.objective, gains, old, windows, alive)
        curved = partial(policy.divergence, old[::every], windows[::every], alive[::every])
        weights = list(policy.network.parameters())
        result = natural_step(weights, objective, curved, **step_settings(settings))
        entropy = -only(alive, (old.exp() * old).sum(-1)).sum() / alive.sum()
        skipped = torch.tensor(float(not result.taken), device=self.device)
        return [result.improvement, result.divergence, skipped, entropy]

    # Saving

    def inventory(self) -> Inventory:
        """The state that the rest of a run depends on, with the replay buffer in checkpoints."""
        return super().inventory() + Inventory(attributes(self.replay, ("rows",)), [self.replay.as_rows()])


class _Policy(TeamPolicy):
    q: Any
    target_q: Any

    def objective(self, gains: Tensor, old: Tensor, windows: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        """The means over agents that are alive of sum_b pi(b) gains(b), and of the KL from old log likelihoods."""
        now = log_softmax(self.network(windows), -1)
        expected, apart = (now.exp() * gains).sum(-1), (old.exp() * (old - now)).sum(-1)
        return only(alive, expected).sum() / alive.sum(), only(alive, apart).sum() / alive.sum()

    def divergence(self, old: Tensor, windows: Tensor, alive: Tensor) -> Tensor:
        """The mean KL from old log likelihoods to the current policy."""
        apart = (old.exp() * (old - log_softmax(self.network(windows), -1))).sum(-1)
        return only(alive, apart).sum() / alive.sum()

    def get_distribution(self, observations: Tensor) -> Any:
        """The distribution of joint actions for joint observations, in Stable-Baselines3's shape."""
        return TeamDistribution(self.network(self.windows(observations)))
