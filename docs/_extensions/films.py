"""Moving pictures of environments: one episode each of random actions and of a controller, as small animations.

An environment that renders frames is filmed. One that does not is drawn as a chart: what it observes, what is done and
what that earns, step by step. Environments of texts have transcripts instead (gallery.py).
"""

import contextlib
import io
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Text, flatten, flatten_space
from PIL import Image, ImageDraw

from agentgym import catalog
from agentgym.agents import load_agent
from agentgym.contracts.environment import controllers_of
from agentgym.errors import MissingExtra
from agentgym.evaluation.film import played_by
from agentgym.make import make_env
from agentgym.runs.run import Run
from agentgym.seeding import stream

__all__ = [
    "FRAMES",
    "LARGEST",
    "Film",
    "RandomPlayer",
    "controller_of",
    "encoded",
    "film",
    "films",
    "fitted",
    "idle",
    "save",
]

FRAMES, WIDTH, STEPS, FPS = 30, 280, 120, 10
LARGEST = 80_000  # bytes of a film: the repository and the site stay small
SEED = 1
# Trainings of less than a minute of one core that make an agent worth watching: agent, steps, hyperparameters.
_PPO = {"n_steps": 64, "batch_size": 256, "n_epochs": 8, "learning_rate": 2e-3}
TRAINED: dict[str, tuple[str, int, dict[str, Any]]] = {
    "agentgym/RobustInvertedPendulum-v0": ("ppo", 16_384, {**_PPO, "gamma": 0.98}),
    "agentgym/MachineReplacement-v0": ("ppo", 16_384, {**_PPO, "gamma": 0.95}),
    "agentgym/Inventory-v0": ("ppo", 16_384, {**_PPO, "gamma": 0.95}),
    "agentgym/WindyWalk-v0": ("ppo", 16_384, {**_PPO, "gamma": 0.95}),
}
# Controllers that are there to be compared with, not to be watched.
idle = frozenset({"zero", "random", "still"})
# The controller to watch where it is not the first one.
CONTROLLERS = {"agentgym/Convection-v0": "merge-then-low-T"}


