"""Breakout: 108 bricks of two bits each, a ball, a paddle."""

from typing import ClassVar

import numpy as np

from agentgym.envs.atari.emulator import Emulator
from agentgym.envs.atari.events import Event, Modification, Ram
from agentgym.envs.atari.tables import Label, Object, Patch, Table

__all__ = ["MODIFICATIONS", "TABLE"]

BRICKS = slice(0, 36)
# The upper bit of each brick's pair, for the six bytes of a group.
_PAIRS = ((5, 3, 1), (7, 5, 3, 1), (7, 5), (7, 5, 3, 1), (7, 5, 3, 1), (7,))
_BRICKS = tuple(
    Label(f"bricks {byte}", byte, bits=pairs) for group, pairs in enumerate(_PAIRS)
    for byte in range(6 * group, 6 * group + 6)
)  # fmt: skip
_BALL_BANDS = {
    "ball-top": Patch(8, 151, 105, 130), "ball-middle": Patch(8, 151, 131, 156), "ball-bottom": Patch(8, 151, 157, 182),
}  # fmt: skip


class BrickHitCancelled(Event):
    """A brick that was hit comes back; the reward is kept."""

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """A brick was hit."""
        return bool((before[BRICKS] != after[BRICKS]).any())

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Restore its bytes."""
        changed = np.flatnonzero(before[BRICKS] != after[BRICKS])
        emulator.poke({int(byte): int(before[byte]) for byte in changed})


class BrickHitLost(BrickHitCancelled):
    """A brick that was hit comes back, and the reward is lost."""

    takes_reward: ClassVar[bool] = True


class BrickRegrown(Event):
    """One of the missing bricks' bytes, chosen at random, is as at the start again."""

    def begin(self, ram: Ram) -> None:
        """Remember the bricks."""
        self.first = ram[BRICKS].copy()

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """A brick is missing."""
        return bool((after[BRICKS] != self.first).any())

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Restore the byte."""
        byte = int(generator.choice(np.flatnonzero(after[BRICKS] != self.first)))
        emulator.poke({byte: int(self.first[byte])})


class InvisibleBricks(Modification):
    """The bricks have the colour of the background."""

    summary = "bricks in the colour of the background"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Paint them black."""
        emulator.poke(dict.fromkeys(range(64, 70), 0))


class ShiftedColours(Modification):
    """Ball, paddle and bricks have other colours."""

    summary = "ball, paddle and bricks in other colours"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Paint the bricks from blue to green, and ball and paddle white."""
        emulator.poke({62: 14, **{byte: 132 + 16 * (byte - 64) for byte in range(64, 70)}})


class Wind(Modification):
    """The ball drifts to the right, by a pixel every eighth frame."""

    summary = "the ball drifts to the right"

    def begin(self, emulator: Emulator) -> None:
        """Start counting."""
        self.frames = 0

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Push the ball where it is in play and away from the wall."""
        self.frames += 1
        if self.frames % 8 == 0 and after[101] and after[99] < 195:
            emulator.poke({99: int(after[99]) + 1})


TABLE = Table(
    labels=(
        Label("ball x", 99, 55, 201, absent=0, absent_byte=101, axis="x"),
        Label("ball y", 101, 84, 209, absent=0, axis="y"),
        Label("ball dx", 105, -2, 2, "signed"),
        Label("ball dy", 103, -3, 3, "signed"),
        Label("paddle x", 72, 55, 191, axis="x"),
        Label("lives", 57, 0, 5),
        *_BRICKS,
    ),
    objects={"ball": Object({99: 0, 101: 0}, ("ball x", "ball y", "ball dx", "ball dy"))},
    regions={
        "bricks": (Patch(8, 151, 57, 92),),
        "paddle": (Patch(7, 152, 189, 195),),
        "score": (Patch(2, 158, 3, 16),),
        **{name: (patch,) for name, patch in _BALL_BANDS.items()},
    },
    events={1: BrickHitCancelled, 2: BrickHitLost, 3: BrickRegrown},
)

MODIFICATIONS = {"invisible-bricks": InvisibleBricks, "shifted-colours": ShiftedColours, "wind": Wind}
