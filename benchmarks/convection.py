"""Speed of the convection solver against shenfun 4.3, and of the environments against batch size.

A step of both is a whole step of a three-stage IMEX Runge-Kutta scheme at dt 0.05 in the published box, one thread,
both in turn; the figure is the median turn, in milliseconds a step and world. shenfun has one world at a time, and its
Chebyshev solvers want an even number of points, so at 48 x 33 it gets 48 x 34. Its demo has two forms of the advection:
"standard" is the demo's default, "rotational" is the cheaper, and nearer to ours.

shenfun needs an environment of its own (Debian: libopenmpi-dev, libfftw3-dev, a C compiler):

    python -m venv shenfun-env
    shenfun-env/bin/pip install "numpy<2.4" shenfun==4.3 mpi4py mpi4py-fft sympy numba pyyaml
    python benchmarks/convection.py --shenfun shenfun-env/bin/python

Without --shenfun, only our own figures against batch size are made; --quick takes less than a minute; --device cuda
times the batches on a GPU.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from agentgym.envs.convection.presets import cell
from agentgym.envs.convection.topology import initial_states, solver_for
from agentgym.envs.convection.vector import ConvectionVectorEnv

PEER = Path(__file__).parent / "peers" / "shenfun_convection.py"
GRIDS = {"96 x 64": (96, 64, 0.05), "48 x 33": (48, 33, 0.05)}
AGAINST_PEER = (("96 x 64", 16, "float32"), ("96 x 64", 1, "float64"), ("48 x 33", 64, "float32"))
BATCHES = (1, 4, 16, 64)


class Ours:
    """A batch of worlds, timed by the step."""

    def __init__(self, grid: str, worlds: int, precision: str, device: torch.device) -> None:
        columns, points, step = GRIDS[grid]
        settings = cell("vignon2023", columns=columns, points=points, time_step=step, precision=precision)
        self.solver, self.worlds, self.device = solver_for(settings, device), worlds, device
        known = initial_states(settings, "random", device)
        picks = torch.arange(worlds, device=device) % known.temperature.shape[2]
        self.state = type(known)(*(part.index_select(2, picks) for part in known))

    def milliseconds(self, steps: int) -> float:
        """Of a step and world."""
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(steps):
                self.state, _ = self.solver.step(self.state)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start) / steps / self.worlds


class Shenfun:
    """The peer in its own interpreter."""

    def __init__(self, python: str, grid: str, form: str) -> None:
        columns, points, _ = GRIDS[grid]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [python, str(PEER), str(columns), str(points + points % 2), form],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def milliseconds(self, steps: int) -> float:
        """Of a step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        seconds, nusselt = map(float, self.process.stdout.readline().split())
        if not np.isfinite(nusselt):
            raise RuntimeError("shenfun's flow is not finite: this is no comparison")
        return 1e3 * seconds / steps

    def close(self) -> None:
        """End its process."""
        self.process.terminate()
        self.process.wait()


def against_shenfun(python: str, rounds: int, device: torch.device) -> None:
    """One line a case; both take turns."""
    for (grid, worlds, precision), form in itertools.product(AGAINST_PEER, ("standard", "rotational")):
        ours, peer = Ours(grid, worlds, precision, device), Shenfun(python, grid, form)
        ours.milliseconds(10)
        peer.milliseconds(5)
        turns = [(ours.milliseconds(20), peer.milliseconds(10)) for _ in range(rounds)]
        peer.close()
        mine, theirs = (statistics.median(column) for column in zip(*turns, strict=True))
        ratio = statistics.median(other / own for own, other in turns)
        show(
            f"step, {grid}, {precision}, batch {worlds}, against shenfun, {form}",
            mine,
            theirs,
            "ms a step and world",
            ratio,
        )


def against_batch_size(rounds: int, device: torch.device, precision: str = "float32") -> None:
    """Solver steps a second, the peer being a single world."""
    for grid in GRIDS:
        batches = {worlds: Ours(grid, worlds, precision, device) for worlds in BATCHES}
        turns: dict[int, list[float]] = {worlds: [] for worlds in BATCHES}
        for _ in range(rounds + 1):
            for worlds, batch in batches.items():
                turns[worlds].append(1e3 / batch.milliseconds(10))
        rates = {worlds: statistics.median(found[1:]) for worlds, found in turns.items()}
        for worlds, rate in rates.items():
            show(f"solver, {grid}, {precision}, batch {worlds}", rate, rates[1], "steps/s", rate / rates[1])


def agent_steps(rounds: int, device: str) -> None:
    """Steps of agents a second through the batched environment, ten agents a world."""
    for preset in ("compact", "vignon2023"):
        rates = {}
        for worlds in BATCHES[:3] if preset == "vignon2023" else BATCHES:
            env = ConvectionVectorEnv(worlds, preset, device=device)
            env.reset(seed=0)
            actions = np.zeros((worlds, env.cell.heaters), np.float32)
            rates[worlds] = median_rate(lambda: env.step(actions), worlds * env.cell.heaters, rounds)  # noqa: B023
            case = f"environment, {preset}, batch {worlds}"
            show(case, rates[worlds], rates[1], "agent steps/s", rates[worlds] / rates[1])


def median_rate(call: Callable[[], object], count: int, rounds: int) -> float:
    """``count`` a second for each call, the median of rounds after a first one."""
    found = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        found.append(count / (time.perf_counter() - start))
    return statistics.median(found[1:])


def show(case: str, ours: float, peer: float, unit: str, ratio: float) -> None:
    line = {"case": case, "ours": round(ours, 4), "peer": round(peer, 4), "unit": unit, "ratio": round(ratio, 2)}
    print(json.dumps({**line, "threads": torch.get_num_threads()}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shenfun", help="a Python interpreter that has shenfun")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds, device = (2 if options.quick else 9), torch.device(options.device)
    if options.shenfun:
        against_shenfun(options.shenfun, rounds, device)
    against_batch_size(rounds, device)
    agent_steps(rounds, options.device)


if __name__ == "__main__":
    main()
