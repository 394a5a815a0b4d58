"""What a study costs beyond its runs: against a plain loop of train and evaluate over the same runs.

    python benchmarks/study.py            # with workers too
    python benchmarks/study.py --quick

Both make the same runs in one process, in turn, each in folders of its own; the runs are short, so that what the study
adds shows: checks, locks, the rows and curves that are written after every run. With two workers, the median leaves
out the round in which the worker processes start, which a study pays once. Prints one JSON line a case: seconds a run,
of the study, of the loop, and the difference; the study must add less than 2 s a run.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from agentgym.evaluation.evaluate import evaluate
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train
from agentgym.study.cells import cells_of
from agentgym.study.reading import study_of
from agentgym.study.runner import run_study
from agentgym.study.schema import Study

CONFIG = {"n_steps": 64, "batch_size": 64, "n_epochs": 1}
LIMIT = 2.0  # seconds a run


def study(steps: int, seeds: int) -> Study:
    return study_of(
        "overhead",
        {
            "agents": {"ppo": {"config": CONFIG}}, "envs": {"Pendulum-v1": {}}, "steps": steps,
            "seeds": list(range(seeds)), "protocol": {"episodes": 5},
        },
    )  # fmt: skip


def by_study(root: Path, steps: int, seeds: int, workers: int = 1) -> float:
    """Seconds a run."""
    began = time.perf_counter()
    results = run_study(study(steps, seeds), root, workers=workers, progress=False)
    if errors := [row["error"] for row in results.rows.rows if row["error"]]:
        raise RuntimeError(errors[0])
    return (time.perf_counter() - began) / seeds


def by_loop(root: Path, steps: int, seeds: int) -> float:
    """Seconds a run."""
    began = time.perf_counter()
    for cell in cells_of(study(steps, seeds), root):
        config = RunConfig("ppo", "Pendulum-v1", steps=steps, seed=cell.seed, device="cpu", threads=1, config=CONFIG)
        run = train(config, f"seed{cell.seed}", root, progress=False)
        evaluate(run.path, [], episodes=5, progress=False)
    return (time.perf_counter() - began) / seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    options = parser.parse_args()
    steps, seeds, rounds = (256, 3, 2) if options.quick else (2_048, 5, 3)
    found: dict[str, list[float]] = {"study": [], "loop": [], "two workers": []}
    with tempfile.TemporaryDirectory() as folder:
        by_loop(Path(folder) / "warm", 64, 1)  # imports and compiled functions
        for turn in range(rounds):
            found["study"].append(by_study(Path(folder) / f"study{turn}", steps, seeds))
            found["loop"].append(by_loop(Path(folder) / f"loop{turn}", steps, seeds))
            if not options.quick:
                found["two workers"].append(by_study(Path(folder) / f"workers{turn}", steps, seeds, workers=2))
    plain = statistics.median(found["loop"])
    for case in ("study", "two workers"):
        if not found[case]:
            continue
        ours = statistics.median(found[case])
        print(json.dumps({
            "case": case, "ours": round(ours, 3), "peer": round(plain, 3), "unit": "s/run",
            "ratio": round(plain / ours, 3), "added": round(ours - plain, 3), "threads": 1,
        }))  # fmt: skip
        if ours - plain > LIMIT:
            raise SystemExit(f"{case}: a run costs {ours - plain:.1f} s more than in a loop; the limit is {LIMIT} s.")


if __name__ == "__main__":
    main()
