"""Moving pictures of environments: one episode each of random actions and of a controller, as small animations.

An environment that renders frames is filmed. One that does not is drawn as a chart: what it observes, what is done and
what that earns, step by step. Environments of texts have transcripts instead (gallery.py).
"""

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Text, flatten, flatten_space
from PIL import Image, ImageDraw

from agentgym import catalog
from agentgym.contracts.environment import controllers_of
from agentgym.evaluation.film import played_by
from agentgym.make import make_env
from agentgym.seeding import stream

__all__ = ["FRAMES", "LARGEST", "Film", "RandomPlayer", "controller_of", "encoded", "film", "films", "idle"]

FRAMES, WIDTH, STEPS, FPS = 30, 280, 120, 10
LARGEST = 80_000  # bytes of a film: the repository and the site stay small
SEED = 1
# Controllers that are there to be compared with, not to be watched.
idle = frozenset({"zero", "random", "still"})
# The controller to watch where it is not the first one.
CONTROLLERS = {"agentgym/Convection-v0": "merge-then-low-T"}


@dataclass(frozen=True)
class Film:
    """An episode on disk.

    Attributes:
        name: file name without suffix; NAME.webp moves, NAME.still.webp does not.
        player: "random actions", or the name of a controller.
        score: undiscounted return of the steps that are shown.
        steps: how many these are.
        size: width and height in pixels.
    """

    name: str
    player: str
    score: float
    steps: int
    size: tuple[int, int]


class RandomPlayer:
    """Uniform actions of a space, from a seed."""

    def __init__(self, world: Any, seed: int) -> None:
        self.observation_space, self.action_space = world.observation_space, world.action_space
        self.action_space.seed(int(stream(seed, "random player").integers(2**31)))

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, None]:
        """A batch of one action."""
        return np.asarray(self.action_space.sample())[None], None


def controller_of(env_id: str, world: Any) -> str | None:
    """The name of the controller to watch in an environment; None if it has none."""
    named = [name for name in controllers_of(world) if name not in idle]
    return CONTROLLERS.get(env_id, named[0] if named else None)


def film(env_id: str, player: str | None, folder: Path, steps: int = STEPS) -> Film:
    """Film an episode of at most ``steps`` steps, unless this film is in the folder already (delete it to renew it).

    Args:
        env_id: id of the environment.
        player: name of a controller; None for random actions.
        folder: where NAME.webp, NAME.still.webp and NAME.json (the facts) go.
        steps: the longest episode.
    """
    name = f"{env_id.rpartition('/')[2]}-{player or 'random'}"
    facts = folder / f"{name}.json"
    if not facts.exists():
        frames, score, length = _played(env_id, player, steps)
        still, data = encoded(frames)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.webp").write_bytes(data)
        (folder / f"{name}.still.webp").write_bytes(still)
        facts.write_text(json.dumps([score, length, [frames[0].shape[1], frames[0].shape[0]]]), encoding="utf-8")
    score, length, size = json.loads(facts.read_text(encoding="utf-8"))
    return Film(name, player or "random actions", score, length, (size[0], size[1]))


def films(env_id: str, folder: Path) -> list[Film]:
    """Films of random actions and of a controller; none of an environment of texts."""
    world = make_env(env_id, {})
    try:
        if isinstance(world.observation_space, Text):
            return []
        controller = controller_of(env_id, world)
    finally:
        world.close()
    return [film(env_id, player, folder) for player in ((None, controller) if controller else (None,))]


