"""PRDC: TD3 with an actor regularised towards the nearest dataset pair (Ran, Li, Zhang, Zhang and Yu 2023)."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from agentgym.agents.offline.prdc.config import PRDCConfig
from agentgym.agents.offline.prdc.search import NearestPairs
from agentgym.agents.offline.td3bc.td3bc import TD3BC
from agentgym.agents.offline.transitions import Batch
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.runs.state import Inventory, Item

__all__ = ["PRDC"]


class PRDC(TD3BC):
    """Policy regularisation with dataset constraint.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.prdc.config.PRDCConfig`.

    Attributes:
        pairs: the nearest-neighbour search over the dataset, or None without a dataset.
    """

    catalog_name: ClassVar[str] = "prdc"
    Config = PRDCConfig
    metric_names: ClassVar[tuple[str, ...]] = (
        *TD3BC.metric_names, "neighbour_distance", "own_row_rate", "listed_rate", "certified_rate"
    )  # fmt: skip

    pairs: NearestPairs | None = None

    def _build(self) -> None:
        settings = self.settings
        for name, count in (("kth", settings.kth), ("mean_of", settings.mean_of)):
            if count < 1:
                raise InvalidParameter(f"{name} is {count}; it must be a number of neighbours, 1 or more.")
        if settings.kth > 1 and settings.mean_of > 1:
            raise InvalidParameter("kth selects one neighbour and mean_of several: give only one of the two.")
        if not (settings.beta >= 0 and np.isfinite(settings.beta)):
            raise InvalidParameter(f"beta is {settings.beta}; it must be a finite weight, 0 or more.")
        if settings.candidates < 0:
            raise InvalidParameter(f"candidates is {settings.candidates}; it must be a number of rows, 0 or more.")
        super()._build()

    def _scaled(self, rewards: Tensor, dataset: OfflineDataset) -> Tensor:
        return self.settings.reward_scale * rewards + self.settings.reward_shift

    def _take(self, dataset: OfflineDataset) -> None:
        super()._take(dataset)
        settings = self.settings
        neighbours = max(settings.kth, settings.mean_of)
        if neighbours > len(dataset):
            raise InvalidParameter(f"{dataset.description.name} has {len(dataset)} steps, not {neighbours} neighbours.")
        self.pairs = NearestPairs(
            self.states.cpu().numpy(), self.actions.cpu().numpy(), settings.beta, neighbours, settings.candidates
        )

    def _anchor(self, batch: Batch, actions: Tensor) -> tuple[Tensor, ...]:
        """The neighbour's action. Only the queried action depends on the policy, since the states are the dataset's."""
        assert self.pairs is not None
        found = self.pairs.nearest(batch.rows.cpu().numpy(), actions.cpu().numpy())
        taken = found.rows[:, self.settings.kth - 1 :]  # only the k-th if kth is set, otherwise all
        anchor = self.actions[torch.as_tensor(taken, device=self.device)].mean(1)
        measured = (found.distances[:, 0], found.own, found.listed, found.certified)
        rates = [torch.as_tensor(value.mean(), dtype=torch.float32, device=self.device) for value in measured]
        return anchor, *rates

    def inventory(self) -> Inventory:
        """As the base class, plus the part of the search's state that decides which lists exist."""
        if self.pairs is None or self.pairs.lists is None:
            return super().inventory()
        lists = self.pairs.lists

        def set_rent(rent: np.ndarray) -> None:
            lists.rent[:] = rent

        return super().inventory() + Inventory([Item("neighbours.rent", lambda: lists.rent, set_rent)])
