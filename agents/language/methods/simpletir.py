"""SimpleTIR: episodes with a turn that holds no command are not learned from."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.plugin import About, Plugin

__all__ = ["SimpleTIR"]


@dataclass
class SimpleTIR(Plugin):
    """SimpleTIR (Xue et al., arXiv 2509.02479): a turn without any command ends the episode and excludes it from
    learning. In the paper such a void turn has neither a complete code block nor an answer.
    """

    ABOUT: ClassVar = About(
        "episodes with a turn without a command end there and are not learned from",
        "arXiv 2509.02479; code of ltzheng/SimpleTIR",
    )

    STOP_AT_VOID: ClassVar[bool] = True

    def keep(self, batch: Batch) -> Tensor:
        """Episodes without void turns."""
        self.numbers["dropped"] = float(batch.void.float().mean())
        return (~batch.void)[:, None].expand_as(batch.mask)
