"""Films of one episode, by a trained agent and by controllers that its environment brings along."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageDraw

from agentgym.asking import ask
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.evaluate import load_agent
from agentgym.making import make_env
from agentgym.runs import Run

__all__ = ["cast", "film", "write_film"]

STRIP_FRAMES = 8
GIF_FRAMES, GIF_COLOURS = 40, 48  # at most; a GIF is large for what it shows


def film(
    run: Path | str | None,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (),
    steps: int = 500,
    seed: int = 0,
    controllers: Sequence[str] = (),
) -> tuple[list[np.ndarray], int, dict[str, float]]:
    """The same episode by several: the environment's own controllers, then a run's agent, one below the other.

    Returns:
        frames (uint8 ``[height, width, 3]``), frames a second, and each one's undiscounted return of what was played.

    Raises:
        UnknownId: the environment has no such controller.
        AskError: the environment cannot be drawn on this machine, or nobody is to be filmed.
    """
    name, kwargs, players = cast(run, env, env_kwargs, controllers)
    world = make_env(name, {**kwargs, "render_mode": "rgb_array"}, perturbations)
    try:
        played = {who: _play(world, player, steps, seed) for who, player in players.items()}
        frames = _stacked({who: seen for who, (seen, _) in played.items()})
        return frames, int(world.metadata.get("render_fps", 30)), {who: score for who, (_, score) in played.items()}
    finally:
        world.close()


def cast(
    run: Path | str | None,
    env: str | None,
    env_kwargs: Mapping[str, Any] | None,
    controllers: Sequence[str],
    everybody: bool = True,
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Who plays where: the environment's id, its keyword arguments, and the players by name.

    Args:
        run: the run's folder, or None.
        env: another environment than the run's.
        env_kwargs: its keyword arguments; those of the training otherwise.
        controllers: names of those that the environment brings along; they come first.
        everybody: whether the run's agent is loaded and anybody at all has to be named.

    Raises:
        UnknownId: the environment has no such controller.
        AskError: no environment is named, or nobody is to play.
    """
    opened = None if run is None else Run.open(run)
    name = env or (opened.config.env if opened else None)
    if name is None or (everybody and not (opened or controllers)):
        raise AskError("Name a run, or controllers (--controllers) and their environment (--env).")
    kwargs = dict((opened.config.env_kwargs if opened else {}) if env_kwargs is None else env_kwargs)
    players: dict[str, Any] = {}
    if controllers:
        world = make_env(name, kwargs)
        known: dict[str, Any] = getattr(world.unwrapped, "controllers", {})
        world.close()
        for controller in controllers:
            if controller not in known:
                raise UnknownId(f"controller of {name}", controller, known)
            players[controller] = known[controller]
    if opened and everybody:
        players[opened.name] = load_agent(opened.final)
    return name, kwargs, players


def _play(world: Any, player: Any, steps: int, seed: int) -> tuple[list[np.ndarray], float]:
    observation, _ = world.reset(seed=seed)
    frames, score, reward, state, over = [_draw(world)], 0.0, 0.0, None, False
    while not over and len(frames) <= steps:
        starts = np.array([len(frames) == 1])
        action, state = ask(player, observation, state, starts, np.array([reward]), deterministic=True)
        observation, reward, terminated, truncated, info = world.step(action)
        score += float(info.get("true_reward", reward))
        over = terminated or truncated
        frames.append(_draw(world))
    return frames, score


def _draw(world: Any) -> np.ndarray:
    try:
        frame = world.render()
    except Exception as error:
        raise AskError(
            f"This environment cannot be drawn here ({type(error).__name__}: {error}). On Linux without a screen "
            "install Mesa's EGL (Debian: apt-get install libegl1 libgl1-mesa-dri) or OSMesa with MUJOCO_GL=osmesa."
        ) from error
    return np.asarray(frame)


def _stacked(films: Mapping[str, list[np.ndarray]]) -> list[np.ndarray]:
    """One film as it is; several below each other with their names, the shorter ones held at their end."""
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
    """Write frames as a video (.mp4, .gif), or as a strip of a few of them side by side (.png)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP_FRAMES, len(frames))).astype(int)
        imageio.imwrite(path, np.concatenate([frames[i] for i in chosen], axis=1))
    elif path.suffix == ".gif":
        every = -(-len(frames) // GIF_FRAMES)
        images = [Image.fromarray(frame).quantize(GIF_COLOURS, dither=Image.Dither.NONE) for frame in frames[::every]]
        images[0].save(
            path, save_all=True, append_images=images[1:], duration=1000 * every / fps, loop=0, optimize=True
        )
    else:
        imageio.imwrite(path, np.stack(frames), fps=fps, codec="libx264", macro_block_size=2)
