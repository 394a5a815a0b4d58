"""One GRPO iteration of the tiny policy, and what the methods' hooks cost on top of it.

An iteration is 16 tasks x 8 episodes of up to 12 turns in tiny homes, by an untrained policy, which rarely succeeds:
nearly all episodes have all their turns. All are learned from (`skip_dead` off), two epochs of two minibatches.

The peer of the first cases is the target, 10 s on two cores; of the hooks, the same update on the same batch without.
The hooks are all that add no pass of the model: Dr.BoT's and SimpleTIR's filters, EMPG, AEM, SPEAR without replay, EPO,
the entropy bonus, LLDS, Clip-Cov and KL-Cov.

    python benchmarks/language.py                # 5 iterations, 9 rounds of updates
    python benchmarks/language.py --quick        # under a minute
    python benchmarks/language.py --threads 1
    python benchmarks/language.py --device cuda
"""

import argparse
import json
import statistics
import time
from typing import Any

import gymnasium
import torch
from gymnasium.vector import AutoresetMode

import agentgym  # noqa: F401  (registers the environments)
from agentgym.agents import GRPO
from agentgym.agents.language.loop.learner import Learner
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.plugin import make_plugins
from agentgym.agents.language.policies.policy import Sampler

TARGET_SECONDS = 10.0
HOOKS = (
    "dr-bot:groups=1", "simpletir", "empg", "aem", "spear:capacity=1000000", "epo", "entropy", "llds", "clip-cov",
    "kl-cov",
)  # fmt: skip


def agent(actions: str, device: str) -> Any:
    """An untrained agent in tiny homes."""
    env = gymnasium.make_vec(
        "agentgym/Household-v0", 128, "vector_entry_point", autoreset_mode=AutoresetMode.SAME_STEP,
        size="tiny", max_turns=12,
    )  # fmt: skip
    return GRPO("tiny", env, seed=0, device=device, actions=actions, methods=(), skip_dead=False, max_command_tokens=7)


def seconds_per_iteration(trained: Any, count: int) -> float:
    """The median iteration: rollout, collation, measures and update."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        trained.learn(1, log_interval=None, reset_num_timesteps=False)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def update_seconds(trained: Any, rounds: int) -> tuple[float, float, float]:
    """Medians of updates with and without hooks, interleaved, and of their ratio; on copies of one batch.

    On a CPU in seconds of the process's CPU time, all threads together: the difference is too small for a busy
    machine's clock. On a GPU in seconds of the wall clock.
    """
    episodes = trained.rollout.play(list(range(16)), Sampler(torch.Generator().manual_seed(0)))
    batch = collate(episodes, trained.choosing).to(trained.device)
    on_gpu = trained.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    batch.void[:] = False  # an untrained policy writes no commands: filters that drop all episodes would save all work
    learners = {
        name: Learner(trained.policy, trained.settings, make_plugins(hooks), trained.generator)
        for name, hooks in (("without", ()), ("with", HOOKS))
    }
    taken: dict[str, list[float]] = {name: [] for name in learners}
    for number in range(rounds + 1):
        for name, learner in learners.items():
            copied = batch.rows(torch.arange(len(batch), device=trained.device))
            start = clock()
            learner.update(copied, number)
            if on_gpu:
                torch.cuda.synchronize()
            taken[name].append(clock() - start)
    pairs = list(zip(taken["with"][1:], taken["without"][1:], strict=True))  # the first round warms up
    ratios = [ours / peer for ours, peer in pairs]
    return *(statistics.median(column) for column in zip(*pairs, strict=True)), statistics.median(ratios)


def show(case: str, ours: float, peer: float, ratio: float, unit: str, threads: int) -> None:
    print(
        json.dumps(
            {"case": case, "ours": round(ours, 3), "peer": round(peer, 3), "unit": unit, "ratio": round(ratio, 3),
             "threads": threads}
        ),
        flush=True,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 iterations, 2 rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = "" if options.device == "cpu" else f", {options.device}"
    count, rounds = (2, 2) if options.quick else (5, 9)
    for actions in ("choose", "write"):
        trained = agent(actions, options.device)
        seconds = seconds_per_iteration(trained, count)
        case = f"GRPO iteration, 16 tasks x 8, up to 12 turns, {actions}{where}, against the target"
        show(case, seconds, TARGET_SECONDS, TARGET_SECONDS / seconds, "s", options.threads)
        ours, peer, ratio = update_seconds(trained, rounds)
        case = f"update with all hooks, {actions}{where}, against the same without"
        show(case, ours, peer, 1 / ratio, "s" if where else "CPU s", options.threads)


if __name__ == "__main__":
    main()
