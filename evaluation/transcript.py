"""An episode as it is read: what a world of texts said and what was answered, or a world drawn in letters."""

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
    """Whether the world, a run's or the named one, is one of texts; arguments as of :func:`transcript`."""
    name, kwargs, _ = cast(run, env, env_kwargs, (), everybody=False)
    world = make_env(name, kwargs)
    try:
        return isinstance(world.observation_space, Text)
    finally:
        world.close()


def is_drawn_in_letters(
    run: Path | str | None, env: str | None = None, env_kwargs: Mapping[str, Any] | None = None
) -> bool:
    """Whether the world can be drawn as text; arguments as of :func:`transcript`."""
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
    """The same episode by several, step by step, in a world drawn in letters; arguments as of :func:`transcript`.

    Raises:
        UnknownId: the environment has no such controller.
        AskError: nobody is to play.
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
    """The same episode by several, line by line: the environment's own controllers, then a run's agent.

    Args:
        run: the run's folder, or None.
        env: another environment than the run's.
        env_kwargs: its keyword arguments; those of the training otherwise.
        perturbations: configurations, from the inside out.
        steps: at most this many commands.
        seed: of the episode.
        controllers: by name.

    Raises:
        UnknownId: the environment has no such controller.
        AskError: nobody is to play, or ``steps`` is below 1.
        SpaceMismatch: an observation is no string.
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
    """What the world says and what is answered, as printable lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """The first thing that the world says."""
        self.lines.append(_read(observation))

    def stepped(self, transition: Transition) -> None:
        """A command, and what came of it."""
        self.lines += [f"> {_printable(transition.action)}", _read(transition.next_observation)]

    def read(self) -> list[str]:
        """The lines since this was last asked."""
        lines, self.lines = self.lines, []
        return lines


def _read(text: str) -> str:
    """An observation, line by line as it is; of other control characters and halves of pairs, what they are is told."""
    return "\n".join(map(_printable, text.split("\n")))


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
