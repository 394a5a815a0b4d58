"""The open ends of a duct: an inlet that answers to waves from inside, and an outlet that sends the exact wave.

A station at each end measures the agents next to it and steers those in its zone, which lies outside the duct. With
g = (gamma - 1) / 2 a simple wave keeps u - c / g or u + c / g (Toro, Riemann Solvers, 2009, chapter 4). Agents in the
duct get no message.
"""

import math

from agentgym.envs.swarm.compiled import inner

__all__ = ["inlet", "outlet"]


@inner
def inlet(u: float, rho: float, gamma: float, c0: float) -> tuple[float, float]:
    """Speed and density of gas that comes from rest upstream (c^2 + g u^2 = c0^2) and keeps the duct's u - c / g.

    Args:
        u, rho: mean speed and density just inside.
        gamma: of the gas.
        c0: speed of sound upstream.
    """
    g = 0.5 * (gamma - 1.0)
    j = u - c0 * rho**g / g
    root = j * j - (1.0 + 1.0 / g) * (g * j * j - c0 * c0)
    c = (math.sqrt(max(root, 0.0)) - j) / (1.0 + 1.0 / g)
    return j + c / g, (c / c0) ** (1.0 / g)


@inner
def outlet(u: float, rho: float, entropy: float, back: float, gamma: float, c0: float) -> tuple[bool, float, float]:
    """The state behind the wave that takes the exit's state to the back pressure.

    A shock that would run in leaves the state behind it; one that is swept out leaves the exit as it is (coasting). A
    rarefaction leaves the state behind it, at most the sonic one; a supersonic exit coasts.

    Args:
        u, rho, entropy: the exit's mean speed, density and A.
        back: the back pressure, in the same units as K A rho^gamma.
        gamma, c0: of the gas.

    Returns:
        whether the zone coasts; else its speed and pressure.
    """
    g = 0.5 * (gamma - 1.0)
    p = c0 * c0 / gamma * entropy * rho**gamma
    c = c0 * math.sqrt(entropy * rho ** (gamma - 1.0))
    if back > p:
        dense = rho * (back / p) ** (1.0 / gamma)
        jump = math.sqrt((back - p) * (1.0 / rho - 1.0 / dense))
        if u * (1.0 - rho / dense) >= jump:  # the shock's speed u - jump / (1 - rho / dense) is not negative
            return True, u, p
        return False, u - jump, back
    if u >= c:
        return True, u, p
    behind = c * (back / p) ** (g / gamma)
    speed = u + (c - behind) / g
    if speed <= behind:
        return False, speed, back
    sonic = g / (g + 1.0) * (u + c / g)
    return False, sonic, p * (sonic / c) ** (gamma / g)
