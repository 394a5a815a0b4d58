"""Transcripts of an episode: texts and commands, or an environment that renders as text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gymnasium.spaces import Text

from agentgym.contracts.agent import acting_in
from agentgym.contracts.settings import whole_number
from agentgym.evaluation.film import cast, played_by, render_modes
from agentgym.make import make_env
from agentgym.play.player import Transition, Watcher, play_rounds
from agentgym.play.worlds import Environments, Episode

__all__ = ["drawn", "is_drawn_in_letters", "is_of_texts", "transcript"]


def is_of_texts(run: Path | str | None, env: str | None = None, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether the environment, the run's or the named one, is one of texts; arguments as in :func:`transcript`."""
    name, kwargs, _ = cast(run, env, env_kwargs, (), everybody=False)
    world = make_env(name, kwargs)
    try:
        return isinstance(world.observation_space, Text)
    finally:
        world.close()


def is_drawn_in_letters(
    run: Path | str | None, env: str | None = None, env_kwargs: Mapping[str, Any] | None = None
) -> bool:
    """Whether the environment renders as text; arguments as in :func:`transcript`."""
    name, kwargs, _ = cast(run, env, env_kwargs, (), everybody=False)
    return "ansi" in render_modes(name, kwargs)


def drawn(
    run: Path | str | None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (),
    steps: int = 500,
    seed: int = 0,
    controllers: Sequence[str] = (),
) -> Iterator[str]:
    """The same episode by several players, as frames of text; arguments as in :func:`transcript`.

    Raises:
        UnknownId: no such controller.
        AskError: there is no player.
    """
    name, kwargs, players = cast(run, env, env_kwargs, controllers)
    for who, player in players.items():
        world = make_env(name, {**kwargs, "render_mode": "ansi"}, perturbations)
        try:
            pictures, score = played_by(world, player, steps, seed, lambda world: str(world.render()).rstrip())
        finally:
            world.close()
        if len(players) > 1:
            yield f"=== {who} ==="
        yield from pictures
        yield f"[{len(pictures) - 1} steps, return {score:g}]"


def transcript(
    run: Path | str | None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (),
    steps: int = 500,
    seed: int = 0,
    controllers: Sequence[str] = (),
) -> Iterator[str]:
    """The same episode by several players, line by line: the environment's controllers, then a run's agent.

    Args:
        run: the run's folder, or None.
        env: environment to use instead of the run's.
        env_kwargs: its keyword arguments; by default those of the training.
        perturbations: configurations, innermost first.
        steps: maximum number of commands.
        seed: seed of the episode.
        controllers: names of the environment's controllers.

    Raises:
        UnknownId: no such controller.
        AskError: there is no player, or ``steps`` is below 1.
        SpaceMismatch: an observation is not a string.
        NonFinite: a reward is NaN or infinite.
    """
    steps = whole_number("steps", steps, 1)
    name, kwargs, players = cast(run, env, env_kwargs, controllers)
    for who, player in players.items():
        world = make_env(name, kwargs, perturbations)
        try:
            if len(players) > 1:
                yield f"=== {who} ==="
            yield from _told(world, player, steps, seed)
        finally:
            world.close()


def _told(world: Any, player: Any, steps: int, seed: int) -> Iterator[str]:
    episode, lines = Episode(seed, cut_after=steps), _Lines()
    worlds = Environments([world], world.observation_space)
    for _ in play_rounds(acting_in(player, world), worlds, [episode], watchers=[lines]):
        yield from lines.read()
        if episode.error is not None:
            raise episode.error
    ended = "lost" if episode.terminated else "out of turns" if episode.truncated else "cut off"
    if episode.info.get("won"):
        ended = "won"
    yield f"[{ended} after {episode.length} turns, return {episode.episode_return:g}]"


class _Lines(Watcher):
    """Records observations and commands as printable lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """Record the first observation."""
        self.lines.append(_read(observation))

    def stepped(self, transition: Transition) -> None:
        """Record a command and its result."""
        self.lines += [f"> {_printable(transition.action)}", _read(transition.next_observation)]

    def read(self) -> list[str]:
        """The lines recorded since the last call."""
        lines, self.lines = self.lines, []
        return lines


def _read(text: str) -> str:
    """An observation, line by line. Control characters and unpaired surrogates are replaced by a description."""
    return "\n".join(map(_printable, text.split("\n")))


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
