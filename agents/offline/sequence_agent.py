"""The base class of agents with histories: windows for training, and histories of running episodes when acting."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.common.optim import set_gradients
from agentgym.agents.offline.agent import OfflineAgent
from agentgym.agents.offline.config import SequenceConfig
from agentgym.agents.offline.history import History
from agentgym.agents.offline.networks import Normalizer
from agentgym.agents.offline.sequences import Sequences
from agentgym.contracts.agent import Traits
from agentgym.contracts.finite import require_finite
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter

__all__ = ["SequenceAgent"]


class SequenceAgent(OfflineAgent):
    """Base of agents that act on the last K steps of each episode.

    :meth:`predict` takes its last returned ``state`` and the last step's rewards. A subclass implements
    :meth:`_build` (whose policy has ``Normalizer(self.observation_width)`` as ``normalizer``),
    :meth:`_gradient_step` and :meth:`_choose`.
    """

    Config: ClassVar[type[SequenceConfig]] = SequenceConfig
    action_spaces: ClassVar[Any] = (spaces.Box, spaces.Discrete)
    traits: ClassVar[Traits] = replace(OfflineAgent.traits, hears_rewards=True, promises=True)

    # Learning

    def _begin(self, policy: str, seed: int | None, device: torch.device | str, settings: dict[str, Any]) -> None:
        super()._begin(policy, seed, device, settings)
        held = vars(self.settings)
        for name in ("context", "width", "layers", "heads", "batch_size", "warmup", "longest_episode"):
            if held[name] < 1:
                raise InvalidParameter(f"{name} is {held[name]}; it must be at least 1.")
        if self.settings.width % self.settings.heads:
            raise InvalidParameter(
                f"width {self.settings.width} cannot be divided among {self.settings.heads} heads: use a multiple."
            )
        if not 0 <= self.settings.dropout < 1:
            raise InvalidParameter(f"dropout is {self.settings.dropout}; it must be at least 0 and below 1.")

    @property
    def discrete(self) -> bool:
        """Whether actions are discrete."""
        return isinstance(self.action_space, spaces.Discrete)

    def _take(self, dataset: OfflineDataset) -> None:
        longest = int(dataset.lengths.max())
        if longest > self.settings.longest_episode:
            raise InvalidParameter(
                f"{dataset.description.name} has an episode of {longest} steps, but longest_episode is "
                f"{self.settings.longest_episode}: use --config.longest-episode {longest}."
            )
        if self._one_hot:  # encoded per window
            indices = self.seen.to_learner(np.array(dataset.observations))
            observations = torch.as_tensor(indices, device=self.device).long()
        else:
            observations = self._states_of(np.array(dataset.observations))
            normalizer = self.policy.normalizer
            assert isinstance(normalizer, Normalizer)
            if not self._of_choices:
                normalizer.fit(observations.flatten(1))
            observations = normalizer(observations)
        self.sequences = Sequences(dataset, observations, self._from_space(dataset.actions))

    @property
    def _one_hot(self) -> bool:
        return isinstance(self.observation_space, spaces.Discrete)

    def _states(self, observations: Tensor) -> Tensor:
        """A window's observations as inputs, ``[..., D]``: normalised or one-hot.

        One-hot observations are not normalised, which would blow up entries that are rarely 1.
        """
        return F.one_hot(observations, self.observation_width).float() if self._one_hot else observations

    def _inputs(self, actions: Tensor) -> Tensor:
        """Encode actions as inputs, ``[..., A]``."""
        return F.one_hot(actions, self.action_width).float() if self.discrete else actions

    def _update(self) -> tuple[Tensor, ...]:
        with self._own_randomness():
            return self._gradient_step()

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Draw dropout and noise from the agent's own generator, since PyTorch's layers use the global one."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator, device=self.device)))
            yield

    def _gradient_step(self) -> tuple[Tensor, ...]:
        """Take one gradient step and return scalars without gradient, in the order of :attr:`metric_names`."""
        raise NotImplementedError

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[Tensor], rate: float) -> Tensor:
        """Take one gradient step with warm-up and clipping, and return the norm of the gradient before clipping."""
        set_gradients(loss, parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self._n_updates + 1) / self.settings.warmup)
        optimizer.step()
        return norm

    @flushing_denormals()
    def learn(self, total_timesteps: int, *arguments: Any, **options: Any) -> Self:
        """As :meth:`OfflineAgent.learn`."""
        return super().learn(total_timesteps, *arguments, **options)

    # Acting

    def _choose(self, history: History, begins: Tensor, deterministic: bool) -> tuple[Tensor, Any]:
        """Actions as in :meth:`_act`, and the updated memory of each episode.

        Args:
            history: the history, including the newest observations.
            begins: bool ``[B]``, True where an episode has just begun.
        """
        raise NotImplementedError

    @flushing_denormals()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False,
        reward: Any = None,
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        """Actions for one observation or a batch of episodes ``[B, ...]``.

        Args:
            observation: the newest observations.
            state: returned by the last call; None if all episodes begin.
            episode_start: bool ``[B]``, True where this observation is an episode's first.
            deterministic: return the policy's mode instead of a sample.
            reward: of the last step, ``[B]``; required unless all episodes begin.

        Returns:
            The actions, and the state for the next call.

        Raises:
            SpaceMismatch: the observation has another shape.
            NonFinite: an observation or a reward is NaN or infinite.
            InvalidParameter: rewards are missing, or the state belongs to a batch of another size.
        """
        batch, single = self._batch(observation)
        history, begins = self._history(state, len(batch), episode_start)
        rewards = self._heard(reward, begins)
        states = batch if self._one_hot else self.policy.normalizer(batch)  # type: ignore[operator]
        self.policy.set_training_mode(False)
        with torch.no_grad():
            history = history.after(rewards, states, begins)
            actions, memory = self._choose(history, begins, deterministic)
            history = history.with_actions(self._inputs(actions))._replace(memory=memory)
        given = self._to_space(actions.cpu().numpy())
        return (given[0] if single else given), history

    def _history(self, state: Any, count: int, episode_start: Any) -> tuple[History, Tensor]:
        """The history so far, and bool ``[B]``: True where an episode begins."""
        if state is None:
            blank = History.blank(count, self.settings.context, self.observation_width, self.action_width, self.device)
            return blank, torch.ones(count, dtype=torch.bool, device=self.device)
        if not isinstance(state, History) or len(state.time) != count:
            raise InvalidParameter(
                f"The state does not belong to {count} episodes of {self.catalog_name}: pass the state that predict() "
                "returned for them, or None if all episodes begin."
            )
        starts = np.zeros(count, bool) if episode_start is None else np.broadcast_to(episode_start, count)
        return state, torch.as_tensor(np.array(starts, bool), device=self.device)

    def _heard(self, reward: Any, begins: Tensor) -> Tensor:
        """The last step's rewards, float ``[B]``; zero where an episode begins."""
        if reward is None:
            if not bool(begins.all()):
                raise InvalidParameter(
                    f"{self.catalog_name} needs the last step's rewards: predict(observation, state, episode_start, "
                    "reward=...), one per episode."
                )
            return torch.zeros(len(begins), device=self.device)
        given = np.broadcast_to(np.asarray(reward, np.float32), len(begins))
        rewards = torch.as_tensor(np.array(given), device=self.device).masked_fill(begins, 0.0)
        if not math.isfinite(float(rewards.sum())):
            require_finite("The reward that predict() was told", rewards.cpu().numpy())
        return rewards
