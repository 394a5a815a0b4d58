"""What a checkpoint costs: against Stable-Baselines3's save + save_replay_buffer, and as a share of training.

    python benchmarks/checkpoint.py            # replay buffers of 1e5 and 1e6 rows, a few minutes
    python benchmarks/checkpoint.py --quick    # 1e5 rows, under a minute

Both sides hold SAC on HalfCheetah-v5 with the same rows. Ours writes networks, optimisers, generators, environments
and the 5,000 rows that are new since the checkpoint before, flushed to the disk (fsync); Stable-Baselines3's writes the
whole buffer, does not flush, and leaves generators and environments out. "slow-down" is the time of one checkpoint
every 5,000 steps and of recording actions, over the time of 5,000 training steps; its peer is the 1 % that we allow.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import stable_baselines3
import torch

from agentgym.make import make_env
from agentgym.runs.build import build
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.metrics import MetricsFile
from agentgym.runs.resume import run_inventory
from agentgym.runs.run import RunConfig
from agentgym.wrappers.replay import RecordedEnv

ENV = "HalfCheetah-v5"
EVERY = 5_000


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def fill(buffer: Any, rows: int) -> None:
    """Random transitions: their values do not matter to a disk, and compress as badly as real ones."""
    generator = np.random.default_rng(0)
    for array in (buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards):
        array[:rows] = generator.standard_normal(array[:rows].shape)
    buffer.pos, buffer.full = rows % buffer.buffer_size, rows >= buffer.buffer_size


def agents(rows: int) -> tuple[Any, Any]:
    ours = build(RunConfig("sac", ENV, config={"buffer_size": rows}))
    peer = stable_baselines3.SAC("MlpPolicy", make_env(ENV), buffer_size=rows, device="cpu")
    for agent in (ours, peer):
        fill(agent.replay_buffer, rows)
        # One update, so that the optimisers have their moments.
        agent.set_logger(stable_baselines3.common.logger.Logger(None, []))
        agent.train(gradient_steps=1, batch_size=256)
    ours.num_timesteps = rows
    ours.get_env().reset()
    return ours, peer


def compare(rows: int, rounds: int) -> None:
    """Interleaved: one checkpoint of ours, one of the peer's, round by round."""
    ours, peer = agents(rows)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        checkpoints = Checkpoints(place / "ours")
        inventory = run_inventory(ours, MetricsFile(place))
        first = seconds(lambda: checkpoints.write(ours.num_timesteps, inventory))
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        new_bytes = []
        for _ in range(rounds):
            ours.num_timesteps += EVERY
            before = {path: size(path) for path in (place / "ours/rows").iterdir()}
            times["ours"].append(seconds(lambda: checkpoints.write(ours.num_timesteps, inventory)))
            written = [path for path in (place / "ours/rows").iterdir() if path not in before]
            newest = place / "ours" / f"{ours.num_timesteps:010d}"
            new_bytes.append(sum(map(size, written)) + size(newest))

            def save_peer() -> None:
                peer.save(place / "peer.zip")
                peer.save_replay_buffer(place / "peer.pkl")

            times["peer"].append(seconds(save_peer))
        peer_bytes = (place / "peer.zip").stat().st_size + (place / "peer.pkl").stat().st_size
        shutil.rmtree(place / "ours")
    mine, theirs = (statistics.median(times[side]) for side in ("ours", "peer"))
    report(f"checkpoint, {rows} rows", mine, theirs, "s", first_checkpoint=round(first, 4))
    report(f"bytes written, {rows} rows", statistics.median(new_bytes) / 1e6, peer_bytes / 1e6, "MB")


def slow_down(steps: int) -> None:
    """Share of training time that checkpoints and recording take, on a real training loop."""
    agent = build(RunConfig("sac", ENV, config={"buffer_size": 1_000_000, "learning_starts": 100}))
    agent.set_logger(stable_baselines3.common.logger.Logger(None, []))
    agent.learn(300)
    step = seconds(lambda: agent.learn(steps, reset_num_timesteps=False)) / steps
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "c")
        inventory = run_inventory(agent, MetricsFile(folder))
        writes = []
        for _ in range(5):
            agent.num_timesteps += EVERY  # the rows are there: the buffer is allocated whole
            writes.append(seconds(lambda: checkpoints.write(agent.num_timesteps, inventory)))
    recording = _recording_seconds()
    cost = statistics.median(writes) + EVERY * recording
    case = f"slow-down at one checkpoint every {EVERY} steps"
    line = {"case": case, "ours": round(cost / (EVERY * step), 5), "peer": 0.01, "unit": "share of training time"}
    line |= {"ratio": round(0.01 / (cost / (EVERY * step)), 2), "threads": torch.get_num_threads()}
    line |= {"checkpoint_s": round(statistics.median(writes), 4), "recording_us_a_step": round(recording * 1e6, 1)}
    print(json.dumps(line | {"training_ms_a_step": round(step * 1e3, 2)}), flush=True)


def _recording_seconds(steps: int = 2000) -> float:
    """Seconds that recording adds to a step: recorded and bare in turn."""
    bare, recorded = make_env(ENV), RecordedEnv(make_env(ENV), 0, 0)
    action = np.zeros(bare.action_space.shape, np.float32)

    def walk(env: Any) -> None:
        env.reset(seed=0)
        for number in range(steps):
            if env.step(action)[3] or number % 999 == 998:
                env.reset(seed=0)

    rounds = [(seconds(lambda: walk(recorded)), seconds(lambda: walk(bare))) for _ in range(5)]
    return statistics.median(mine - theirs for mine, theirs in rounds) / steps


def report(case: str, ours: float, peer: float, unit: str, **more: Any) -> None:
    line = {"case": case, "ours": round(ours, 4), "peer": round(peer, 4), "unit": unit, "ratio": round(peer / ours, 2)}
    print(json.dumps(line | {"threads": torch.get_num_threads()} | more), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1e5 rows and fewer rounds: under a minute")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    for rows in [100_000] if quick else [100_000, 1_000_000]:
        compare(rows, rounds=3 if quick else 5)
    slow_down(300 if quick else 3_000)


if __name__ == "__main__":
    main()
