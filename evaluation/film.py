"""Films of one episode, played by a trained agent and by the environment's own controllers."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageDraw

from agentgym.contracts.check_env import check_interface
from agentgym.contracts.settings import whole_number
from agentgym.errors import AskError, MissingExtra
from agentgym.evaluation.entrants import brought_along, fitted, read_entrants
from agentgym.make import make_env
from agentgym.play.player import Transition, Watcher, play
from agentgym.play.worlds import Environments, Episode
from agentgym.runs.run import Run
from agentgym.seeding import LARGEST_SEED

__all__ = ["FORMATS", "cast", "film", "film_bytes", "played_by", "render_modes", "write_film"]

FORMATS = (".mp4", ".gif", ".png")

STRIP_FRAMES = 8
GIF_FRAMES, GIF_COLOURS = 40, 48  # upper bounds, because GIFs are large


def film(
    run: Path | str | None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (),
    steps: int = 500,
    seed: int = 0,
    controllers: Sequence[str] = (),
) -> tuple[list[np.ndarray], int, dict[str, float]]:
    """Film the same episode with several players, stacked: the environment's controllers, then a run's agent.

    Returns:
        frames (uint8 ``[height, width, 3]``), frames per second, and each player's undiscounted return.

    Raises:
        UnknownId: no such controller.
        InvalidParameter: the number of steps or the seed is not valid.
        MissingExtra: a package needed for rendering is not installed.
        AskError: the environment cannot be rendered (on this machine), or there is no player.
    """
    name, kwargs, players = cast(run, env, env_kwargs, controllers)
    if "rgb_array" not in (modes := render_modes(name, kwargs)):
        raise AskError(f"{name} cannot be filmed: it renders {', '.join(modes) or 'nothing'}, but not rgb_array.")
    world = make_env(name, {**kwargs, "render_mode": "rgb_array"}, perturbations)
    try:
        played = {who: played_by(world, player, steps, seed, _draw) for who, player in players.items()}
        if len(shapes := {frame.shape for seen, _ in played.values() for frame in seen}) > 1:
            raise AskError(f"{name} cannot be filmed: its frames have different sizes ({sorted(shapes)}).")
        frames = _stacked({who: seen for who, (seen, _) in played.items()})
        fps = world.metadata.get("render_fps") or 30
        return frames, max(1, round(fps)), {who: score for who, (_, score) in played.items()}
    finally:
        world.close()


def render_modes(env: str, env_kwargs: Mapping[str, Any]) -> list[str]:
    """The render modes in an environment's metadata: "rgb_array", "ansi", ..."""
    world = make_env(env, dict(env_kwargs))
    try:
        return [mode for mode in world.metadata.get("render_modes") or () if isinstance(mode, str)]
    finally:
        world.close()


