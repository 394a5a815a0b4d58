"""Rendering of a cell: temperature in colour, velocity as arrows, and the heaters' profile below."""

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.solver import Solver
from agentgym.envs.convection.world import World

__all__ = ["Painter"]

ROWS, COLUMNS = 65, 192  # pixels of the temperature image
ARROWS = (7, 24)  # rows and columns of arrows
WIDTH, DPI = 7.2, 100  # width in inches of a box of pi heights, dots per inch


class Painter:
    """Draws the worlds of one cell, frame by frame into the same figure."""

    def __init__(self, cell: Cell, solver: Solver) -> None:
        self.cell, half = cell, cell.height / 2
        stretch = cell.length / cell.height / np.pi
        columns = round(COLUMNS * stretch)
        self._x = np.arange(columns) * cell.length / columns
        self._arrow_x = (np.arange(round(ARROWS[1] * stretch)) + 0.5) * cell.length / round(ARROWS[1] * stretch)
        self._arrow_z = np.linspace(-0.85, 0.85, ARROWS[0]) * half
        collocation = solver.collocation
        self._fine = collocation.interpolation(np.linspace(-half, half, ROWS))
        self._coarse = collocation.interpolation(self._arrow_z)[:, 1:-1]
        self._values, self._arrow_values = solver.synthesis(self._x), solver.synthesis(self._arrow_x)
        self._arrow_slopes = solver.synthesis(self._arrow_x, derivative=True)
        self._lay_out(stretch, half)

    def _lay_out(self, stretch: float, half: float) -> None:
        length = self.cell.length
        self._figure = Figure(figsize=(WIDTH * stretch, 3.4), dpi=DPI, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        above, below = self._figure.subplots(2, 1, height_ratios=[4.2, 1], sharex=True)
        self._image = above.imshow(
            np.zeros((ROWS, len(self._x))), origin="lower", extent=(0, length, -half, half), cmap="RdBu_r",
            vmin=-0.75, vmax=0.75, aspect="auto", interpolation="bilinear",
        )  # fmt: skip
        grid = np.meshgrid(self._arrow_x, self._arrow_z)
        zero = np.zeros_like(grid[0])
        self._arrows = above.quiver(*grid, zero, zero, scale=28, width=0.0016, color="#202020")
        self._title = above.set_title("t", loc="left", fontsize=10)  # reserves space
        above.set_ylabel("z")
        (self._profile,) = below.plot(self._x, np.zeros_like(self._x), color=matplotlib.colormaps["RdBu_r"](0.9))
        below.axhline(0.0, color="#808080", linewidth=0.6)
        below.set(xlim=(0, length), ylim=(-1.15, 1.15), xlabel="x", ylabel="heating")
        below.set_xticks(np.linspace(0, length, self.cell.heaters + 1), minor=True)
        below.grid(which="minor", axis="x", linewidth=0.4)
        self._canvas.draw()
        self._figure.set_layout_engine("none")  # laid out only once, since that takes longer than a frame

    def frame(self, world: World, index: int, title: str | None = None) -> NDArray[np.uint8]:
        """A frame of one world, uint8 [height, width, 3]."""
        fields = world.solver.fields(world.state)
        stream, u, between = (
            part[:, :, index].double().cpu().numpy().reshape(-1, part.shape[-1])
            for part in (fields.stream, fields.velocity_x, fields.temperature)
        )  # each [2 K, Z - 2]
        plates = world.state.temperature[:, :, index][..., [0, -1]].double().cpu().numpy().reshape(-1, 2)
        temperature = np.concatenate((plates[:, :1], between, plates[:, 1:]), axis=1)
        self._image.set_data(self._fine @ (self._values @ temperature).T)
        self._arrows.set_UVC(self._coarse @ (self._arrow_values @ u).T, self._coarse @ (self._arrow_slopes @ stream).T)
        heating = (self._values @ plates[:, 0] - 0.5) / max(self.cell.amplitude, 1e-12)
        self._profile.set_ydata(heating)
        self._title.set_text(title if title is not None else f"t = {world.elapsed[index] * self.cell.action_time:.1f}")
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
