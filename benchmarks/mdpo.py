"""Training speed of MDPO: off-policy against our SAC, on-policy against Stable-Baselines3's PPO, on HalfCheetah-v5.

Whole loops are timed: act, step the environment, store, update. The agents take turns in one process; the figure is
the median turn.

Off-policy, both make one update of batch 256 on 2 x 256 networks a step. A ratio of 0.8 is a cost of 1.25 SACs. MDPO
also meets itself with update_by="autograd".

On-policy, work is equalised: the same networks (2 x 64 for the policy, 2 x 64 for the value), iterations of 2048 steps,
no normalisation, and 10 passes of every sample through the policy's gradient and 10 through the value's:

- "whole batches": both take 10 steps on all 2048 samples (PPO with batch_size=2048);
- "own minibatches": PPO's default minibatches of 64 for both networks; MDPO's policy takes whole batches, which is
  its algorithm, and its value network minibatches of 64.

    python benchmarks/mdpo.py            # one and two threads
    python benchmarks/mdpo.py --quick    # under a minute
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import stable_baselines3
import torch

from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO
from agentgym.agents.sac.sac import SAC

ENVIRONMENT = "HalfCheetah-v5"
WARM_UP = 300  # off-policy: steps with random actions before the first update
BATCH = 2048  # on-policy: steps an iteration
PASSES = 10

Pair = tuple[Any, Any]


def off_policy(peer: type[MDPO | SAC] = SAC, **peers: Any) -> Pair:
    """MDPO and a peer, past warm-up, first updates and first allocations."""
    options: dict[str, Any] = {"seed": 0, "learning_starts": WARM_UP, "buffer_size": 100_000, "device": "cpu"}
    made = [cls("MlpPolicy", ENVIRONMENT, **options, **own) for cls, own in ((MDPO, {}), (peer, peers))]
    ours, other = (agent.learn(WARM_UP + 50, log_interval=None) for agent in made)
    return ours, other


def on_policy(minibatch: int) -> Pair:
    """MDPO and PPO after an iteration."""
    ours = OnPolicyMDPO(
        "MlpPolicy", ENVIRONMENT, seed=0, device="cpu", n_steps=BATCH, policy_steps=PASSES, value_epochs=PASSES,
        value_batch_size=minibatch, normalize=False, clip_values=False, anneal_learning_rate=False,
    )  # fmt: skip
    peer = stable_baselines3.PPO(
        "MlpPolicy", ENVIRONMENT, seed=0, device="cpu", n_steps=BATCH, n_epochs=PASSES, batch_size=minibatch
    )
    return ours.learn(BATCH, log_interval=None), peer.learn(BATCH, log_interval=None)  # type: ignore[arg-type]


def steps_per_second(agent: Any, steps: int) -> float:
    """Environment steps a second over one turn; with one thread of the process's own time, whatever else runs."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    agent.learn(steps, log_interval=10**9, reset_num_timesteps=False)
    return steps / (clock() - start)


def compare(case: str, pair: Pair, threads: int, rounds: int, steps: int) -> None:
    """Print one result."""
    torch.set_num_threads(threads)
    for agent in pair:
        steps_per_second(agent, steps)  # the first turn with this many threads
    turns = [[steps_per_second(agent, steps) for agent in pair] for _ in range(rounds)]
    ours, peer = (statistics.median(speeds) for speeds in zip(*turns, strict=True))
    result = {
        "case": f"{case}, {ENVIRONMENT}, whole loop",
        "ours": round(ours, 1),
        "peer": round(peer, 1),
        "unit": "environment steps/s",
        "ratio": round(statistics.median(one / other for one, other in turns), 3),
        "threads": threads,
    }
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, one thread")
    parser.add_argument("--cases", nargs="*", default=[], help="parts of their names; all by default")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    threads = [1] if options.quick else options.threads
    cases: list[tuple[str, Callable[[], Pair], int, int]] = [
        ("off-policy MDPO against our SAC", off_policy, 11, 100),
        ("off-policy MDPO against autograd", partial(off_policy, MDPO, update_by="autograd"), 11, 100),
        ("on-policy MDPO against SB3's PPO, whole batches", partial(on_policy, BATCH), 7, BATCH),
        ("on-policy MDPO against SB3's PPO, own minibatches", partial(on_policy, 64), 7, BATCH),
    ]
    for case, make, rounds, steps in cases:
        if options.cases and not any(part in case for part in options.cases):
            continue
        pair = make()
        for count in threads:
            compare(case, pair, count, 2 if options.quick else rounds, steps)


if __name__ == "__main__":
    main()
