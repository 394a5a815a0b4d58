"""A shared policy trained by gradients through the environment, alone or after shared PPO."""

from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.common.inventory import attributes, learned
from agentgym.agents.common.saving import SavedAgent, read
from agentgym.agents.marl.layout import Layout, attribute_of
from agentgym.agents.marl.shared.agent import JointPolicy, SharedAgent
from agentgym.agents.marl.shared.ascent import Ascent
from agentgym.agents.marl.shared.config import SharedGradientConfig, SharedPPOConfig
from agentgym.agents.marl.shared.distill import Imitation
from agentgym.agents.marl.shared.learner import SharedLearner
from agentgym.agents.marl.shared.switch import JointActor, Switch, TwoPolicies
from agentgym.agents.marl.shared.worlds import DifferentiableWorlds
from agentgym.contracts.agent import Traits
from agentgym.contracts.environment import Patterned
from agentgym.contracts.finite import require_finite
from agentgym.contracts.settings import field_names
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch
from agentgym.runs.state import Inventory, Item
from agentgym.seeding import entropy

__all__ = ["SharedGradient"]

OWN = set(field_names(SharedGradientConfig)) - set(field_names(SharedPPOConfig))


class _Halted(Exception):
    """A callback has ended the training."""


class _Learner(SharedLearner, PPO):
    """Shared PPO for ``merge_steps``, then episodes of the gradient, then rounds of imitation.

    Attributes:
        switched: whether the policy is two networks at present: in the gradient stage, with ``switch``.
        outer: the outer policy's network, as it was when the gradient stage began.
    """

    catalog_name: ClassVar[str] = "shared-gradient"
    Config = SharedGradientConfig

    merge_steps: int
    distill_rounds: int
    outer: nn.Sequential
    ascent: Ascent
    imitation: Imitation
    worlds: DifferentiableWorlds | None
    settings: SharedGradientConfig

    def prepare(self, layout: Layout, pattern: list[int] | None, settings: SharedGradientConfig) -> None:
        """Set up the later stages.

        Raises:
            InvalidParameter: ``switch`` is set and the environment has no pattern.
        """
        if settings.switch and pattern is None:
            raise InvalidParameter(
                "switch=True needs an environment that says what pattern its agents are in (agent_pattern), as "
                "agentgym/Convection-v0 does. Use switch=False."
            )
        self.switched, self.root = False, entropy() if self.seed is None else int(self.seed)
        inner = nn.Sequential(self.policy.mlp_extractor.policy_net, self.policy.action_net)
        self.outer = deepcopy(inner).requires_grad_(False)
        actor = JointActor(layout, self.device)
        switch = Switch(pattern) if settings.switch and pattern is not None else None
        self.pilot = TwoPolicies(actor, inner, self.outer if switch else None, switch)
        self.ascent = Ascent(self.pilot, settings, self.root)
        self.imitation = Imitation(
            TwoPolicies(actor, self.ascent.best, self.pilot.outer, switch), settings, self.root
        )  # fmt: skip
        self.settings, self.worlds = settings, None

    def visit(self, venv: VecEnv) -> None:
        """Take these joint environments for the gradient.

        Raises:
            InvalidParameter: they have no differentiable step, or their episodes are too short for a window.
        """
        self.worlds = worlds = DifferentiableWorlds(venv, self.settings.starts)
        if self.settings.lead + self.settings.window > worlds.length:
            raise InvalidParameter(
                f"A window of {self.settings.window} steps after a lead of {self.settings.lead} is longer than an "
                f"episode, which has {worlds.length}. Use smaller ones."
            )

    # Stages

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """PPO's schedules end with its stage."""
        super()._update_current_progress_remaining(num_timesteps, self.merge_steps or total_timesteps)

    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """One rollout of PPO, one episode of the gradient stage, or one round of imitation."""
        self._merging = self.num_timesteps < self.merge_steps
        if self._merging:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        callback.on_rollout_start()

        def tick(steps: int) -> None:
            self.num_timesteps += steps
            if not callback.on_step():
                raise _Halted

        try:
            told = self._imitate(tick) if self._is_time_to_imitate() else self._ascend(tick)
        except _Halted:
            return False
        for name, value in told.items():
            self.logger.record(f"train/{name}", value)
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """PPO's update in its stage; the others have done theirs."""
        if self._merging:
            super().train()

    def _is_time_to_imitate(self) -> bool:
        if not self.distill_rounds or not self.ascent.begun:
            return False
        assert self.worlds is not None
        end = self._total_timesteps - self.distill_rounds * self.imitation.cost(self.worlds)
        return self.imitation.round > 0 or self.num_timesteps + self.ascent.cost(self.worlds) > end

    def _ascend(self, tick: Any) -> dict[str, float]:
        assert self.worlds is not None
        if not self.ascent.begun:
            self.outer.load_state_dict(self.pilot.inner.state_dict())
            self.switched = self.pilot.switch is not None
            self.ascent.begin(self.worlds, self.num_timesteps, tick)
        rounds = self.distill_rounds * self.imitation.cost(self.worlds)
        length = max(1, self._total_timesteps - rounds - self.ascent.first_step)
        remaining = max(0.0, 1 - (self.num_timesteps - self.ascent.first_step) / length)
        return self.ascent.improve(self.worlds, remaining, tick)

    def _imitate(self, tick: Any) -> dict[str, float]:
        assert self.worlds is not None
        return self.imitation.go_round(self.worlds, tick)

    def learn(self, total_timesteps: int, *arguments: Any, **keywords: Any) -> Self:
        """As :meth:`Agent.learn`; at the end the policy is the best one: of one network after imitation."""
        super().learn(total_timesteps, *arguments, **keywords)
        if self.imitation.round > 1:
            self.pilot.inner.load_state_dict(self.imitation.best.state_dict())
            self.switched = False
        elif self.ascent.begun:
            self.pilot.inner.load_state_dict(self.ascent.best.state_dict())
        return self

    def inventory(self) -> Inventory:
        """As :meth:`Agent.inventory`, plus the later stages. A saved agent has the outer network while it is in use."""
        own = [Item(each.name, each.read, each.write, saved=self.switched) for each in learned({"outer": self.outer})]
        own += attributes(self, ["switched"], saved=True) + attributes(self, ["root"])
        return super().inventory() + Inventory([*own, *self.ascent.items(), *self.imitation.items()])


