"""What agents share that read histories: windows to learn from, and the lanes' histories when acting."""

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
    """An agent that acts on the last K steps of each episode.

    :meth:`predict` is given what it gave last as ``state``, and the last step's rewards. A subclass writes
    :meth:`_build` (with ``Normalizer(self.observation_width)`` in its policy as ``normalizer``),
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
                raise InvalidParameter(f"{name} is {held[name]}; it is a number of at least 1.")
        if self.settings.width % self.settings.heads:
            raise InvalidParameter(
                f"width {self.settings.width} cannot be shared by {self.settings.heads} heads: take a multiple."
            )
        if not 0 <= self.settings.dropout < 1:
            raise InvalidParameter(f"dropout is {self.settings.dropout}; it is a share, from 0 up to below 1.")

    @property
    def discrete(self) -> bool:
        """Whether actions are to be chosen among a number of them."""
        return isinstance(self.action_space, spaces.Discrete)

    def _take(self, dataset: OfflineDataset) -> None:
        longest = int(dataset.lengths.max())
        if longest > self.settings.longest_episode:
            raise InvalidParameter(
                f"{dataset.description.name} has an episode of {longest} steps, longest_episode is "
                f"{self.settings.longest_episode}: give --config.longest-episode {longest}."
            )
        if self._one_hot:  # encoded window by window
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
        """A window's observations as inputs, ``[..., D]``: normalised, or one-hot.

        One-hot ones are not normalised: a state that is rare in the data would become huge.
        """
        return F.one_hot(observations, self.observation_width).float() if self._one_hot else observations

    def _inputs(self, actions: Tensor) -> Tensor:
        """Actions as inputs, ``[..., A]``."""
        return F.one_hot(actions, self.action_width).float() if self.discrete else actions

    def _update(self) -> tuple[Tensor, ...]:
        with self._own_randomness():
            return self._gradient_step()

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Dropout and noise of this agent's own generator: PyTorch's layers know only the global one."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator, device=self.device)))
            yield

    def _gradient_step(self) -> tuple[Tensor, ...]:
        """One gradient step; returns scalars without gradient, in the order of :attr:`metric_names`."""
        raise NotImplementedError

    def _descend(self, optimizer: torch.optim.Optimizer, loss: Tensor, parameters: list[Tensor], rate: float) -> Tensor:
        """One warmed-up and clipped step along the loss; returns the gradient's norm before clipping."""
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
        """Actions as :meth:`_act` gives them, and the lanes' new memory.

        Args:
            history: up to and with the newest observations.
            begins: bool ``[B]``, whose episode has just begun.
        """
        raise NotImplementedError

    @flushing_denormals()
    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False,
        reward: Any = None,
    ) -> tuple[np.ndarray, Any]:  # fmt: skip
        """Actions for one observation or a batch of lanes ``[B, ...]``.

        Args:
            observation: the newest.
            state: what the last call gave; None where all episodes begin.
            episode_start: bool ``[B]``, whose episode begins with this observation.
            deterministic: the policy's mode instead of a sample.
            reward: what the last step paid, ``[B]``; needed wherever an episode goes on.

        Returns:
            The actions, and the state for the next call.

        Raises:
            SpaceMismatch: the observation has another shape.
            NonFinite: an observation or a reward is NaN or infinite.
            InvalidParameter: rewards are missing, or the state is another batch's.
        """
        batch, single = self._batch(observation)
        history, begins = self._lanes(state, len(batch), episode_start)
        rewards = self._heard(reward, begins)
        states = batch if self._one_hot else self.policy.normalizer(batch)  # type: ignore[operator]
        self.policy.set_training_mode(False)
        with torch.no_grad():
            history = history.after(rewards, states, begins)
            actions, memory = self._choose(history, begins, deterministic)
            history = history.with_actions(self._inputs(actions))._replace(memory=memory)
        given = self._to_space(actions.cpu().numpy())
        return (given[0] if single else given), history

    def _lanes(self, state: Any, lanes: int, episode_start: Any) -> tuple[History, Tensor]:
        """The history so far, and bool ``[B]``: whose episode begins."""
        if state is None:
            blank = History.blank(lanes, self.settings.context, self.observation_width, self.action_width, self.device)
            return blank, torch.ones(lanes, dtype=torch.bool, device=self.device)
        if not isinstance(state, History) or len(state.time) != lanes:
            raise InvalidParameter(
                f"The state is not that of {lanes} lanes of {self.catalog_name}: pass what predict() gave for the "
                "same lanes, or None where all episodes begin."
            )
        starts = np.zeros(lanes, bool) if episode_start is None else np.broadcast_to(episode_start, lanes)
        return state, torch.as_tensor(np.array(starts, bool), device=self.device)

    def _heard(self, reward: Any, begins: Tensor) -> Tensor:
        """The last step's rewards, float ``[B]``; zero where an episode begins."""
        if reward is None:
            if not bool(begins.all()):
                raise InvalidParameter(
                    f"{self.catalog_name} has to hear what each step paid: predict(observation, state, "
                    "episode_start, reward=...), the last step's rewards, one a lane."
                )
            return torch.zeros(len(begins), device=self.device)
        given = np.broadcast_to(np.asarray(reward, np.float32), len(begins))
        rewards = torch.as_tensor(np.array(given), device=self.device).masked_fill(begins, 0.0)
        if not math.isfinite(float(rewards.sum())):
            require_finite("The reward that predict() was told", rewards.cpu().numpy())
        return rewards
