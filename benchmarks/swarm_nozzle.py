"""The errors of a swarm in a nozzle against quasi-one-dimensional flow: the table of envs/swarm/README.md.

    python benchmarks/swarm_nozzle.py                       # all cases, both modes, about 1,000 agents, one seed
    python benchmarks/swarm_nozzle.py --agents 3000
    python benchmarks/swarm_nozzle.py --cases shock --modes symmetric --seeds 3 --seconds 300
    python benchmarks/swarm_nozzle.py --cases sub --start rest
    python benchmarks/swarm_nozzle.py --vehicle acceleration --ratios 0 0.5 1 2 3 4 --lead 1.25    # the lag's curve
    python benchmarks/swarm_nozzle.py --switch              # all regimes by back pressure alone
    python benchmarks/swarm_nozzle.py --quadcopters --step 0.05 --agents 500     # full quadcopters, commanded at 50 Hz
    python benchmarks/swarm_nozzle.py --quick

Prints a JSON line a run: root mean square errors over the reference's mean (`u_mean`) and range (`u_range`) in 30 bins,
averaged over the last 40 simulated seconds, and CPU seconds a simulated second.
"""

import argparse
import json
import time
from itertools import product

import numpy as np

from agentgym.envs.swarm.columns import BACK
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Arena, Fluid, Physics
from agentgym.envs.swarm.nozzle import Flow, quasi_1d
from agentgym.envs.swarm.quadcopter import CRAZYFLIE, fly, lag_of, level
from agentgym.envs.swarm.score import Profiles

