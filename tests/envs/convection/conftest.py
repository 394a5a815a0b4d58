"""Flows to test on: small ones from conduction, and the cached steady ones."""

import functools
import math

import numpy as np
import pytest
import torch

from agentgym.envs.convection.make_flows import conduction
from agentgym.envs.convection.solver import Fluid, Resolution, Solver

CRITICAL_WAVENUMBER = 3.117  # per height, at the onset


@pytest.fixture(scope="session")
def roll_solver():
    """One pair of rolls of the critical wavelength between plates of distance 1 (Clever and Busse 1974)."""

    @functools.cache
    def make(rayleigh, prandtl=0.71, columns=36, points=33, time_step=0.05, dtype=torch.float64):
        fluid = Fluid(rayleigh, prandtl, 1.0, 2 * math.pi / CRITICAL_WAVENUMBER)
        return Solver(fluid, Resolution(columns, points, time_step, dtype))

    return make


@pytest.fixture(scope="session")
def nusselt():
    """Nusselt numbers (volume, bottom, top) and kinetic energies after a time, from conduction with a wave in it.

    Equal runs are computed once: leave what it returns as it is.
    """

    @functools.cache
    def run(solver, time, size=0.1, wave=1):
        state = conduction(solver, 1, wave, size)
        energies = []
        with torch.no_grad():
            for _ in range(round(time / solver.resolution.time_step)):
                state, report = solver.step(state)
                energies.append(float(solver.fields(state).stream.square().sum()) if len(energies) % 50 == 0 else 0.0)
        bottom, top = -report.gradients[0].numpy() * solver.fluid.height
        volume = 1 + float(report.flux[0, 0]) / solver.fluid.diffusivity
        return np.array([volume, bottom, top]), [energy for energy in energies if energy], state

    return run
