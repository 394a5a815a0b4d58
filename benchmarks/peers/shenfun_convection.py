"""The peer of benchmarks/convection.py: Rayleigh-Benard convection with shenfun, run by an interpreter that has it.

Wall-normal velocity and temperature by Chebyshev-Galerkin and Fourier in shenfun's IMEX-RK3, as in its own
two-dimensional demo. Of its two forms of the advection, "standard" (u . grad u) is the default and "rotational"
(omega x u) the cheaper. Nothing is written or plotted. It reads numbers of steps from standard input and answers with
the seconds that they took, and the Nusselt number.

    python benchmarks/peers/shenfun_convection.py COLUMNS POINTS FORM
"""

import sys
import time
import warnings

import numpy as np
from shenfun import (
    IMEXRK3,
    Array,
    Dx,
    Expr,
    Function,
    FunctionSpace,
    Project,
    TensorProductSpace,
    TestFunction,
    VectorSpace,
    chebyshev,
    comm,
    curl,
    div,
    grad,
)

warnings.filterwarnings("ignore")

RAYLEIGH, PRANDTL, TIME_STEP = 1e4, 0.7, 0.05  # Ra without the factor height^3 = 8
PADDING = (1, 1.5)  # dealiased along x


class Convection:
    """The published cell: height 2, length 2 pi, z first."""

    def __init__(self, columns: int, points: int, form: str) -> None:
        nu, kappa = np.sqrt(PRANDTL / RAYLEIGH), 1 / np.sqrt(PRANDTL * RAYLEIGH)
        vertical, horizontal = (-1, 1), (0, 2 * np.pi)
        wall, slip, free, still = (
            FunctionSpace(points, "C", domain=vertical, **bc)
            for bc in ({"bc": (0, 0, 0, 0)}, {"bc": (0, 0)}, {}, {"bc": (0, 0)})
        )
        warm = FunctionSpace(points, "C", bc=(2, 1), domain=vertical)
        waves = FunctionSpace(columns, "F", dtype="d", domain=horizontal)
        space_w, space_u, space_free, space_t = (
            TensorProductSpace(comm, (base, waves), modify_spaces_inplace=True) for base in (wall, slip, free, warm)
        )
        self.velocity = Function(VectorSpace([space_w, space_u]))
        self.lamb, self.flux = Function(VectorSpace(space_u)), Function(self.velocity.function_space())
        self.temperature = Function(space_t)
        self.padded = space_u.get_dealiased(PADDING)
        self.mask, self.wavenumbers = space_w.get_mask_nyquist(), space_u.local_wavenumbers(scaled=True)[1]
        self.slope = Project(Dx(self.velocity[0], 0, 1), space_u)
        self.form = form
        self.vorticity = Project(curl(self.velocity), space_free)
        self.gradients = [
            Project(Dx(self.velocity[part], axis, 1), space)
            for part, axis, space in ((0, 0, space_u), (0, 1, space_w), (1, 0, space_free), (1, 1, space_u))
        ]
        forcing = Dx(Dx(self.lamb[1], 0, 1), 1, 1) - Dx(self.lamb[0], 1, 2)
        self.equations = [
            IMEXRK3(
                TestFunction(space_w), div(grad(self.velocity[0])), lambda f: nu * div(grad(f)),
                [forcing, Dx(self.temperature, 1, 2)], dt=TIME_STEP, solver=chebyshev.la.Biharmonic,
            ),
            IMEXRK3(
                TestFunction(space_t), self.temperature, lambda f: kappa * div(grad(f)), -div(self.flux),
                dt=TIME_STEP, solver=chebyshev.la.Helmholtz,
            ),
        ]  # fmt: skip
        self.mean, self.mean_lamb = Function(still), Function(still)
        self.mean_equation = IMEXRK3(
            TestFunction(still), self.mean, lambda f: nu * div(grad(f)), -Expr(self.mean_lamb), dt=TIME_STEP,
            solver=chebyshev.la.Helmholtz,
        )  # fmt: skip
        start = Array(space_t)
        z, x = space_t.local_mesh(bcast=True)
        start[:] = 1.5 - z / 2 + 0.1 * (1 - z**2) * np.cos(2 * x)
        self.temperature = start.forward(self.temperature)
        for equation in (*self.equations, self.mean_equation):
            equation.assemble()

    def step(self) -> None:
        """One time step of three stages."""
        for stage in range(IMEXRK3.steps()):
            self._advection()
            for equation in self.equations:
                equation.compute_rhs(stage)
            self.equations[0].solve_step(stage)
            self._close(stage)
            self.equations[1].solve_step(stage)

    def _advection(self) -> None:
        velocity = self.velocity.backward(padding_factor=PADDING)
        temperature = self.temperature.backward(padding_factor=PADDING)
        w, u = velocity.v
        if self.form == "rotational":
            vorticity = self.vorticity().backward(padding_factor=PADDING)
            self.lamb.v[0] = self.padded.forward(-vorticity * u)
            self.lamb.v[1] = self.padded.forward(vorticity * w)
        else:
            wz, wx, uz, ux = (part().backward(padding_factor=PADDING) for part in self.gradients)
            self.lamb.v[0] = self.padded.forward(w * wz + u * wx)
            self.lamb.v[1] = self.padded.forward(w * uz + u * ux)
        self.lamb.mask_nyquist(self.mask)
        self.flux = velocity.function_space().forward(velocity * temperature, self.flux)

    def _close(self, stage: int) -> None:
        """u from continuity; its mean from its own equation."""
        u = self.velocity.v
        self.mean[:], self.mean_lamb[:] = u[1, :, 0].real, self.lamb[1, :, 0].real
        with np.errstate(divide="ignore", invalid="ignore"):
            u[1] = 1j * self.slope() / self.wavenumbers
        self.mean_equation.compute_rhs(stage)
        u[1, :, 0] = self.mean_equation.solve_step(stage)

    def nusselt(self) -> float:
        """1 + H <w T> / kappa."""
        flux = Array(self.flux.function_space(), buffer=self.flux.backward())[0]
        weights = np.polynomial.chebyshev.chebint(np.eye(len(flux)))
        ends = np.polynomial.chebyshev.chebval([-1, 1], weights)
        z = self.temperature.function_space().local_mesh(bcast=True)[0][:, 0]
        quadrature = np.linalg.solve(np.polynomial.chebyshev.chebvander(z, len(z) - 1).T, ends[:, 1] - ends[:, 0])
        return float(1 + quadrature @ flux.mean(1) * np.sqrt(PRANDTL * RAYLEIGH))


def main() -> None:
    flow = Convection(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            flow.step()
        print(time.perf_counter() - start, flow.nusselt(), flush=True)


if __name__ == "__main__":
    main()
