"""Base classes of what a game module adds: random events (type 2.1) and modifications of the game."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.atari.emulator import Emulator

__all__ = ["Event", "Modification"]

Ram = NDArray[np.uint8]


class Event:
    """A random event of one game. It is asked after every emulated frame, or after every decision.

    Attributes:
        takes_reward: whether the reward of that frame is lost when the event happens.
    """

    takes_reward: ClassVar[bool] = False

    def begin(self, ram: Ram) -> None:
        """Called at the start of an episode, with the RAM of its first frame."""

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """Whether the event could happen now, so that a number is drawn.

        Args:
            before, after: RAM before and after the frame.
            action: executed action, as an index of the minimal action set.
        """
        return True

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Change the game."""

    def frame(self, emulator: Emulator, after: Ram) -> None:
        """Called after every frame, for events that last: the game writes some bytes anew each frame."""


class Modification:
    """A changed rule or look of a game, applied after every emulated frame. Subclass it for your own.

    Attributes:
        summary: what it does, in one line.
    """

    summary: ClassVar[str] = ""

    def begin(self, emulator: Emulator) -> None:
        """Called after the console is reset, before its first frame."""

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Change the RAM after a frame, with ``emulator.poke``. ``before`` and ``after`` are the RAM around it."""
