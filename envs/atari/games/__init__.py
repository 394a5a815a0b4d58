"""The games whose RAM and screen are known, one module each."""

import importlib
from collections.abc import Mapping
from typing import Any

from agentgym.envs.atari.tables import Table
from agentgym.errors import InvalidParameter

__all__ = ["GAMES", "modifications_of", "table_of"]

GAMES = {"breakout": "Breakout", "boxing": "Boxing", "gopher": "Gopher", "bank_heist": "BankHeist"}
"""Names of the games, by name of their ROM."""


def table_of(game: str, what: str) -> Table:
    """The table of a game.

    Args:
        game: name of the ROM.
        what: what it is needed for, for the message.

    Raises:
        InvalidParameter: there is no table for this game; the message names those that have one.
    """
    table: Table = _module(game, what).TABLE
    return table


def modifications_of(game: str) -> Mapping[str, Any]:
    """The modifications of a game by name, classes of :class:`agentgym.envs.atari.events.Modification`.

    Raises:
        InvalidParameter: the game has none.
    """
    found: Mapping[str, Any] = _module(game, "A modification by name").MODIFICATIONS
    return found


def _module(game: str, what: str) -> Any:
    if game not in GAMES:
        raise InvalidParameter(f"{what} needs a table of the game's RAM. {game} has none; {', '.join(GAMES)} have.")
    return importlib.import_module(f"{__name__}.{game}")
