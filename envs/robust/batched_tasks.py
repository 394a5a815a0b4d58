"""Observations, rewards and terminations of the six tasks for N worlds at once.

The formulas are those of Gymnasium's v5 environments in the same order of operations, so every number is bit-equal to
the single environment's. Weights and options are read from one of the worlds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

__all__ = ["JUDGES", "BatchedTask", "Outcome"]


@dataclass
class Outcome:
    """The results of a step of N worlds, except observations.

    Attributes:
        rewards: [N].
        terminated: bool [N].
        info: the v5 task's info entries, [N, ...] each.
    """

    rewards: np.ndarray
    terminated: np.ndarray
    info: dict[str, np.ndarray]


class BatchedTask(ABC):
    """Base of the tasks: reads N simulation states into arrays and computes observations, rewards and terminations.

    Args:
        worlds: environments of one task with equal arguments; their MjData must remain the same objects.

    Attributes:
        fields: the arrays of MjData used for observations and rewards.
    """

    fields: ClassVar[tuple[str, ...]] = ("qpos", "qvel")

    def __init__(self, worlds: Sequence[MujocoEnv]) -> None:
        self.count = len(worlds)
        self.rules: Any = worlds[0]
        self.views = {name: [getattr(world.data, name) for world in worlds] for name in self.fields}
        self.state: dict[str, np.ndarray] = {}

    def read(self) -> None:
        """Copy the worlds' states into :attr:`state`, each array [N, ...]."""
        for name, views in self.views.items():
            self.state[name] = np.concatenate(views).reshape(self.count, *views[0].shape)

    def track(self) -> np.ndarray:
        """The quantity whose change the reward uses, from the states read last."""
        return self.state["qpos"][:, 0]

    @abstractmethod
    def observe(self) -> np.ndarray:
        """Observations [N, D] from the states read last."""

    @abstractmethod
    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        """The results of the step that led to the states read last; ``before`` is :meth:`track` before that step."""

    def _positions(self, hidden: int) -> np.ndarray:
        positions = self.state["qpos"]
        return positions[:, hidden:] if self.rules._exclude_current_positions_from_observation else positions

    def _control_cost(self, actions: np.ndarray) -> np.ndarray:
        return self.rules._ctrl_cost_weight * np.sum(np.square(actions), axis=1)

    def _all_healthy(self) -> np.ndarray:
        return np.zeros(self.count, dtype=bool)


