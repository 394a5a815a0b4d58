"""Controllers made by hand: they read what agents see and answer in Stable-Baselines3's shape.

They act on the same observations as agents that learn. An action adds to what ``residual_on`` commands, so with "sph"
each controller gives its command less that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from agentgym.envs.swarm.presets import Swarm
from agentgym.envs.swarm.sensors import Columns

__all__ = ["CONTROLLERS", "Controller", "controllers"]

Array = NDArray[np.float64]


def _sph(seen: Array, columns: Columns, forward: float) -> Array:
    """Pressure and viscosity: the fluid."""
    return seen[..., columns.push] + seen[..., columns.drag]


def _boids(seen: Array, columns: Columns, forward: float) -> Array:
    """Reynolds (1987): separation along the pressure's push, alignment with the neighbours, migration along x.

    Walls hold the flock together, so there is no cohesion.
    """
    told = 0.5 * seen[..., columns.push] + 1.0 * seen[..., columns.flow]
    told[..., 0] += 1.0 * (forward - seen[..., columns.velocity][..., 0])
    return told + 0.5 * seen[..., [columns.wall]] ** 2 * seen[..., columns.normal]


def _potential(seen: Array, columns: Columns, forward: float) -> Array:
    """Khatib (1986): a constant pull along x with damping, and repulsion from walls and the crowd."""
    told = 0.5 * seen[..., columns.push] - 1.0 * seen[..., columns.velocity]
    told[..., 0] += forward
    near = seen[..., [columns.wall]]
    return told + near / np.maximum(1.05 - near, 0.05) * 0.3 * seen[..., columns.normal]


CONTROLLERS: dict[str, Callable[[Array, Columns, float], Array]] = {
    "sph": _sph, "boids": _boids, "potential-field": _potential,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Controller:
    """A controller of one setting.

    Args:
        observation_space, action_space: of one swarm.
        setting: the swarm's.
        name: "zero" (actions of zeros), "sph", "boids" or "potential-field".
        forward: speed / c0 along x that boids and potential-field go for.
    """

    observation_space: Box
    action_space: Box
    setting: Swarm
    name: str
    forward: float = 0.5

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[np.float32], None]:
        """Actions [..., A, D] for observations [..., A, F]."""
        seen = np.asarray(observation, np.float64)
        columns = Columns(self.setting.dimensions)
        if self.name == "zero":
            told = np.zeros((*seen.shape[:-1], self.setting.dimensions))
        else:
            forward = self.forward if self.setting.task != "coverage" else 0.0
            told = CONTROLLERS[self.name](seen, columns, forward)
            if self.setting.residual_on == "sph":
                told = told - _sph(seen, columns, forward)
        return np.clip(told, -1.0, 1.0).astype(np.float32), None


def controllers(setting: Swarm, observation_space: Box, action_space: Box) -> dict[str, Controller]:
    """All controllers of a setting by name; only "zero" of one with pooled observations."""
    names = ("zero",) if setting.pooled else ("zero", *CONTROLLERS)
    return {name: Controller(observation_space, action_space, setting, name) for name in names}
