"""R3L: episodes that went wrong are tried again from where they did, with a hint that is not learned."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import relative_returns, returns_of
from agentgym.agents.language.loop.rollout import Start
from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.agents.language.methods.plugin import About, Acting, Estimator, Rollouts, Terms
from agentgym.contracts.environment import Diagnosing
from agentgym.contracts.settings import Preset, Range
from agentgym.errors import InvalidParameter

__all__ = ["R3L", "R3L_PRESET"]

R3L_PRESET = Preset("R3L (arXiv 2601.03715)", {"advantage": "r3l", "ratio": "none", "methods": ()})


@dataclass
class R3L(Estimator):
    """R3L (arXiv 2601.03715): half of a group's episodes are played as usual. Each that went wrong is repeated up to
    the turn where it did, and goes on from there with a hint; both join the group. What they share is not learned from.

        A = 1 if R >= 1, else amplify * (R - mean) if that is positive, else R - mean; loss -A log p / (1 + tau).

    The paper's policy reflects on its episode and tells itself where to restart and what to do better. Here the
    environment's oracle does: the turn is the first whose command did not bring success nearer, the hint is the
    oracle's command there. The policy reads the hint in the rollout only: the episode that is learned from has it not.

    Attributes:
        hint: whether there is one.
        amplify: factor of advantages above 0.
        tau: of the loss.
    """

    ABOUT: ClassVar = About(
        "half the group retries from where it went wrong; A = 1 if R >= 1, else 3 (R - mean) if > 0, else R - mean; "
        "loss -A log p / 2 (--preset r3l)",
        "arXiv 2601.03715; code of shiweijiezero/R3L, R3L_workflow.py, opmd_R3L_1.5B.yaml",
        "reflections are the oracle's, not the policy's; reflections and guided retries are not learned from; no "
        "priority replay; attempts do not end at the first invalid command",
    )
    RANGES: ClassVar = {"amplify": Range(0), "tau": Range(0)}

    hint: bool = True
    amplify: float = 3.0
    tau: float = 1.0
    worlds: Diagnosing | None = field(default=None, init=False)
    asked: int = field(default=-1, init=False)  # the last iteration that got its retries

    def enter(self, worlds: VectorEnv) -> None:
        """Keep the environments, which diagnose."""
        if not isinstance(worlds, Diagnosing):
            raise InvalidParameter("R3L needs an environment with a diagnosis of its episodes, such as households.")
        self.worlds = worlds

    def acting(self, iteration: int, settings: LanguageConfig) -> Acting:
        """Half the group.

        Raises:
            InvalidParameter: half a group is a single episode.
        """
        if settings.group_size < 4:
            raise InvalidParameter(f"R3L needs groups of at least 4 episodes, not {settings.group_size}.")
        return Acting(attempts=max(1, settings.group_size // 2))

    def extend(
        self, iteration: int, episodes: Sequence[Episode], apart: Sequence[Episode], settings: LanguageConfig
    ) -> Rollouts | None:
        """The retries, once."""
        if self.asked == iteration:
            return None
        assert self.worlds is not None
        self.asked, starts = iteration, []
        for episode in episodes:
            commands = [turn.command for turn in episode.turns]
            if (found := self.worlds.diagnose(episode.seed, commands)) is not None:
                turn, advice = found
                episode.first = turn
                starts.append(Start(episode.group, episode.seed, tuple(commands[:turn]), advice if self.hint else ""))
        self.numbers["retries"] = float(len(starts))
        return Rollouts(starts) if starts else None

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        centred = relative_returns(batch, settings.group_statistics, divide=False)
        amplified = torch.where(centred >= 0, self.amplify * centred, centred)
        return torch.where(returns_of(batch).values >= 1, 1.0, amplified)

    def surrogate(self, terms: Terms) -> Tensor:
        """Divided by 1 + tau."""
        return terms.loss / (1 + self.tau)
