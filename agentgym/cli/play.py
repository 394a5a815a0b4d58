"""The command ``agentgym play RUN``: a video of a trained agent, or a transcript in text environments."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from agentgym.contracts.settings import parse_settings, parse_values, whole_number
from agentgym.errors import AskError
from agentgym.runs.files import require_writable, unused
from agentgym.seeding import LARGEST_SEED

HELP = """Record one episode of a trained agent as a video (.mp4, .gif) or a strip of frames (.png). Print it
in a text environment, or without --video in an environment that renders as text (FrozenLake, Taxi).

Examples:

agentgym play runs/hopper --video hopper.mp4

agentgym play runs/hopper --video heavy.png --env-kwargs 'parameters={"torso_mass": 3.0}'

agentgym play runs/shared --controllers zero --video both.mp4

agentgym play runs/grpo --controllers oracle --perturb ToolFailure:rate=0.2

agentgym play runs/team --perturb AgentObservationFault:kind=gauss,size=0.5 --record episode.npz
"""


def play(
    run: Annotated[Path | None, tyro.conf.Positional] = None,
    video: Path | None = None,
    record: Path | None = None,
    overwrite: bool = False,
    env: str | None = None,
    env_kwargs: tuple[str, ...] = (),
    perturb: tuple[str, ...] = (),
    controllers: tuple[str, ...] = (),
    steps: int = 500,
    seed: int = 0,
) -> None:
    """Record or print an episode.

    Args:
        run: folder of the run.
        video: output file; its suffix sets the format. By default play.mp4, or play-2.mp4, ... if that exists. Not
            used if the episode is printed.
        record: record the agent's episode in this file (.npz) instead, for `agentgym forensics RUN --episode FILE`.
        overwrite: replace an existing file.
        env: another environment with the same spaces.
        env_kwargs: keyword arguments of the environment, KEY=VALUE; by default those of the training.
        perturb: perturbations, innermost first, NAME or NAME:KEY=VALUE,KEY=VALUE.
        controllers: hand-made controllers of the environment, shown above the agent.
        steps: maximum number of steps, at least 1.
        seed: seed of the episode.
    """
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")  # no screen: render off-screen
    from agentgym.evaluation.film import FORMATS, film, write_film
    from agentgym.evaluation.transcript import drawn, is_drawn_in_letters, is_of_texts, transcript

    steps, seed = whole_number("steps", steps, 1), whole_number("seed", seed, 0, LARGEST_SEED)
    configs = [{"type": kind, **values} for kind, values in map(parse_settings, perturb)]
    kwargs = parse_values(env_kwargs) if env_kwargs else None
    if record is not None:
        if run is None or controllers or video is not None:
            raise AskError("--record records the agent of a run: leave out --controllers and --video.")
        _record(record, overwrite, run, env, kwargs, configs, steps, seed)
        return
    if is_of_texts(run, env, kwargs):
        if video is not None:
            raise AskError("A text environment has no video. Leave out --video to print a transcript.")
        for line in transcript(run, env, kwargs, configs, steps, seed, controllers):
            print(line)
        return
    if video is None and is_drawn_in_letters(run, env, kwargs):
        for line in drawn(run, env, kwargs, configs, steps, seed, controllers):
            print(line)
        return
    if video is None:
        video = Path("play.mp4") if overwrite else unused(Path("play.mp4"))
    if video.suffix.lower() not in FORMATS:
        raise AskError(f"{video} ends in {video.suffix!r}; --video takes {', '.join(FORMATS)}.")
    if video.exists() and not overwrite:
        raise AskError(f"{video} already exists. Choose another --video, or replace it with --overwrite.")
    require_writable(video)
    frames, fps, scores = film(run, env, kwargs, configs, steps, seed, controllers)
    write_film(frames, fps, video)
    returns = ", ".join(f"{score:.6g} ({name})" for name, score in scores.items())
    print(f"{video}: {len(frames)} frames, return {returns}")


def _record(
    path: Path, overwrite: bool, run: Path, env: str | None, kwargs: dict[str, Any] | None,
    configs: list[dict[str, Any]], steps: int, seed: int,
) -> None:  # fmt: skip
    from agentgym.evaluation.record import record

    if path.suffix != ".npz":
        raise AskError(f"{path} ends in {path.suffix!r}; --record takes .npz.")
    if path.exists() and not overwrite:
        raise AskError(f"{path} already exists. Choose another --record, or replace it with --overwrite.")
    require_writable(path)
    recording = record(run, env, kwargs, configs, steps, seed)
    recording.save(path)
    print(f"{path}: {len(recording)} steps, return {recording.rewards.sum():.6g}")


def main(arguments: list[str]) -> None:
    """Entry point of the command."""
    tyro.cli(play, prog="agentgym play", args=arguments, description=HELP)
