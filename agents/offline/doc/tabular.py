"""Tabular Dichotomy of Control for single decisions with finitely many states, actions and rewards."""

from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agentgym.agents.offline.agent import OfflineAgent
from agentgym.agents.offline.bins import binned
from agentgym.agents.offline.doc.tabular_config import TabularDoCConfig
from agentgym.agents.offline.doc.tabular_learning import PARTS, make_optimizers, switches, update
from agentgym.agents.offline.doc.tabular_tables import LatentTables, Outcomes, best_of, candidates
from agentgym.agents.offline.networks import OfflinePolicy
from agentgym.contracts.agent import Traits
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter, SpaceMismatch
from agentgym.seeding import episode_seed

__all__ = ["TabularDoC", "outcomes_of"]


class Choice(NamedTuple):
    """Values held through an episode.

    Attributes:
        latents: z of each environment, int64 ``[B]``.
        promises: V(s_0, z), float64 ``[B]``.
    """

    latents: np.ndarray
    promises: np.ndarray


class TabularPolicy(OfflinePolicy):
    """A policy that consists of tables."""

    def __init__(self, tables: LatentTables) -> None:
        super().__init__()
        self.tables = tables


class TabularDoC(OfflineAgent):
    """Dichotomy of Control (Yang et al. 2023, arXiv 2210.13435), tabular, for episodes of one step.

    z is held through an episode, and the predicted return is V(s_0, z). In a state without data the policy is uniform
    and the predicted return is the mean reward.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.doc.tabular_config.TabularDoCConfig`.

    Raises:
        SpaceMismatch: observations or actions are not Discrete.
        InvalidParameter: an episode has more than one step, or a setting is out of range.
    """

    catalog_name: ClassVar[str] = "doc-tabular"
    Config = TabularDoCConfig
    action_spaces: ClassVar[Any] = (spaces.Discrete,)
    traits: ClassVar[Traits] = replace(OfflineAgent.traits, promises=True)
    metric_names: ClassVar[tuple[str, ...]] = (*PARTS, "mutual_information")

    policy: TabularPolicy

    def _build(self) -> None:
        if not isinstance(self.observation_space, spaces.Discrete):
            raise SpaceMismatch(
                f"{self.catalog_name} needs Discrete observations, and the dataset has "
                f"{self.observation_space}. For others use doc."
            )
        settings = self.settings
        self._weights, self._value_gradients = (switch.to(self.device) for switch in switches([settings]))
        self.policy = TabularPolicy(
            LatentTables(self.observation_width, self.action_width, settings.reward_bins, settings.latents,
                         [episode_seed(self.seed, 1)])
        )  # fmt: skip
        self.tables = self.policy.tables

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {**make_optimizers(self.tables, self.settings)}

    def _take(self, dataset: OfflineDataset) -> None:
        self.outcomes = Outcomes(*(part.to(self.device) for part in outcomes_of(dataset, self.settings.reward_bins)))
        self.tables.fit(self.outcomes)

    def _update(self) -> tuple[Tensor, ...]:
        information = self.tables.mutual_information(self.outcomes)
        steps, optimizers = self.settings.energy_steps, self.optimizers
        parts = update(self.tables, self.outcomes, optimizers, self._weights, self._value_gradients, steps)
        return (*parts.squeeze(1), information.squeeze(0))

    # Acting

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions ``[B]``, and the latents, which are held until the next ``episode_start``.

        With ``deterministic`` every episode uses the same random numbers for its K draws, so episodes do not affect
        each other.

        Raises:
            SpaceMismatch: the observation has another shape.
        """
        batch, single = self._batch(observation)
        places = batch.argmax(1)
        with torch.no_grad():
            choice = self._choose(places, state, episode_start, deterministic)
            latents = torch.as_tensor(choice.latents, device=self.device)
            logits = self.tables.policy[0][places, latents]
            if deterministic:
                actions = logits.argmax(1)
            else:
                actions = torch.multinomial(logits.softmax(1), 1, generator=self.generator).squeeze(1)
        found = self._to_space(actions.cpu().numpy())
        return (found[0] if single else found), choice

    def _choose(self, places: Tensor, before: Choice | None, starts: Any, deterministic: bool) -> Choice:
        """z of each environment: the held one, or the best of K if an episode begins."""
        fresh = np.ones(len(places), bool) if before is None or starts is None else np.asarray(starts, bool)
        if before is not None and not fresh.any():
            return before
        values = self.tables.values[0][places]
        drawn = candidates(self.tables.prior[0][places], self._uniforms(len(places), deterministic))
        best = best_of(drawn, values)
        latents, promises = best.cpu().numpy(), values.gather(1, best[:, None]).squeeze(1).double().cpu().numpy()
        if before is None:
            return Choice(latents, promises)
        return Choice(np.where(fresh, latents, before.latents), np.where(fresh, promises, before.promises))

    def _uniforms(self, count: int, deterministic: bool) -> Tensor:
        """Uniform random numbers for K draws per environment, ``[count, K]``."""
        samples = self.settings.samples
        if not deterministic:
            return torch.rand(count, samples, generator=self.generator, device=self.device)
        own = torch.Generator(self.device).manual_seed(episode_seed(self.seed, 3))
        return torch.rand(1, samples, generator=own, device=self.device).expand(count, samples).contiguous()

    def promised(self, state: Choice, count: int) -> np.ndarray:
        """V(s_0, z) of each environment, ``[count]``."""
        return state.promises


def outcomes_of(dataset: OfflineDataset, bins: int) -> Outcomes:
    """Shares of (state, action, reward bin) among a dataset's steps, ``[1, S, A, R]``.

    Raises:
        InvalidParameter: an episode has more than one step.
    """
    if (longest := int(dataset.lengths.max())) > 1:
        raise InvalidParameter(
            f"doc-tabular needs episodes of one step, and {dataset.description.name} has episodes of up to {longest} "
            "steps. A return-to-go in place of the reward would also remove information about later actions from z, "
            "which the method does not. For longer episodes use doc."
        )
    found = dataset.transitions()
    observations, actions = dataset.observation_space, dataset.action_space
    assert isinstance(observations, spaces.Discrete)
    assert isinstance(actions, spaces.Discrete)
    reward, means = binned(found.rewards, bins)
    shape = (int(observations.n), int(actions.n), bins)
    places = np.ravel_multi_index(
        (found.observations - observations.start, found.actions - actions.start, reward), shape
    )
    shares = np.bincount(places, minlength=int(np.prod(shape))).reshape(1, *shape) / len(dataset)
    rewards = np.nan_to_num(means)[None]
    return Outcomes(torch.as_tensor(shares, dtype=torch.float32), torch.as_tensor(rewards, dtype=torch.float32))
