"""Recompute the cached flows: ``python -m agentgym.envs.convection.make_flows`` (ten minutes on one core).

two-pair, one-pair: steady flows, started from conduction plus one wave. random: flows evolving from random noise.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from agentgym.envs.convection.presets import PRESETS
from agentgym.envs.convection.solver import Solver, State
from agentgym.envs.convection.topology import Flow, temperature_noise
from agentgym.seeding import stream

STEADY_TIME = 600.0
RANDOM_TIME = 40.0
RANDOM_FLOWS = 8
KEPT = 1e-9  # relative size below which coefficients are not stored


def conduction(solver: Solver, worlds: int, wave: int = 0, size: float = 0.0) -> State:
    """The conductive state without flow, plus a temperature wave."""
    points, modes = solver.resolution.points, len(solver.wavenumbers)
    temperature = np.zeros((modes, 2, worlds, points))
    temperature[0, 0] = -solver.collocation.reference / 2
    temperature[wave, 0] += size * (1 - solver.collocation.reference**2)
    still = np.zeros((modes, 2, worlds, points - 2))
    return solver.state(still, still[0, 0], temperature)


def run(solver: Solver, state: State, time: float) -> Flow:
    """The flow after ``time`` without control."""
    with torch.no_grad():
        for _ in range(round(time / solver.resolution.time_step)):
            state, _ = solver.step(state)
    return Flow.of(solver, state)


def write(path: Path, flow: Flow) -> None:
    """Write one npz file, without coefficients at the level of rounding errors."""
    sizes = np.abs(np.concatenate((flow.stream, flow.temperature), axis=2)).max(axis=(1, 2))  # [K, C]
    modes, orders = (np.flatnonzero((sizes > KEPT * sizes.max()).any(axis)).max() + 1 for axis in (1, 0))
    np.savez_compressed(
        path, stream=flow.stream[:modes, ..., :orders], mean_flow=flow.mean_flow[:, :orders],
        temperature=flow.temperature[:modes, ..., :orders],
    )  # fmt: skip
    print(f"{path}: {modes} modes, {orders} coefficients, {path.stat().st_size} bytes", flush=True)


def main() -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "flows")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    for name in options.presets:
        cell = PRESETS[name]
        solver = Solver(cell.fluid, replace(cell, precision="float64").resolution(torch.device("cpu")))
        for kind, wave, size in (("two-pair", 2, 0.1), ("one-pair", 1, 0.3)):
            write(options.out / f"{name}-{kind}.npz", run(solver, conduction(solver, 1, wave, size), STEADY_TIME))
        noise = [temperature_noise(solver, stream(0, "flow", index), 0.02) for index in range(RANDOM_FLOWS)]
        start = conduction(solver, RANDOM_FLOWS)
        random = State(start.vorticity, start.temperature + torch.cat(noise, dim=2))
        write(options.out / f"{name}-random.npz", run(solver, random, RANDOM_TIME))


if __name__ == "__main__":
    main()
