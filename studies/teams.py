"""The judge of the study of teams: greedy play on Simple Spread, between random play and a controller made by hand."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from agentgym.envs.particles.spread import SimpleSpreadVectorEnv
from agentgym.study.judging import Finished

EPISODES, SEED = 1000, 10_000
ANCHOR = "assignment"
MEASURES = ("occupied", "collisions", "distance")


def judge(finished: Finished) -> Iterator[dict[str, Any]]:
    """One row: the team's return, its measures, its gain (R - random) / (controller - random), and random's return."""
    spec = finished.cell.spec
    settings = tuple(sorted(finished.cell.env_kwargs.items()))
    if spec.controller:
        row = dict(anchor(settings, spec.controller))
    else:
        row = played(SimpleSpreadVectorEnv(EPISODES, **dict(settings)), finished.agent)
    low, high = anchor(settings, "random")["return"], anchor(settings, ANCHOR)["return"]
    yield {**row, "gain": round((row["return"] - low) / (high - low), 4), "random": low}


@cache
def anchor(settings: tuple[tuple[str, Any], ...], name: str) -> dict[str, float]:
    """What a controller, or uniformly random play, measures in the same episodes."""
    env = SimpleSpreadVectorEnv(EPISODES, **dict(settings))
    return played(env, None if name == "random" else env.controllers[name])


def played(env: SimpleSpreadVectorEnv, agent: Any) -> dict[str, float]:
    """One episode in every world, greedily; uniformly random without an agent. The means of what is measured."""
    seen, _ = env.reset(seed=SEED)
    env.action_space.seed(SEED)
    total = np.zeros(env.num_envs)
    while True:
        actions = env.action_space.sample() if agent is None else agent.predict(seen, deterministic=True)[0]
        seen, rewards, _, truncated, infos = env.step(actions)
        total += rewards
        if truncated.all():
            break
    measured = {name: round(float(infos["measures"][name].mean()), 4) for name in MEASURES}
    return {"return": round(float(total.mean()), 4), **measured}
