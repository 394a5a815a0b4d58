"""TextWorld's games with the interface of text worlds."""

import re
import string
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.contracts.settings import whole_number
from agentgym.envs.text.language import refusal
from agentgym.envs.text.textworld_games.games import checked_settings, compiled, load_textworld
from agentgym.envs.text.world import Answer, World
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["TextWorldWorld"]

# The banner of the title, which every game prints first
_TITLE = re.compile(r"^[\s_|\\/$>-]*$")
_BLANK_LINES = re.compile(r"\n{3,}")
# All characters passed to games. A backslash, the interpreter's escape character, can end the whole process.
_READABLE = re.compile(r"[A-Za-z0-9 ,.'-]+")
# Commands to the interpreter instead of the game: they would end or restart it, or write files.
_META = frozenset(("quit", "q", "restart", "save", "restore", "script", "transcript", "undo"))
# Words that join several commands or objects. Of joined commands the interpreter executes the first, and the others
# before it reads the next turn's.
_JOINED = re.compile(r"[.,]|\b(then|and)\b", re.IGNORECASE)
# An executed action in Inform's trace; those in parentheses are parts of another one.
_DONE = re.compile(r"\[([^][()]+) - succeeded\]")
# Actions that change nothing, so TextWorld need not track them
_HARMLESS = (
    "looking", "examining", "searching", "taking inventory", "waiting", "jumping", "listening", "smelling", "tasting",
    "touching", "thinking", "printing the objective", "displaying help message", "requesting the score",
)  # fmt: skip


