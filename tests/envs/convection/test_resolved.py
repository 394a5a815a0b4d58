"""A grid that does not resolve the flow is named once, with one that does; presets are silent; starts are settled."""

import warnings

import numpy as np
import pytest
import torch

from agentgym.envs.convection import topology
from agentgym.envs.convection.presets import cell
from agentgym.envs.convection.resolved import LIMITS, Resolved, UnresolvedFlow
from agentgym.envs.convection.solver import Solver, State
from agentgym.envs.convection.vector import ConvectionVectorEnv

CPU = torch.device("cpu")


def shares(rayleigh, prandtl, time, **grid):
    """Of flows of two pairs and of one, and their Nusselt numbers, a time after the cached ones."""
    chosen = cell(rayleigh=rayleigh, prandtl=prandtl, **grid)
    solver = Solver(chosen.fluid, chosen.resolution(CPU))
    flows = [topology._cached("compact", kind).state(solver) for kind in ("two-pair", "one-pair")]
    state = State(*(torch.cat(parts, dim=2) for parts in zip(*flows, strict=True)))
    with torch.no_grad():
        for _ in range(round(time / chosen.time_step)):
            state, _ = solver.step(state)
        return Resolved(chosen, solver, 2).shares(state, solver.fields(state)).numpy() / LIMITS[:, None]


# Nusselt number of two pairs, against 96 x 64: 0.24 % and 0.63 % off; 0.96 %, 3.2 %, 1.4 % and, for Pr 0.1, 1.6 %.
@pytest.mark.parametrize(
    ("rayleigh", "prandtl", "grid", "resolved"),
    [
        (8e4, 0.7, {}, True),
        (1.6e5, 0.7, {}, True),
        (8e4, 0.7, {"columns": 36}, False),
        (8e4, 0.7, {"columns": 24}, False),
        (4e5, 0.7, {}, False),
        (2e4, 0.1, {"columns": 36, "time_step": 0.05}, False),
    ],
)
def test_the_measure_tells_grids_that_are_a_percent_off_from_those_that_are_not(rayleigh, prandtl, grid, resolved):
    assert (shares(rayleigh, prandtl, 30.0, **grid)[:, 0] < 1).all() == resolved


def test_too_few_points_between_the_plates_are_found():
    assert (shares(8e4, 0.7, 15.0)[2] < 0.01).all()
    assert (shares(4e5, 0.7, 15.0, points=12, columns=60, time_step=0.05)[2] > 0.5).any()


HARSH = {
    "alternating": np.where(np.arange(10) % 2, 1.0, -1.0), "halves": np.where(np.arange(10) < 5, 1.0, -1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [*HARSH, "random"])
def test_the_default_is_silent_whatever_the_heaters_do(name):
    env = ConvectionVectorEnv(2, start="mixed")
    env.reset(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnresolvedFlow)
        for step in range(12):
            told = (
                np.random.default_rng(step).uniform(-1, 1, (2, 10))
                if name == "random"
                else np.tile(HARSH[name], (2, 1))
            )
            env.step(told)


def test_it_warns_once_an_environment_and_recommends_a_grid_that_can_be_made():
    env = ConvectionVectorEnv(2, rayleigh=1e6, start="random")
    env.reset(seed=0)

    def play():
        for _ in range(6):
            env.step(np.zeros((2, 10)))

    says = r"48 x 33 .*rayleigh 1e\+06.*Try columns=\d+, points=\d+, time_step="
    with pytest.warns(UnresolvedFlow, match=says) as told:
        play()
    assert len([one for one in told if one.category is UnresolvedFlow]) == 1
    found = str(told[0].message).partition("Try ")[2].rstrip(".").split(", ")
    finer = cell(rayleigh=1e6, **{name: float(value) for name, value in (one.split("=") for one in found)})
    assert 72 <= finer.columns <= 144
    assert finer.time_step < 0.075


def test_flows_at_large_prandtl_numbers_start_settled():
    """Two pairs at Pr 7, where 150 free-fall times leave 1 %: the Nusselt number does not drift any more."""
    chosen = cell(prandtl=7.0, columns=36, points=21, time_step=0.15)
    solver, state = topology.solver_for(chosen, CPU), topology.initial_states(chosen, "two-pair", CPU)
    numbers = []
    with torch.no_grad():
        for _ in range(200):
            state, report = solver.step(state)
            numbers.append(1 + float(report.flux[0, 0]) / solver.fluid.diffusivity)
    assert np.ptp(numbers) < 2e-3 * np.mean(numbers)


def test_the_start_up_is_as_before_up_to_a_prandtl_number_of_one_and_a_half():
    times = [topology._settling_time(cell(prandtl=prandtl).fluid) for prandtl in (0.1, 0.7, 1.5, 6.0)]
    assert times == [150.0, 150.0, 150.0, 300.0]
