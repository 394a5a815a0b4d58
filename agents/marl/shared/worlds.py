"""Episodes of a differentiable batch as pure functions of tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import Tensor

from agentgym.contracts.environment import Adapter, Differentiable
from agentgym.errors import InvalidParameter
from agentgym.wrappers.replay import RecordedBatch

__all__ = ["DifferentiableWorlds", "Played"]


@dataclass(frozen=True)
class Played:
    """One episode in every world, without gradients.

    Attributes:
        seen: [T, N, ...], the observations acted on.
        rewards: [T, N].
        inside: bool [T, N], where the inner policy acted.
        starts: of the worlds, [N].
        switched: whether there is an outer policy as well.
    """

    seen: Tensor
    rewards: Tensor
    inside: Tensor
    starts: Sequence[str]
    switched: bool

    def score(self) -> tuple[float, float]:
        """The share of worlds that stay inside throughout the second half, and the mean reward in it.

        The reward is that of the start from which it is lower; of an inner policy alone it is that of whole episodes.
        Scores are compared as tuples.
        """
        half = len(self.rewards) // 2
        late = self.rewards[half if self.switched else 0 :].mean(0)
        by_start = [late[[each == kind for each in self.starts]].mean().item() for kind in dict.fromkeys(self.starts)]
        return self.inside[half:].all(0).float().mean().item(), min(by_start)


class DifferentiableWorlds:
    """Begins episodes in any number of worlds and steps them with gradients; training environments lend their batch.

    Args:
        venv: the training environments.
        starts: values of the environment's reset option ``start``, taken in turn by the worlds; empty for its own.

    Attributes:
        batch: the environment's native batch.
        length: steps of an episode.
        starts: the different values in ``starts``; [""] if it is empty.

    Raises:
        InvalidParameter: the environment has no differentiable step, no time limit, or no option ``start``.
        UnknownId: the environment has no such start.
    """

    def __init__(self, venv: VecEnv, starts: Sequence[str]) -> None:
        self.batch = _differentiable_batch(venv)
        if self.batch.max_episode_steps is None:
            raise InvalidParameter("shared-gradient needs episodes of a fixed length: the environment has no limit.")
        if starts and "start" not in self.batch.reset_options:
            raise InvalidParameter(
                f"{type(self.batch).__name__} has no reset option 'start', which starts={list(starts)} needs. Leave "
                "starts empty."
            )
        self.length: int = self.batch.max_episode_steps
        self.turns = list(starts) or [""]
        self.starts = list(dict.fromkeys(self.turns))
        for kind in self.starts:
            self.begin([0], [kind])

    def begin(self, seeds: Sequence[int], starts: Sequence[str]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The first states and observations of one episode for each seed, from the given start."""
        parts = []
        for first in range(0, len(seeds), self.batch.num_envs):
            own = list(seeds[first : first + self.batch.num_envs])
            kinds = list(starts[first : first + len(own)])
            spare = self.batch.num_envs - len(own)
            self._reset([*own, *own[-1:] * spare], [*kinds, *kinds[-1:] * spare])
            state, seen = self.batch.differentiable_state()
            parts.append([part[: len(own)] for part in (*state, seen)])
        *state, seen = (torch.cat(column) for column in zip(*parts, strict=True))
        return tuple(state), seen

    def _reset(self, seeds: list[int], kinds: list[str]) -> None:
        for kind in dict.fromkeys(kinds):
            mask = np.array([each == kind for each in kinds])
            options: dict[str, Any] = {"reset_mask": mask, **({"start": kind} if kind else {})}
            self.batch.reset(seed=seeds, options=options)

    def play(
        self, act: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], seeds: Sequence[int], starts: Sequence[str],
        tick: Callable[[int], None], switched: bool,
    ) -> Played:  # fmt: skip
        """Play one episode for each seed.

        Args:
            act: actions [N, ...] and who is inside [N], from observations and who was inside.
            seeds: of the episodes, [N].
            starts: of the episodes, [N].
            tick: called with the number of steps after each.
            switched: whether there is an outer policy as well.
        """
        state, seen = self.begin(seeds, starts)
        inside = torch.zeros(len(seeds), dtype=torch.bool, device=seen.device)
        shown, rewards, insides = [], [], []
        with torch.no_grad():
            for _ in range(self.length):
                actions, inside = act(seen, inside)
                shown.append(seen)
                state, seen, reward = self.step(state, actions)
                rewards.append(reward)
                insides.append(inside)
                tick(len(seeds))
        return Played(torch.stack(shown), torch.stack(rewards), torch.stack(insides), starts, switched)

    def step(self, state: tuple[Tensor, ...], actions: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Next states, observations and rewards [N]."""
        found: tuple[tuple[Tensor, ...], Tensor, Tensor] = self.batch.differentiable_step(state, actions)
        return found


def _differentiable_batch(venv: VecEnv) -> Any:
    env: Any = venv.venv if isinstance(venv, VecMonitor) else venv
    batch = env.env if isinstance(env, Adapter) else None
    batch = batch.env if isinstance(batch, RecordedBatch) else batch
    if isinstance(batch, Differentiable):
        return batch
    raise InvalidParameter(
        f"shared-gradient needs a native batch with a differentiable step and no wrappers or perturbations around it, "
        f"which {batch or env} has not. agentgym/Convection-v0 has one, with --num-envs of at least 2; other "
        "environments: shared-ppo."
    )
