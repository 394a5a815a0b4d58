"""Gopher: a farmer guards three carrots, a gopher digs tunnels below them."""

from typing import ClassVar

import numpy as np

from agentgym.envs.atari.emulator import Emulator
from agentgym.envs.atari.events import Event, Modification, Ram
from agentgym.envs.atari.tables import Label, Object, Patch, Table

__all__ = ["MODIFICATIONS", "TABLE"]

TUNNELS = 24  # bytes 0 to 23: four rows of six columns
FARMER, CARROTS, GOPHER = 31, 52, 41
DIG = {1, 5, 6, 7}  # FIRE, UPFIRE, RIGHTFIRE, LEFTFIRE
LEFTMOST, RIGHTMOST = 19, 148  # of the farmer
COLUMN = 130 / 6  # width of a column of tunnels
PLAY_BEGINS = 238  # frames after the console is switched on
UNDUG, DUG = (187, 159, 71), (223, 183, 85)


class HoleStaysOpen(Event):
    """Shovelling does not close the hole below the farmer; the reward is kept."""

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """The farmer shovelled and a tunnel changed."""
        return action in DIG and bool((before[:TUNNELS] != after[:TUNNELS]).any())

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Restore the farmer's column."""
        column = min(5, max(0, int((int(after[FARMER]) - LEFTMOST) / COLUMN)))
        emulator.poke({byte: int(before[byte]) for byte in range(column, TUNNELS, 6)})


class HoleStaysOpenUnpaid(HoleStaysOpen):
    """Shovelling does not close the hole below the farmer, and the reward is lost."""

    takes_reward: ClassVar[bool] = True


class CarrotLost(Event):
    """One of the carrots disappears, once per episode, as long as one is left."""

    def begin(self, ram: Ram) -> None:
        """Start counting."""
        self.frames, self.happened = 0, False

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """Play has begun, at least two carrots are there, and none was taken so far."""
        self.frames += 1
        return not self.happened and self.frames > PLAY_BEGINS and int(after[CARROTS] & 7).bit_count() >= 2

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Take one."""
        self.happened = True
        left = [bit for bit in range(3) if after[CARROTS] >> bit & 1]
        emulator.poke({CARROTS: int(after[CARROTS]) & ~(1 << int(generator.choice(left))) & 255})


class OneCarrot(Modification):
    """Only the middle carrot is there."""

    summary = "one carrot instead of three"

    def begin(self, emulator: Emulator) -> None:
        """Take the others."""
        emulator.poke({CARROTS: 2})


class SlowFarmer(Modification):
    """The farmer moves in every other frame only."""

    summary = "a farmer at half the speed"
    byte: ClassVar[int] = FARMER

    def begin(self, emulator: Emulator) -> None:
        """Start counting."""
        self.frames = 0

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Put the farmer back in every other frame."""
        self.frames += 1
        if self.frames % 2 == 0:
            emulator.poke({self.byte: int(before[self.byte])})


class SlowGopher(SlowFarmer):
    """The gopher moves in every other frame only."""

    summary = "a gopher at half the speed"
    byte = GOPHER


_ATTACKS = {"attack-left": (0, 59), "attack-right": (100, 159)}
_BANDS = ((146, 150, (101, 209, 174)), (151, 155, (117, 231, 194)), (156, 160, (132, 252, 212)))
_ROWS = ((161, 168), (168, 176), (176, 182), (183, 194))
_CARROTS = {"carrot-left": 4, "carrot-middle": 2, "carrot-right": 1}  # bits of the byte

TABLE = Table(
    labels=(
        Label("farmer x", FARMER, LEFTMOST, RIGHTMOST, axis="x"),
        Label("gopher x", GOPHER, 3, 148, axis="x"),
        Label("gopher height", 85, 0, 35),
        Label("seed x", 95, 19, 148, absent=128, absent_byte=92, axis="x"),
        Label("seed y", 92, 0, 127, absent=128, axis="y"),
        Label("carrots", CARROTS, bits=(0, 1, 2)),
        *(Label(f"tunnel {byte}", byte, bits=tuple(range(8))) for byte in range(TUNNELS)),
    ),
    objects={
        **{name: Object({CARROTS: 0}, ("carrots",), keeps=255 - bit) for name, bit in _CARROTS.items()},
        "carrots": Object({CARROTS: 0}, ("carrots",)),
        "seed": Object({92: 128}, ("seed x", "seed y")),
    },
    regions={
        **{
            name: tuple(Patch(x0, x1, y0, y1, colour) for y0, y1, colour in _BANDS)
            for name, (x0, x1) in _ATTACKS.items()
        },
        "underground": (Patch(0, 159, 161, 200, UNDUG),),
        "underground-offset": (Patch(0, 159, 164, 200, UNDUG),),
        **{f"row-{row}": (Patch(0, 159, y0, y1, UNDUG),) for row, (y0, y1) in enumerate(_ROWS)},
        **{f"row-{row}-dug": (Patch(0, 159, y0, y1, DUG),) for row, (y0, y1) in enumerate(_ROWS)},
    },
    events={1: HoleStaysOpen, 2: HoleStaysOpenUnpaid, 3: CarrotLost},
)

MODIFICATIONS = {"one-carrot": OneCarrot, "slow-farmer": SlowFarmer, "slow-gopher": SlowGopher}