class TextWorldWorld(World):
    """Implements :class:`agentgym.envs.text.env.TextWorldEnv`, whose docstring is the manual.

    Args:
        game: a name of :data:`agentgym.envs.text.presets.TEXTWORLD`.
        settings: settings of the game to override.
        split: "train", "seen" or "unseen".
        games: number of games; an episode plays one of them.
        max_turns: commands after which an episode is truncated.
        folder: folder for compiled games; None: a temporary one.

    Raises:
        MissingExtra: textworld is not installed.
        UnknownId: no such game, setting or split.
        InvalidParameter: a setting is not allowed.
    """

    verbs = ("look", "go", "take", "put", "open", "close", "examine", "inventory", "insert", "drop", "unlock", "lock")
    characters = frozenset(string.printable)

    def __init__(
        self,
        game: str = "simple",
        settings: Mapping[str, Any] | None = None,
        split: str = "train",
        games: int = 10,
        max_turns: int = 50,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(split)
        self._textworld = load_textworld()
        self.game, self.settings = game, checked_settings(game, settings)
        self.games, self.max_turns = whole_number("games", games, 1), whole_number("max_turns", max_turns, 1)
        if not isinstance(folder, str | Path | None):
            raise InvalidParameter(f"folder must be a path, not {folder!r}.")
        self.max_command_length, self.max_command_words = 100, 100
        self.max_observation_length = self.max_observation_words = 8192
        self._temporary = tempfile.TemporaryDirectory(prefix="agentgym-textworld-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else folder or "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._asked = self._textworld.EnvInfos(
            admissible_commands=True, facts=True, policy_commands=True, won=True, lost=True, objective=True
        )
        self._env: Any = None
        self._path: Path | None = None
        self._given: list[str] = []

    @property
    def vocabulary(self) -> None:
        """None: a game's words cannot be listed in advance."""
        return

    @property
    def fingerprint(self) -> str:
        """Game, settings, split and number of games."""
        return repr((self.game, self.settings, self.split, self.games))

    def begin(self, seed: int, episode: int) -> str:
        """Start the game drawn for this seed and episode."""
        number = int(stream(seed, "textworld game", self.split, episode).integers(self.games))
        path = compiled(self.game, self.settings, self.split, number, self.folder)
        if path != self._path:
            self.close_game()
            with warnings.catch_warnings():
                # Jericho does not know the game's memory; TextWorld tracks score and facts itself.
                warnings.filterwarnings("ignore", message=".*is not fully supported")
                self._env = self._textworld.start(str(path), self._asked)
            self._path = path
        self._state = self._env.reset()
        self._inform7 = self._textworld.generator.inform7.Inform7Game(self._state.game)
        self._given, self._score = [], 0
        self.task, self.task_kind = self._state.objective, self.game
        return _clean(self._state.feedback)

    def act(self, command: str) -> Answer:
        """Execute one command. Joined commands, and those that TextWorld cannot track, are not passed to the game."""
        if len(command) > self.max_command_length:
            return Answer(refusal("overlong"), "overlong", 0.0, False, False)
        command = " ".join(command.split()).removesuffix(".").rstrip()
        if not command:
            return Answer(refusal("empty"), "empty", 0.0, False, False)
        before = self._state
        known = command.lower() in (known.lower() for known in before.admissible_commands)
        if not known and not self._is_one_command(command):
            return Answer(refusal("unparsable"), "unparsable", 0.0, False, False)
        self._state, score, over = self._env.step(command)
        self._given.append(command)
        reward, self._score = float(score - self._score), score
        # The game accepts further wordings ("n" for "go north"), so a change of facts counts as well.
        problem = None if known or self._state.facts != before.facts or over else "impossible"
        return Answer(_clean(self._state.feedback), problem, reward, bool(over), bool(self._state.won))

    def _is_one_command(self, command: str) -> bool:
        """Whether the game would execute it as one command whose effects TextWorld can track.

        The command is tried and undone. TextWorld tracks a game by names of actions, and some wordings
        ("get carrot" for "take carrot from fridge", "drop all") have effects that it does not notice.
        """
        if not _READABLE.fullmatch(command) or _META.intersection(re.findall(r"[a-z]+", command.lower())):
            return False
        if _JOINED.search(command):
            return False
        game = self._env.unwrapped
        before = game._jericho.get_state()
        done = _DONE.findall(game._send(command))
        game._jericho.set_state(before)
        if len(done) != 1:
            return not done
        followed = self._inform7.detect_action(done[0], self._state["_valid_actions"])
        return followed is not None or done[0].startswith(_HARMLESS)

    def commands(self) -> list[str]:
        """TextWorld's admissible commands, sorted."""
        return list(self._state.admissible_commands)

    def anchor(self) -> frozenset[str]:
        """The current facts."""
        return frozenset(self._state.facts)

    def plan(self) -> list[str]:
        """TextWorld's own solution from the current state; empty if the game can no longer be won."""
        return list(self._state.policy_commands or [])

    def distance(self) -> int:
        """The number of commands in the plan."""
        return len(self.plan())

    def shortens(self, command: str) -> bool:
        """Whether it is the next command of TextWorld's solution. Trying others would need a replay of the game."""
        return self.plan()[:1] == [command]

    def state_values(self) -> dict[str, Any]:
        """The commands given. Games are deterministic, so they reproduce the state."""
        return {"commands": self._given.copy()}

    def set_state_values(self, values: dict[str, Any]) -> None:
        """Repeat the commands."""
        commands = values.get("commands")
        if not isinstance(commands, list) or not all(isinstance(command, str) for command in commands):
            raise InvalidParameter("A snapshot of a TextWorld game has a list of commands.")
        for command in commands:
            self.act(command)

    def close_game(self) -> None:
        """End the interpreter of the current game."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def close(self) -> None:
        """End the game and delete the temporary folder."""
        self.close_game()
        self._path = None
        if self._temporary is not None:
            self._temporary.cleanup()


def _clean(text: str) -> str:
    """Remove the title, the prompt with the status line after it, and repeated blank lines."""
    text = text[: text.rindex("\n>")] if "\n>" in text else text
    lines = [line for line in text.split("\n") if line == "" or not _TITLE.match(line)]
    text = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
    return text.encode("ascii", "replace").decode() or "Nothing is said."
