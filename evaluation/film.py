"""Films of a trained agent."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np

from agentgym.errors import AskError
from agentgym.evaluation.evaluate import load_agent
from agentgym.making import make_env
from agentgym.runs import Run

__all__ = ["film", "write_film"]

STRIP_FRAMES = 8


def film(
    run: Path | str,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (),
    steps: int = 500,
    seed: int = 0,
) -> tuple[list[np.ndarray], int, float]:
    """Play one episode and keep its frames.

    Returns:
        frames (uint8 ``[height, width, 3]``), frames a second, the undiscounted return of what was played.

    Raises:
        AskError: the environment cannot be drawn on this machine.
    """
    opened = Run.open(run)
    agent = load_agent(opened.final)
    kwargs = dict(opened.config.env_kwargs if env_kwargs is None else env_kwargs)
    world = make_env(env or opened.config.env, {**kwargs, "render_mode": "rgb_array"}, perturbations)
    try:
        observation, _ = world.reset(seed=seed)
        frames, score, state, over = [_draw(world)], 0.0, None, False
        while not over and len(frames) <= steps:
            action, state = agent.predict(
                observation, state=state, episode_start=np.array([len(frames) == 1]), deterministic=True
            )
            observation, reward, terminated, truncated, info = world.step(action)
            score += float(info.get("true_reward", reward))
            over = terminated or truncated
            frames.append(_draw(world))
        return frames, int(world.metadata.get("render_fps", 30)), score
    finally:
        world.close()


def _draw(world: Any) -> np.ndarray:
    try:
        frame = world.render()
    except Exception as error:
        raise AskError(
            f"This environment cannot be drawn here ({type(error).__name__}: {error}). On Linux without a screen "
            "install Mesa's EGL (Debian: apt-get install libegl1 libgl1-mesa-dri) or OSMesa with MUJOCO_GL=osmesa."
        ) from error
    return np.asarray(frame)


def write_film(frames: Sequence[np.ndarray], fps: int, path: Path | str) -> None:
    """Write frames as a video (.mp4, .gif), or as a strip of a few of them side by side (.png)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        chosen = np.linspace(0, len(frames) - 1, min(STRIP_FRAMES, len(frames))).astype(int)
        imageio.imwrite(path, np.concatenate([frames[i] for i in chosen], axis=1))
    elif path.suffix == ".gif":
        imageio.imwrite(path, np.stack(frames), duration=1000 / fps, loop=0)
    else:
        imageio.imwrite(path, np.stack(frames), fps=fps, codec="libx264", macro_block_size=2)
