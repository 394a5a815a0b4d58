"""Transitions of teams: a ring of rows, one for each step of all worlds."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agentgym.agents.marl.teams.agent import TeamStep
from agentgym.agents.marl.teams.layout import TeamLayout
from agentgym.runs.state import Rows

__all__ = ["Batch", "TeamReplay"]


class Batch(NamedTuple):
    """Transitions of B worlds; entries of agents that did not act mean nothing.

    Attributes:
        windows, reached: before and after the step, float32 [B, A, F].
        actions: one-hot or in [-1, 1], float32 [B, A, a].
        rewards: float32 [B, A].
        acted, terminated: bool [B, A].
    """

    windows: Tensor
    actions: Tensor
    rewards: Tensor
    acted: Tensor
    terminated: Tensor
    reached: Tensor


class TeamReplay:
    """The last steps of N worlds. A truncated agent's future is its true last observation, in ``reached``.

    Args:
        size: steps of worlds; rounded down to rows of N, at least one.
        worlds: N.
        layout: windows and actions.
    """

    def __init__(self, size: int, worlds: int, layout: TeamLayout) -> None:
        self.capacity, self.worlds, self.rows = max(size // worlds, 1), worlds, 0
        agents, width = layout.windows.shape
        shape = (self.capacity, worlds, agents)
        self.discrete, self.width = layout.discrete, layout.width
        actions = np.zeros(shape, np.int16) if self.discrete else np.zeros((*shape, self.width), np.float32)
        self.arrays: dict[str, np.ndarray] = {
            "windows": np.zeros((*shape, width), np.float32), "actions": actions,
            "rewards": np.zeros(shape, np.float32), "acted": np.zeros(shape, bool),
            "terminated": np.zeros(shape, bool), "reached": np.zeros((*shape, width), np.float32),
        }  # fmt: skip

    def add(self, step: TeamStep, actions: Tensor) -> None:
        """Keep a step with its actions [N, A, a], over the oldest if full."""
        place = self.rows % self.capacity
        for name in ("windows", "rewards", "acted", "terminated", "reached"):
            self.arrays[name][place] = getattr(step, name)
        self.arrays["actions"][place] = (actions.argmax(-1) if self.discrete else actions).cpu().numpy()
        self.rows += 1

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Draw transitions uniformly, with replacement."""
        held = min(self.rows, self.capacity) * self.worlds
        index = torch.randint(held, (count,), generator=generator, device=generator.device).cpu().numpy()
        drawn = {
            name: torch.from_numpy(array.reshape(-1, *array.shape[2:]).take(index, axis=0)).to(generator.device)
            for name, array in self.arrays.items()
        }
        if self.discrete:
            drawn["actions"] = torch.nn.functional.one_hot(drawn["actions"].long(), self.width).float()
        return Batch(**drawn)

    def as_rows(self) -> Rows:
        """For checkpoints."""

        def read(first: int, last: int) -> dict[str, np.ndarray]:
            places = np.arange(first, last) % self.capacity
            return {name: array[places] for name, array in self.arrays.items()}

        def write(first: int, last: int, found: Mapping[str, np.ndarray]) -> None:
            places = np.arange(first, last) % self.capacity
            for name, array in self.arrays.items():
                array[places] = found[name]

        return Rows("replay", self.capacity, lambda: self.rows, read, write)
