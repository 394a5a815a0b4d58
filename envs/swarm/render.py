"""Pictures of a swarm: agents coloured by Mach number, beside profiles against the reference."""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from agentgym.envs.swarm.columns import BACK
from agentgym.envs.swarm.world import World

__all__ = ["Painter"]

DPI = 100


class Painter:
    """Draws worlds of one setting, frame after frame into the same figure."""

    def __init__(self, world: World) -> None:
        self.world = world
        duct = world.arena.duct
        self._figure = Figure(figsize=(9.0, 5.0) if duct is not None else (5.5, 5.5), dpi=DPI, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        if duct is None:
            above = self._figure.subplots()
        else:
            above, *below = self._figure.subplot_mosaic([["a", "a"], ["m", "r"]], height_ratios=[1.5, 1]).values()
        self._title = above.set_title("t", loc="left", fontsize=10)
        self._dots = above.scatter([], [], s=6, c=[], cmap="turbo", vmin=0.0, vmax=2.0 if duct else 1.0)
        self._figure.colorbar(self._dots, ax=above, label="Mach number", fraction=0.03)
        self._walls(above)
        self._lines = []
        if duct is not None:
            for axis, name, top in zip(below, ("mach", "rho"), (2.2, 1.15), strict=True):
                (truth,) = axis.plot([], [], color="#808080", linewidth=1.5, label="quasi-1-D")
                (own,) = axis.plot([], [], ".", color="#c02020", markersize=4, label="agents")
                axis.set(xlim=(0, duct.length), ylim=(0, top), xlabel="x / m")
                axis.set_ylabel({"mach": "Mach number", "rho": "density"}[name])
                self._lines.append((name, truth, own))
            below[0].legend(fontsize=8, loc="upper left")
        self._canvas.draw()
        self._figure.set_layout_engine("none")

    def _walls(self, axis: Any) -> None:
        duct, setting = self.world.arena.duct, self.world.setting
        if duct is not None:
            out = 14 * self.world.fluid.h
            x = np.linspace(-self.world.fluid.ends.zone_in, duct.length + min(out, 0.25 * duct.length), 400)
            half = duct.half(x)
            axis.plot(x, half, color="black")
            axis.plot(x, -half, color="black")
            axis.axvspan(x[0], 0, color="#e8e8e8", zorder=0)
            axis.axvspan(duct.length, x[-1], color="#e8e8e8", zorder=0)
            axis.set(xlim=(x[0], x[-1]))
        else:
            axis.add_patch(Circle((0, 0), setting.radius, fill=False))
            r = 1.05 * setting.radius
            axis.set(xlim=(-r, r), ylim=(-r, r))
        for circle in np.asarray(self.world.arena.obstacles).reshape(-1, setting.dimensions + 1):
            axis.add_patch(Circle((circle[0], circle[1]), circle[-1], color="#606060"))
        axis.set_aspect("equal")

    def frame(self, index: int, title: str | None = None) -> NDArray[np.uint8]:
        """A picture of one world, uint8 [height, width, 3]; of round ducts the projection on x and y."""
        world, fluid = self.world, self.world.fluid
        present = fluid.present[index]
        mach = np.linalg.norm(fluid["velocities"][index], axis=-1) / np.maximum(fluid["c"][index], 1e-9)
        self._dots.set_offsets(fluid["positions"][index, present][:, :2])
        self._dots.set_array(mach[present])
        for name, truth, own in self._lines:
            duct = world.arena.duct
            if world.setting.task == "nozzle":
                flow = world.flow(index)
                truth.set_data(flow.x, getattr(flow, name))
            inside = fluid.inside[index]
            x = fluid["positions"][index, inside, 0]
            assert duct is not None
            place = np.minimum((x / duct.length * 30).astype(int), 29)
            number = np.maximum(np.bincount(place, minlength=30), 1e-9)
            values = mach[inside] if name == "mach" else fluid["rho"][index, inside]
            own.set_data((np.arange(30) + 0.5) * duct.length / 30, np.bincount(place, values, 30) / number)
        time = world.elapsed[index] * world.step_time
        back = f", back pressure {fluid.stations[index, BACK]:.3f}" if world.arena.duct is not None else ""
        self._title.set_text(title if title is not None else f"t = {time:.1f} s{back}, {int(present.sum())} agents")
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