def cast(
    run: Path | str | None,
    env: str | None,
    env_kwargs: Mapping[str, Any] | None,
    controllers: Sequence[str],
    everybody: bool = True,
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The environment's id, its keyword arguments, and the players by name.

    Args:
        run: the run's folder, or None.
        env: environment to use instead of the run's.
        env_kwargs: its keyword arguments; by default those of the training.
        controllers: names of the environment's controllers; they come first.
        everybody: whether to load the run's agent and to require at least one player.

    Raises:
        UnknownId: no such controller.
        SpaceMismatch: the agent's spaces differ from the environment's.
        AskError: there is no environment or no player, or the environment has an older interface.
    """
    opened = None if run is None else Run.open(run)
    name = env or (opened.config.env if opened else None)
    if name is None or (everybody and not (opened or controllers)):
        raise AskError("Name a run, or controllers (--controllers) and their environment (--env).")
    if not name:
        raise AskError(f"{run} was trained on a dataset and names no environment. Name one: --env ID.")
    kwargs = dict((opened.config.env_kwargs if opened else {}) if env_kwargs is None else env_kwargs)
    if not everybody:
        return name, kwargs, {}
    world = make_env(name, kwargs)
    try:
        players = [*brought_along(world, name, controllers), *read_entrants([] if run is None else [run])]
        players = fitted(players, world, name)
    finally:
        world.close()
    check_interface(name, kwargs)
    return name, kwargs, {player.record.name: player.agent for player in players}


def played_by(world: Any, player: Any, steps: int, seed: int, look: Callable[[Any], Any]) -> tuple[list[Any], float]:
    """Play one episode.

    Args:
        world: a single environment.
        player: any object with ``predict``; it gets batches of one, as in an evaluation.
        steps: maximum number of steps, at least 1.
        seed: seed of the episode.
        look: called with the environment after the reset and after every step; its results are kept.

    Returns:
        the results of ``look``, and the undiscounted return.

    Raises:
        InvalidParameter: the number of steps or the seed is not valid.
        NonFinite: an observation, an action or a reward is NaN or infinite.
    """
    steps, seed = whole_number("steps", steps, 1), whole_number("seed", seed, 0, LARGEST_SEED)
    episode, looks = Episode(seed, cut_after=steps), _Looks(world, look)
    for _ in play(player, Environments([world], world.observation_space), [episode], watchers=[looks]):
        if episode.error is not None:
            raise episode.error
    return looks.kept, episode.episode_return


class _Looks(Watcher):
    """Records a view of the environment after its reset and after every step."""

    def __init__(self, world: Any, look: Callable[[Any], Any]) -> None:
        self.world, self.look, self.kept = world, look, []  # type: ignore[var-annotated]

    def begun(self, episode: Episode, observation: Any, info: dict[str, Any]) -> None:
        """Record the first view."""
        self.kept.append(self.look(self.world))

    def stepped(self, transition: Transition) -> None:
        """Record the next view."""
        self.kept.append(self.look(self.world))


def _draw(world: Any) -> np.ndarray:
    """A frame, uint8 ``[height, width, 3]`` with even sides, as videos require."""
    try:
        frame = np.asarray(world.render())
    except gymnasium.error.DependencyNotInstalled as error:
        commands = re.findall(r"`(pip install [^`]*)`", str(error))
        raise MissingExtra(
            "A package that renders this environment", command=commands[0] if commands else str(error)
        ) from error
    except Exception as error:
        raise AskError(
            f"This environment cannot be rendered here ({type(error).__name__}: {error}). On Linux without a screen "
            "install Mesa's EGL (Debian: apt-get install libegl1 libgl1-mesa-dri) or OSMesa with MUJOCO_GL=osmesa."
        ) from error
    if (
        frame.dtype != np.uint8
        or frame.ndim not in (2, 3)
        or not frame.size
        or frame.shape[2:] not in ((), (1,), (3,), (4,))
    ):
        raise AskError(
            f"render() returns {frame.dtype} of shape {frame.shape}; a frame is uint8 of shape (height, width, 3)."
        )
    if frame.ndim == 2 or frame.shape[2] == 1:
        frame = np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)
    height, width = frame.shape[:2]
    return np.pad(frame[:, :, :3], ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _stacked(films: Mapping[str, list[np.ndarray]]) -> list[np.ndarray]:
    """A single film as it is; several stacked with their names, the shorter ones frozen at their last frame."""
    if len(films) == 1:
        return next(iter(films.values()))
    length = max(map(len, films.values()))
    return [
        np.concatenate([_captioned(film[min(index, len(film) - 1)], who) for who, film in films.items()])
        for index in range(length)
    ]


def _captioned(frame: np.ndarray, text: str) -> np.ndarray:
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).text((image.width - 12, 4), text, fill=(20, 20, 20), anchor="ra", font_size=16)
    return np.asarray(image)


def write_film(frames: Sequence[np.ndarray], fps: int, path: Path | str) -> None:
    """Write frames as a video (.mp4, .gif), or as a strip of several of them (.png)."""
    path = Path(path)
    kind = path.suffix.lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP_FRAMES, len(frames))).astype(int)
        imageio.imwrite(path, np.concatenate([frames[i] for i in chosen], axis=1))
    elif kind == ".gif":
        path.write_bytes(film_bytes(frames, fps))
    else:
        imageio.imwrite(path, np.stack(frames), fps=fps, codec="libx264", macro_block_size=2)


def film_bytes(frames: Sequence[np.ndarray], fps: int) -> bytes:
    """The frames as a GIF, of at most 40 pictures."""
    every = -(-len(frames) // GIF_FRAMES)
    images = [Image.fromarray(frame).quantize(GIF_COLOURS, dither=Image.Dither.NONE) for frame in frames[::every]]
    data = io.BytesIO()
    images[0].save(
        data, "GIF", save_all=True, append_images=images[1:], duration=1000 * every / fps, loop=0, optimize=True
    )
    return data.getvalue()