@dataclass(frozen=True)
class Film:
    """An episode on disk.

    Attributes:
        name: file name without suffix; NAME.webp moves, NAME.still.webp does not.
        player: "random actions", the name of a controller, or how an agent was trained.
        score: its undiscounted return.
        steps: its number of steps.
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


def films(env_id: str, folder: Path) -> list[Film]:
    """Films of random actions, of a controller and of a trained agent, as far as there are such players.

    A film that is in the folder already is not made again: delete it to renew it. Environments of texts have none.
    Films of trained agents are made by ``python docs/_extensions/films.py trained``, or from a run by ``... RUN ID``;
    that of a swarm that is switched through its regimes by switch_film.py.

    Args:
        env_id: id of the environment.
        folder: where NAME.webp, NAME.still.webp and NAME.json (the facts) go.
    """
    world = make_env(env_id, {})
    try:
        if isinstance(world.observation_space, Text):
            return []
        controller = controller_of(env_id, world)
    finally:
        world.close()
    stem = env_id.rpartition("/")[2]
    if not (folder / f"{stem}-random.json").exists():
        film(env_id, f"{stem}-random", "random actions", folder)
    if controller and not (folder / f"{stem}-{controller}.json").exists():
        film(env_id, f"{stem}-{controller}", controller, folder)
    names = [f"{stem}-random", f"{stem}-{controller}", f"{stem}-switch", f"{stem}-trained"]
    return [_read(folder, name) for name in names if (folder / f"{name}.json").exists()]


def _read(folder: Path, name: str) -> Film:
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return Film(name, facts["player"], facts["return"], facts["steps"], tuple(facts["size"]))


def film(env_id: str, name: str, player: str, folder: Path, agent: Any = None) -> None:
    """Film an episode of ``agent``, or else of the controller ``player``, or of random actions."""
    modes = gymnasium.make(env_id, disable_env_checker=True).metadata.get("render_modes") or ()
    world = make_env(env_id, {"render_mode": "rgb_array"} if "rgb_array" in modes else {})
    try:
        who = agent or (controllers_of(world).get(player) or RandomPlayer(world, SEED))
        frames, score, steps = _played(world, who)
    finally:
        world.close()
    save(frames, name, player, score, steps, folder)


def save(frames: Sequence[np.ndarray], name: str, player: str, score: float, steps: int, folder: Path) -> None:
    """Write NAME.webp, NAME.still.webp and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.still.webp").write_bytes(_still(frames))
    (folder / f"{name}.webp").write_bytes(encoded(frames))
    facts = {"player": player, "return": score, "steps": steps, "size": [frames[0].shape[1], frames[0].shape[0]]}
    (folder / f"{name}.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _played(world: Any, who: Any) -> tuple[list[np.ndarray], float, int]:
    """Frames, undiscounted return and number of steps of an episode."""
    if world.render_mode != "rgb_array":
        trace = _Trace(world)
        _, score = played_by(trace, who, STEPS, SEED, lambda world: None)
        return trace.frames(), score, len(trace.rewards)
    every, count = STEPS // FRAMES, itertools.count()
    looks, score = played_by(
        world, who, STEPS, SEED, lambda world: fitted(world.render()) if next(count) % every == 0 else None
    )
    return [frame for frame in looks if frame is not None], score, len(looks) - 1


def fitted(frame: Any) -> np.ndarray:
    """A frame [height, width, 3] of the film's width."""
    image = Image.fromarray(np.asarray(frame)).convert("RGB")
    height = round(image.height * WIDTH / image.width)
    return np.asarray(image.resize((WIDTH, height), Image.Resampling.BILINEAR))


def _still(frames: Sequence[np.ndarray]) -> bytes:
    """The frame in the middle as WebP."""
    data = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(data, "WEBP", quality=40)
    return data.getvalue()


def encoded(frames: Sequence[np.ndarray]) -> bytes:
    """All frames as an animated WebP of at most :data:`LARGEST` bytes: fewer, coarser and smaller ones if need be."""
    images = [Image.fromarray(frame) for frame in frames]
    for quality, every, shrink in ((70, 1, 1), (45, 1, 1), (30, 1, 1), (20, 2, 1), (10, 3, 1), (10, 3, 2), (5, 6, 4)):
        data, chosen = io.BytesIO(), [image.reduce(shrink) for image in images[::every]]
        chosen[0].save(
            data, "WEBP", save_all=True, append_images=chosen[1:], duration=1000 * every // FPS, loop=0,
            quality=quality, method=4,
        )  # fmt: skip
        if data.tell() <= LARGEST:
            return data.getvalue()
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


def film_run(run: Run, env_id: str, folder: Path) -> None:
    """Film the agent that a run has trained."""
    player = f"{run.config.agent}, {run.config.steps:,} steps of training"
    film(env_id, f"{env_id.rpartition('/')[2]}-trained", player, folder, load_agent(run.path / "final"))


def film_trained(chosen: Sequence[str], folder: Path) -> None:
    """Train the agents of :data:`TRAINED`, or those for the chosen ids, and film them."""
    from agentgym import RunConfig, train

    for env_id in chosen or TRAINED:
        agent, steps, config = TRAINED[env_id]
        with tempfile.TemporaryDirectory() as runs:
            wanted = RunConfig(agent, env=env_id, num_envs=16, steps=steps, seed=1, config=config)
            film_run(train(wanted, "film", runs, progress=False), env_id, folder)
        print(env_id, _read(folder, f"{env_id.rpartition('/')[2]}-trained"), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Make the films that are missing; or ``trained [ID ...]``, those of agents trained for it; or ``RUN ID``, one."""
    folder = Path(__file__).parents[1] / "_static" / "films"
    if arguments[:1] == ["trained"]:
        film_trained(arguments[1:], folder)
    elif arguments:
        film_run(Run.open(arguments[0]), arguments[1], folder)
    else:
        for entry in catalog.entries("env"):
            with contextlib.suppress(MissingExtra):
                print(entry.id, [made.name for made in films(entry.id, folder)], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