# Back pressure over stagnation pressure, whether shocks heat, simulated seconds
CASES = {
    "sub": (0.9188, False, 60.0),
    "sup": (0.1, False, 60.0),
    "shock": (0.798, True, 80.0),
    "barotropic-shock": (0.798, False, 80.0),
}
SWITCH = ("sub", "shock", "sup", "shock", "sub", "sup")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--modes", nargs="+", default=["symmetric", "strict"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="simulated; by default 60 or 80")
    parser.add_argument("--start", default="flow", choices=["flow", "rest"])
    parser.add_argument("--gamma", type=float, default=1.4)
    parser.add_argument("--vehicle", default="perfect")
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.0], help="lag c0 / h")
    parser.add_argument("--lead", type=float, default=0.0, help="in lags")
    parser.add_argument("--damping", type=float, default=0.0)
    parser.add_argument("--misjudged", type=float, default=1.0, help="what velocity-lagged vehicles take their lag for")
    parser.add_argument("--step", type=float, default=0.1, help="time step in h / c0")
    parser.add_argument("--hold", type=int, default=1, help="steps of h / 10 c0 that a command is held")
    parser.add_argument("--quadcopters", action="store_true", help="instead of a vehicle")
    parser.add_argument("--switch", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.agents, options.seconds, options.modes, options.cases = 300, 20.0, ["symmetric"], ["sub", "sup"]
    if options.switch:
        switch(options)
        return
    for mode, case, ratio, seed in product(options.modes, options.cases, options.ratios, range(options.seeds)):
        print(json.dumps(run(options, mode, case, ratio, seed)), flush=True)


def setting(options: argparse.Namespace, mode: str, energy: bool, ratio: float, flow: Flow, duct: Duct) -> Fluid:
    mass = float(np.trapezoid(flow.rho * duct.area(flow.x), flow.x)) / options.agents
    if options.quadcopters:  # commanded at 50 Hz, which fixes the swarm's scale
        mass = (0.02 * 5.0 / options.step / 1.5) ** 2
        ratio = lag_of() / (1.5 * np.sqrt(mass) / 5.0)
    lag = ratio * 1.5 * np.sqrt(mass) / 5.0
    vehicle = options.vehicle if ratio and not options.quadcopters else "perfect"
    physics = Physics(
        gamma=options.gamma, mode=mode, energy=energy, vehicle=vehicle, lag=lag, lead=options.lead * lag,
        damping=options.damping, step=options.step, assumed_lag=options.misjudged * lag or None,
    )  # fmt: skip
    return Fluid(1, Arena(2, duct), mass, physics)


class Drones:
    """Full quadcopters under the agents: attitudes and rates, from level flight where they come into the duct."""

    def __init__(self, fluid: Fluid) -> None:
        self.state = level(np.zeros((fluid.pool, 3)))
        self.frame = CRAZYFLIE._replace(height_gain=4.0, height_damping=3.0)

    def flown(self, fluid: Fluid) -> np.ndarray:
        """The mean accelerations [1, A, 2] that drones make of what they are told, over a time step."""
        inside, before = fluid.inside[0], fluid["velocities"][0]
        self.state[~inside] = level(np.zeros(((~inside).sum(), 3)))
        self.state[:, :2], self.state[:, 3:5] = fluid["positions"][0], before
        told = np.zeros((fluid.pool, 3))
        told[inside, :2] = (fluid["push"] + fluid["drag"])[0, inside]
        told[inside, :2] += self.frame.drag / self.frame.mass * before[inside]  # what the rotors' drag will take
        flying = self.state[inside]
        fly(flying, told[inside], fluid.dt, self.frame, rate=round(240 * fluid.dt) / fluid.dt)
        self.state[inside] = flying
        return ((self.state[:, 3:5] - before) / fluid.dt)[None]


def run(options: argparse.Namespace, mode: str, case: str, ratio: float, seed: int) -> dict[str, object]:
    back, energy, seconds = CASES[case]
    seconds, duct = options.seconds or seconds, Duct.converging_diverging()
    flow = quasi_1d(duct, back, options.gamma, 5.0, energy)
    fluid = setting(options, mode, energy, ratio, flow, duct)
    fluid.fill(0, flow, back, np.random.default_rng(seed), moving=options.start == "flow")
    fluid.look()
    profiles, began = Profiles(fluid), None
    steps = round(seconds / fluid.dt / options.hold)
    fluid.advance(1)
    start = time.process_time()
    name = "quadcopter" if options.quadcopters else options.vehicle
    row: dict[str, object] = {
        "case": case, "mode": mode, "agents": options.agents, "seed": seed, "seconds": seconds, "start": options.start,
        "vehicle": name, "ratio": round(lag_of() * 5.0 / fluid.h, 3) if options.quadcopters else ratio,
        "lead": options.lead, "hold": options.hold, "step": options.step,
    }  # fmt: skip
    drones = Drones(fluid) if options.quadcopters else None
    for step in range(steps):
        command = None if options.hold == 1 else fluid["push"] + fluid["drag"]
        if drones is not None:
            command = drones.flown(fluid)
        try:
            fluid.advance(options.hold, command)
        except ValueError as error:  # a swarm that its vehicles cannot hold jams the duct
            return {**row, "failed": str(error), "after": round(step * options.hold * fluid.dt, 1)}
        if step * options.hold * fluid.dt > seconds - min(40.0, seconds / 2):
            began = step if began is None else began
            profiles.add(fluid, 0)
    spent = time.process_time() - start
    measured = profiles.measures(fluid, flow, 0)
    keep = [f"{name}_{by}" for name in ("u", "rho", "p", "T") for by in ("mean", "range")]
    keep += ["flux_variation", "mach_throat", "mach_exit", "separation", "fastest", "contacts"]
    return {
        **row, **{name: round(measured[name], 4) for name in keep}, "inside": int(fluid.inside.sum()),
        "reference": [round(float(flow.mach[1000]), 3), round(float(flow.mach[-1]), 3)],
        "cpu_per_second": round(spent / seconds, 3),
    }  # fmt: skip


def switch(options: argparse.Namespace) -> None:
    """Barotropic: the back pressure changes, nothing else; each regime is given 80 s, and measured over the last 20."""
    duct, mode = Duct.converging_diverging(), options.modes[0]
    flows = {case: quasi_1d(duct, CASES[case][0], options.gamma, 5.0, False) for case in ("sub", "sup", "shock")}
    fluid = setting(options, mode, False, 0.0, flows["sub"], duct)
    fluid.fill(0, flows["sub"], CASES["sub"][0], np.random.default_rng(0))
    fluid.look()
    for case in SWITCH:
        fluid.stations[0, BACK] = CASES[case][0]
        profiles = Profiles(fluid)
        for step in range(round((options.seconds or 80.0) / fluid.dt)):
            fluid.advance(1)
            if step * fluid.dt > (options.seconds or 80.0) - 20:
                profiles.add(fluid, 0)
        found = profiles.measures(fluid, flows[case], 0)
        keep = ("u_mean", "rho_mean", "flux_variation", "mach_throat", "mach_exit")
        print(
            json.dumps({"switched to": case, "mode": mode, **{name: round(found[name], 4) for name in keep}}),
            flush=True,
        )


if __name__ == "__main__":
    main()
