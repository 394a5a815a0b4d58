"""What a step of a swarm costs: SPH in three dimensions by the number of agents, the door's share, quadcopters.

    python benchmarks/swarm.py            # 1,000, 10,000 and 100,000 agents
    python benchmarks/swarm.py --quick    # 1,000 and 10,000

The peer is a SciPy k-d tree with the pairs summed by ``bincount``: density, pressure forces and viscosity of the same
agents, at the same smoothing length. That of quadcopters is PyBullet (extra ``swarm``): 100 bodies under one force and
one torque, with their state read, without the inner loops that ours have. One thread each, interleaved, CPU time,
median of the rounds. Prints a JSON line a case; ``ratio`` above 1 is in our favour. ``exponent`` is that of our cost
between this size and the one before.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from scipy.spatial import cKDTree

from agentgym.envs.swarm.bullet import BulletDrones
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Arena, Fluid, Physics
from agentgym.envs.swarm.nozzle import quasi_1d
from agentgym.envs.swarm.quadcopter import fly, lag_of, level
from agentgym.envs.swarm.vector import SwarmVectorEnv
from agentgym.errors import MissingExtra


def milliseconds(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return (time.process_time() - start) * 1e3


def crowd(count: int) -> Fluid:
    """A jittered cubic lattice at density 1, h = 1.3 spacings, cubic spline."""
    side = round(count ** (1 / 3))
    x = np.stack(np.meshgrid(*[np.arange(side) + 0.5 - side / 2] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    random = np.random.default_rng(0)
    fluid = Fluid(1, Arena(3), 1.0, Physics(kernel="cubic", eta=1.3), pool=len(x))
    low, cells = -side / 2 - 2.0, side + 4
    edge = fluid.h
    count_of = int(np.ceil(cells / edge))
    fluid.grid = fluid.grid._replace(x=low, y=low, z=low, cell=edge, nx=count_of, ny=count_of, nz=count_of)
    fluid.put(0, x + random.uniform(-0.2, 0.2, x.shape), random.normal(scale=0.3, size=x.shape))
    return fluid


def peer(fluid: Fluid) -> np.ndarray:
    """Densities, then accelerations, by all pairs that a k-d tree finds."""
    x, v, h, mass = fluid["positions"][0], fluid["velocities"][0], fluid.h, fluid.mass
    i, j = cKDTree(x).query_pairs(2 * h, output_type="ndarray").T
    apart = x[i] - x[j]
    r = np.linalg.norm(apart, axis=1)
    q = r / h
    w = np.where(q < 1, 1 - 1.5 * q**2 + 0.75 * q**3, 0.25 * (2 - q) ** 3) / (np.pi * h**3)
    rho = mass * (1 / (np.pi * h**3) + np.bincount(i, w, len(x)) + np.bincount(j, w, len(x)))
    slope = np.where(q < 1, -3 * q + 2.25 * q**2, -0.75 * (2 - q) ** 2) / (np.pi * h**4) / r
    p, c = 25 / 1.4 * rho**1.4, 5 * rho**0.2
    approach = ((v[i] - v[j]) * apart).sum(axis=1)
    mu = np.minimum(h * approach / (r**2 + 0.01 * h**2), 0)
    stress = (-0.5 * (c[i] + c[j]) / 2 * mu + mu**2) / ((rho[i] + rho[j]) / 2)
    force = (mass * (p[i] / rho[i] ** 2 + p[j] / rho[j] ** 2 + stress) * slope)[:, None] * apart
    return np.stack([np.bincount(j, f, len(x)) - np.bincount(i, f, len(x)) for f in force.T], axis=1)


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, batch: int
) -> tuple[float, float]:
    """Median milliseconds of each."""
    mine, other = [], []
    for _ in range(rounds):
        mine.append(milliseconds(lambda: [ours() for _ in range(batch)]) / batch)
        other.append(milliseconds(theirs))
    return statistics.median(mine), statistics.median(other)


def step_of(wanted: int) -> tuple[int, float, float]:
    """Agents, and milliseconds of our step and of the peer's."""
    fluid = crowd(wanted)
    fluid.look()
    rounds, batch = (7, max(1, 5000 // fluid.pool)) if fluid.pool < 50_000 else (3, 1)
    return fluid.pool, *interleaved(fluid.look, lambda: peer(fluid), rounds, batch)


def door() -> tuple[float, float, float]:
    """Milliseconds of a step through the door and of the core alone, and simulated seconds a CPU second."""
    env = SwarmVectorEnv(1, agents=1000, seconds=1000.0)
    env.reset(seed=0)
    actions, fluid = np.zeros(env.action_space.shape or ()), env.world.fluid
    fluid.advance(1)
    own, bare = interleaved(lambda: env.step(actions), lambda: [fluid.advance(1) for _ in range(5)], 9, 5)
    return own, bare / 5, fluid.dt * 1e3 / own


def quadcopters() -> Iterator[dict[str, object]]:
    """Microseconds a drone and step of physics, ours with inner loops; and 1,000 of ours against real time."""
    places = np.random.default_rng(0).normal(size=(1000, 3))
    state, command = level(places), np.tile([0.5, -0.3, 0.1], (1000, 1))
    fly(state, command, 0.1)
    seconds = 0.1
    with suppress(MissingExtra), BulletDrones(level(places[:100])) as drones:
        given = np.tile([0.265, 0.0, 0.0, 0.0], (100, 1))
        mine, other = interleaved(lambda: fly(state, command, seconds), lambda: drones.push(given), 9, 1)
        steps = round(240 * seconds)
        yield {
            "case": "a drone and step of physics", "ours": round(mine / steps, 3), "peer": round(other * 10, 3),
            "unit": "us", "ratio": round(other * 10 / (mine / steps), 1), "threads": 1,
        }  # fmt: skip
    mine, _ = interleaved(lambda: fly(state, command, seconds), lambda: None, 9, 1)
    fluid = swarm_of_quadcopters()
    fluid.advance(1)
    step, _ = interleaved(lambda: fluid.advance(1), lambda: None, 9, 10)
    yield {
        "case": "1,000 quadcopters of a nozzle at 50 Hz, SPH and inner loops", "ours": round(step, 3),
        "unit": "ms", "threads": 1, "real_time": round(fluid.dt * 1e3 / step, 2),
        "quadcopters_alone_real_time": round(seconds * 1e3 / mine, 1),
    }  # fmt: skip


def swarm_of_quadcopters() -> Fluid:
    """About 1,000 in the duct, 1.4 m apart, c0 = 5 m/s, commanded at 50 Hz."""
    duct = Duct.converging_diverging(90.0, 15.0, 9.0)
    flow = quasi_1d(duct, 0.9188, energy=False)
    mass = float(np.trapezoid(flow.rho * duct.area(flow.x), flow.x)) / 1000
    step = 0.02 * 5.0 / (1.5 * mass**0.5)
    fluid = Fluid(1, Arena(2, duct), mass, Physics(energy=False, vehicle="quadcopter", lead=1.25 * lag_of(), step=step))
    fluid.fill(0, flow, 0.9188, np.random.default_rng(0))
    fluid.look()
    return fluid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    before: tuple[int, float] | None = None
    for wanted in (1000, 10_000) if parser.parse_args().quick else (1000, 10_000, 100_000):
        count, ours, theirs = step_of(wanted)
        row: dict[str, object] = {
            "case": f"3-D SPH step, {count} agents", "ours": round(ours, 3), "peer": round(theirs, 3), "unit": "ms",
            "ratio": round(theirs / ours, 2), "threads": 1,
        }  # fmt: skip
        if before is not None:
            row["exponent"] = round(float(np.log(ours / before[1]) / np.log(count / before[0])), 3)
        before = (count, ours)
        print(json.dumps(row), flush=True)
    own, bare, times = door()
    row = {
        "case": "step of the nozzle, 1000 agents, through the door and without", "ours": round(own, 3),
        "peer": round(bare, 3), "unit": "ms", "ratio": round(bare / own, 2), "threads": 1, "real_time": round(times, 1),
    }  # fmt: skip
    print(json.dumps(row))
    for row in quadcopters():
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
