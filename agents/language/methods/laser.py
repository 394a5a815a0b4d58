"""LASER: a bonus for successes that are short enough, with targets that may follow the task's difficulty."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from agentgym.agents.language.loop.groups import Sums, group_mean_std
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin
from agentgym.contracts.settings import Range

__all__ = ["LASER"]

# A band of tasks by their group's share of successes, and of how many expected responses one must be within a target.
BANDS = ((2 / 3, 5), (1 / 3, 2), (0.0, 1))


@dataclass
class LASER(Plugin):
    """LASER (arXiv 2505.15612): a success of at most ``target`` turns gets ``bonus`` more.

    Attributes:
        form: "fixed": one target. "difficulty" (LASER-D): one for each band of tasks, by their group's share of
            successes (from 2/3, from 1/3, below). Every ``every`` iterations a band's target becomes the shortest
            length with int(share of the band's episodes within it * n) >= 1, n = 5, 2 and 1. "effort" (LASER-DE): also
            failures that are longer than the target and repeat nothing get the bonus: failing longer pays.
        bonus: the paper's alpha.
        target: in turns; of all bands at first.
        every: iterations between new targets.
        wrong, void: rewards of failures, and of failures with a turn without a command.
    """

    ABOUT: ClassVar = About(
        "R + 0.5 if won within the target; -D: targets by difficulty; -DE: also for long failures",
        "arXiv 2505.15612; code of hkust-nlp/Laser, length_penalty.py",
        "monitored are the iterations' own episodes instead of 500 tasks apart",
    )
    PRESETS: ClassVar = {"paper": {"wrong": -0.5, "void": -1.0}}
    RANGES: ClassVar = {"target": Range(1), "every": Range(1)}

    form: Literal["fixed", "difficulty", "effort"] = "fixed"
    bonus: float = 0.5
    target: int = 8
    every: int = 20
    wrong: float = 0.0
    void: float = 0.0
    targets: list[int] = field(default_factory=list, init=False)
    lengths: list[list[int]] = field(default_factory=list, init=False)  # by band, since the last targets

    def __post_init__(self) -> None:
        super().__post_init__()
        self.targets, self.lengths = [self.target] * len(BANDS), [[] for _ in BANDS]

    def bands(self, batch: Batch) -> Tensor:
        """The band of each episode's task, int64 [B]."""
        won = batch.won.float()
        share, _, _ = group_mean_std(Sums(won, won.double(), won.double()), batch.group)
        rate = torch.zeros_like(share)
        for number in batch.group.unique():
            rate[batch.group == number] = share[batch.group == number].mean()
        return (rate < BANDS[0][0] - 1e-6).long() + (rate < BANDS[1][0] - 1e-6).long()

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Bonus and penalties, at each episode's last turn."""
        bands = self.bands(batch)
        limits = torch.tensor(self.targets, device=bands.device)[bands] if self.form != "fixed" else self.target
        short = batch.turns <= limits
        paid = self.bonus * (batch.won & short).float()
        if self.form == "effort":
            paid = paid + self.bonus * (~batch.won & ~short & (batch.repeated <= 1)).float()
        failed = torch.where(batch.void, self.void, self.wrong)
        batch.pay(torch.where(batch.won, paid, paid + failed))
        self.numbers["within"] = float(short.float().mean())
        if self.form != "fixed":
            for band, length in zip(bands.tolist(), batch.turns.tolist(), strict=True):
                self.lengths[band].append(length)
            self.numbers |= {f"target_{n}": float(target) for n, target in enumerate(self.targets)}

    def finish(self, batch: Batch, iteration: int) -> None:
        """New targets, every so many iterations."""
        if self.form == "fixed" or (iteration + 1) % self.every:
            return
        for band, (_, expected) in enumerate(BANDS):
            if lengths := sorted(self.lengths[band]):
                self.targets[band] = self.shortest(lengths, expected)
        self.lengths = [[] for _ in BANDS]

    @staticmethod
    def shortest(lengths: list[int], expected: int) -> int:
        """The shortest target within which at least 1 / ``expected`` of the sorted lengths are."""
        for target in lengths:
            if int(expected * sum(length <= target for length in lengths) / len(lengths) + 1e-9) >= 1:
                return target
        return lengths[-1]

    def state(self) -> dict[str, Any]:
        """Targets and lengths."""
        return {"targets": list(self.targets), "lengths": [list(one) for one in self.lengths]}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore both."""
        self.targets = [int(target) for target in state["targets"]]
        self.lengths = [[int(length) for length in one] for one in state["lengths"]]
