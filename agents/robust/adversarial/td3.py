"""The base class of agents that learn against an adversary: TD3 (Fujimoto et al. 2018) in a zero-sum game with nature.

Nature chooses the environment's parameters. Critics see what it did, w, so they learn the game's values:
Q(s, a, w) -> r + gamma min_i Q_i'(s', pi'(s'), w'). Subclasses say what nature does and how the two players improve.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.inventory import Part, attributes
from agentgym.agents.common.networks import StackedCritic
from agentgym.agents.common.off_policy import OffPolicyAgent
from agentgym.agents.common.optim import polyak_update, set_gradients
from agentgym.agents.robust.adversarial.buffer import GameReplayBuffer
from agentgym.agents.robust.adversarial.config import GameConfig
from agentgym.agents.robust.adversarial.nature import Nature, ranges_of
from agentgym.agents.robust.adversarial.policies import DeterministicActor, GamePolicy
from agentgym.contracts.agent import Traits
from agentgym.errors import InvalidParameter
from agentgym.runs.state import Inventory

__all__ = ["GameTD3"]

Floats = NDArray[np.float32]


class GameTD3(OffPolicyAgent):
    """TD3 against nature. With an empty set of parameters it is TD3.

    Args:
        policy: ``"MlpPolicy"``.
        env: an environment id, a Gymnasium ``Env`` or ``VectorEnv``, or a Stable-Baselines3 ``VecEnv``, with parameters
            that can be changed within an episode (:class:`agentgym.contracts.environment.Adjustable`).
        ranges: the uncertainty set; read from the environment. Saved agents keep it.
        **keywords: fields of ``Config``, and ``preset``, the name of a preset.
        policy_kwargs, stats_window_size, tensorboard_log, verbose, seed, device: as in Stable-Baselines3's TD3.

    Attributes:
        actor, actor_target, critic, critic_target: the networks, also under ``policy``.
        nature: the uncertainty set.

    Random numbers come from the global generators of torch and NumPy, as in Stable-Baselines3; ``seed`` seeds them.

    Raises:
        InvalidParameter: a hyperparameter is out of range, or the environment has no parameters to choose.
        UnknownId: the environment has no such parameter.
        SpaceMismatch: the agent does not support the environment's spaces, or was trained with another set.
    """

    Config: ClassVar[type[GameConfig]]
    elsewhere: ClassVar[str] = "stable_baselines3.TD3"
    traits: ClassVar[Traits] = Traits(suite="robust-mdp")
    fixed: ClassVar[dict[str, Any]] = {
        "replay_buffer_class": GameReplayBuffer, "support_multi_env": True, "sde_support": False,
        "supported_action_spaces": (spaces.Box,),
    }  # fmt: skip
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": GamePolicy}
    of_nature: ClassVar[tuple[str, ...]] = ("_moves",)  # attributes of the adversary that a run depends on

    uncertain: tuple[str, ...]
    policy_delay: int
    target_noise: float
    noise_clip: float
    exploration: float
    ranges: dict[str, tuple[float, float]] | None
    policy: GamePolicy
    actor: DeterministicActor
    actor_target: DeterministicActor
    critic: StackedCritic
    critic_target: StackedCritic

    def _setup_model(self) -> None:
        found = self.ranges if self.env is None else ranges_of(self.catalog_name, self.env, self.uncertain)
        if found is None:
            raise InvalidParameter(f"{self.catalog_name} needs an environment, or the ranges of its parameters")
        self.nature = Nature(self.ranges or found)
        self.nature.require_same(found)
        self.ranges = {name: (float(low), float(high)) for name, (low, high) in found.items()}
        self.replay_buffer_kwargs = {"moves": self._width()}
        self.policy_kwargs = {**self.policy_kwargs, **self._sizes()}
        super()._setup_model()
        self.actor, self.actor_target = self.policy.actor, self.policy.actor_target
        self.critic, self.critic_target = self.policy.critic, self.policy.critic_target
        self._of_actor, self._of_critic = list(self.actor.parameters()), list(self.critic.parameters())
        self._of_targets = [*self.actor_target.parameters(), *self.critic_target.parameters()]
        self._moves: Floats = np.zeros((self.n_envs, self._width()), np.float32)

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """As :meth:`Agent.set_env`; the uncertainty set must be the same as well."""
        super().set_env(env, force_reset)
        assert self.env is not None
        self.nature.require_same(ranges_of(self.catalog_name, self.env, self.uncertain))

    # What a subclass says

    def _width(self) -> int:
        """Width of w, what nature does in a step as the critics see it."""
        return len(self.nature)

    def _sizes(self) -> dict[str, int]:
        """The arguments of the policy that depend on the uncertainty set."""
        return {"moves": self._width()}

    def _choose(self, starts: NDArray[np.bool_], uniform: bool) -> None:
        """Choose w of the next step, ``_moves`` [n, width], and set the parameters of the environments.

        Args:
            starts: the environments whose episodes have just begun, [n].
            uniform: draw it uniformly, before learning starts.
        """
        raise NotImplementedError

    def _paid(self, rewards: Tensor, moves: Tensor) -> Tensor:
        """The game's rewards, ``[B]``, which the agent maximises."""
        return rewards

    def _next_moves(self, moves: Tensor, next_states: Tensor) -> Tensor:
        """w' ``[B, width]`` at s' ``[B, D]``, for the critics' targets."""
        raise NotImplementedError

    def _improve(self, states: Tensor, moves: Tensor) -> tuple[Tensor, ...]:
        """Improve the agent's policy and the adversary; returns metrics."""
        raise NotImplementedError

    # Collection

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        uniform = self.num_timesteps < learning_starts
        self._choose(np.asarray(self._last_episode_starts, bool), uniform)
        actions, scaled = super()._sample_action(learning_starts, action_noise, n_envs)
        if uniform or not self.exploration:
            return actions, scaled
        scaled = np.clip(scaled + self.exploration * torch.randn(scaled.shape).numpy(), -1, 1)
        return self.policy.unscale_action(scaled), scaled

    def _store_transition(
        self, replay_buffer: Any, buffer_action: np.ndarray, new_obs: Any, reward: np.ndarray, dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        replay_buffer.moves[replay_buffer.pos] = self._moves
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        self._last_episode_starts = dones

    # Learning

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Sample batches and update critics and, every ``policy_delay`` times, both players and the targets."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        assert isinstance(self.replay_buffer, GameReplayBuffer)
        metrics = []
        for _ in range(gradient_steps):
            batch, moves = self.replay_buffer.sample_game(batch_size, env=self._vec_normalize_env)
            self._n_updates += 1
            states, next_states = (self.policy.features(each) for each in (batch.observations, batch.next_observations))
            discounts = (1 - batch.dones.squeeze(1)) * self.gamma
            measured = self._update_critics(
                states, batch.actions, moves, self._paid(batch.rewards.squeeze(1), moves), next_states, discounts
            )  # fmt: skip
            if self._n_updates % self.policy_delay == 0:
                measured = (*measured, *self._improve(states, moves))
                polyak_update([*self._of_actor, *self._of_critic], self._of_targets, self.tau)
            metrics.append(measured)
        longest = max(len(measured) for measured in metrics)
        self._log_later([measured for measured in metrics if len(measured) == longest])

    def _update_critics(
        self, states: Tensor, actions: Tensor, moves: Tensor, rewards: Tensor, next_states: Tensor, discounts: Tensor
    ) -> tuple[Tensor, ...]:
        """One step towards r + gamma min_i Q_i'(s', pi'(s') + noise, w').

        Args:
            states, next_states: s and s' as features, ``[B, D]``.
            actions: a in [-1, 1], ``[B, A]``.
            moves: w, ``[B, width]``.
            rewards: r, ``[B]``.
            discounts: gamma, or 0 where s' is terminal, ``[B]``.

        Returns:
            The critics' loss and mean value, scalars on the agent's device.
        """
        with torch.no_grad():
            next_actions = self._smoothed(self.actor_target.mu(next_states))
            next_joint = torch.cat([next_actions, self._next_moves(moves, next_states)], 1)
            targets = rewards + discounts * self.critic_target.q_values(next_states, next_joint).min(0).values
        values = self.critic.q_values(states, torch.cat([actions, moves], 1))
        loss = F.mse_loss(values, targets.expand_as(values), reduction="none").mean(1).sum()
        set_gradients(loss, self._of_critic)
        self.critic.optimizer.step()
        return loss.detach(), values.detach().mean()

    def _smoothed(self, choices: Tensor) -> Tensor:
        """Target policy smoothing: clipped noise on choices in [-1, 1]."""
        noise = torch.empty_like(choices).normal_(0, self.target_noise).clamp(-self.noise_clip, self.noise_clip)
        return (choices + noise).clamp(-1, 1)

    def _value(self, states: Tensor, actions: Tensor, moves: Tensor) -> Tensor:
        """Q_1(s, a, w) ``[B]``, through critics that get no gradient."""
        joint = torch.cat([actions, moves], 1)
        return self.critic.q_values(states, joint, frozen=True, members=slice(0, 1))[0]

    # State

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.actor.optimizer, self.critic.optimizer]

    def parts(self) -> dict[str, Part]:
        """The policy, including targets, and the optimisers."""
        return {
            "policy": self.policy, "actor.optimizer": self.actor.optimizer, "critic.optimizer": self.critic.optimizer
        }  # fmt: skip

    def inventory(self) -> Inventory:
        """As :meth:`OffPolicyAgent.inventory`, plus what the adversary is doing."""
        return super().inventory() + Inventory(attributes(self, self.of_nature))
