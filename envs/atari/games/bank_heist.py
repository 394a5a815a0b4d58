"""Bank Heist: a car robs banks in a city, followed by the police."""

from typing import ClassVar

import numpy as np

from agentgym.envs.atari.emulator import Emulator
from agentgym.envs.atari.events import Event, Modification, Ram
from agentgym.envs.atari.tables import Label, Object, Patch, Table

__all__ = ["MODIFICATIONS", "TABLE"]

CITY, CAR_Y, CAR_X, BOMB, LIVES, FUEL = 0, 8, 28, 12, 85, 86
SLOTS = (24, 25, 26)  # each holds a bank, a police car or nothing
SLOT_X, SLOT_Y = (29, 30, 31), (9, 10, 11)
BANK, POLICE, NOTHING = 253, 254, 255
BLOCKS = (66, 68)
EMPTY = 25  # of the fuel, which counts upwards


class BombIsADud(Event):
    """A bomb that was just dropped disappears."""

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """The bomb's byte has changed."""
        return bool(before[BOMB] != after[BOMB])

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Restore it."""
        emulator.poke({BOMB: int(before[BOMB])})


class FuelLeaks(Event):
    """Fuel leaks until the tank is half full, once per city and episode."""

    def begin(self, ram: Ram) -> None:
        """No city has been visited."""
        self.cities: set[int] = set()

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """The tank is more than half full, and there was no leak in this city."""
        return int(after[CITY]) not in self.cities and int(after[FUEL]) < EMPTY // 2

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Drain the tank."""
        self.cities.add(int(after[CITY]))
        emulator.poke({FUEL: EMPTY // 2})


class Teleported(Event):
    """The car is in another city."""

    def happen(self, emulator: Emulator, before: Ram, after: Ram, generator: np.random.Generator) -> None:
        """Choose one of the three others."""
        here = int(after[CITY])
        emulator.poke({CITY: here - here % 4 + (here + int(generator.integers(1, 4))) % 4})


class BankIsEmpty(Event):
    """A bank that was robbed turns out to be empty: the reward is lost."""

    takes_reward: ClassVar[bool] = True

    def possible(self, before: Ram, after: Ram, action: int) -> bool:
        """A bank became a police car."""
        return any(before[slot] == BANK and after[slot] == POLICE for slot in SLOTS)


class FullTank(Modification):
    """The fuel never runs out."""

    summary = "a tank that is always full"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Fill it."""
        emulator.poke({FUEL: 0})


class InvisibleBlocks(Modification):
    """The blocks of the city are not drawn; they can still not be crossed."""

    summary = "city blocks that are not drawn"

    def begin(self, emulator: Emulator) -> None:
        """Erase them."""
        emulator.poke(dict.fromkeys(BLOCKS, 0))

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Erase those of the next city as well."""
        self.begin(emulator)


class NoPolice(Modification):
    """Police cars disappear."""

    summary = "no police cars"

    def frame(self, emulator: Emulator, before: Ram, after: Ram) -> None:
        """Empty their slots."""
        emulator.poke({slot: NOTHING for slot in SLOTS if after[slot] == POLICE})


_WALLS = {
    "wall-top": Patch(12, 147, 37, 44), "wall-left": Patch(12, 15, 37, 177), "wall-bottom": Patch(12, 147, 173, 177),
    "wall-right": Patch(144, 147, 37, 177),
}  # fmt: skip

TABLE = Table(
    labels=(
        Label("car x", CAR_X, 12, 140, axis="x"),
        Label("car y", CAR_Y, 21, 136, axis="y"),
        *(
            Label(f"slot {n} {axis}", byte, 12, 140, absent=NOTHING, absent_byte=slot, axis=axis)  # type: ignore[arg-type]
            for n, slot in enumerate(SLOTS) for axis, byte in (("x", SLOT_X[n]), ("y", SLOT_Y[n]))
        ),
        *(Label(f"slot {n} kind", slot, BANK, NOTHING) for n, slot in enumerate(SLOTS)),
        Label("fuel", FUEL, EMPTY, 0),
        Label("lives", LIVES, 0, 5),
        Label("city", CITY, bits=(0, 1)),
        Label("bomb", BOMB, 0, 255, absent=0),
    ),
    objects={
        "car": Object({CAR_Y: 155, CAR_X: 12}, ("car x", "car y")),
        "fuel": Object({FUEL: 0}, ("fuel",)),
        "blocks": Object(dict.fromkeys(BLOCKS, 0), ()),
        **{f"bank-{n}": Object({slot: NOTHING}, (f"slot {n} x", f"slot {n} y", f"slot {n} kind"), only=BANK)
           for n, slot in enumerate(SLOTS)},
        **{f"police-{n}": Object({slot: NOTHING}, (f"slot {n} x", f"slot {n} y", f"slot {n} kind"), only=POLICE)
           for n, slot in enumerate(SLOTS)},
    },
    regions={
        "walls": tuple(_WALLS.values()),
        **{name: (patch,) for name, patch in _WALLS.items()},
        "fuel": (Patch(12, 73, 11, 36),),
        "lives": (Patch(78, 147, 11, 36),),
        "score": (Patch(12, 147, 178, 186),),
    },
    events={1: BombIsADud, 2: FuelLeaks, 3: Teleported, 4: BankIsEmpty},
)  # fmt: skip

MODIFICATIONS = {"full-tank": FullTank, "invisible-blocks": InvisibleBlocks, "no-police": NoPolice}
