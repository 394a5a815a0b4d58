"""A family of environments: physics as plain arrays, a batch on top of it, and a single environment as its view."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from agentgym import RunConfig, catalog, train
from agentgym.errors import InvalidParameter
from agentgym.evaluation import evaluate, write_report
from agentgym.seeding import stream
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.views import NativeEnv


def advance(carts: np.ndarray, force: np.ndarray, dt: float = 0.05) -> np.ndarray:
    """Carts [N, 3] (position in m, velocity in m/s, mass in kg) after ``dt`` s under forces [N] and friction."""
    position, velocity, mass = carts.T
    velocity = velocity + dt * (force - 0.1 * velocity) / mass
    return np.stack([position + dt * velocity, velocity, mass], axis=1)


class RailVectorEnv(NativeVectorEnv):
    """N carts. Observation: position and velocity. Action: a force in [-1, 1]. Reward: -(x^2 + 0.1 v^2)."""

    reset_options = ("parameters",)
    exact = True  # all arithmetic is elementwise: a cart does not depend on its neighbours

    def __init__(self, num_envs: int = 1, **batch: Any) -> None:
        super().__init__(num_envs, Box(-np.inf, np.inf, (2,)), Box(-1, 1, (1,)), **{"max_episode_steps": 100, **batch})
        self._carts, self._episodes = np.ones((num_envs, 3)), np.zeros(num_envs, int)

    def _checked_options(self, options: dict[str, Any], chosen: np.ndarray) -> dict[str, Any]:
        given = {"mass": 1.0, **options.get("parameters", {})}
        if len(given) > 1 or not np.all(np.asarray(given["mass"]) > 0):
            raise InvalidParameter(f"There is one parameter, mass, above 0; not {given}.")
        return given

    def _start(self, chosen: np.ndarray, seeds: Any, options: dict[str, Any]) -> dict[str, Any]:
        mass = np.broadcast_to(options.get("mass", 1.0), self.num_envs)
        for n in np.flatnonzero(chosen).tolist():
            self._episodes[n] = self._episodes[n] + 1 if seeds[n] is None else 0
            self._carts[n] = stream(self._seeds[n], "start", int(self._episodes[n])).uniform(-1, 1), 0.0, mass[n]
        return {}

    def _advance(self, actions: np.ndarray, active: np.ndarray) -> Step:
        self._carts = np.where(active[:, None], advance(self._carts, actions[:, 0]), self._carts)
        return Step(-(self._carts[:, 0] ** 2) - 0.1 * self._carts[:, 1] ** 2, np.zeros(self.num_envs, bool))

    def _observe(self) -> np.ndarray:
        return self._carts[:, :2].astype(np.float32)

    def _state(self) -> dict[str, Any]:
        return {"carts": self._carts.copy(), "episodes": self._episodes.copy()}

    def _set_state(self, state: dict[str, Any]) -> None:
        self._carts, self._episodes = state["carts"].copy(), state["episodes"].copy()


class RailEnv(NativeEnv):
    """One cart; see :class:`RailVectorEnv`."""

    parameter_ranges = {"mass": (0.5, 2.0)}  # the uncertainty set, in kg

    def __init__(self) -> None:
        super().__init__(RailVectorEnv(autoreset_mode="Disabled"))


catalog.add(catalog.Entry("env", "docs/Rail-v0", f"{__name__}:RailEnv", "a cart of uncertain mass",
                          vector_target=f"{__name__}:RailVectorEnv", max_episode_steps=100))  # fmt: skip


def main(steps: int = 30_000, episodes: int = 10) -> None:
    """Train PPO in 8 carts at once, then evaluate it over the uncertainty set."""
    run = train(RunConfig("ppo", env="docs/Rail-v0", num_envs=8, steps=steps, config={"n_steps": 128}), "rail")
    print("Open", write_report(evaluate(run.path, "parameter-grid:points=7", episodes=episodes), "rail.html"))


if __name__ == "__main__":
    main()
