"""WCO and UWO: returns as an ensemble of noisy reward models would judge them, taken pessimistically."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["Pessimism", "pessimistic"]


def pessimistic(judged: Tensor, how: str, weight: float, unbiased: bool) -> Tensor:
    """[B] from the judgements of k models, [k, B]: "mean", "min" (WCO), or "uwo": mean - weight * variance."""
    if how == "min":
        return judged.amin(0)
    mean = judged.mean(0)
    return mean if how == "mean" else mean - weight * judged.var(0, unbiased=unbiased)


@dataclass
class Pessimism(Plugin):
    """A test bench for reward ensembles (Coste et al., code of tlc4418/llm_optimization).

    Our rewards are exact, so ``models`` noisy judges are made: each adds its own normal noise to an episode's return.

    Attributes:
        how: "min": worst case (WCO). "uwo": mean minus ``weight`` times variance. "mean".
        weight: of the variance.
        unbiased: whether the variance is divided by models - 1.
        models: number of judges.
        noise: standard deviation.
    """

    ABOUT: ClassVar = About(
        "R = min_k r_k (WCO) or mean - lambda var (UWO), of judges made by adding noise to R",
        "code of tlc4418/llm_optimization",
        "lambda 0.1 and the unbiased variance in its PPO, 0.5 and the biased one in best-of-n",
    )
    PRESETS: ClassVar = {
        "ppo": {"how": "uwo", "weight": 0.1, "unbiased": True},
        "best-of-n": {"how": "uwo", "weight": 0.5, "unbiased": False},
        "worst": {"how": "min"},
    }
    RANGES: ClassVar = {"weight": Range(0), "models": Range(2), "noise": Range(0)}

    how: Literal["mean", "min", "uwo"] = "uwo"
    weight: float = 0.1
    unbiased: bool = True
    models: int = 5
    noise: float = 0.1

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Pay the difference at each episode's last turn."""
        returns = batch.returns()
        noise = torch.randn(self.models, len(batch), generator=self.generator).to(returns.device)
        judged = pessimistic(returns + self.noise * noise, self.how, self.weight, self.unbiased)
        self.numbers["error"] = float((judged - returns).abs().mean())
        batch.pay(judged - returns)
