"""Large evaluations and many cores: what they cost here, and by a simulation from these measurements elsewhere.

    python benchmarks/scale.py              every case, a few minutes
    python benchmarks/scale.py --quick      smaller ones, under a minute
    python benchmarks/scale.py report tasks --write docs

Cases: ``report`` (time and memory of ``agentgym report`` for 1,040 conditions x 1,000 episodes, CSV and Parquet),
``tasks`` (seconds that a task and a row cost the driver, and loading the agent a worker), ``episodes`` (episodes/s of
an evaluation with 1, 2 and 4 workers and on a local Ray cluster), ``simulation`` (from what ``tasks`` has measured, or
from the figures in ``Costs``). Each prints one JSON line a measurement. ``--write FOLDER`` draws FOLDER/scale.png.
"""

import argparse
import heapq
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agentgym.evaluation.entrants import load_agent
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.table import AgentRecord, Evaluation, Row, Rows, Scene
from agentgym.parallel import map_tasks

CONDITIONS = 1040
CORES = (1, 64, 1024)


def say(case: str, **figures: Any) -> dict[str, Any]:
    print(json.dumps({"case": case, **figures}), flush=True)
    return figures


# Reports


def large_evaluation(episodes: int) -> Evaluation:
    """1,040 conditions: a grid of 32 x 32, a curve of 15 and the nominal one."""
    scenes = {"nominal": Scene("Overview", "nominal", "nominal")}
    for mass, friction in np.ndindex(32, 32):
        place: dict[str, float | str] = {"mass": float(mass), "friction": float(friction)}
        scenes[f"mass={mass}, friction={friction}"] = Scene("Parameter grid", "mass x friction", "grid", place)
    for level in range(15):
        scenes[f"noise {level}"] = Scene("Observation", "noise", "curve", {"intensity": float(level)})
    generator = np.random.default_rng(0)

    def rows() -> Iterator[Row]:
        for name, scene in scenes.items():
            centre = 1000.0 - 10.0 * sum(map(float, scene.coordinates.values()))
            for episode, score in enumerate(generator.normal(centre, 100.0, episodes).tolist()):
                yield Row("agent", name, episode, 1000 + episode, score, 1000)

    agent = AgentRecord("agent", "sac", "Example-v0", "runs/agent", 1)
    return Evaluation("parameter-grid + perturbations", [agent], scenes, rows(), {"episodes": episodes})  # type: ignore[arg-type]


