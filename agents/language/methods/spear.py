"""SPEAR: self-imitation of one's own good episodes that fades in, a bonus for acting that fades out."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch

from agentgym.agents.language.loop.plugins import Plugin, Replay
from agentgym.agents.language.loop.schedules import fade_in, fade_out
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.advantages import group_mean_std, returns_of, slack
from agentgym.agents.language.methods.covariance import ClipCov
from agentgym.contracts.settings import Range
from agentgym.errors import InvalidParameter

__all__ = ["Spear", "Stored"]


@dataclass
class Stored:
    """One episode in the buffer: as a batch of one row, its return, and the iteration that it came from."""

    batch: Batch
    reward: float
    advantage: float
    iteration: int


@dataclass
class Spear(Plugin):
    """Self-imitation with progressive exploration (SPEAR, Qin et al., arXiv 2509.22601).

    An iteration goes: bonus on the rewards, steps on the new episodes, replay if the buffer is full, then what is too
    old leaves the buffer and what was better than its group enters it.

    Attributes:
        bonus: the most that the bonus w(t) * min(1, turns / 10) adds to a success of 1.
        bonus_mode: how w(t) goes: "none", "constant" (1), or "cosine", (1 + cos(pi t / T)) / 2 and 0 after T.
        bonus_length: T of the bonus, iterations.
        capacity: how many episodes are replayed at most. It should be about the number of episodes with positive
            advantage in an iteration: the buffer is used when it holds 1.5 times as many above the baseline.
        trigger: that 1.5.
        tolerance: iterations after which an episode leaves the buffer; the released code caps it at 10.
        baseline_groups: over how many of the latest groups' means the baseline, their median, is taken.
        divide_by_std: divide recalibrated advantages by the median of the groups' standard deviations.
        decay: -1: recalibrate, A' = R - median; in (0, 1]: A' = decay * A.
        weight: of the replay's loss once it has faded in.
        weight_length: iterations over which it fades in, (1 - cos(pi t / T)) / 2.
        clip_share, clip_low, clip_high: of :class:`ClipCov` in replay; a share of 0 leaves it out.
    """

    # "paper" takes the lengths that the ALFWorld and WebShop scripts name; "as_released" what runs when they are
    # started: they never pass the fade-in's length, so 200 holds. Sizes are those of the scripts' batches.
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"capacity": 2048, "baseline_groups": 10_240, "bonus_length": 200, "weight_length": 100},
        "as_released": {"capacity": 2048, "baseline_groups": 10_240, "bonus_length": 200, "weight_length": 200},
    }

    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("bonus", "trigger", "weight"), Range(0)),
        **dict.fromkeys(("bonus_length", "capacity", "tolerance", "baseline_groups", "weight_length"), Range(1)),
        "clip_share": Range(0, 1),
    }

    bonus: float = 0.1
    bonus_mode: Literal["none", "constant", "cosine"] = "cosine"
    bonus_length: int = 200
    capacity: int = 32
    trigger: float = 1.5
    tolerance: int = 5
    baseline_groups: int = 10_240
    divide_by_std: bool = False
    decay: float = -1.0
    weight: float = 1.0
    weight_length: int = 100
    clip_share: float = 0.02
    clip_low: float = 2.0
    clip_high: float = 60.0
    stored: list[Stored] = field(default_factory=list, init=False)
    means: list[float] = field(default_factory=list, init=False)
    deviations: list[float] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay != -1 and not 0 < self.decay <= 1:
            raise InvalidParameter(f"Spear.decay must be -1, or above 0 and at most 1, not {self.decay!r}.")

    # Bonus

    def bonus_weight(self, iteration: int) -> float:
        """w(t)."""
        if self.bonus_mode == "cosine":
            return fade_out(iteration, self.bonus_length)
        return 1.0 if self.bonus_mode == "constant" else 0.0

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Add ``bonus * w(t) * min(1, 0.1 * turns)`` to each episode's last reward: every turn is a tool call."""
        added = self.bonus * self.bonus_weight(iteration) * (0.1 * batch.turns).clamp(max=1)
        batch.rewards[torch.arange(len(batch), device=added.device), batch.turns - 1] += added

    # Replay

    def baseline(self) -> tuple[float, float]:
        """The medians of the groups' mean returns and of their standard deviations."""
        return _median(self.means), _median(self.deviations)

    def replay(self, iteration: int, generator: torch.Generator) -> Replay | None:
        """If there is enough above the baseline: recalibrate, draw, and empty the buffer."""
        self.numbers |= {"buffer": float(len(self.stored)), "replayed": 0.0}
        if not self.means:
            return None
        mean, deviation = self.baseline()
        better = [_above(episode, mean) for episode in self.stored]
        above = sum(distance > 0 for distance in better)
        self.numbers |= {"baseline": mean, "above_baseline": float(above)}
        if above <= self.trigger * self.capacity:
            return None
        scale = deviation + 1e-6 if self.divide_by_std else 1.0
        good = []
        for episode, distance in zip(self.stored, better, strict=True):
            advantage = distance / scale if self.decay < 0 else self.decay * episode.advantage
            if advantage >= 0:
                good.append((episode, advantage))
        self.stored = []
        if not good:
            return None
        count = 2 ** int(math.log2(min(len(good), self.capacity)))
        drawn = [good[number] for number in torch.randperm(len(good), generator=generator)[:count].tolist()]
        batch = Batch.joined([episode.batch for episode, _ in drawn])
        calibrated = torch.tensor([advantage for _, advantage in drawn])[:, None]
        batch.advantages = calibrated.expand(batch.mask.shape) * batch.mask
        ages = [iteration - episode.iteration for episode, _ in drawn]
        self.numbers |= {"replayed": float(count), "age": sum(ages) / count, "advantage": float(calibrated.mean())}
        clipping = ClipCov(self.clip_share, self.clip_low, self.clip_high) if self.clip_share else None
        return Replay(batch, self.weight * fade_in(iteration, self.weight_length), clipping)

    def finish(self, batch: Batch, iteration: int) -> None:
        """Age, then admit: an episode enters if its advantage, averaged over its decisions, is above 0."""
        self.stored = [episode for episode in self.stored if iteration - episode.iteration < self.tolerance]
        returns = batch.returns()
        counts = batch.mask.sum(1)
        averages = (batch.advantages * batch.mask).sum(1) / counts.clamp(min=1)
        for row in torch.nonzero((averages > 0) & (counts > 0))[:, 0].tolist():
            kept = batch.rows(torch.tensor([row])).to("cpu")
            self.stored.append(Stored(kept, float(returns[row]), float(averages[row]), iteration))
        self._remember(batch)
        self.numbers["admitted"] = float((averages > 0).sum())

    def _remember(self, batch: Batch) -> None:
        means, deviations, _ = group_mean_std(returns_of(batch), batch.group)
        first = [int((batch.group == number).nonzero()[0, 0]) for number in batch.group.unique()]
        self.means = [*self.means, *means[first].tolist()][-self.baseline_groups :]
        self.deviations = [*self.deviations, *deviations[first].tolist()][-self.baseline_groups :]

    def state(self) -> dict[str, Any]:
        """Buffer and baselines."""
        return {
            "stored": [
                {"batch": one.batch.state(), "numbers": [one.reward, one.advantage, one.iteration]}
                for one in self.stored
            ],
            "means": self.means,
            "deviations": self.deviations,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.means, self.deviations = list(state["means"]), list(state["deviations"])
        self.stored = []
        for one in state["stored"]:
            reward, advantage, iteration = one["numbers"]
            self.stored.append(Stored(Batch.from_state(one["batch"]), reward, advantage, int(iteration)))


def _above(episode: Stored, mean: float) -> float:
    """How far an episode's return is above the baseline; 0 where rounding is all that tells them apart."""
    distance = episode.reward - mean
    return 0.0 if abs(distance) <= float(slack(returns_of(episode.batch).size)) else distance


def _median(values: list[float]) -> float:
    """The 50th percentile, halfway between the middle two."""
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))
