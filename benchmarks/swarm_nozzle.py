"""The errors of a swarm in a nozzle against quasi-one-dimensional flow: the tables of docs/results/swarm_flow.md.

    python benchmarks/swarm_nozzle.py table             # all cases, both modes, about 1,000 agents, over 300 s
    python benchmarks/swarm_nozzle.py table --agents 3000 --seconds 80 --modes symmetric --cases sub sup shock
    python benchmarks/swarm_nozzle.py table --cases sub --start rest
    python benchmarks/swarm_nozzle.py switch            # all regimes by back pressure alone
    python benchmarks/swarm_nozzle.py lags              # errors against lag c0 / h, and full quadcopters at 50 Hz
    python benchmarks/swarm_nozzle.py page              # the page, from the rows of the others
    python benchmarks/swarm_nozzle.py --quick

Prints a JSON line a run, and with ``--save`` adds it to docs/results/swarm_flow_NAME.csv, where runs that stand there
are not done again. A run has root mean square errors over the reference's mean (``u_mean``) and range (``u_range``) in
30 bins over the last window, those over the mean in every window (``history``), and CPU seconds a simulated second.
Lags are told in h / c0. Quadcopters are commanded at 50 Hz, and the duct is so large that their lag is the given
number of h / c0.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Arena, Fluid, Physics
from agentgym.envs.swarm.nozzle import Flow, quasi_1d
from agentgym.envs.swarm.quadcopter import lag_of
from agentgym.envs.swarm.score import Profiles

# Back pressure over stagnation pressure, and whether shocks heat
CASES = {
    "sub": (0.9188, False), "sup": (0.1, False), "shock": (0.798, True), "barotropic-shock": (0.798, False),
}  # fmt: skip
SWITCH = ("sub", "barotropic-shock", "sup", "barotropic-shock", "sub", "sup")
COMMANDS = 50.0  # a second, to a quadcopter
# Lags in h / c0
QUADCOPTERS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
WITHOUT_LEAD, WITH_LEAD = (0.1, 0.25, 0.5), (0.5, 1.0, 2.0, 3.0, 4.0)
RESULTS = Path(__file__).parents[1] / "docs" / "results"

Row = dict[str, object]


@dataclass(frozen=True)
class Run:
    """One run. Times are those of c0 = 5 m/s in the duct of 60 m."""

    case: str
    mode: str = "symmetric"
    agents: int = 1000
    seed: int = 0
    seconds: float = 300.0
    window: float = 40.0  # seconds that profiles are averaged over
    start: str = "flow"
    gamma: float = 1.4
    vehicle: str = "perfect"
    lag: float = 0.0  # in h / c0
    lead: float = 0.0  # in lags
    step: float = 0.1  # in h / c0
    sound: float = 5.0  # c0, m/s

    def fluid(self) -> tuple[Fluid, Flow, float]:
        """The swarm, its reference, and how often its duct is as large as that of 60 m."""
        back, energy = CASES[self.case]
        duct = Duct.converging_diverging()
        flow = quasi_1d(duct, back, self.gamma, self.sound, energy)
        mass = float(np.trapezoid(flow.rho * duct.area(flow.x), flow.x)) / self.agents
        h, lag, scale = 1.5 * mass**0.5, self.lag * 1.5 * mass**0.5 / self.sound, 1.0
        if self.vehicle == "quadcopter":
            lag = lag_of()
            scale = lag * self.sound / self.lag / h
            duct = Duct.converging_diverging(60 * scale, 10 * scale, 6 * scale)
            flow = quasi_1d(duct, back, self.gamma, self.sound, energy)
        own = 0.0 if self.vehicle in ("perfect", "quadcopter") else lag
        physics = Physics(
            gamma=self.gamma, sound=self.sound, mode="strict" if self.mode == "strict" else "symmetric", energy=energy,
            vehicle=self.vehicle, lag=own, lead=self.lead * lag, step=self.step,  # type: ignore[arg-type]
        )  # fmt: skip
        return Fluid(1, Arena(2, duct), mass * scale**2, physics), flow, scale


KEEP = [f"{name}_{by}" for name in ("u", "rho", "p", "T") for by in ("mean", "range")]
KEEP += ["flux_variation", "mach_throat", "mach_exit", "separation", "acceleration", "fastest"]


def run(given: Run) -> Row:
    """Fly, and measure window by window."""
    fluid, flow, scale = given.fluid()
    unit = scale * 5.0 / given.sound
    fluid.fill(0, flow, CASES[given.case][0], np.random.default_rng(given.seed), moving=given.start == "flow")
    fluid.look()
    profiles, steps, every = Profiles(fluid), round(given.seconds * unit / fluid.dt), given.window * unit / fluid.dt
    row: Row = {
        **asdict(given), "h": round(fluid.h, 4), "spacing": round(fluid.spacing, 4),
        "length": round(60 * scale, 2), "hold_s": round(fluid.dt, 5),
    }  # fmt: skip
    history: list[list[float]] = []
    fluid.advance(1)
    spent, contacts = time.process_time(), 0.0
    for step in range(1, steps + 1):
        try:
            fluid.advance(1)
        except ValueError as error:  # a swarm that its vehicles cannot hold jams the duct
            return {**row, "failed": str(error), "after": round(step * fluid.dt / unit, 1)}
        if not fluid.inside.any():
            return {**row, "failed": "No agent is left.", "after": round(step * fluid.dt / unit, 1)}
        profiles.add(fluid, 0)
        if int(step / every) > int((step - 1) / every) or step == steps:
            if profiles.looks[0] < 0.5 * every and history:
                break
            measured = profiles.measures(fluid, flow, 0)
            history.append([round(step * fluid.dt / unit), *(round(measured[k], 4) for k in ("u_mean", "rho_mean"))])
            touched, contacts = measured["contacts"] - contacts, measured["contacts"]
            profiles.clear(0)
    spent = time.process_time() - spent
    found = {name: round(measured[name], 4) for name in KEEP}
    return {
        **row, **found, "lost": round(1 - measured["agents"] / given.agents, 3),
        "contacts": round(touched / measured["agents"] / given.window, 3), "history": history,
        "reference": [round(float(flow.mach[1000]), 3), round(float(flow.mach[-1]), 3)],
        "cpu_per_second": round(spent / (given.seconds * unit), 3),
    }  # fmt: skip


def table(options: argparse.Namespace) -> Iterator[Run]:
    """Perfect vehicles in every case."""
    for mode, case, seed in product(options.modes, options.cases, range(options.seeds)):
        yield Run(case, mode, options.agents, seed, options.seconds, start=options.start, gamma=options.gamma)


def lags(options: argparse.Namespace) -> Iterator[Run]:
    """First-order lags, then full quadcopters of several speeds of sound, without and with lead."""
    base = Run("sub", agents=400, seconds=40.0, window=20.0, step=0.05)
    cases = [case for case in options.cases if case != "barotropic-shock"]
    flights = [(each, lead, 5.0) for each in QUADCOPTERS for lead in (0.0, 1.25)]
    flights += [(each, 1.25, 2.0) for each in QUADCOPTERS if each > 0.3]
    lagged = [(0.0, 0.0), *((each, 0.0) for each in WITHOUT_LEAD), *((each, 1.25) for each in WITH_LEAD)]
    if options.quick:
        flights, lagged = [(0.35, 1.25, 5.0)], [(0.5, 1.25)]
    for (lag, lead, sound), case in product(flights, cases):
        step = round(lag / lag_of() / COMMANDS, 6)
        yield replace(base, case=case, vehicle="quadcopter", lag=lag, lead=lead, sound=sound, step=step)
    for (lag, lead), case in product(lagged, cases):
        yield replace(base, case=case, vehicle="acceleration" if lag else "perfect", lag=lag, lead=lead)


def switch(options: argparse.Namespace) -> Iterator[Row]:
    """Barotropic: the back pressure changes, nothing else; each regime is given 80 s, and measured over the last 20."""
    mode, seconds = options.modes[0], 20.0 if options.quick else 80.0
    fluid, _, _ = Run("sub", mode, options.agents).fluid()
    flows = {case: quasi_1d(fluid.arena.duct, CASES[case][0], 1.4, 5.0, False) for case in set(SWITCH)}
    fluid.fill(0, flows["sub"], CASES["sub"][0], np.random.default_rng(0))
    fluid.look()
    for case in SWITCH:
        fluid.set_back_pressure(CASES[case][0])
        profiles = Profiles(fluid)
        for step in range(round(seconds / fluid.dt)):
            fluid.advance(1)
            if step * fluid.dt > seconds - 20:
                profiles.add(fluid, 0)
        found = profiles.measures(fluid, flows[case], 0)
        keep = ("u_mean", "rho_mean", "flux_variation", "mach_throat", "mach_exit")
        yield {"switched to": case, "mode": mode, **{name: round(found[name], 4) for name in keep}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="table", choices=["table", "switch", "lags", "page"])
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--modes", nargs="+", default=["symmetric", "strict"], choices=["symmetric", "strict"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300.0, help="simulated")
    parser.add_argument("--start", default="flow", choices=["flow", "rest"])
    parser.add_argument("--gamma", type=float, default=1.4)
    parser.add_argument("--save", action="store_true", help="add the rows to docs/results")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.agents, options.seconds, options.modes, options.cases = 300, 20.0, ["symmetric"], ["sub", "sup"]
    if options.what == "page":
        from swarm_nozzle_page import write

        write(RESULTS)
        return
    path = RESULTS / f"swarm_flow_{options.what}.csv"
    done = saved(path) if options.save else []
    for each in {"table": table, "lags": lags, "switch": switch}[options.what](options):
        if isinstance(each, Run):
            if any(all(old.get(name) == str(value) for name, value in asdict(each).items()) for old in done):
                continue
            row: Row = run(each)
        else:
            row = each
        print(json.dumps(row), flush=True)
        if options.save:
            save(path, row)


def saved(path: Path) -> list[dict[str, str]]:
    """The rows of a file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def save(path: Path, row: Row) -> None:
    """Add a row to a file; columns that it does not know yet come at its end."""
    rows: list[Row] = list(saved(path))
    rows.append({name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()})
    names = list(dict.fromkeys(name for each in rows for name in each))
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
