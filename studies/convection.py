"""The judges of the convection studies: the true Nusselt number from two starts, on two grids."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from agentgym.envs.convection.controllers import CONTROLLERS, controllers
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.runs.metrics import Table
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


def judge_merged(finished: Finished) -> Iterator[dict[str, Any]]:
    """The same in 16 worlds of the coarse grid and 8 of the fine one, with the worst world and who never splits again.

    ``worst`` is the largest Nusselt number of a world, ``kept`` the share of worlds with one pair of rolls in all of
    actions 101 to 200. ``two_networks`` is the Nusselt number on the validation worlds, from the worse start, before
    one network learned both.
    """
    spec = finished.cell.spec
    before = _before_imitation(finished)
    for grid, settings in GRIDS.items():
        for start in STARTS:
            worlds = 2 * WORLDS if grid == "48 x 33" else WORLDS
            env = ConvectionVectorEnv(
                worlds, autoreset_mode="Disabled", start=start, **settings, **spec.env_kwargs
            )  # fmt: skip
            known = spec.controller in CONTROLLERS
            agent = controllers(env.cell)[spec.controller] if known else finished.agent
            told = measured(env, agent)
            settled = [at <= env.cell.actions // 2 for at in told["actions_to_one_pair"]]  # NaN: never
            yield {
                "case": f"{grid}, {start}", **{name: _mean(told[name]) for name in MEASURES},
                "worst": round(float(told["nusselt"].max()), 4), "kept": float(np.mean(settled)), **before,
            }  # fmt: skip


def _before_imitation(finished: Finished) -> dict[str, float]:
    if finished.run is None or finished.run.config.agent != "shared-gradient":
        return {}
    logged = [row["train/best_reward"] for row in Table(finished.run.path / "metrics.csv").rows()]
    cell = ConvectionVectorEnv(1).cell
    return {
        "two_networks": round(cell.reward_offset - float([each for each in logged if each][-1]) / cell.reward_scale, 4)
    }


def judged(env: ConvectionVectorEnv, agent: Any) -> dict[str, float]:
    """One episode in every world, with the policy's mode: the means over worlds of what the environment measures."""
    return {name: _mean(values) for name, values in measured(env, agent).items()}


def measured(env: ConvectionVectorEnv, agent: Any) -> dict[str, np.ndarray]:
    """The same by world, [N] each; NaN where a world has no value."""
    observation, _ = env.reset(seed=SEED)
    state, first = None, np.ones(env.num_envs, bool)
    while True:
        actions, state = agent.predict(observation, state=state, episode_start=first, deterministic=True)
        observation, _, _, truncated, infos = env.step(np.clip(actions, -1, 1))
        first = truncated
        if truncated.all():
            break
    told = infos["measures"]
    return {
        name: np.where(told[f"_{name}"], told[name], np.nan) if name in told else np.full(env.num_envs, np.nan)
        for name in MEASURES
    }


def _mean(values: np.ndarray) -> float:
    """The mean over the worlds that have a value; NaN where none has."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if len(known) else math.nan
