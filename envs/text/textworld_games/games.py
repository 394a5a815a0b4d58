"""Generation of TextWorld's games: its challenges and its own generator, compiled for the z-machine."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.contracts.settings import plain
from agentgym.envs.text.presets import TEXTWORLD
from agentgym.errors import InvalidParameter, MissingExtra, UnknownId
from agentgym.seeding import stream

__all__ = ["checked_settings", "compiled", "load_textworld"]

# TextWorld's cooking challenge has its own split over ingredients and their preparation.
COOKING_SPLITS = {"train": "train", "seen": "valid", "unseen": "test"}


def load_textworld() -> Any:
    """The textworld module.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import textworld
        import textworld.challenges
    except ImportError as error:
        raise MissingExtra("textworld", "text") from error
    return textworld


def checked_settings(game: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The preset's settings with some overridden.

    Raises:
        UnknownId: no such game or setting.
        InvalidParameter: a setting has another type than the preset's.
    """
    if not isinstance(game, str) or game not in TEXTWORLD:
        raise UnknownId("TextWorld game", str(game), TEXTWORLD)
    if not isinstance(settings, Mapping | None):
        raise InvalidParameter(f"settings must be a dictionary, such as {TEXTWORLD[game]}, not {settings!r}.")
    known = dict(TEXTWORLD[game])
    for name, value in plain(dict(settings or {})).items():
        if name not in known:
            raise UnknownId(f"setting of the TextWorld game {game}", str(name), known)
        if type(value) is not type(known[name]):
            raise InvalidParameter(f"{name} must be of type {type(known[name]).__name__}, not {value!r}.")
        known[name] = value
    return known


def compiled(game: str, settings: Mapping[str, Any], split: str, number: int, folder: Path) -> Path:
    """The file of one game. It is compiled into ``folder`` if it is not there yet, which takes one to two seconds.

    Equal arguments give the same game, byte for byte.

    Args:
        game: a key of :data:`agentgym.envs.text.presets.TEXTWORLD`.
        settings: returned by :func:`checked_settings`.
        split: "train", "seen" and "unseen" have different games.
        number: which game of the split.
        folder: folder for compiled games.

    Raises:
        InvalidParameter: TextWorld refuses the settings.
    """
    textworld = load_textworld()
    said = json.dumps([textworld.version.__version__, game, dict(settings), split, number], sort_keys=True)
    path = folder / f"{game}-{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}.z8"
    if path.exists():
        return path
    options = textworld.GameOptions()
    options.seeds = int(stream(number, "textworld", split).integers(1, 2**16))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place, warnings.catch_warnings():
        options.path = str(Path(place) / path.name)
        # Some challenges play the game once to record the solution; see the world's begin.
        warnings.filterwarnings("ignore", message=".*is not fully supported")
        try:
            made = _made(textworld, game, settings, split, options)
        except (ValueError, AssertionError) as error:
            raise InvalidParameter(f"TextWorld cannot make {game} with {dict(settings)}: {error}") from error
        textworld.generator.compile_game(made, options)
        # Other processes may share the folder: the game appears whole, after what describes it.
        for made_file in (Path(place) / f"{path.stem}.json", Path(place) / path.name):
            made_file.replace(folder / made_file.name)
    return path


def _made(textworld: Any, game: str, settings: Mapping[str, Any], split: str, options: Any) -> Any:
    if game == "custom":
        options.nb_rooms, options.nb_objects = settings["rooms"], settings["objects"]
        options.quest_length = settings["quest_length"]
        return textworld.generator.make_game(options)
    make = textworld.challenges.CHALLENGES[f"tw-{game.replace('-', '_')}"][1]
    more = {"split": COOKING_SPLITS[split]} if game == "cooking" else {}
    return make({**settings, **more}, options)
