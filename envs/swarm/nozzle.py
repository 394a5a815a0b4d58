"""What a perfect swarm would do in a nozzle: quasi-one-dimensional flow in all regimes of back pressure.

Units: the density far upstream is 1, its speed of sound c0, and p = K A rho^gamma with K = c0^2 / gamma. A is 1
upstream; a shock raises it in the energy gas (Rankine-Hugoniot), and leaves it at 1 in the barotropic one, whose shock
conserves mass and momentum alone. Between shocks c^2 / (gamma - 1) + u^2 / 2 and A are constant (Shapiro, The Dynamics
and Thermodynamics of Compressible Fluid Flow, 1953, chapters 4 and 5).
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from agentgym.contracts.settings import finite_number
from agentgym.envs.swarm.duct import Duct
from agentgym.errors import InvalidParameter

__all__ = ["Flow", "Regime", "area_ratio", "back_pressures", "low_speed", "mach_of_area", "normal_shock", "quasi_1d"]

Array = NDArray[np.float64]
Regime = Literal["subsonic", "shock", "overexpanded", "underexpanded"]
FINE = 2001  # points along the duct


class Flow(NamedTuple):
    """A flow along a duct; arrays are over ``x``.

    Attributes:
        regime: how the duct runs.
        x, u, rho, p, T, mach: position, speed, density, pressure, T = (p / rho) / (p0 / rho0), Mach number.
        shock: where the shock stands; None where there is none.
    """

    regime: Regime
    x: Array
    u: Array
    rho: Array
    p: Array
    T: Array
    mach: Array
    shock: float | None

    def at(self, name: str, x: Array) -> Array:
        """The field of that name at x; beyond the ends it goes on as at the ends."""
        return np.interp(x, self.x, getattr(self, name))

    def means(self, name: str, edges: Array) -> Array:
        """The field's means over the bins between ``edges`` [B + 1]: [B]."""
        x = np.linspace(edges[:-1], edges[1:], 65)
        return self.at(name, x).mean(axis=0)


def area_ratio(mach: Array | float, gamma: float) -> Array:
    """A / A*, the cross-section over that at which the flow is sonic."""
    mach = np.asarray(mach, np.float64)
    half = (gamma - 1) / 2
    return (1 / mach) * ((1 + half * mach**2) / (1 + half)) ** ((gamma + 1) / (2 * (gamma - 1)))


def mach_of_area(ratio: Array | float, gamma: float, supersonic: bool = False) -> Array:
    """The Mach number at A / A* >= 1, by bisection in log M."""
    ratio = np.asarray(ratio, np.float64)
    low = np.zeros_like(ratio) if supersonic else np.full_like(ratio, np.log(1e-8))
    high = np.full_like(ratio, np.log(1e3)) if supersonic else np.zeros_like(ratio)
    for _ in range(80):
        middle = (low + high) / 2
        too_far = (area_ratio(np.exp(middle), gamma) > ratio) == supersonic
        low, high = np.where(too_far, low, middle), np.where(too_far, middle, high)
    return np.exp((low + high) / 2)


def normal_shock(mach: float, gamma: float, energy: bool) -> tuple[float, float, float]:
    """What a standing shock makes of a flow at Mach ``mach`` > 1.

    Args:
        mach: ahead of the shock.
        gamma: ratio of specific heats.
        energy: whether energy is conserved (Rankine-Hugoniot); else the gas is barotropic.

    Returns:
        rho2 / rho1, the Mach number behind, and A2 / A1.
    """
    if energy:
        density = (gamma + 1) * mach**2 / ((gamma - 1) * mach**2 + 2)
        pressure = 1 + 2 * gamma / (gamma + 1) * (mach**2 - 1)
        behind = np.sqrt((1 + (gamma - 1) / 2 * mach**2) / (gamma * mach**2 - (gamma - 1) / 2))
        return float(density), float(behind), float(pressure / density**gamma)
    # [p + rho u^2] = 0 with p = rho^gamma / gamma in units of rho1 = c1 = 1: (s^g - 1) / g = M^2 (1 - 1 / s)
    root = brentq(lambda s: (s**gamma - 1) / gamma - mach**2 * (1 - 1 / s), 1 + 1e-9, 2 + mach ** (2 / gamma) * 4)
    return float(root), float(mach * root ** (-(gamma + 1) / 2)), 1.0


class _Stretch(NamedTuple):
    """A stretch without shocks: A, stagnation speed of sound, sonic cross-section."""

    entropy: float
    sound: float
    sonic: float

    def fields(self, mach: Array, gamma: float, c0: float) -> tuple[Array, Array, Array]:
        """Speed, density and pressure at Mach numbers."""
        c = self.sound / np.sqrt(1 + (gamma - 1) / 2 * mach**2)
        rho = (c**2 / (self.entropy * c0**2)) ** (1 / (gamma - 1))
        return mach * c, rho, c**2 * rho / gamma


def _behind(ahead: _Stretch, area: float, gamma: float, c0: float, energy: bool) -> _Stretch:
    """The stretch behind a shock at cross-section ``area``."""
    mach = float(mach_of_area(area / ahead.sonic, gamma, supersonic=True))
    density, m2, entropy = normal_shock(max(mach, 1 + 1e-9), gamma, energy)
    u1 = float(ahead.fields(np.asarray(mach), gamma, c0)[0])
    u2 = u1 / density
    sound = (u2 / m2) * np.sqrt(1 + (gamma - 1) / 2 * m2**2)
    return _Stretch(ahead.entropy * entropy, float(sound), float(area / area_ratio(m2, gamma)))


