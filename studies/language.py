"""The shared start and the judge of the study of language agents."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import agentgym  # noqa: F401  (registers the environments)
from agentgym.agents import GRPO
from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.language.loop.rollout import Rollout
from agentgym.agents.language.policies.policy import Sampler
from agentgym.study.cells import Cell
from agentgym.study.judging import Finished

IMITATION = 250  # batches of 64 demonstrations
EPISODES, SEED = 512, 1_000_000


def imitate(cell: Cell) -> None:
    """The seed's imitation start."""
    agent = GRPO("tiny", worlds(cell, 128, "train"), seed=cell.seed, device="cpu", imitation_batches=IMITATION)
    agent.learn(0).save(cell.saved)


def judge(finished: Finished) -> Iterator[dict[str, Any]]:
    """One row a split: the shares of episodes that succeed, one in each of the same homes for all, and their turns."""
    for split in ("unseen", "seen"):
        yield {"case": split, **judged(finished, split)}


@flushing_denormals()
def judged(finished: Finished, split: str) -> dict[str, float]:
    """One split."""
    agent = finished.agent
    rollout = Rollout(worlds(finished.cell, EPISODES, split), agent.policy, 1, agent.choosing, 0)
    seeds = [SEED + number for number in range(EPISODES)]
    found: dict[str, float] = {}
    for name in ("sampled", "greedy"):
        episodes = rollout.play(seeds, Sampler(torch.Generator().manual_seed(0), deterministic=name == "greedy"))
        found[name] = float(np.mean([episode.won for episode in episodes]))
        if name == "sampled":
            found["turns"] = float(np.mean([len(episode.turns) for episode in episodes]))
    return {name: round(value, 4) for name, value in found.items()}


def worlds(cell: Cell, count: int, split: str) -> Any:
    """A batch of homes."""
    return gymnasium.make_vec(
        cell.world.env, count, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, split=split,
        **cell.env_kwargs,
    )  # fmt: skip
