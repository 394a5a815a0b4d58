"""AEPO: entropy is steered by good episodes that were played at a higher or lower temperature."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.rollout import Start
from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.agents.language.methods.plugin import About, Plugin, Rollouts
from agentgym.contracts.settings import Range

__all__ = ["AEPO"]


@dataclass
class AEPO(Plugin):
    """AEPO for arbitrary entropies (arXiv 2510.08141).

    If the last iteration's mean entropy is at most ``target``, a share of the tasks is played once more at the
    temperature ``hot``, else at ``cold``. Episodes of them with an advantage above ``threshold`` get A = 1 and replace
    the first rows of the batch, up to ``replaced`` of it (half of that if entropy is above the target). Ratios are
    between policies at their own temperature.

    Attributes:
        target: nats. It depends on the policy: 0.5 is for a language model's tokens.
        hot, cold: temperatures, on top of the policy's own.
        share: of the tasks, the first ones.
        threshold: of advantages.
        replaced: 60 of 2560 rows in the code.
    """

    ABOUT: ClassVar = About(
        "a quarter of the tasks again at temperature 1.2 (entropy <= target) or 0.8; those with A > 0.05 get A = 1 and "
        "replace 2.3 % of the batch",
        "arXiv 2510.08141; code of 597358816/AEPO, ray_trainer.py",
        "README: weight alpha R, code: A = 1 (ours). The code's entropy is of the update, ours of the rollout",
    )
    RANGES: ClassVar = {
        **dict.fromkeys(("hot", "cold"), Range(0, above=True)), "share": Range(0, 1, above=True),
        "replaced": Range(0, 1), "target": Range(0),
    }  # fmt: skip

    target: float = 0.5
    hot: float = 1.2
    cold: float = 0.8
    share: float = 0.25
    threshold: float = 0.05
    replaced: float = 60 / 2560
    last: float = field(default=0.0, init=False)  # entropy of the last iteration, 0 at first

    def extend(
        self, iteration: int, episodes: Sequence[Episode], apart: Sequence[Episode], settings: LanguageConfig
    ) -> Rollouts | None:
        """The first tasks once more."""
        if apart:
            return None
        temperature = self.hot if self.last <= self.target else self.cold
        self.numbers["temperature"] = temperature
        tasks = range(max(1, round(self.share * settings.tasks)))
        return Rollouts([Start(n) for n in tasks for _ in range(settings.group_size)], temperature, apart=True)

    def mix(self, batch: Batch, apart: Batch) -> Batch:
        """Replace the batch's first rows."""
        counted = apart.mask.sum(1)
        average = (apart.advantages * apart.mask).sum(1) / counted.clamp(min=1)
        good = ((average > self.threshold) & (counted > 0)).nonzero()[:, 0]
        most = max(1, round(self.replaced * len(batch))) if self.replaced else 0
        good = good[: most if self.last <= self.target else most // 2]
        self.numbers["replaced"] = float(len(good))
        if not len(good):
            return batch
        fresh = apart.rows(good)
        fresh.advantages = fresh.mask.float()
        return Batch.joined([fresh, batch.rows(torch.arange(len(good), len(batch), device=good.device))])

    def finish(self, batch: Batch, iteration: int) -> None:
        """Keep the entropy."""
        there = batch.at >= 0
        self.last = float(batch.old_entropy[there].mean())

    def state(self) -> dict[str, Any]:
        """The entropy."""
        return {"last": self.last}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the entropy."""
        self.last = float(state["last"])
