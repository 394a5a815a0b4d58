"""The judge of the convection study: the true Nusselt number from two starts, on two grids."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from agentgym.envs.convection.controllers import CONTROLLERS, controllers
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.study.judging import Finished

GRIDS: dict[str, dict[str, Any]] = {
    "48 x 33": {},
    "96 x 64": {"columns": 96, "points": 64, "time_step": 0.05},
}
STARTS = ("two-pair", "one-pair")
WORLDS, SEED = 8, 777
MEASURES = ("nusselt", "one_pair", "actions_to_one_pair", "nusselt_one_pair")


def judge(finished: Finished) -> Iterator[dict[str, Any]]:
    """One row a grid and start."""
    spec = finished.cell.spec
    for grid, settings in GRIDS.items():
        for start in STARTS:
            env = ConvectionVectorEnv(
                WORLDS, autoreset_mode="Disabled", start=start, **settings, **spec.env_kwargs
            )  # fmt: skip
            known = spec.controller in CONTROLLERS
            agent = controllers(env.cell)[spec.controller] if known else finished.agent
            yield {"case": f"{grid}, {start}", **judged(env, agent)}


def judged(env: ConvectionVectorEnv, agent: Any) -> dict[str, float]:
    """One episode in every world, with the policy's mode: the means over worlds of what the environment measures."""
    observation, _ = env.reset(seed=SEED)
    state, first = None, np.ones(env.num_envs, bool)
    while True:
        actions, state = agent.predict(observation, state=state, episode_start=first, deterministic=True)
        observation, _, _, truncated, infos = env.step(np.clip(actions, -1, 1))
        first = truncated
        if truncated.all():
            break
    told = infos["measures"]
    return {name: _mean(told[name][told[f"_{name}"]] if name in told else np.empty(0)) for name in MEASURES}


def _mean(values: np.ndarray) -> float:
    """The mean over the worlds that have a value; NaN where none has."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if len(known) else math.nan
