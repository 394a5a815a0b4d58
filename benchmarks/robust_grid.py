"""Walk a 10 x 10 x 10 grid of RobustHopper, one edited model against one environment a cell.

Every cell is set, reset and stepped once. Each case runs in a process of its own, from starting Python to the end,
so imports count; memory is the process's peak resident set. The peers make Gymnasium's Hopper-v5 a thousand times,
apply the same parameters, and either keep every environment (as a list of evaluation environments does) or close
each one before the next. All cases must see the same observations, bit for bit.

    python benchmarks/robust_grid.py [--quick]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product

ROUNDS = 5
POINTS = 10
RANGES = {"friction": (0.1, 3.0), "torso_mass": (0.1, 3.0), "thigh_mass": (0.1, 4.0)}
PEERS = {"all kept": "kept", "closed one by one": "closed"}


def cells() -> Iterator[dict[str, float]]:
    axes = [[low + (high - low) * k / (POINTS - 1) for k in range(POINTS)] for low, high in RANGES.values()]
    for values in product(*axes):
        yield dict(zip(RANGES, values, strict=True))


def walk_ours() -> float:
    import gymnasium
    import numpy as np

    import agentgym  # noqa: F401

    env = gymnasium.make("agentgym/RobustHopper-v0", check_range=False)
    action = np.zeros(3, np.float32)
    total = 0.0
    for cell in cells():
        env.reset(seed=0, options={"parameters": cell})
        total += float(env.step(action)[0].sum())
    return total


def walk_peer(keep: bool) -> float:
    import gymnasium
    import mujoco
    import numpy as np

    action = np.zeros(3, np.float32)
    kept = []
    total = 0.0
    for cell in cells():
        env = gymnasium.make("Hopper-v5")
        model = env.unwrapped.model
        model.geom_friction[:, 0] = cell["friction"]
        for name in ("torso", "thigh"):
            body = model.body(name)
            body.inertia[:] *= cell[f"{name}_mass"] / body.mass[0]
            body.mass[0] = cell[f"{name}_mass"]
        mujoco.mj_setConst(model, env.unwrapped.data)
        env.reset(seed=0)
        total += float(env.step(action)[0].sum())
        if keep:
            kept.append(env)
        else:
            env.close()
    return total


def run_case(name: str) -> None:
    total = walk_ours() if name == "ours" else walk_peer(keep=name == "kept")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    print(json.dumps({"total": total, "megabytes": megabytes}))


def measure(name: str) -> dict[str, float]:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--case", name], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    parser.add_argument("--case", choices=["ours", "kept", "closed"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        run_case(asked.case)
        return
    names = ["ours", *PEERS.values()]
    rounds = [{name: measure(name) for name in names} for _ in range(1 if asked.quick else ROUNDS)]
    if len({each[name]["total"] for each in rounds for name in names}) != 1:
        raise SystemExit("The cases saw different observations: the comparison would mean nothing.")

    def median(name: str, what: str) -> float:
        return statistics.median(each[name][what] for each in rounds)

    for what, unit in (("seconds", "s"), ("megabytes", "MB peak")):
        for label, peer in PEERS.items():
            ours, theirs = median("ours", what), median(peer, what)
            line = {
                "case": f"1000 cells of RobustHopper, {what}, peer {label}",
                "ours": ours,
                "peer": theirs,
                "unit": unit,
            }
            print(json.dumps({**line, "ratio": theirs / ours, "threads": 1}))


if __name__ == "__main__":
    main()
