"""Robust value iteration with L1 sets, to an error of 1e-6: against a linear program a row, and against a NumPy loop.

    python benchmarks/robust_vi.py            # 10,000 states x 10 actions, and growth curves; a few minutes
    python benchmarks/robust_vi.py --quick    # 500 states x 10 actions, under a minute

Garnet processes with 20 successors, discount 0.95, an L1 ball of radius 0.2 on the successors. One sweep solves one
inner problem for every state and action. The peers solve a sample of a sweep's rows, with the same values, and are
checked to give the same minima. Their seconds to 1e-6 are seconds a row times rows times the sweeps of our value
iteration: with the same minima they need as many. The ratio is that of seconds a row. "policy iteration" is
RobustPolicyIteration against our own value iteration. We found no installable package that solves robust processes
(CRAAM is a C++ library without a release on PyPI).
"""

import argparse
import json
import statistics
import time

import numpy as np
from scipy.optimize import linprog

from agentgym.agents.robust.sets import L1
from agentgym.agents.robust.solvers import RobustPolicyIteration, RobustValueIteration
from agentgym.envs.tabular.models import garnet

RADIUS = 0.2


def by_program(z: np.ndarray, p: np.ndarray) -> float:
    """min q . z with sum |q - p| <= radius: variables q and |q - p|."""
    k = len(p)
    eye = np.eye(k)
    rows = np.vstack([np.hstack([eye, -eye]), np.hstack([-eye, -eye]), np.r_[np.zeros(k), np.ones(k)]])
    found = linprog(
        np.r_[z, np.zeros(k)], A_ub=rows, b_ub=np.r_[p, -p, RADIUS],
        A_eq=np.r_[np.ones(k), np.zeros(k)][None], b_eq=[1.0], method="highs",
    )  # fmt: skip
    return float(found.fun)


def by_loop(z: np.ndarray, p: np.ndarray) -> float:
    """The sort, one row at a time."""
    order = np.argsort(z)
    q, least = p.copy(), order[0]
    left = min(RADIUS / 2, 1.0 - p[least])
    q[least] += left
    for k in order[::-1]:
        taken = min(left, q[k])
        q[k] -= taken
        left -= taken
        if left <= 0.0:
            break
    return float(q @ z)


def sweep_seconds(solver: RobustValueIteration, values: np.ndarray) -> float:
    began = time.perf_counter()
    solver.operator.backup(values)
    return time.perf_counter() - began


def solved(solver: RobustValueIteration) -> tuple[float, int, float]:
    """Seconds, sweeps and error."""
    began = time.perf_counter()
    found = solver.solve()
    assert found.converged
    return time.perf_counter() - began, found.iterations, found.error


def row_seconds(solve, z: np.ndarray, p: np.ndarray, wanted: np.ndarray) -> float:
    began = time.perf_counter()
    found = [solve(*row) for row in zip(z, p, strict=True)]
    seconds = (time.perf_counter() - began) / len(found)
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    return seconds


def compare(states: int, actions: int, sample: int, rounds: int) -> None:
    mdp = garnet(states, actions, 20, seed=0)
    ball = L1(RADIUS, support="nominal")
    ours = RobustValueIteration(mdp, ball)
    total, sweeps, error = solved(ours)
    by_policy, inner, _ = solved(RobustPolicyIteration(mdp, ball))
    values = np.random.default_rng(0).normal(size=states)
    z = ours.operator.outcomes(values).reshape(-1, 20)
    wanted = ball.minimum(ours.operator.rows, z.reshape(states, actions, 20)).upper
    rows = np.random.default_rng(1).choice(len(z), min(sample, len(z)), replace=False)
    p = mdp.probabilities.reshape(-1, 20)
    each: dict[str, list[float]] = {"linear program a row": [], "NumPy loop": []}
    own = []
    for _ in range(rounds):  # interleaved
        own.append(sweep_seconds(ours, values) / len(z))
        for name, solve in zip(each, (by_program, by_loop), strict=True):
            each[name].append(row_seconds(solve, z[rows], p[rows], wanted[rows]))
    row = statistics.median(own)
    for name, peer in each.items():
        peer_row = statistics.median(peer)
        line(
            f"{states} x {actions}, {name}",
            total,
            peer_row * len(z) * sweeps,
            peer_row / row,
            sweeps=sweeps,
            error=error,
        )
    line(f"{states} x {actions}, policy iteration", by_policy, total, total / by_policy, sweeps=inner)


def growth(sizes: list[tuple[int, int]]) -> None:
    """Seconds to 1e-6 of policy iteration, as states and actions grow; the peer is the smallest one's time per row."""
    first = None
    for states, actions in sizes:
        seconds, sweeps, _ = solved(
            RobustPolicyIteration(garnet(states, actions, 20, seed=0), L1(RADIUS, support="nominal"))
        )
        per_row = seconds / (states * actions)
        first = first or per_row
        line(f"growth, {states} x {actions}", seconds, first * states * actions, first / per_row, sweeps=sweeps)


def line(case: str, ours: float, peer: float, ratio: float, **more: float) -> None:
    print(json.dumps({"case": case, "ours": round(ours, 4), "peer": round(peer, 2), "unit": "s to 1e-6",
                      "ratio": round(ratio, 2), "threads": 1, **more}), flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    if quick:
        compare(500, 10, 100, 3)
        growth([(250, 10), (500, 10), (500, 20)])
    else:
        compare(10_000, 10, 500, 5)
        growth([(1_250, 10), (2_500, 10), (5_000, 10), (10_000, 10), (10_000, 5), (10_000, 20)])


if __name__ == "__main__":
    main()
