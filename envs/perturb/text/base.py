"""What all perturbations of texts share: their settings, and one of them at work in one world."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.envs.perturb.base import Perturbation, check_number

__all__ = ["TextPerturbation", "TextProcess", "View"]


@dataclass
class View:
    """What a world shows after a reset or step, on its way to the agent.

    Attributes:
        text: the observation.
        info: the world's own copy of it, to be written to.
        first: whether it opens an episode.
        over: whether it ends one.
    """

    text: str
    info: dict[str, Any]
    first: bool = False
    over: bool = False


class TextProcess:
    """One effect at work in one world. By itself it changes nothing.

    Attributes:
        fired: whether it has changed anything since the last command.
        generator: where its draws come from.
    """

    generator: np.random.Generator

    def __init__(self) -> None:
        self.fired = False

    def begin(self) -> None:
        """A new episode: forget the old one."""

    def act(self, command: str) -> str:
        """What the command becomes on its way to the world."""
        return command

    def see(self, view: View) -> None:
        """Change what the agent gets to see."""

    def outward(self, command: str) -> str:
        """How the agent has to say what the world calls ``command``."""
        return command

    def inward(self, command: str) -> str:
        """What the world is told when the agent says ``command``; :meth:`act` without its effects."""
        return command


@dataclass(frozen=True, kw_only=True)
class TextPerturbation(Perturbation):
    """The settings of an effect on texts.

    Args:
        rate: how often it happens; of what, each effect says.
    """

    changes: ClassVar[Literal["observation", "action", "reward", "dynamics"]] = "observation"
    longest: ClassVar[tuple[float, int]] = (1.0, 0)
    """A bound of what becomes of texts: factor of their length, and characters more."""

    rate: float = field(default=1.0)

    def __post_init__(self) -> None:
        check_number(self, "rate", 0.0, 1.0)

    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        """The effect at work in one world.

        Args:
            env: the world's single environment, without wrappers.
            inner: the effects between it and this one, from inside out.

        Raises:
            InvalidParameter: it has no meaning for such a world.
        """
        raise NotImplementedError
