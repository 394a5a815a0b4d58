"""The emulator: ale-py behind a small interface, without its own randomness."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import InvalidParameter, MissingExtra, UnknownId

try:
    import cv2
    from ale_py import ALEInterface, LoggerMode, roms
except ImportError as error:
    raise MissingExtra("ale-py or OpenCV, which Atari games need,", "atari") from error

__all__ = ["HEIGHT", "WIDTH", "Emulator", "cv2", "game_id"]

HEIGHT, WIDTH = 210, 160  # of the screen, in pixels


def game_id(name: Any) -> str:
    """The name of a ROM, such as "bank_heist", from "BankHeist" or "bank_heist".

    Raises:
        UnknownId: ale-py has no such game.
    """
    known = roms.get_all_rom_ids()
    text = str(name)
    snake = "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(text))
    for candidate in (text, snake):
        if isinstance(name, str) and candidate in known:
            return candidate
    raise UnknownId("Atari game", text, known)


class Emulator:
    """One console with a game in it. Equal actions from a reset give equal frames: sticky actions of ale-py are off.

    Args:
        game: name of the ROM, see :func:`game_id`.
        mode, difficulty: the game's switches; None for its defaults.

    Attributes:
        ale: ale-py's ``ALEInterface``.
        actions: the minimal action set.
        meanings: names of the actions.

    Raises:
        InvalidParameter: the game has no such mode or difficulty, or an unusual screen.
    """

    def __init__(self, game: str, mode: int | None = None, difficulty: int | None = None) -> None:
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.game, self.ale = game, ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.setInt("random_seed", 0)
        path = roms.get_rom_path(game)
        assert path is not None
        self.ale.loadROM(path)
        _choose(game, "mode", mode, self.ale.getAvailableModes(), self.ale.setMode)
        _choose(game, "difficulty", difficulty, self.ale.getAvailableDifficulties(), self.ale.setDifficulty)
        if self.ale.getScreenDims() != (HEIGHT, WIDTH):
            raise InvalidParameter(
                f"The screen of {game} is {self.ale.getScreenDims()}; only games of {HEIGHT} x {WIDTH} are supported."
            )
        self.actions = tuple(self.ale.getMinimalActionSet())
        self.meanings = tuple(action.name for action in self.actions)

    def reset(self) -> None:
        """Switch the console off and on."""
        self.ale.reset_game()

    def act(self, action: int) -> int:
        """Emulate one frame with action ``action`` of the minimal set. Returns the reward."""
        reward: int = self.ale.act(self.actions[action])
        return reward

    @property
    def over(self) -> bool:
        """Whether the game is over. Lives are not consulted: some games have none, others count them late."""
        over: bool = self.ale.game_over(with_truncation=False)
        return over

    @property
    def ram(self) -> NDArray[np.uint8]:
        """A copy of the RAM, uint8 [128]."""
        ram: NDArray[np.uint8] = self.ale.getRAM()
        return ram

    def poke(self, values: dict[int, int]) -> None:
        """Write bytes into the RAM."""
        for byte, value in values.items():
            self.ale.setRAM(byte, value)


def _choose(game: str, what: str, value: int | None, available: Sequence[int], setter: Any) -> None:
    if value is None:
        return
    if value not in available:
        raise InvalidParameter(f"{game} has no {what} {value!r}, only {', '.join(map(str, available))}.")
    setter(value)
