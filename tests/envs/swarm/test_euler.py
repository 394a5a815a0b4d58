"""The Euler solver against Sod's exact solution and quasi-one-dimensional flow."""

import numpy as np
import pytest

from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.euler import euler_2d, shock_tube
from agentgym.envs.swarm.nozzle import quasi_1d
from agentgym.errors import InvalidParameter

DUCT = Duct.converging_diverging()


def test_sod_shock_tube() -> None:
    """Plateaus of Toro's exact solution, and mass, which nothing has carried out of the tube yet."""
    x, state = shock_tube(np.array([1.0, 0, 0, 1]), np.array([0.125, 0, 0, 0.1]), 0.2)
    star_left, star_right = (x > 0.55) & (x < 0.66), (x > 0.72) & (x < 0.83)
    np.testing.assert_allclose(state[star_left].mean(axis=0), [0.42632, 0.92745, 0, 0.30313], atol=3e-3)
    np.testing.assert_allclose(state[star_right].mean(axis=0), [0.26557, 0.92745, 0, 0.30313], atol=3e-3)
    assert state[:, 0].mean() == pytest.approx(0.5625, rel=1e-12)
    assert state[np.argmin(np.abs(x - 0.84)), 0] > 0.2 > state[np.argmin(np.abs(x - 0.87)), 0]  # shock at 0.8504


def test_supersonic_branch_on_a_coarse_mesh() -> None:
    found = euler_2d(DUCT, 0.1, columns=60, rows=8, steps=4000)
    flow = quasi_1d(DUCT, 0.1)
    u = flow.at("u", found.x[:, 0])
    assert np.sqrt(np.mean((found.means[1] - u) ** 2)) / u.mean() < 0.012
    flux = found.means[0] * found.means[1] * DUCT.half(found.x[:, 0])
    assert flux.std() / flux.mean() < 0.01
    assert np.abs(found.v[:, 0]).max() < 0.1 * np.abs(found.v[:, -1]).max()  # the axis is a mirror


def test_round_ducts_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="flat"):
        euler_2d(Duct.converging_diverging(dimensions=3), 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("back", "bound"), [(0.9188, 0.006), (0.1, 0.010), (0.798, 0.02)])
def test_all_branches_on_a_fine_mesh(back: float, bound: float) -> None:
    found = euler_2d(DUCT, back, columns=240, rows=20, steps=40_000)
    flow = quasi_1d(DUCT, back)
    u = flow.at("u", found.x[:, 0])
    assert np.sqrt(np.mean((found.means[1] - u) ** 2)) / u.mean() < bound