class SharedGradient(SharedAgent):
    """A shared policy trained by gradients through a differentiable environment.

    First, perhaps, comes :class:`~agentgym.agents.marl.shared.ppo.SharedPPO` for ``merge_steps``, or the policy of
    another run (``start``). At the end, perhaps, one network learns what two do. Arguments are those of
    :class:`~agentgym.agents.marl.shared.agent.SharedAgent`; the environment is a batch with
    :class:`~agentgym.contracts.environment.Differentiable`.

    Raises:
        InvalidParameter: the environment has no differentiable step, no pattern for the switch, or episodes shorter
            than a window; or the policy in ``start`` has other networks.
        SpaceMismatch: the agents of the policy in ``start`` have other spaces.
        FileNotFoundError, CorruptFile: there is no agent in ``start``, or it is damaged.
    """

    catalog_name: ClassVar[str] = "shared-gradient"
    Config = SharedGradientConfig
    Learner = _Learner
    traits: ClassVar[Traits] = Traits(resizable=True, sets_worlds=True)

    learner: _Learner
    pilot: TwoPolicies
    pattern: list[int] | None

    def __init__(self, policy: Any, env: Any, **keywords: Any) -> None:
        super().__init__(policy, env, **keywords)
        venv = self.learner.agents.venv
        pattern = attribute_of(venv, "agent_pattern")
        self._set_up(None if pattern is None else np.asarray(pattern).tolist())
        self.learner.visit(venv)
        if self.learner.settings.start:
            self._begin_like(Path(self.learner.settings.start))

    def _set_up(self, pattern: list[int] | None) -> None:
        settings = SharedGradientConfig(**{name: getattr(self.learner, name) for name in OWN})
        self.pattern = pattern if settings.switch else None
        self.learner.prepare(self.layout, pattern, settings)
        self.pilot = self.learner.pilot
        self.policy = _SwitchedPolicy(self.layout, self.learner.policy, self)

    def _begin_like(self, folder: Path) -> None:
        final = folder / "final"
        saved = read(final if final.is_dir() else folder)
        if "joint" not in saved.values:
            raise InvalidParameter(f"start={folder}: a {saved.name} is no shared policy. Give a run of shared-ppo.")
        theirs = Layout.from_json(saved.values["joint"])
        for what in ("own_observation_space", "own_action_space"):
            if getattr(theirs, what) != getattr(self.layout, what):
                raise SpaceMismatch(
                    f"start={folder}: agents there have the {what[4:].replace('_', ' ')} {getattr(theirs, what)}, "
                    f"not {getattr(self.layout, what)}."
                )
        own, given = self.learner.policy.state_dict(), saved.parts.get("policy", {})
        if any(name not in given or given[name].shape != value.shape for name, value in own.items()):
            raise InvalidParameter(f"start={folder}: the policy there has other networks, or another mirror.")
        if saved.state.get("switched"):
            raise InvalidParameter(f"start={folder}: the policy there is two networks. Distil it first.")
        self.learner.policy.load_state_dict({name: given[name] for name in own})

    # Acting

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """As :meth:`SharedAgent.predict`. With two networks, the state tells where the inner one acts."""
        if not self.learner.switched:
            return super().predict(observation, state, episode_start, deterministic)
        observation, shape = np.asarray(observation), self.observation_space.shape
        batch = observation[None] if observation.shape == shape else observation
        if batch.shape[1:] != shape:
            raise SpaceMismatch(f"Joint observations are {list(shape)} or [n, ...], not {list(observation.shape)}.")
        require_finite("The joint observation", batch)
        before = np.zeros(len(batch), bool) if state is None else np.asarray(state[0], bool)
        if episode_start is not None:
            before = before & ~np.asarray(episode_start, bool)
        with torch.no_grad():
            seen = torch.as_tensor(batch, device=self.learner.device)
            joint, inside = self.pilot(seen, torch.as_tensor(before, device=seen.device))
            if not deterministic:
                deviation = self.learner.policy.log_std.exp().repeat(self.layout.agents)
                joint = joint + torch.randn_like(joint) * deviation.reshape(self.action_space.shape)
        space = self.action_space
        actions = np.clip(joint.cpu().numpy(), space.low, space.high).astype(space.dtype)
        return (actions[0] if observation.shape == shape else actions), (inside.cpu().numpy(),)

    def acting_in(self, env: Any) -> Self:
        """As :meth:`SharedAgent.acting_in`."""
        agent = super().acting_in(env)
        base, own = env.unwrapped, self.learner.pilot
        agent.pattern = base.agent_pattern.tolist() if self.pattern and isinstance(base, Patterned) else None
        switch = None if agent.pattern is None else Switch(agent.pattern)
        agent.pilot = TwoPolicies(JointActor(agent.layout, self.learner.device), own.inner, own.outer, switch)
        agent.policy = _SwitchedPolicy(agent.layout, agent.learner.policy, agent)
        return agent

    # Environments and saving

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """As :meth:`SharedAgent.set_env`.

        Raises:
            InvalidParameter: the environment has no differentiable step.
        """
        super().set_env(env, force_reset)
        self.learner.visit(self.learner.agents.venv)

    def about(self) -> dict[str, Any]:
        """As :meth:`SharedAgent.about`, plus the pattern for the switch."""
        return {**super().about(), "pattern": self.pattern}

    @classmethod
    def _made_again(cls, saved: SavedAgent, env: Any, device: torch.device | str, arguments: dict[str, Any]) -> Self:
        agent = super()._made_again(saved, env, device, arguments)
        try:
            agent._set_up(saved.values["pattern"])
        except KeyError as error:
            raise CorruptFile("the file does not say which pattern its switch reads") from error
        agent.learner.switched = bool(saved.state.get("switched"))
        if agent.learner.env is not None:
            agent.learner.visit(agent.learner.agents.venv)
        return agent


class _SwitchedPolicy(JointPolicy):
    """The policy's distribution with the outer mean where the switch, without memory, says so."""

    def __init__(self, layout: Layout, own: Any, agent: SharedGradient) -> None:
        super().__init__(layout, own)
        self.agent = agent

    def get_distribution(self, observations: Tensor) -> DiagGaussianDistribution:
        """As :meth:`JointPolicy.get_distribution`."""
        found, pilot = super().get_distribution(observations), self.agent.pilot
        if not self.agent.learner.switched or pilot.switch is None or pilot.outer is None:
            return found
        inside = pilot.switch(observations, torch.ones(len(observations), dtype=torch.bool, device=observations.device))
        other = pilot.outer(pilot.actor.windows_of(observations)).reshape(len(observations), -1)
        means = torch.where(inside[:, None], found.distribution.mean, other)
        return found.proba_distribution(means, self.own.log_std.repeat(self.agents))
