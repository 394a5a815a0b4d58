"""Hand-made baseline controllers, with the ``predict`` of Stable-Baselines3."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from agentgym.envs.convection.presets import Cell
from agentgym.envs.convection.sensors import TEMPERATURE_SCALE, VELOCITY_SCALE
from agentgym.seeding import stream

__all__ = ["CONTROLLERS", "Controller", "controllers"]

Array = NDArray[np.float64]
NEAR_PLATE, MIDDLE = -0.75, 0.0  # in half heights
MERGING_ACTIONS = 40


@dataclass(frozen=True)
class Reading:
    """The inputs of control laws, above each heater: [N, A] each. ``elapsed`` [N] counts actions since the start."""

    w_middle: Array
    w_low: Array
    temperature_low: Array
    elapsed: NDArray[np.int64]
    raw: NDArray[np.float32]


def _zero(seen: Reading) -> Array:
    return np.zeros_like(seen.w_low)


def _random(seen: Reading) -> Array:
    """Uniform commands, seeded by the observation, so that an episode does not depend on its neighbours."""
    draws = [stream(zlib.crc32(row.tobytes()), "random controller") for row in seen.raw]
    return np.stack([draw.uniform(-1, 1, seen.w_low.shape[1]) for draw in draws])


def _cosine(seen: Reading) -> Array:
    count = seen.w_low.shape[1]
    wave = np.cos(2 * np.pi * (np.arange(count) + 0.5) / count)
    return np.broadcast_to(wave, seen.w_low.shape)


def _merge_first(then: Callable[[Reading], Array]) -> Callable[[Reading], Array]:
    """Force a single pair of rolls during the first actions."""

    def act(seen: Reading) -> Array:
        return np.where(seen.elapsed[:, None] < MERGING_ACTIONS, 0.75 * _cosine(seen), then(seen))

    return act


def _low_velocity(seen: Reading) -> Array:
    return -10.0 * seen.w_low


def _low_velocity_and_temperature(seen: Reading) -> Array:
    return -5.0 * seen.w_low - 3.0 * seen.temperature_low


# Gains are the best of a coarse scan on the compact cell; see the card.
CONTROLLERS: dict[str, Callable[[Reading], Array]] = {
    "zero": _zero,
    "random": _random,
    "cosine": lambda seen: 0.5 * _cosine(seen),  # constant forcing of one pair of rolls
    "proportional-middle": lambda seen: -3.0 * seen.w_middle,
    "proportional-low": _low_velocity,
    "proportional-low-T": _low_velocity_and_temperature,
    "merge-then-low": _merge_first(_low_velocity),
    "merge-then-low-T": _merge_first(_low_velocity_and_temperature),
}


class Controller:
    """A fixed control law from observations to heater commands, with the ``predict`` of Stable-Baselines3.

    It works in any box with the cell's heights and columns per heater, for any number of heaters.

    Args:
        cell: gives the positions of the probes; laws read the probe nearest to a height.
        law: commands [N, A] from a reading; they are clipped to [-1, 1].
    """

    def __init__(self, cell: Cell, law: Callable[[Reading], Array]) -> None:
        self.cell, self.law = cell, law
        shape = (3, len(cell.heights), cell.heaters * cell.columns_per_heater)
        self.observation_space = Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = Box(-1.0, 1.0, (cell.heaters,), np.float32)
        heights = np.array(cell.heights)
        self._middle, self._low = (int(np.abs(heights - wanted).argmin()) for wanted in (MIDDLE, NEAR_PLATE))

    def predict(
        self,
        observation: NDArray[np.float32],
        state: tuple[NDArray[np.int64], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.int64], ...]]:
        """Commands for one observation [3, heights, columns] or a batch [N, ...]. The state counts actions."""
        batch = observation if observation.ndim == 4 else observation[None]
        elapsed = np.zeros(len(batch), np.int64) if state is None else state[0]
        if episode_start is not None:
            elapsed = np.where(episode_start, 0, elapsed)
        commands = np.clip(self.law(self._reading(batch, elapsed)), -1, 1).astype(np.float32)
        return (commands if observation.ndim == 4 else commands[0]), (elapsed + 1,)

    def _reading(self, batch: NDArray[np.float32], elapsed: NDArray[np.int64]) -> Reading:
        per = self.cell.columns_per_heater
        above = batch.astype(np.float64).reshape(*batch.shape[:3], -1, per).mean(-1)  # [N, 3, heights, A]
        temperature = above[:, 2, self._low] / TEMPERATURE_SCALE + self.cell.temperature_offset
        return Reading(
            above[:, 1, self._middle] / VELOCITY_SCALE, above[:, 1, self._low] / VELOCITY_SCALE, temperature, elapsed,
            batch,
        )  # fmt: skip


def controllers(cell: Cell) -> dict[str, Controller]:
    """All controllers of a cell by name."""
    return {name: Controller(cell, law) for name, law in CONTROLLERS.items()}
