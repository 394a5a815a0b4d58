"""The gas of agents: kernels, densities, conservation, locality, determinism, and a shock tube."""

import numpy as np
import pytest

from agentgym.envs.swarm.columns import PASSED
from agentgym.envs.swarm.duct import Duct
from agentgym.envs.swarm.fluid import Arena, Fluid, Physics, PoolTooSmall
from agentgym.envs.swarm.kernels import CUBIC, WENDLAND, scale, shape, slope
from agentgym.envs.swarm.nozzle import quasi_1d
from agentgym.errors import InvalidParameter, NonFinite

DUCT = Duct.converging_diverging()
FLOW = quasi_1d(DUCT, 0.9188, energy=False)
scale_of, shape_of, slope_of = (each.py_func for each in (scale, shape, slope))  # type: ignore[attr-defined]


@pytest.mark.parametrize("kernel", [WENDLAND, CUBIC])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_kernels_integrate_to_one_and_their_slope_is_the_derivative(kernel: int, dimensions: int) -> None:
    q, h = np.linspace(0, 2, 4001), 0.7
    f = np.array([shape_of(kernel, each) for each in q])
    ring = 2 * np.pi * q if dimensions == 2 else 4 * np.pi * q**2
    assert np.trapezoid(f * ring, q) * scale_of(kernel, dimensions, h) * h**dimensions == pytest.approx(1, abs=1e-6)
    between = (q[1:] + q[:-1]) / 2
    slopes = np.array([slope_of(kernel, each) * each for each in between])
    np.testing.assert_allclose(np.diff(f) / np.diff(q), slopes, atol=1e-5)
    assert shape_of(kernel, 2.0) == slope_of(kernel, 2.0) == 0


def crowd(dimensions: int = 2, mode: str = "symmetric", seed: int = 0, count: int = 300, **physics: object) -> Fluid:
    """A blob of agents at random places, with random speeds, without walls."""
    random = np.random.default_rng(seed)
    fluid = Fluid(1, Arena(dimensions), 1.0, Physics(mode=mode, **physics), pool=count)  # type: ignore[arg-type]
    side = count ** (1 / dimensions)
    fluid.put(0, random.uniform(0, side, (count, dimensions)), random.normal(size=(count, dimensions)))
    fluid["h"][0] *= random.uniform(0.8, 1.3, count)
    fluid.look()
    return fluid


def brute_force(fluid: Fluid) -> np.ndarray:
    """Densities by all pairs, with Wendland's kernel in closed form."""
    x, h, dimensions = fluid["positions"][0], fluid["h"][0], fluid.gas.dimensions
    r = np.sqrt(((x[:, None] - x) ** 2).sum(axis=-1))
    q = np.minimum(r / h[:, None], 2)
    norm = 7 / (4 * np.pi * h**2) if dimensions == 2 else 21 / (16 * np.pi * h**3)
    return fluid.mass * norm * ((1 - q / 2) ** 4 * (2 * q + 1)).sum(axis=1)


