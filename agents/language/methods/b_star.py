"""B-STaR: a monitor of how well sampling balances exploration and exploitation, and a temperature chosen by it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Acting, Plugin
from agentgym.contracts.settings import Range

__all__ = ["BStar", "balance"]


def balance(pairs: Sequence[tuple[int, int]], wanted: int) -> float:
    """Mean over tasks of min(right / wanted, 1) * right / selected, from pairs of right and selected samples."""
    return sum(min(right / wanted, 1.0) * right / selected for right, selected in pairs) / len(pairs)


@dataclass
class BStar(Plugin):
    """B-STaR's balance score (arXiv 2412.17256): the mean over tasks of min(n' / n*, 1) n' / n, for n' right ones
    among n samples, logged in every iteration.

    With ``temperatures``, each is tried for one iteration, and the one with the best score is kept until ``every``
    iterations have passed; then they are tried again. Sampling is then off-policy: ``tis`` corrects it.

    Attributes:
        wanted: n*; 0: half the group.
        temperatures: to choose from, on top of the policy's own; none: the monitor alone.
        every: length of a cycle, trials included.
    """

    ABOUT: ClassVar = About(
        "score = mean over tasks of min(n' / n*, 1) n' / n; the temperature with the best score is used",
        "arXiv 2412.17256; code of hkust-nlp/B-STaR, determine_hyper.py",
        "its grid also has sample counts and a threshold on a process reward model; its code counts the reference "
        "solution as a sample",
    )
    RANGES: ClassVar = {"wanted": Range(0), "temperatures": Range(0, above=True), "every": Range(1)}

    wanted: int = 0
    temperatures: tuple[float, ...] = ()
    every: int = 20
    scores: list[float] = field(default_factory=list, init=False)  # of this cycle's trials

    def acting(self, iteration: int, settings: LanguageConfig) -> Acting | None:
        """The temperature to try, or the best one."""
        if not self.temperatures:
            return None
        if iteration % max(self.every, len(self.temperatures)) == 0:
            self.scores = []
        tried = len(self.scores)
        if tried < len(self.temperatures):
            temperature = self.temperatures[tried]
        else:
            temperature = self.temperatures[max(range(tried), key=self.scores.__getitem__)]
        self.numbers["temperature"] = temperature
        return Acting(temperature=temperature)

    def finish(self, batch: Batch, iteration: int) -> None:
        """The score of the iteration."""
        numbers, place = batch.group.unique(return_inverse=True)
        right = torch.zeros(len(numbers), dtype=torch.int64, device=place.device).index_add(0, place, batch.won.long())
        pairs = list(zip(right.tolist(), place.bincount().tolist(), strict=True))
        wanted = self.wanted or max(1, max(size for _, size in pairs) // 2)
        self.numbers["balance"] = balance(pairs, wanted)
        if len(self.scores) < len(self.temperatures):
            self.scores.append(self.numbers["balance"])

    def state(self) -> dict[str, Any]:
        """The scores."""
        return {"scores": list(self.scores)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the scores."""
        self.scores = [float(score) for score in state["scores"]]
