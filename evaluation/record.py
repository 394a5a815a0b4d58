"""Record one episode of a run's agent in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgym.contracts.settings import whole_number
from agentgym.evaluation.film import cast
from agentgym.make import make_env, perturbed
from agentgym.play.player import play
from agentgym.play.recording import Executed, Recorder, Recording
from agentgym.play.worlds import Environments, Episode
from agentgym.seeding import LARGEST_SEED

__all__ = ["record"]


def record(
    run: Path | str, env: str | None = None, env_kwargs: Mapping[str, Any] | None = None,
    perturbations: Sequence[dict[str, Any]] = (), steps: int = 500, seed: int = 0,
) -> Recording:  # fmt: skip
    """Play one episode greedily and record it.

    Args:
        run: folder of the run.
        env, env_kwargs: another environment; by default that of the training.
        perturbations: around the environment, innermost first.
        steps: maximum number of steps, at least 1.
        seed: seed of the episode.

    Raises:
        SpaceMismatch: the agent's spaces differ from the environment's.
        InvalidParameter: a number is out of range, or the observations are no arrays.
        NonFinite: an observation, an action or a reward is not finite.
    """
    steps, seed = whole_number("steps", steps, 1), whole_number("seed", seed, 0, LARGEST_SEED)
    name, kwargs, players = cast(run, env, env_kwargs, ())
    ((agent, player),) = players.items()
    inner = Executed(make_env(name, kwargs))
    world: Any = perturbed(inner, perturbations)
    recorder, episode = Recorder(inner), Episode(seed, cut_after=steps)
    try:
        for _ in play(player, Environments([world], world.observation_space), [episode], watchers=[recorder]):
            if episode.error is not None:
                raise episode.error
    finally:
        world.close()
    return recorder.recording(name, kwargs, perturbations, agent)