@pytest.mark.parametrize("case", ["gas", "clump", "shell", "strays"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_neighbours_are_those_of_brute_force(dimensions: int, case: str) -> None:
    for seed, count in (*((seed, 3 + 7 * seed) for seed in range(8)), (8, 1500)):
        fluid, random = crowd(dimensions, seed=seed, count=count), np.random.default_rng(seed)
        x = fluid["positions"][0]
        if case == "clump":  # far more neighbours than lists have room for at first
            x[:] = random.normal(scale=0.2, size=x.shape)
        elif case == "shell":
            x[:] = random.normal(size=x.shape)
            x *= 20 / np.linalg.norm(x, axis=1)[:, None]
        elif case == "strays":  # beyond the grid of cells, and coincident ones
            x[: count // 6] += random.choice([-1e4, 1e4], dimensions)
            few = max(count // 4, 1)
            x[-few:] = x[:few]
        fluid.look()
        np.testing.assert_allclose(fluid["rho"][0], brute_force(fluid), rtol=1e-12)
        assert np.isfinite(fluid.agents).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_smoothing_lengths_settle_and_the_unsettled_are_counted(dimensions: int) -> None:
    fluid = crowd(dimensions, count=400, seed=3)
    x = fluid["positions"][0]
    x[:5] += 1e3 * np.arange(1, 6)[:, None]  # strays, which no allowed h is long enough for
    x[5:25] = x[5]  # and coincident ones, for which none is short enough
    lonely = fluid.settle(0)
    h, rho = fluid["h"][0], fluid["rho"][0]
    fits = np.abs(h / (1.5 * rho ** (-1 / dimensions)) - 1) < 1e-6
    assert lonely == (~fits).sum()
    np.testing.assert_allclose(rho, brute_force(fluid), rtol=1e-12)
    np.testing.assert_allclose(h[:5], fluid.ends.most_h, rtol=1e-9)
    np.testing.assert_allclose(h[5:25], fluid.ends.least_h, rtol=1e-9)
    assert fits[25:].mean() > 0.9


@pytest.mark.parametrize("dimensions", [2, 3])
def test_lattice_has_its_density_and_no_force(dimensions: int) -> None:
    """Inside a square or cubic lattice of spacing 1 the density is 1 to half a percent, and forces cancel."""
    side = 13
    x = np.stack(np.meshgrid(*[np.arange(side) - side // 2] * dimensions, indexing="ij"), axis=-1)
    fluid = Fluid(1, Arena(dimensions), 1.0, pool=side**dimensions)
    fluid.put(0, x.reshape(-1, dimensions))
    fluid.look()
    middle = (np.abs(x.reshape(-1, dimensions)) <= 1).all(axis=1)
    np.testing.assert_allclose(fluid["rho"][0, middle], 1, atol=5.5e-3)
    np.testing.assert_allclose(fluid["omega"][0, middle], 1, atol=0.03)
    np.testing.assert_allclose(fluid["push"][0, middle], 0, atol=1e-10)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_momentum_is_conserved_pairwise_and_heating_balances_the_energy(dimensions: int) -> None:
    fluid = crowd(dimensions, energy=True)
    for name in ("push", "drag"):
        force = fluid[name][0]
        np.testing.assert_allclose(force.sum(axis=0), 0, atol=1e-10 * np.abs(force).sum())
    # What viscosity takes from the motion, sum v . drag, comes back as heat: sum of K rho^(gamma-1) / (gamma-1) dA
    lost = (fluid["velocities"][0] * fluid["drag"][0]).sum()
    gained = (25 / 1.4 * fluid["rho"][0] ** 0.4 / 0.4 * fluid["heating"][0]).sum()
    assert lost < 0
    assert gained == pytest.approx(-lost, rel=1e-10)


def test_forces_are_minus_the_gradient_of_the_internal_energy() -> None:
    """The Omega terms make the force the gradient of sum K A rho^(gamma-1) / (gamma-1), with h that follows rho."""
    fluid = crowd(count=60)
    free = fluid.ends._replace(least_h=1e-3, most_h=1e3)
    fluid.ends = free

    def energy() -> float:
        fluid.settle(0)
        return float((25 / 1.4 / 0.4 * fluid["rho"][0] ** 0.4).sum())

    energy()
    force, step = fluid["push"][0].copy(), 1e-5
    for agent, axis in ((0, 0), (10, 1), (30, 0)):
        ends = []
        for sign in (1, -1):
            fluid["positions"][0, agent, axis] += sign * step
            ends.append(energy())
            fluid["positions"][0, agent, axis] -= sign * step
        assert -(ends[0] - ends[1]) / (2 * step) == pytest.approx(force[agent, axis], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("mode", "reach"), [("strict", 2.0), ("symmetric", 4.0)])
@pytest.mark.parametrize("walled", [False, True])
def test_what_is_out_of_reach_changes_nothing_bit_for_bit(mode: str, reach: float, walled: bool) -> None:
    if walled:
        fluid = Fluid(1, Arena(2, DUCT), 4.0, Physics(mode=mode))  # type: ignore[arg-type]
        fluid.fill(0, FLOW, 0.9188, np.random.default_rng(0))
        fluid.look()
    else:
        fluid = crowd(mode=mode, count=400)
    x, present = fluid["positions"][0], fluid.present[0]
    probe = int(np.flatnonzero(present)[np.argmin(np.abs(x[present] - x[present].mean(axis=0)).sum(axis=1))])
    if walled:
        probe = int(
            np.flatnonzero(present)[np.argmin(np.abs(DUCT.distance(x[present]) - 1) + np.abs(x[present, 0] - 20))]
        )
    before = fluid.agents[0, probe].copy()
    largest = fluid["h"][0, present].max()
    far = present & (np.linalg.norm(x - x[probe], axis=1) > reach * largest)
    assert 20 < far.sum() < present.sum() - 5
    away = np.linalg.norm(x - x[probe], axis=1)
    x[far, 0] += np.where(x[far, 0] > x[probe, 0], 0.3, -0.3) * (away[far] > reach * largest)
    fluid["velocities"][0, far] *= -2
    fluid.look()
    np.testing.assert_array_equal(fluid.agents[0, probe], before)
    near = present & (away < largest) & (away > 0)
    x[near] += 0.01
    fluid.look()
    assert (fluid.agents[0, probe] != before).any()


def test_sod_shock_tube() -> None:
    """Left (1, 1), right (0.125, 0.1), gamma 1.4, between walls: the plateaus of the exact solution at t = 12."""
    duct = Duct([0, 100], [4.0, 4.0])
    physics = Physics(gamma=1.4, sound=1.4**0.5, energy=True, eta=1.5, alpha=1.0, beta=2.0)
    fluid = Fluid(1, Arena(2, duct, open=False), 0.25, physics, pool=4000)
    columns = []
    for start, stop, rho in ((20, 50, 1.0), (50, 85, 0.125)):
        count = round(8 / (0.25 / rho) ** 0.5)
        spacing = count * 0.25 / (8 * rho)
        for k in range(int((stop - start) / spacing)):
            at = 50 + (k + 0.5) * spacing * (1 if rho < 1 else -1)
            y = (np.arange(count) + 0.5 + 0.25 * (-1) ** k) * 8 / count - 4
            columns.append(np.stack((np.full(count, at), y), axis=-1))
    x = np.concatenate(columns)
    fluid.put(0, x)
    fluid["entropy"][0, : len(x)] = np.where(x[:, 0] < 50, 1.0, 0.1 / 0.125**1.4)
    fluid.settle(0)
    fluid.advance(round(8 / fluid.dt))
    time = round(8 / fluid.dt) * fluid.dt
    at, rho, u, p = fluid["positions"][0, :, 0], fluid["rho"][0], fluid["velocities"][0, :, 0], fluid["p"][0]

    def mean(field: np.ndarray, start: float, stop: float) -> float:
        there = fluid.present[0] & (at > 50 + start * time) & (at < 50 + stop * time)
        return float(field[there].mean())

    for field, right in ((u, 0.92745), (p, 0.30313)):
        assert mean(field, 0.0, 0.75) == pytest.approx(right, rel=0.03)
    assert mean(rho, 0.05, 0.70) == pytest.approx(0.42632, rel=0.03)
    assert mean(rho, 1.20, 1.55) == pytest.approx(0.26557, rel=0.06)
    assert mean(u, 2.4, 3.0) == pytest.approx(0, abs=0.02)  # the shock, at 1.7522, has not come here
    assert mean(p, 1.1, 1.6) == pytest.approx(0.30313, rel=0.04)


def rollout(worlds: int, threads: int, upset: bool = False) -> dict[str, np.ndarray]:
    fluid = Fluid(worlds, Arena(2, DUCT), 6.5, Physics(), threads=threads)
    for world in range(worlds):
        fluid.fill(world, FLOW, 0.9188, np.random.default_rng(world))
    fluid.look()
    for step in range(30):
        chosen = np.ones(worlds, bool)
        if upset:
            chosen[2] = step % 3 == 0  # one at rest now and then, one reset, one shot to pieces
            if step == 10:
                fluid.fill(1, FLOW, 0.9188, np.random.default_rng(7))
                fluid.look(np.arange(worlds) == 1)
            fluid["velocities"][3] *= 1.2
        fluid.advance(1, chosen=chosen)
    return fluid.get_state()


def test_a_world_among_others_equals_itself_alone_whatever_the_threads() -> None:
    alone = rollout(1, 1)
    for threads in (1, 2, 4):
        together = rollout(4, threads, upset=True)
        for name, array in alone.items():
            np.testing.assert_array_equal(together[name][0], array[0])
    np.testing.assert_array_equal(rollout(2, 1)["agents"], rollout(2, 2)["agents"])


def test_a_state_goes_on_bit_for_bit_and_foreign_ones_are_refused() -> None:
    fluid = Fluid(1, Arena(2, DUCT), 6.5)
    fluid.fill(0, FLOW, 0.9188, np.random.default_rng(0))
    fluid.look()
    fluid.advance(10)
    kept = fluid.get_state()
    fluid.advance(20)
    ended = fluid.get_state()
    fluid.set_state(kept)
    fluid.advance(20)
    np.testing.assert_array_equal(fluid.get_state()["agents"], ended["agents"])
    with pytest.raises(InvalidParameter, match="another swarm"):
        fluid.set_state({"agents": np.zeros(3)})


@pytest.mark.parametrize("mode", ["symmetric", "strict"])
def test_subsonic_flow_is_held(mode: str) -> None:
    """About 300 agents for 15 s: speed and density within the errors of so few, the flux that of theory."""
    from agentgym.envs.swarm.score import Profiles

    fluid = Fluid(1, Arena(2, DUCT), 3.0, Physics(mode=mode, energy=False))  # type: ignore[arg-type]
    fluid.fill(0, FLOW, 0.9188, np.random.default_rng(0))
    fluid.look()
    profiles, passed = Profiles(fluid, bins=15), None
    for step in range(round(15 / fluid.dt)):
        fluid.advance(1)
        if step * fluid.dt > 5:
            passed = fluid.stations[0, PASSED] if passed is None else passed
            profiles.add(fluid, 0)
    errors = profiles.errors(FLOW, 0)
    assert errors["u_mean"] < 0.03
    assert errors["rho_mean"] < 0.015
    flux = (fluid.stations[0, PASSED] - passed) * 3.0 / 10
    assert flux == pytest.approx(float(FLOW.u[0] * FLOW.rho[0] * 20), rel=0.04)


def test_bad_input_is_named() -> None:
    fluid = Fluid(1, Arena(2, DUCT), 6.5)
    fluid.fill(0, FLOW, 0.9188, np.random.default_rng(0))
    told = np.zeros((1, fluid.pool, 2))
    told[0, 17, 1] = np.nan
    before = fluid.agents.copy()
    with pytest.raises(NonFinite, match="agent 17 in world 0"):
        fluid.advance(1, told)
    np.testing.assert_array_equal(fluid.agents, before)
    with pytest.raises(PoolTooSmall, match=f"needs room for {fluid.needed} agents"):
        Fluid(1, Arena(2, DUCT), 6.5, pool=50)
    with pytest.raises(InvalidParameter, match="spacing"):
        Fluid(1, Arena(2, DUCT), 0.0)
    with pytest.raises(InvalidParameter, match="too narrow"):
        Fluid(1, Arena(2, DUCT), 30.0)
    with pytest.raises(InvalidParameter, match="lag"):
        Physics(lag=-1.0)
    with pytest.raises(NonFinite):
        Physics(alpha=float("nan"))
    with pytest.raises(NonFinite):
        fluid.put(0, [[np.inf, 0.0]])