def back_pressures(duct: Duct, gamma: float, c0: float, energy: bool = True) -> tuple[float, float, float]:
    """The back pressures, over the stagnation pressure, at which the regimes change.

    Returns:
        (just choked, shock in the exit, design): above the first the flow is subsonic all through, down to the second
        a shock stands in the duct, down to the third the jet is overexpanded, below it underexpanded.
    """
    exit_area, ahead = float(duct.area(duct.length)), _Stretch(1.0, c0, float(duct.area(duct.throat)))
    stagnation = c0**2 / gamma
    choked, design = (
        float(ahead.fields(mach_of_area(exit_area / ahead.sonic, gamma, fast), gamma, c0)[2]) for fast in (False, True)
    )
    if exit_area <= ahead.sonic * (1 + 1e-9):
        return choked / stagnation, choked / stagnation, choked / stagnation
    behind = _behind(ahead, exit_area, gamma, c0, energy)
    in_exit = float(behind.fields(mach_of_area(exit_area / behind.sonic, gamma), gamma, c0)[2])
    return choked / stagnation, in_exit / stagnation, design / stagnation


def quasi_1d(duct: Duct, back_pressure: float, gamma: float = 1.4, c0: float = 5.0, energy: bool = True) -> Flow:
    """The flow from rest far upstream into a back pressure.

    Args:
        duct: its cross-section counts, and its direction: from x = 0 to the end.
        back_pressure: over the stagnation pressure, above 0 and below 1.
        gamma: ratio of specific heats, above 1.
        c0: speed of sound at rest.
        energy: whether a shock conserves energy; else the gas is barotropic.

    Raises:
        InvalidParameter: a number is out of range; at a back pressure of 1 or above nothing flows.
    """
    finite_number("gamma", gamma, 1, above=True)
    finite_number("c0", c0, 0, above=True)
    if finite_number("back_pressure", back_pressure, 0, above=True) >= 1:
        raise InvalidParameter(
            f"back_pressure is {back_pressure} times the stagnation pressure; the flow needs one below 1."
        )
    choked, in_exit, design = back_pressures(duct, gamma, c0, energy)
    x = np.linspace(0.0, duct.length, FINE)
    area, throat = duct.area(x), duct.throat
    exit_area = float(area[-1])
    if back_pressure >= choked:
        # p / p0 = (1 + (gamma - 1) / 2 M^2)^(-gamma / (gamma - 1)) in the exit
        mach = np.sqrt(2 / (gamma - 1) * (back_pressure ** ((1 - gamma) / gamma) - 1))
        only = _Stretch(1.0, c0, exit_area / float(area_ratio(mach, gamma)))
        return _flow("subsonic", x, mach_of_area(area / only.sonic, gamma), only, gamma, c0, None)
    ahead = _Stretch(1.0, c0, float(duct.area(throat)))
    fast = np.where(
        x > throat, mach_of_area(area / ahead.sonic, gamma, True), mach_of_area(area / ahead.sonic, gamma, False)
    )
    if back_pressure <= in_exit:
        regime: Regime = "overexpanded" if back_pressure > design else "underexpanded"
        return _flow(regime, x, fast, ahead, gamma, c0, None)

    def misfit(position: float) -> float:
        behind = _behind(ahead, float(duct.area(position)), gamma, c0, energy)
        mach = mach_of_area(exit_area / behind.sonic, gamma)
        return float(behind.fields(mach, gamma, c0)[2]) - back_pressure * c0**2 / gamma

    shock = float(brentq(misfit, throat + 1e-6 * duct.length, duct.length))
    behind = _behind(ahead, float(duct.area(shock)), gamma, c0, energy)
    first = _flow("shock", x, fast, ahead, gamma, c0, shock)
    second = _flow("shock", x, mach_of_area(np.maximum(area / behind.sonic, 1), gamma), behind, gamma, c0, shock)
    u, rho, p, T, mach = (
        np.where(x > shock, getattr(second, name), getattr(first, name)) for name in ("u", "rho", "p", "T", "mach")
    )
    return Flow("shock", x, u, rho, p, T, mach, shock)


def _flow(
    regime: Regime, x: Array, mach: Array, stretch: _Stretch, gamma: float, c0: float, shock: float | None
) -> Flow:
    u, rho, p = stretch.fields(mach, gamma, c0)
    return Flow(regime, x, u, rho, p, p / rho * gamma / c0**2, mach, shock)


def low_speed(duct: Duct, exit_speed: float, density: float = 1.0) -> tuple[Array, Array, Array]:
    """Incompressible flow: u A = const, p + rho u^2 / 2 = const (Bernoulli), what a Tait gas comes near to.

    Args:
        duct: its cross-section counts.
        exit_speed: at the duct's end.
        density: the constant one.

    Returns:
        x, u, and the pressure above that at the exit, float64 [X] each.
    """
    x = np.linspace(0.0, duct.length, FINE)
    u = exit_speed * float(duct.area(duct.length)) / duct.area(x)
    return x, u, density / 2 * (exit_speed**2 - u**2)