def measure_report(episodes: int) -> None:
    evaluation = large_evaluation(episodes)
    with tempfile.TemporaryDirectory() as folder:
        for form in ("csv", "parquet"):
            began = time.perf_counter()
            evaluation.write(folder, form)
            written = time.perf_counter() - began
            child = subprocess.run(
                [sys.executable, "-c", "import resource, sys\nfrom agentgym.cli.main import main\nmain(sys.argv[1:])\n"
                 "usage = resource.getrusage(resource.RUSAGE_SELF)\n"
                 "print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime)", "report", folder],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            seconds = time.perf_counter() - began - written
            peak, cpu = child.stdout.split()[-2:]
            say(f"report {form}", rows=len(evaluation.rows), seconds=round(seconds, 1),
                cpu_seconds=round(float(cpu), 1), peak_mb=round(int(peak) / 1000), write_seconds=round(written, 1),
                file_mb=round((Path(folder) / f"rows.{form}").stat().st_size / 1e6, 1))  # fmt: skip


# Tasks and episodes


def nothing(task: int) -> int:
    return task


def measure_tasks(count: int) -> dict[str, float]:
    """Seconds of the driver's processor that a task which does nothing costs, once the workers are there."""
    found = {}
    for where, how in (("processes", {"workers": 2}), ("ray", {"workers": 2, "ray": "local"})):
        list(map_tasks(nothing, range(4), **how))  # type: ignore[arg-type]
        began, busy = time.perf_counter(), time.process_time()
        assert sum(1 for _ in map_tasks(nothing, range(count), **how)) == count  # type: ignore[arg-type]
        found[where] = (time.process_time() - busy) / count
        seconds = (time.perf_counter() - began) / count
        say(f"task {where}", driver_ms=round(1e3 * found[where], 2), elapsed_ms=round(1e3 * seconds, 2))
    return found


def measure_rows(count: int) -> float:
    """Seconds of the driver's processor for a row that arrives from a worker."""
    sent = pickle.dumps([Row("agent", f"condition {n % 1040}", n, n, 1.0 * n, 1000) for n in range(count)])
    busy = time.process_time()
    assert len(Rows.of(pickle.loads(sent))) == count  # its own rows
    found = (time.process_time() - busy) / count
    say("row", driver_us=round(1e6 * found, 2))
    return found


def measure_loading() -> float:
    """Seconds of a worker's processor to load a saved agent, which it does for every task."""
    from agentgym.agents.baselines.ppo import PPO

    with tempfile.TemporaryDirectory() as folder:
        PPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu").save(Path(folder) / "agent")
        load_agent(Path(folder) / "agent")
        busy = time.process_time()
        for _ in range(10):
            load_agent(Path(folder) / "agent")
    found = (time.process_time() - busy) / 10
    say("load", worker_ms=round(1e3 * found, 1))
    return found


class Pushes:
    """An agent whose episodes on CartPole-v1 take about as long as those of a small network."""

    def __init__(self, env: Any) -> None:
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> Any:
        """Push to the side to which the pole falls."""
        return (np.asarray(observation)[:, 2] > 0.0).astype(np.int64), None


def measure_episodes(episodes: int) -> dict[str, float]:
    import gymnasium

    agent, found = Pushes(gymnasium.make("CartPole-v1")), {}
    for where, how in (
        ("1", {}), ("2", {"workers": 2}), ("4", {"workers": 4}), ("ray", {"workers": 2, "ray": "local"}),
    ):  # fmt: skip
        if where != "1":
            list(map_tasks(nothing, range(4), **how))  # type: ignore[arg-type]
        began = time.perf_counter()
        result = evaluate({"pushes": agent}, [], "CartPole-v1", episodes=episodes, progress=False, **how)  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
        assert result.finished.all()
        steps = int(result.rows.numbers["length"].sum())
        found[where] = episodes / seconds
        say(f"episodes {where}", per_second=round(found[where]), steps_per_second=round(steps / seconds))
    return found


# Simulation


@dataclass(frozen=True)
class Costs:
    """Seconds, measured on one core of this machine with the cases above.

    Attributes:
        episode: an episode.
        spread: standard deviation of the logarithm of an episode's length.
        task: the driver's work on a task: making, sending and receiving it.
        row: the driver's work on a row.
        worker_task: a worker's work on a task besides its episodes, such as loading the agent.
        start: starting a worker.
        disk: bytes a second that the disk takes.
        row_bytes: of a row in rows.csv.
    """

    episode: float = 1.0
    spread: float = 0.5
    task: float = 0.0006
    row: float = 12e-6
    worker_task: float = 0.01
    start: float = 10.0
    disk: float = 60e6
    row_bytes: float = 60.0


def simulate(episodes: int, per_task: int, cores: int, costs: Costs, seed: int = 0) -> dict[str, float]:
    """Play out an evaluation task by task: the driver serves one request at a time, in their order.

    Returns:
        its length in seconds, the part of the cores' time spent on episodes, and the part of it the driver was busy.
    """
    generator = np.random.default_rng(seed)
    tasks = -(-episodes // per_task)
    scale, spread = costs.episode, costs.spread
    # The sum of n lengths: a gamma variate with the mean and the variance of that sum.
    shape = per_task / np.expm1(spread**2)
    work = generator.gamma(shape, scale * per_task / shape, tasks)
    free = [(costs.start, core) for core in range(min(cores, tasks))]
    driver = busy = end = 0.0
    for seconds in work:  # whenever a core is free, it asks the driver for its next task
        at, core = heapq.heappop(free)
        served = costs.task + costs.row * per_task  # to send this one, and to take the rows of the one before
        driver = max(driver, at) + served
        busy += served
        done = driver + costs.worker_task + seconds
        end = max(end, done)
        heapq.heappush(free, (done, core))
    end += episodes * costs.row_bytes / costs.disk
    return {"seconds": end, "efficiency": float(work.sum()) / (cores * end), "driver": busy / end}


def simulate_study(runs: int, cores: int, hours: float = 1.0, seed: int = 0, checkpoint_mb: float = 5.0,
                   checkpoints: int = 100, disk: float = 60e6, start: float = 10.0) -> dict[str, float]:  # fmt: skip
    """A study whose runs take lognormal times; their checkpoints pass through one shared disk."""
    generator = np.random.default_rng(seed)
    work = 3600.0 * hours * generator.lognormal(-0.5 * 0.3**2, 0.3, runs)
    writing = checkpoint_mb * 1e6 / disk
    load = min(cores, runs) * checkpoints * writing / (3600.0 * hours)  # of the disk, 1: always busy
    slower = max(1.0, load)  # beyond it, runs wait for the disk
    free = [0.0] * min(cores, runs)
    for seconds in work:
        heapq.heapreplace(free, free[0] + start + (seconds + checkpoints * writing) * slower)
    end = max(free)
    return {"hours": end / 3600.0, "efficiency": float(work.sum()) / (cores * end), "disk": load}


SIZES = (4, 16, 64, 256, 1024, 4096)


def simulated(costs: Costs, episodes: int, lengths: tuple[float, ...]) -> dict[float, dict[int, list[Any]]]:
    found: dict[float, dict[int, list[Any]]] = {}
    for length in lengths:
        own = replace(costs, episode=length)
        for cores in CORES:
            found.setdefault(length, {})[cores] = [simulate(episodes, size, cores, own) for size in SIZES]
            good = [size for size, one in zip(SIZES, found[length][cores], strict=True) if one["efficiency"] >= 0.9]
            now = found[length][cores][SIZES.index(64)]
            say(
                "simulation", episodes=episodes, episode_seconds=length, cores=cores,
                hours=round(now["seconds"] / 3600, 2), efficiency=round(now["efficiency"], 3),
                driver_busy=round(now["driver"], 3), sizes_over_90_percent=good,
            )  # fmt: skip
    for cores in CORES:
        study = simulate_study(1000, cores)
        say("simulation study", runs=1000, cores=cores, **{name: round(value, 3) for name, value in study.items()})
    return found


def draw(found: dict[float, dict[int, list[Any]]], episodes: int, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4.2 * len(found), 3.6), sharey=True, layout="constrained")
    for axis, (length, by_cores) in zip(np.atleast_1d(axes), found.items(), strict=True):
        for colour, (cores, points) in zip(("#0072B2", "#D55E00", "#009E73"), by_cores.items(), strict=True):
            axis.plot(
                SIZES,
                [one["efficiency"] for one in points],
                "o-",
                color=colour,
                label=f"{cores:,} core{'' if cores == 1 else 's'}",
            )
        axis.axhline(0.9, color="0.6", lw=1, ls="--")
        axis.axvline(64, color="0.6", lw=1, ls=":")
        axis.set(xscale="log", xlabel="episodes a task", title=f"episodes of {length:g} s", ylim=(0, 1.04))
    np.atleast_1d(axes)[0].set_ylabel(f"efficiency over {episodes:,} episodes")
    np.atleast_1d(axes)[0].legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.4))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=[], help="report, tasks, episodes, simulation")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    cases = options.cases or ["report", "tasks", "episodes", "simulation"]
    say("machine", cpus=os.cpu_count(), memory_limit=resource.getrlimit(resource.RLIMIT_AS)[0])
    if "report" in cases:
        measure_report(50 if options.quick else 1000)
    costs = Costs()
    if "tasks" in cases:
        costs = replace(
            costs, row=measure_rows(20_000), worker_task=measure_loading(),
            task=max(measure_tasks(100 if options.quick else 1000).values()),
        )  # fmt: skip
    if "episodes" in cases:
        measure_episodes(500 if options.quick else 5000)
    if "simulation" in cases:
        episodes = 100_000 if options.quick else 1_000_000
        found = simulated(costs, episodes, (0.01, 0.1, 1.0))
        if options.write:
            draw(found, episodes, options.write / "scale.png")


if __name__ == "__main__":
    main()
