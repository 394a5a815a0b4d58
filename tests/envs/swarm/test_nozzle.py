"""Ducts and quasi-one-dimensional flow, against closed forms and tables."""

import numpy as np
import pytest

from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.nozzle import (
    area_ratio,
    back_pressures,
    low_speed,
    mach_of_area,
    normal_shock,
    quasi_1d,
)  # fmt: skip
from agentgym.envs.swarm.stations import inlet, outlet
from agentgym.errors import InvalidParameter, NonFinite

DUCT = Duct.converging_diverging()
inlet_state, outlet_state = inlet.py_func, outlet.py_func  # type: ignore[attr-defined]


def test_area_mach_table() -> None:
    """NACA Report 1135's table for gamma 1.4."""
    for mach, ratio in ((0.2, 2.9635), (0.6, 1.1882), (1.5, 1.1762), (2.0, 1.6875), (3.0, 4.2346)):
        assert area_ratio(mach, 1.4) == pytest.approx(ratio, abs=5e-5)
        assert mach_of_area(area_ratio(mach, 1.4), 1.4, mach > 1) == pytest.approx(mach, abs=1e-9)


def test_normal_shock_table() -> None:
    density, behind, entropy = normal_shock(2.0, 1.4, energy=True)
    assert (density, behind) == pytest.approx((2.6667, 0.57735), abs=5e-5)
    assert entropy ** (-1 / 0.4) == pytest.approx(0.72087, abs=5e-5)  # p02 / p01
    density, behind, entropy = normal_shock(1.6, 1.4, energy=False)
    ahead_flux, behind_flux = 1 / 1.4 + 1.6**2, density**1.4 / 1.4 + 1.6**2 / density
    assert ahead_flux == pytest.approx(behind_flux)
    assert entropy == 1.0
    assert behind < 1


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("energy", [True, False])
def test_mass_momentum_and_energy_are_kept_in_every_regime(dimensions: int, energy: bool) -> None:
    duct = Duct.converging_diverging(dimensions=dimensions)
    choked, in_exit, design = back_pressures(duct, 1.4, 5.0, energy)
    assert 1 > choked > in_exit > design > 0
    wanted = {
        (1 + choked) / 2: "subsonic", (choked + in_exit) / 2: "shock", (in_exit + design) / 2: "overexpanded",
        design / 2: "underexpanded",
    }  # fmt: skip
    for back, regime in wanted.items():
        flow = quasi_1d(duct, back, energy=energy)
        assert flow.regime == regime
        flux = flow.rho * flow.u * duct.area(flow.x)
        np.testing.assert_allclose(flux, flux[0], rtol=1e-9)
        head = 1.4 * flow.p / flow.rho / 0.4 + flow.u**2 / 2  # total enthalpy
        if energy or regime != "shock":
            np.testing.assert_allclose(head, 25 / 0.4, rtol=1e-9)
        if regime in ("subsonic", "shock"):
            assert flow.p[-1] == pytest.approx(back * 25 / 1.4, rel=1e-6)
        if regime == "shock":
            assert flow.shock is not None
            a, b = np.searchsorted(flow.x, flow.shock) + np.array([-1, 0])
            push = flow.p + flow.rho * flow.u**2
            assert push[a] == pytest.approx(push[b], rel=2e-3)  # the cross-section changes a little from a to b
            assert flow.mach[a] > 1 > flow.mach[b]


def test_issue_case_numbers() -> None:
    """The test shock's A, and the exit Mach numbers of the specification's table."""
    assert quasi_1d(DUCT, 0.9188).mach[[1000, -1]] == pytest.approx([0.742, 0.350], abs=1e-3)
    assert quasi_1d(DUCT, 0.1).mach[-1] == pytest.approx(1.985, abs=1e-3)
    shocked = quasi_1d(DUCT, 0.798)
    assert (shocked.p / shocked.rho**1.4 * 1.4 / 25)[-1] == pytest.approx(1.041, abs=1e-3)
    assert shocked.mach[-1] == pytest.approx(0.43, abs=5e-3)
    assert quasi_1d(DUCT, 0.798, energy=False).mach[-1] == pytest.approx(0.42, abs=5e-3)


