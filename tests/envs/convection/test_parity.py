"""Even and odd parts: what a whole matrix does, two small ones do, on even and odd numbers of points."""

import numpy as np
import pytest
import torch

from agentgym.envs.convection import topology
from agentgym.envs.convection.chebyshev import Collocation
from agentgym.envs.convection.parity import at_pairs, blocks, joined, over_pairs, split
from agentgym.envs.convection.presets import cell
from agentgym.envs.convection.solver import State

SIGNS = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]


@pytest.fixture(params=[12, 13])
def grid(request):
    return Collocation(request.param, height=2.0)


@pytest.fixture
def values(grid):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((3, len(grid.z))))


def test_parts_add_up_to_the_field_and_are_even_and_odd(grid, values):
    even, odd = split(values, SIGNS)
    torch.testing.assert_close(joined(at_pairs(even, odd).unbind(-2), len(grid.z)), values)
    whole = joined((even, even), len(grid.z)) + joined((odd, -odd), len(grid.z))
    torch.testing.assert_close(whole, values)
    alone, nothing = split(joined((even, even), len(grid.z)), SIGNS)
    torch.testing.assert_close(alone, even)
    assert float(nothing.abs().max()) < 1e-15


@pytest.mark.parametrize(("order", "inner"), [(1, False), (2, False), (1, True), (2, True)])
def test_blocks_do_what_the_matrix_does(grid, values, order, inner):
    kept = slice(1, -1) if inner else slice(None)
    matrix, values = grid.derivative(order)[kept, kept], values[:, kept]
    even, odd = (
        part @ torch.from_numpy(block.T) for part, block in zip(split(values, SIGNS), blocks(matrix), strict=True)
    )
    if order == 1:  # parity turns
        even, odd = odd, even
    found = joined(at_pairs(even, odd).unbind(-2), len(matrix))
    np.testing.assert_allclose(found, values.numpy() @ matrix.T, atol=1e-11)


def test_weights_over_pairs_integrate_the_field(grid, values):
    pairs = at_pairs(*split(values, SIGNS)).flatten(-2)
    np.testing.assert_allclose(pairs.numpy() @ over_pairs(grid.weights), values.numpy() @ grid.weights, rtol=1e-13)


@pytest.mark.parametrize("points", [33, 34])
def test_a_world_upside_down_stays_so(points):
    """z to -z turns w, T and psi, the mean flow not: the steps of two such worlds give two such worlds."""
    settings = cell("compact", points=points, precision="float64")
    solver = topology.solver_for(settings, torch.device("cpu"))
    state = topology.initial_states(settings, "random", torch.device("cpu"))

    def turned(state):
        vorticity = -state.vorticity.flip(-1)
        vorticity[0] *= -1
        return State(vorticity, -state.temperature.flip(-1))

    other = turned(state)
    with torch.no_grad():
        for _ in range(10):
            (state, report), (other, same) = solver.step(state), solver.step(other)
    for part, expected in zip(other, turned(state), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(same.flux, report.flux)
    torch.testing.assert_close(same.gradients, report.gradients.flip(1))
    assert float(state.vorticity[0].abs().max()) > 1e-6  # there is a mean flow to be turned
