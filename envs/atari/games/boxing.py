"""Boxing: two boxers in a ring, two scores, a clock of two minutes."""

from typing import ClassVar

import numpy as np

from agentgym.envs.atari.emulator import Emulator
from agentgym.envs.atari.events import Event, Modification, Ram
from agentgym.envs.atari.tables import Label, Object, Patch, Table

__all__ = ["MODIFICATIONS", "TABLE"]

PLAYER_COLOUR, ENEMY_COLOUR, RING_COLOUR, CLOCK_COLOUR = 1, 2, 3, 4
PLAYER, ENEMY = (32, 34), (33, 35)  # x, y
PLAYER_SCORE, ENEMY_SCORE = 18, 19
RING = (110, 156, 66)
LIKE_THE_RING = 214  # palette values that paint in the colour of the ring, and of the clock's background
LIKE_THE_FLOOR = 208


class ColoursSwapped(Event):
    """The boxers exchange their colours, until the next time."""

    def begin(self, ram: Ram) -> None:
        """Own colours."""
        self.swapped = False

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Exchange them."""
        self.swapped = not self.swapped

    def frame(self, emulator: Emulator, after: Ram) -> None:
        """Paint them for the next frame, because the game writes its own colours in each."""
        if self.swapped:
            emulator.poke({PLAYER_COLOUR: int(after[ENEMY_COLOUR]), ENEMY_COLOUR: int(after[PLAYER_COLOUR])})


class HitLost(Event):
    """A hit does not count: the score is as before, and the reward is lost."""

    takes_reward: ClassVar[bool] = True

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """Exactly one of the scores has changed."""
        changed = [bool(before[byte] != after[byte]) for byte in (PLAYER_SCORE, ENEMY_SCORE)]
        return changed[0] != changed[1]

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Restore the scores."""
        emulator.poke({byte: int(before[byte]) for byte in (PLAYER_SCORE, ENEMY_SCORE)})


class CornersSwapped(Event):
    """Each boxer stands in the corner in which the other one began."""

    def begin(self, ram: Ram) -> None:
        """Remember the corners."""
        self.corners = {mine: int(ram[theirs]) for mine, theirs in zip(PLAYER + ENEMY, ENEMY + PLAYER, strict=True)}

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Move them."""
        emulator.poke(self.corners)


class InvisibleEnemy(Modification):
    """The enemy has the colour of the ring."""

    summary = "an enemy in the colour of the ring"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Paint it."""
        emulator.poke({ENEMY_COLOUR: LIKE_THE_RING})


class ShiftedColours(Modification):
    """Both boxers and the ring have other colours."""

    summary = "boxers and ring in other colours"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Paint them."""
        emulator.poke({PLAYER_COLOUR: 6, ENEMY_COLOUR: 72, RING_COLOUR: 136})


class SlowEnemy(Modification):
    """The enemy moves in every other frame only."""

    summary = "an enemy at half the speed"

    def begin(self, emulator: Emulator) -> None:
        """Start counting."""
        self.frames = 0

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Put it back in every other frame."""
        self.frames += 1
        if self.frames % 2 == 0:
            emulator.poke({byte: int(before[byte]) for byte in ENEMY})


_SCORES = {"enemy-score": Patch(87, 134, 1, 16, RING), "player-score": Patch(33, 69, 1, 16, RING)}

TABLE = Table(
    labels=(
        Label("player x", 32, 30, 109, axis="x"),
        Label("player y", 34, 1, 89, axis="y"),
        Label("enemy x", 33, 30, 109, axis="x"),
        Label("enemy y", 35, 1, 89, axis="y"),
        Label("player score", PLAYER_SCORE, 0, 100, "bcd"),
        Label("enemy score", ENEMY_SCORE, 0, 100, "bcd"),
        Label("second", 17, 0, 59, "bcd"),
    ),
    objects={
        "ring": Object({RING_COLOUR: LIKE_THE_FLOOR}, ()),
        "enemy": Object({ENEMY_COLOUR: LIKE_THE_RING}, ("enemy x", "enemy y")),
        "player": Object({PLAYER_COLOUR: LIKE_THE_RING}, ("player x", "player y")),
    },
    regions={
        "ring": (Patch(32, 127, 36, 176, RING),),
        "left": (Patch(32, 80, 36, 176, RING),),
        "right": (Patch(81, 127, 36, 176, RING),),
        **{name: (patch,) for name, patch in _SCORES.items()},
        "clock": (Patch(57, 97, 14, 27, RING),),
    },
    events={1: ColoursSwapped, 2: HitLost, 3: CornersSwapped},
)

MODIFICATIONS = {"invisible-enemy": InvisibleEnemy, "shifted-colours": ShiftedColours, "slow-enemy": SlowEnemy}