def test_low_speed_flow_obeys_bernoulli() -> None:
    x, u, p = low_speed(DUCT, 0.5)
    np.testing.assert_allclose(u * DUCT.area(x), 0.5 * 20)
    np.testing.assert_allclose(p + u**2 / 2, 0.125)
    # The subsonic branch of a nearly incompressible gas comes to the same: gamma 7, exit Mach 0.1 as 1 - p / p0 = 0.034
    flow = quasi_1d(DUCT, (1 + 3 * 0.01) ** (-7 / 6), 7.0, 5.0)
    np.testing.assert_allclose(flow.u / flow.u[-1], np.interp(flow.x, x, u / u[-1]), rtol=0.02)


def test_ends_keep_the_flow_that_is_there() -> None:
    """The stations' rules leave every quasi-1-D flow as it is."""
    for back in (0.9188, 0.798, 0.1):
        flow = quasi_1d(DUCT, back)
        assert inlet_state(flow.u[0], flow.rho[0], 1.4, 5.0) == pytest.approx((flow.u[0], flow.rho[0]), rel=1e-9)
        entropy = flow.p[-1] / flow.rho[-1] ** 1.4 * 1.4 / 25
        coasting, u, p = outlet_state(flow.u[-1], flow.rho[-1], entropy, back * 25 / 1.4, 1.4, 5.0)
        assert coasting == (back == 0.1)
        assert (u, p) == pytest.approx((flow.u[-1], flow.p[-1]), rel=1e-6)


def test_outlet_sends_the_exact_wave() -> None:
    # A weak shock into gas at rest: Hugoniot of the barotropic gas, u = -D
    coasting, u, p = outlet_state(0.0, 1.0, 1.0, 1.2 * 25 / 1.4, 1.4, 5.0)
    dense = 1.2 ** (1 / 1.4)
    assert not coasting
    assert p == pytest.approx(1.2 * 25 / 1.4)
    assert u == pytest.approx(-np.sqrt(0.2 * 25 / 1.4 * (1 - 1 / dense)))
    # Into vacuum: the sonic state, u = c = c0 / (1 + g)
    coasting, u, p = outlet_state(0.0, 1.0, 1.0, 1e-6, 1.4, 5.0)
    assert u == pytest.approx(5 / 1.2)
    assert p == pytest.approx(25 / 1.4 * (1 / 1.2) ** 7)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_distance_is_that_of_the_nearest_point_of_the_wall(dimensions: int) -> None:
    duct = Duct.converging_diverging(dimensions=dimensions)
    random = np.random.default_rng(0)
    at = np.zeros((200, dimensions))
    at[:, 0] = random.uniform(0, 60, 200)
    across = random.normal(size=(200, dimensions - 1))
    r = duct.half(at[:, 0]) - random.uniform(-0.5, 3.0, 200)
    at[:, 1:] = across / np.linalg.norm(across, axis=1)[:, None] * r[:, None]
    wall = np.linspace(-3, 63, 200_001)
    apart = np.hypot(at[:, :1] - wall, r[:, None] - duct.half(wall)).min(axis=1)
    np.testing.assert_allclose(np.abs(duct.distance(at)), apart, atol=1e-5)
    assert ((duct.distance(at) > 0) == (r < duct.half(at[:, 0]))).all()


def test_profiles_are_kept_and_wrong_ones_refused() -> None:
    x = np.linspace(0, 10, 41)
    duct = Duct(x, 2 + 0.1 * np.sin(x) ** 2)
    np.testing.assert_allclose(duct.half(x)[1:-1], (2 + 0.1 * np.sin(x) ** 2)[1:-1], atol=2e-3)
    assert Duct.of(lambda x: 3 + 0 * x, 5.0).area(2.0) == pytest.approx(6.0)
    with pytest.raises(InvalidParameter, match="closes"):
        Duct(x, 2 - x / 4)
    with pytest.raises(InvalidParameter, match="increase"):
        Duct(x[::-1], x + 1)
    with pytest.raises(NonFinite):
        Duct(x, np.full(41, np.nan))
    with pytest.raises(InvalidParameter, match="dimensions"):
        Duct(x, x + 1, dimensions=4)
    with pytest.raises(InvalidParameter, match="back_pressure"):
        quasi_1d(DUCT, 1.0)
    with pytest.raises(InvalidParameter, match="gamma"):
        quasi_1d(DUCT, 0.9, gamma=1.0)
