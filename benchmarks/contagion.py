"""What stage 2 of forensics costs: the graph of contagion and the walk, on 64 episodes.

    python benchmarks/contagion.py            # three and five agents, nine rounds
    python benchmarks/contagion.py --quick    # three agents, three rounds

Ours: slopes and curvatures of a MADDPG critic along the agents' moves at all 1,600 steps, pooled edges, and the walk in
every episode. Of the pairs of a step and an agent 38 % moved, with three agents; the others did what was expected, send
nothing and are skipped (in clean play, most are). Peer: the full Hessians of the same values by ``torch.func.hessian``
under ``vmap``, from which the same numbers could be read. One thread, interleaved, CPU time, median of the rounds.
Prints a JSON line a case; ``ratio`` above 1 is in our favour.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.func import hessian, vmap

from agentgym.agents import MADDPG
from agentgym.envs.particles.spread import SimpleSpreadEnv
from agentgym.evaluation.forensics.collect import collect
from agentgym.evaluation.forensics.contagion.stage2 import Contagion
from agentgym.evaluation.forensics.team import LearnedTeam

ENV, EPISODES = "agentgym/SimpleSpread-v0", 64


def cost(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def elsewhere(episodes: Any) -> np.ndarray:
    """Expected windows far from the received ones, so that nominal actions differ."""
    return episodes.received[:, :, :, ::-1].copy()


def case(agents: int, rounds: int) -> dict[str, object]:
    settings = {} if agents == 3 else {"preset": "spread-5"}
    team = LearnedTeam(MADDPG(env=SimpleSpreadEnv(agents), seed=0, buffer_size=100, **settings))
    kwargs = {"agents": agents}
    graph = Contagion(team, elsewhere, edges="critic").fit(collect(team, ENV, range(20), env_kwargs=kwargs))
    episodes = collect(team, ENV, range(1000, 1000 + EPISODES), env_kwargs=kwargs)
    scores = np.random.default_rng(0).exponential(size=episodes.alive.shape)
    named, when = [0] * EPISODES, [20] * EPISODES
    critic, x, _ = graph.critic_at(episodes)
    alive = torch.ones(1, agents, dtype=torch.bool)  # nobody falls here, and vmap allows no question about data

    def one(at: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        values = team.critic(windows[None], at[None], alive)
        assert values is not None
        return values[0]

    def peer() -> None:
        assert critic.windows is not None
        for part in torch.arange(len(x)).split(400):
            vmap(hessian(one))(x[part], critic.windows[part])

    pairs = [(cost(lambda: graph.find(episodes, named, when, scores)), cost(peer)) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "case": f"stage 2, {agents} agents, {EPISODES} episodes", "ours": round(mine, 4), "peer": round(other, 4),
        "unit": "CPU s", "ratio": round(other / mine, 2), "threads": 1,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three agents, three rounds")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    for agents in [3] if quick else [3, 5]:
        print(json.dumps(case(agents, 3 if quick else 9)), flush=True)
