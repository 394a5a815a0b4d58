"""The single-environment door: one swarm."""

from typing import Any

from gymnasium.vector import AutoresetMode

from agentgym.envs.swarm.controllers import Controller
from agentgym.envs.swarm.vector import SwarmVectorEnv
from agentgym.vector.views import NativeEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["SwarmEnv"]


class SwarmEnv(NativeEnv, OwnTimeLimit[Any, Any]):
    """
    ## Description

    A swarm of drones that flows through a duct like a gas: each drone senses only its neighbours, derives a density and
    a pressure from where they are (smoothed-particle hydrodynamics), and accelerates down the pressure's gradient. What
    drives the swarm is a back pressure at the duct's end, as in a nozzle: subsonic all through, choked with a shock
    inside, or supersonic in the exit. How well it flows is scored against the exact quasi-one-dimensional solution.

    Three tasks: "nozzle" (a converging-diverging duct), "obstacles" (a straight duct with round obstacles) and
    "coverage" (a crowd spreads evenly over a disc).

    ## Action Space

    `Box(-1, 1, (A, D), float32)`: accelerations in units of 0.3 c0^2 / h, held for one step (0.1 h / c0). With
    ``residual_on="sph"``, the default, they are added to what pressure and viscosity command, so that zeros are the
    fluid; with "zero" they are the commands. A is the size of the pool: agents enter and leave, and rows of those that
    are absent or in the zones at the ends do nothing. Anything beyond [-1, 1], NaN or another shape raises
    :class:`agentgym.errors.InvalidAction`.

    ## Observation Space

    `Box(-inf, inf, (A, F), float32)`, for each agent that is inside: 1, log density, root of the kinetic temperature,
    divergence, accelerations by pressure and by viscosity, velocity, the neighbours' mean velocity less its own,
    nearness of the wall and the direction away from it (:class:`agentgym.envs.swarm.sensors.Columns`). Others see
    zeros. `agent_windows` [A, F] says which entries of the flattened observation are whose.

    With ``pooled=True`` one agent steers the whole: it sees means in B bins along x, `(B, D + 3)`, and accelerates the
    agents in each bin, `(B, D)`.

    ## Rewards

    Mean over the agents inside of: speed along the duct over c0, less 0.05 times the squared command (in units of an
    action of 1), less 1 where another agent is nearer than 0.2 spacings. In coverage -|density - 1| takes the speed's
    place. ``info["agent_rewards"]`` [A] has each agent's own.

    ## Starting State

    The quasi-one-dimensional flow of the regime in jittered columns of agents, or with ``start="rest"`` agents at rest.
    Coverage starts from a crowd of density 4. ``reset(options={"regime": "shock"})`` takes another regime this once.

    ## Episode End

    Truncation after ``seconds`` (30 s). ``info`` has ``agent_rewards``, ``agent_inside``, ``collisions``; at the end
    also ``measures``: transit time, throughput, effort, collisions and, in a nozzle, errors of speed, density, pressure
    and temperature over the second half of the episode (:class:`agentgym.envs.swarm.score.Profiles`).

    ## Arguments

    `preset` ("nozzle", "obstacles", "coverage"), `render_mode` ("rgb_array") and any setting of
    :class:`agentgym.envs.swarm.presets.Swarm` by name: `agents`, `regime`, `back_pressure`, `mode`, `vehicle`, `lag`,
    `noise`, `delay`, `faulty`, `adversarial`, ...

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/Swarm-v0", agents=150)
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape[1]
    15

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/Swarm-v0", num_envs=8)`` makes a :class:`agentgym.envs.swarm.vector.SwarmVectorEnv`;
    ``agentgym.parallel_env("agentgym/Swarm-v0")`` the PettingZoo form, an agent a place in the pool.

    ## Version History

    * v0: first version.
    """

    metadata = SwarmVectorEnv.metadata
    batch: SwarmVectorEnv

    def __init__(self, preset: str = "nozzle", render_mode: str | None = None, **changes: Any) -> None:
        super().__init__(SwarmVectorEnv(1, preset, AutoresetMode.DISABLED, render_mode, **changes))
        self.setting = self.batch.setting
        if not self.setting.pooled:
            self.agent_windows, self.agent_mirror = self.batch.agent_windows, self.batch.agent_mirror

    @property
    def time_limit(self) -> int:
        """The steps of an episode."""
        assert self.batch.max_episode_steps is not None
        return self.batch.max_episode_steps

    @property
    def controllers(self) -> dict[str, Controller]:
        """Controllers made by hand, by name; evaluations put them beside agents."""
        return self.batch.controllers

    def set_back_pressure(self, value: float) -> None:
        """Change the back pressure, over the stagnation pressure, from now on.

        Raises:
            InvalidParameter: it is not above 0 and below 1.
        """
        self.batch.set_back_pressure(value)
