"""The shared start and the judge of the study of code repair."""

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

IMITATION = 400  # batches of 64 demonstrations
EPISODES, SEED = 512, 1_000_000
CASES: dict[str, dict[str, str]] = {
    "unseen": {"split": "unseen"},
    "train": {"split": "train"},
    "seen": {"split": "seen"},
    "new operators": {"split": "train", "operators": "new"},
}


def imitate(cell: Cell) -> None:
    """The seed's imitation start."""
    env = worlds(cell.world.env, 128, split="train")
    GRPO("tiny", env, seed=cell.seed, device="cpu", imitation_batches=IMITATION).learn(0).save(cell.saved)


def judge(finished: Finished) -> Iterator[dict[str, Any]]:
    """One row a split: the share of episodes that succeed, the same for all, and their turns."""
    for case, settings in CASES.items():
        spec = finished.cell.spec
        if spec.controller:
            measured = scripted(finished.cell.world.env, spec.controller, settings)
        else:
            measured = learned(finished.cell.world.env, finished.agent, settings)
        yield {"case": case, **measured}


@flushing_denormals()
def learned(env: str, agent: Any, settings: dict[str, str], episodes: int = EPISODES) -> dict[str, float]:
    """An agent's success, with commands sampled, and its turns."""
    rollout = Rollout(worlds(env, episodes, **settings), agent.policy, 1, agent.choosing, 0)
    seeds = [SEED + number for number in range(episodes)]
    played = rollout.play(seeds, Sampler(torch.Generator().manual_seed(0)))
    turns = float(np.mean([len(episode.turns) for episode in played]))
    return {"sampled": round(float(np.mean([episode.won for episode in played])), 4), "turns": round(turns, 2)}


def scripted(env_id: str, name: str, settings: dict[str, str], episodes: int = EPISODES) -> dict[str, float]:
    """The same of a scripted player."""
    env: Any = gymnasium.make(env_id, **settings)
    player = env.unwrapped.controllers[name].acting_in(env)
    won, turns = [], []
    for number in range(episodes):
        text, _ = env.reset(seed=SEED + number)
        over, fresh = False, True
        while not over:
            command, _ = player.predict(text, None, np.array([fresh]))
            text, _, terminated, truncated, info = env.step(command)
            over, fresh = terminated or truncated, False
        won.append(info["won"])
        turns.append(info["turn"])
    return {"sampled": round(float(np.mean(won)), 4), "turns": round(float(np.mean(turns)), 2)}


def worlds(env: str, count: int, **settings: str) -> Any:
    """A batch of programs."""
    return gymnasium.make_vec(
        env, count, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP, **settings
    )  # fmt: skip