class _PlanarRunner(BatchedTask):
    """Common base of Hopper, Walker2d and HalfCheetah: reward for forward speed minus control cost."""

    def _forward(self, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        velocity = (self.track() - before) / self.rules.dt
        return velocity, self.rules._forward_reward_weight * velocity


class HalfCheetah(_PlanarRunner):
    """HalfCheetah-v5: never terminates."""

    def observe(self) -> np.ndarray:
        return np.concatenate((self._positions(1), self.state["qvel"]), axis=1)

    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        velocity, forward = self._forward(before)
        cost = self._control_cost(actions)
        info = {
            "x_position": self.track(),
            "x_velocity": velocity,
            "reward_forward": forward,
            "reward_ctrl": -cost,
        }
        return Outcome(forward - cost, self._all_healthy(), info)


class _UprightRunner(_PlanarRunner):
    """Common base of Hopper and Walker2d: reward for staying healthy, observed velocities clipped to +-10."""

    @abstractmethod
    def healthy(self) -> np.ndarray:
        """Which worlds are healthy: bool [N]."""

    def observe(self) -> np.ndarray:
        return np.concatenate((self._positions(1), np.clip(self.state["qvel"], -10, 10)), axis=1)

    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        velocity, forward = self._forward(before)
        cost = self._control_cost(actions)
        healthy = self.healthy()
        survive = healthy * self.rules._healthy_reward
        info = {
            "x_position": self.track(),
            "z_distance_from_origin": self.state["qpos"][:, 1] - self.rules.init_qpos[1],
            "x_velocity": velocity,
            "reward_forward": forward,
            "reward_ctrl": -cost,
            "reward_survive": survive,
        }
        terminated = ~healthy & self.rules._terminate_when_unhealthy
        return Outcome(forward + survive - cost, terminated, info)

    def _upright(self) -> np.ndarray:
        height, angle = self.state["qpos"][:, 1], self.state["qpos"][:, 2]
        lowest, highest = self.rules._healthy_z_range
        least, most = self.rules._healthy_angle_range
        return (lowest < height) & (height < highest) & (least < angle) & (angle < most)


class Walker2d(_UprightRunner):
    """Walker2d-v5: healthy while upright."""

    def healthy(self) -> np.ndarray:
        return self._upright()


class Hopper(_UprightRunner):
    """Hopper-v5: healthy while upright and every other state within its range."""

    def healthy(self) -> np.ndarray:
        state = np.concatenate((self.state["qpos"][:, 2:], self.state["qvel"]), axis=1)
        least, most = self.rules._healthy_state_range
        return self._upright() & ((least < state) & (state < most)).all(axis=1)


class InvertedPendulum(BatchedTask):
    """InvertedPendulum-v5: one per step until the pole leans by more than 0.2 rad."""

    def observe(self) -> np.ndarray:
        return np.concatenate((self.state["qpos"], self.state["qvel"]), axis=1)

    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        observations = self.observe()
        terminated = ~np.isfinite(observations).all(axis=1) | (np.abs(observations[:, 1]) > 0.2)
        rewards = (~terminated).astype(int)
        return Outcome(rewards.astype(float), terminated, {"reward_survive": rewards})


class Ant(BatchedTask):
    """Ant-v5: forward speed of the torso, health, control and contact costs."""

    fields = ("qpos", "qvel", "xpos", "cfrc_ext")

    def __init__(self, worlds: Sequence[MujocoEnv]) -> None:
        super().__init__(worlds)
        self.main_body = worlds[0].data.body(self.rules._main_body).id

    def track(self) -> np.ndarray:
        return self.state["xpos"][:, self.main_body, :2]

    def observe(self) -> np.ndarray:
        parts = [self._positions(2), self.state["qvel"]]
        if self.rules._include_cfrc_ext_in_observation:
            parts.append(self._contact_forces()[:, 1:].reshape(self.count, -1))
        return np.concatenate(parts, axis=1)

    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        velocity = (self.track() - before) / self.rules.dt
        healthy = self._healthy()
        forward = velocity[:, 0] * self.rules._forward_reward_weight
        survive = healthy * self.rules._healthy_reward
        control = self._control_cost(actions)
        squares = np.square(self._contact_forces()).reshape(self.count, -1)
        contact = self.rules._contact_cost_weight * np.sum(squares, axis=1)
        position = self.state["qpos"][:, :2]
        info = {
            "x_position": position[:, 0],
            "y_position": position[:, 1],
            "distance_from_origin": np.sqrt(np.vecdot(position, position)),
            "x_velocity": velocity[:, 0],
            "y_velocity": velocity[:, 1],
            "reward_forward": forward,
            "reward_ctrl": -control,
            "reward_contact": -contact,
            "reward_survive": survive,
        }
        terminated = ~healthy & self.rules._terminate_when_unhealthy
        return Outcome((forward + survive) - (control + contact), terminated, info)

    def _contact_forces(self) -> np.ndarray:
        return np.clip(self.state["cfrc_ext"], *self.rules._contact_force_range)

    def _healthy(self) -> np.ndarray:
        height = self.state["qpos"][:, 2]
        lowest, highest = self.rules._healthy_z_range
        finite = np.isfinite(self.state["qpos"]).all(axis=1) & np.isfinite(self.state["qvel"]).all(axis=1)
        return finite & (lowest <= height) & (height <= highest)


class HumanoidStandup(BatchedTask):
    """HumanoidStandup-v5: height over time step, control and impact costs; never terminates."""

    fields = (
        "qpos",
        "qvel",
        "ctrl",
        "cinert",
        "cvel",
        "qfrc_actuator",
        "cfrc_ext",
        "ten_length",
        "ten_velocity",
    )

    def observe(self) -> np.ndarray:
        rules, state = self.rules, self.state
        parts = [self._positions(2), state["qvel"]]
        if rules._include_cinert_in_observation is True:
            parts.append(state["cinert"][:, 1:].reshape(self.count, -1))
        if rules._include_cvel_in_observation is True:
            parts.append(state["cvel"][:, 1:].reshape(self.count, -1))
        if rules._include_qfrc_actuator_in_observation is True:
            parts.append(state["qfrc_actuator"][:, 6:])
        if rules._include_cfrc_ext_in_observation is True:
            parts.append(state["cfrc_ext"][:, 1:].reshape(self.count, -1))
        return np.concatenate(parts, axis=1)

    def judge(self, before: np.ndarray, actions: np.ndarray) -> Outcome:
        rules, state = self.rules, self.state
        height = state["qpos"][:, 2]
        rise = height / rules.model.opt.timestep
        control = rules._ctrl_cost_weight * np.sum(np.square(state["ctrl"]), axis=1)
        squares = np.square(state["cfrc_ext"]).reshape(self.count, -1)
        impact = np.clip(rules._impact_cost_weight * np.sum(squares, axis=1), *rules._impact_cost_range)
        info = {
            "x_position": state["qpos"][:, 0],
            "y_position": state["qpos"][:, 1],
            "z_distance_from_origin": height - rules.init_qpos[2],
            "tendon_length": state["ten_length"],
            "tendon_velocity": state["ten_velocity"],
            "reward_linup": rise,
            "reward_quadctrl": -control,
            "reward_impact": -impact,
        }
        return Outcome(rise - control - impact + 1, self._all_healthy(), info)


JUDGES: dict[str, type[BatchedTask]] = {
    judge.__name__: judge for judge in (Ant, HalfCheetah, Hopper, HumanoidStandup, InvertedPendulum, Walker2d)
}
