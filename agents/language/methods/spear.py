"""SPEAR: self-imitation with progressive exploration (Qin et al., arXiv 2509.22601)."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import group_mean_std, returns_of, slack
from agentgym.agents.language.loop.schedules import fade_in, fade_out
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.clip_cov import ClipCov
from agentgym.agents.language.methods.plugin import About, Plugin, Replay
from agentgym.contracts.settings import Range
from agentgym.errors import InvalidParameter

__all__ = ["SPEAR", "SPEARConfig", "SPEARPlugin", "Stored"]


@dataclass
class Stored:
    """One episode in the buffer: a batch of one row, its return, its advantage, and the iteration it is from."""

    batch: Batch
    reward: float
    advantage: float
    iteration: int


@dataclass
class SPEARPlugin(Plugin):
    """Replay of the agent's own good episodes, whose weight grows, and a bonus for long episodes, which shrinks.

    In each iteration the bonus is added to the rewards, gradient steps are taken on the new episodes, the buffer is
    replayed if it holds enough, episodes that are too old leave it, and episodes with positive advantage enter it.

    Attributes:
        bonus: factor of the bonus: bonus * w(t) * min(1, turns / 10) is added to an episode's last reward.
        bonus_mode: w(t): "none" (0), "constant" (1), or "cosine": (1 + cos(pi t / T)) / 2, and 0 after T.
        bonus_length: the bonus's T, in iterations.
        capacity: the most episodes in a replay. It should be about the number of episodes with positive advantage in
            an iteration, because replay starts when ``trigger`` times as many in the buffer are above the baseline.
        trigger: see ``capacity``.
        tolerance: iterations after which an episode leaves the buffer; the released code caps it at 10.
        baseline_groups: the baseline is the median of the mean returns of this many latest groups.
        divide_by_std: divide recalibrated advantages by the median of the groups' standard deviations.
        decay: -1: recalibrated advantages, A' = R - baseline; in (0, 1]: A' = decay * A.
        weight: final weight of the replay's loss.
        weight_length: T in iterations of the weight's rise, (1 - cos(pi t / T)) / 2.
        clip_share, clip_low, clip_high: settings of :class:`ClipCov` during replay; a share of 0 disables it.
    """

    ABOUT: ClassVar = About(
        "bonus w(t) min(1, turns / 10); episodes with A > 0 are replayed with A' = R - median of group means",
        "arXiv 2509.22601; code of TencentYoutuResearch/SPEAR",
    )

    # "paper" has the lengths given in the ALFWorld and WebShop scripts. "as_released" has those that take effect when
    # the scripts run: they do not pass on the length of the weight's rise, so the default of 200 applies. Capacity and
    # baseline_groups are for the scripts' batch sizes.
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
            raise InvalidParameter(f"SPEARPlugin.decay must be -1, or above 0 and at most 1, not {self.decay!r}.")

    def bonus_weight(self, iteration: int) -> float:
        """w(t), the weight of the bonus."""
        if self.bonus_mode == "cosine":
            return fade_out(iteration, self.bonus_length)
        return 1.0 if self.bonus_mode == "constant" else 0.0

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Add ``bonus * w(t) * min(1, 0.1 * turns)`` to each episode's last reward: each turn is a tool call."""
        batch.pay(self.bonus * self.bonus_weight(iteration) * (0.1 * batch.turns).clamp(max=1))

    def baseline(self) -> tuple[float, float]:
        """The medians of the stored groups' mean returns and of their standard deviations."""
        return _median(self.means), _median(self.deviations)

    def replay(self, iteration: int, generator: torch.Generator) -> Replay | None:
        """If enough episodes are above the baseline: recalibrate advantages, draw episodes, and empty the buffer."""
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
        """Drop old episodes, then store those whose advantage, averaged over their decisions, is positive."""
        self.stored = [episode for episode in self.stored if iteration - episode.iteration < self.tolerance]
        returns = batch.returns()
        counts = batch.mask.sum(1)
        averages = (batch.advantages * batch.mask).sum(1) / counts.clamp(min=1)
        for row in torch.nonzero((averages > 0) & (counts > 0))[:, 0].tolist():
            kept = batch.rows(torch.tensor([row])).to("cpu")
            self.stored.append(Stored(kept, float(returns[row]), float(averages[row]), iteration))
        self._store_groups(batch)
        self.numbers["admitted"] = float((averages > 0).sum())

    def _store_groups(self, batch: Batch) -> None:
        means, deviations, _ = group_mean_std(returns_of(batch), batch.group)
        first = [int((batch.group == number).nonzero()[0, 0]) for number in batch.group.unique()]
        self.means = [*self.means, *means[first].tolist()][-self.baseline_groups :]
        self.deviations = [*self.deviations, *deviations[first].tolist()][-self.baseline_groups :]

    def state(self) -> dict[str, Any]:
        """The buffer and the statistics of groups."""
        return {
            "stored": [
                {"batch": one.batch.state(), "numbers": [one.reward, one.advantage, one.iteration]}
                for one in self.stored
            ],
            "means": self.means,
            "deviations": self.deviations,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the buffer and the statistics of groups."""
        self.means, self.deviations = list(state["means"]), list(state["deviations"])
        self.stored = []
        for one in state["stored"]:
            reward, advantage, iteration = one["numbers"]
            self.stored.append(Stored(Batch.from_state(one["batch"]), reward, advantage, int(iteration)))


def _above(episode: Stored, mean: float) -> float:
    """How far an episode's return is above the baseline; 0 if the difference may be rounding."""
    distance = episode.reward - mean
    return 0.0 if abs(distance) <= float(slack(returns_of(episode.batch).size)) else distance


def _median(values: list[float]) -> float:
    """The median; the mean of the middle two for an even number."""
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))


@dataclass
class SPEARConfig(LanguageConfig):
    """Settings of SPEAR: GRPO with SPEAR's plug-in, sized for the batches of a tiny policy."""

    methods: tuple[str, ...] = ("entropy:weight=0.005", "spear")  # plug-ins in this order: NAME or NAME:KEY=VALUE,...


class SPEAR(LanguageAgent):
    """Self-imitation with progressive exploration (Qin et al., arXiv 2509.22601)."""

    catalog_name = "spear"
    Config: ClassVar[type[LanguageConfig]] = SPEARConfig
