"""Base classes of perturbations of texts: their settings, and their implementation for one world."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from agentgym.envs.perturb.base import Perturbation, check_number

__all__ = ["TextPerturbation", "TextProcess", "View"]


@dataclass
class View:
    """The output of a reset or step, on its way to the agent.

    Attributes:
        text: the observation.
        info: a copy of the world's info, which may be modified.
        first: whether it is the first of an episode.
        over: whether it is the last of an episode.
    """

    text: str
    info: dict[str, Any]
    first: bool = False
    over: bool = False


class TextProcess:
    """Base of effects in one world. The base class changes nothing.

    Attributes:
        fired: whether it has changed anything since the last command.
        generator: the random generator.
    """

    generator: np.random.Generator

    def __init__(self) -> None:
        self.fired = False

    def begin(self) -> None:
        """Start a new episode."""

    def act(self, command: str) -> str:
        """The command that the world receives."""
        return command

    def see(self, view: View) -> None:
        """Change what the agent receives."""

    def outward(self, command: str) -> str:
        """The agent's wording of the world's ``command``."""
        return command

    def inward(self, command: str) -> str:
        """The world's wording of the agent's ``command``: :meth:`act` without faults."""
        return command


@dataclass(frozen=True, kw_only=True)
class TextPerturbation(Perturbation):
    """Base of the settings of an effect on texts.

    Args:
        rate: how often it fires; each effect defines the unit.
    """

    changes: ClassVar[Literal["observation", "action", "reward", "dynamics"]] = "observation"
    longest: ClassVar[tuple[float, int]] = (1.0, 0)
    """Bounds on the length of perturbed texts: a factor, and additional characters."""

    rate: float = field(default=1.0)

    def __post_init__(self) -> None:
        check_number(self, "rate", 0.0, 1.0)

    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        """The implementation of the effect for one world.

        Args:
            env: the world's single environment, unwrapped.
            inner: the effects between it and this one, innermost first.

        Raises:
            InvalidParameter: the effect does not support such a world.
        """
        raise NotImplementedError
