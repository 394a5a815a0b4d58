"""The judge of the study of learned swarms: longer episodes of the nozzle than in training, the same for all."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from agentgym.envs.swarm.vector import SwarmVectorEnv
from agentgym.study.judging import Finished

EPISODES, SECONDS, SEED = 8, 30.0, 10_000
MEASURES = ("transit_time", "effort", "collisions", "throughput", "u_mean", "rho_mean")


def judge(finished: Finished) -> Iterator[dict[str, Any]]:
    """One row: the means over episodes of the return and of what is measured."""
    env = SwarmVectorEnv(EPISODES, **{**finished.cell.env_kwargs, "seconds": SECONDS})
    seen, _ = env.reset(seed=SEED)
    total = np.zeros(EPISODES)
    while True:
        actions, _ = finished.agent.predict(seen, deterministic=True)
        seen, rewards, _, truncated, infos = env.step(actions)
        total += rewards
        if truncated.all():
            break
    measured = {name: round(float(infos["measures"][name].mean()), 5) for name in MEASURES}
    yield {**measured, "return": round(float(total.mean()), 3)}
