"""A method for language agents in one file: a cost a turn, so that the shortest way wins.

A method is a dataclass of its settings that overrides some hooks of :class:`Plugin`: rewards, advantages, the
surrogate, a further loss, which episodes to learn from, what to replay.

    python docs/examples/language_method.py
"""

import statistics
from dataclasses import dataclass
from typing import ClassVar

import torch

from agentgym import RunConfig, catalog, train
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import Plugin
from agentgym.contracts.settings import Range
from agentgym.evaluation import evaluate


@dataclass
class TurnCost(Plugin):
    """Every turn costs ``cost``, from iteration ``start`` on.

    Attributes:
        cost: what is taken off each turn's reward.
        start: the first iteration that pays it; a policy that never succeeds yet should not learn to give up early.
    """

    RANGES: ClassVar = {"cost": Range(0), "start": Range(0)}
    PRESETS: ClassVar = {"impatient": {"cost": 0.05, "start": 0}}

    cost: float = 0.01
    start: int = 5

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Take it off ``batch.rewards`` [B, T]; turns behind an episode's end cost nothing."""
        there = torch.arange(batch.rewards.shape[1], device=batch.turns.device) < batch.turns[:, None]
        if iteration >= self.start:
            batch.rewards -= self.cost * there
        self.numbers["turns"] = float(batch.turns.float().mean())  # logged as turn-cost/turns


# In a package of your own, an entry point of the group "agentgym" returns this entry instead.
catalog.add(catalog.Entry("method", "turn-cost", f"{__name__}:TurnCost", "every turn costs"))


def main(steps: int = 40_000, demonstrations: int = 200, episodes: int = 32) -> None:
    """Train a tiny policy with the method on errands in a small home, and count its turns."""
    config = {"methods": ["turn-cost:cost=0.02"], "imitation_batches": demonstrations}
    home = {"size": "tiny", "tasks": ["place"]}
    run = train(RunConfig("grpo", "agentgym/Household-v0", steps=steps, env_kwargs=home, config=config), "turn-cost")
    evaluation = evaluate(run.path, (), episodes=episodes, controllers=["oracle"])
    for name in ("turn-cost", "oracle"):
        rows = [row for row in evaluation.rows if row.agent == name]
        returned, turns = statistics.mean(r.episode_return for r in rows), statistics.mean(r.length for r in rows)
        print(f"{name}: return {returned:.2f} in {turns:.1f} turns")


if __name__ == "__main__":
    main()