def _played(env_id: str, player: str | None, steps: int) -> tuple[list[np.ndarray], float, int]:
    bare = make_env(env_id, {})
    drawn = "rgb_array" in (bare.metadata.get("render_modes") or ())
    bare.close()
    world = make_env(env_id, {"render_mode": "rgb_array"} if drawn else {})
    try:
        who = RandomPlayer(world, SEED) if player is None else controllers_of(world)[player]
        limit = min(steps, world.spec.max_episode_steps or steps) if player is None else steps
        every, count = max(1, limit // FRAMES), itertools.count()
        if drawn:
            looks, score = played_by(
                world, who, steps, SEED, lambda world: _fitted(world.render()) if next(count) % every == 0 else None
            )
            return [frame for frame in looks if frame is not None], score, len(looks) - 1
        trace = _Trace(world)
        _, score = played_by(trace, who, steps, SEED, lambda world: None)
        return trace.frames(), score, len(trace.rewards)
    finally:
        world.close()


def _fitted(frame: Any) -> np.ndarray:
    """A frame [height, width, 3] of the film's width."""
    image = Image.fromarray(np.asarray(frame)).convert("RGB")
    height = round(image.height * WIDTH / image.width)
    return np.asarray(image.resize((WIDTH, height), Image.Resampling.BILINEAR))


def encoded(frames: Sequence[np.ndarray]) -> tuple[bytes, bytes]:
    """The middle frame, and all frames as an animated WebP of at most :data:`LARGEST` bytes."""
    still, images = io.BytesIO(), [Image.fromarray(frame) for frame in frames]
    images[len(images) // 2].save(still, "WEBP", quality=40)
    for quality, every in ((70, 1), (45, 1), (30, 1), (20, 2), (10, 3)):
        data = io.BytesIO()
        chosen = images[::every]
        chosen[0].save(
            data, "WEBP", save_all=True, append_images=chosen[1:], duration=1000 * every // FPS, loop=0,
            quality=quality, method=4,
        )  # fmt: skip
        if data.tell() <= LARGEST:
            return still.getvalue(), data.getvalue()
    raise ValueError(f"{len(images)} frames do not fit into {LARGEST} bytes")


class _Trace:
    """An environment that remembers numbers to draw; everything else is the environment's own."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.seen: list[np.ndarray] = []
        self.done: list[np.ndarray] = []
        self.rewards: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def reset(self, **options: Any) -> Any:
        observation, info = self._world.reset(**options)
        self.seen.append(_numbers(self._world.observation_space, observation))
        return observation, info

    def step(self, action: Any) -> Any:
        result = self._world.step(action)
        self.done.append(_numbers(self._world.action_space, action))
        self.seen.append(_numbers(self._world.observation_space, result[0]))
        self.rewards.append(float(result[1]))
        return result

    def frames(self) -> list[np.ndarray]:
        """Charts that grow: observation, action, and return so far."""
        rows = [
            ("observation", np.stack(self.seen)[:-1]),
            ("action", np.stack(self.done)),
            ("return so far", np.cumsum(self.rewards)[:, None]),
        ]
        shown = np.unique(np.linspace(1, len(self.rewards), min(FRAMES, len(self.rewards))).astype(int))
        return [_chart(rows, int(n)) for n in shown]


def _numbers(space: Any, value: Any) -> np.ndarray:
    """At most four numbers of an observation or an action; of a discrete one, its index."""
    if isinstance(space, Discrete):
        return np.asarray([value], float)
    if isinstance(space, Box):
        return np.asarray(value, float).ravel()[:4]
    return np.asarray(flatten(space, value), float)[: min(4, flatten_space(space).shape[0])]


_COLOURS = ("#1f5f99", "#c8553d", "#3f8f5b", "#8a63b0")


def _chart(rows: Sequence[tuple[str, np.ndarray]], n: int) -> np.ndarray:
    """The first n steps of every row of lines, in the ranges of the whole episode."""
    height, left, top = 70, 10, 20
    image = Image.new("RGB", (WIDTH, len(rows) * (height + top) + 10), "white")
    pen = ImageDraw.Draw(image)
    for index, (title, values) in enumerate(rows):
        base = index * (height + top) + top + height
        low, high = float(values.min()), float(values.max())
        pen.text((left, base - height - 15), f"{title}   {values[n - 1, 0]:.3g}", fill="#444444")
        pen.line([(left, base), (WIDTH - left, base)], fill="#cccccc")
        x = left + (WIDTH - 2 * left) * np.arange(n) / max(1, len(values) - 1)
        y = base - height * (values[:n] - low) / ((high - low) or 1.0)
        for column in range(values.shape[1]):
            line = list(zip(x.tolist(), y[:, column].tolist(), strict=True))
            if n > 1:
                pen.line(line, fill=_COLOURS[column], width=2)
            px, py = line[-1]
            pen.ellipse([px - 3, py - 3, px + 3, py + 3], fill=_COLOURS[column])
    return np.asarray(image)


def main() -> None:
    """Make the films that are missing in docs/_static/films."""
    for entry in catalog.OURS:
        if entry.kind == "env":
            for made in films(entry.id, Path(__file__).parents[1] / "_static" / "films"):
                print(made, flush=True)


if __name__ == "__main__":
    main()
