"""The single-environment door: one agent sets all heaters of one convection cell."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.envs.convection.controllers import Controller, controllers
from agentgym.envs.convection.vector import ConvectionVectorEnv, checked_commands
from agentgym.vector.views import NativeEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["ConvectionEnv"]


class ConvectionEnv(NativeEnv, OwnTimeLimit[NDArray[np.float32], NDArray[np.float32]]):
    """
    ## Description

    Rayleigh-Benard convection: a fluid layer, heated from below and cooled from above, turns over in rolls that carry
    heat. Ten heaters along the bottom plate can be made warmer or cooler, without net heat; the task is to reduce the
    heat that the flow carries, the Nusselt number (Vignon et al., Physics of Fluids 35, 065146, 2023, arXiv
    2304.02370). Two-dimensional Boussinesq equations in a periodic box, no-slip isothermal plates, solved by
    Fourier-Chebyshev collocation with an IMEX Runge-Kutta scheme (solver.py).

    Without control the box holds two pairs of rolls (Nusselt number 4.94) or one (4.14); both are stable. A policy has
    changed more than the number of rolls only if it goes below 4.14.

    ## Action Space

    `Box(-1, 1, (A,), float32)`, one command a heater (A = 10). The mean is taken off, then all are divided by one
    number, at least 1, so that none is beyond 1; times 0.75 they are the heaters' departures from the plate's mean
    temperature, in units of the plates' temperature difference. They are held for 1.5 free-fall times.
    Anything beyond [-1, 1], NaN or another shape raises :class:`agentgym.errors.InvalidAction`.

    With ``residual_on`` the action corrects a controller made by hand: carried out is clip(command + action, -1, 1).
    The command is the named controller's answer, itself within [-1, 1], to the observation that was returned last,
    before any wrapper; so an action of zeros is that controller. It takes those that keep no count of their own and act
    alike at every heater: "proportional-middle", "proportional-low", "proportional-low-T". With "zero", the default,
    actions are the commands.

    ## Observation Space

    `Box(-inf, inf, (3, heights, columns), float32)`: 1.5 u, 1.5 w and 2 T at five heights above the middle of every
    heater (`compact`), T counted from the mean of the plates. Shifting the flow by a heater shifts the columns exactly.
    `agent_windows` [A, F] says which entries of the flattened observation each heater's own agent sees, itself in the
    middle; `agent_mirror` how such a window looks in the mirrored world.

    ## Rewards

    0.1 (4.5 - Nusselt number), the number being the volume's true one, averaged over the action's solver steps.
    ``info["agent_rewards"]`` [A] mixes in each heater's own with ``local_weight`` (0 by default).

    ## Starting State

    A cached steady flow of two pairs of rolls (``start``: "two-pair", "one-pair", "random", or "mixed": two pairs
    or one, as often), shifted by a random distance, mirrored with probability one half, with smooth temperature noise.
    ``reset(options={"start": ...})`` takes another flow this once.

    ## Episode End

    Truncation after 200 actions. A flow that the time step cannot follow raises
    :class:`agentgym.envs.convection.world.Diverged`.

    ``info`` has ``nusselt`` (true, mean over the action), ``roll_pairs`` and ``agent_rewards``; at the end also
    ``measures`` (see :meth:`agentgym.envs.convection.score.EpisodeScore.measures`).

    ## Arguments

    `preset` ("compact" or "vignon2023"), `device`, `render_mode` ("rgb_array"), and any setting of
    :class:`agentgym.envs.convection.presets.Cell` by name: `rayleigh`, `prandtl`, `length`, `heaters`, `dead`, `stuck`,
    `lag`, `window`, `start`, `residual_on`, ...

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/Convection-v0", start="one-pair")
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (3, 5, 10)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/Convection-v0", num_envs=32)`` makes a
    :class:`agentgym.envs.convection.vector.ConvectionVectorEnv`, many times faster a world;
    ``agentgym.parallel_env("agentgym/Convection-v0")`` the PettingZoo form, an agent a heater.

    ## Version History

    * v0: first version.
    """

    metadata = ConvectionVectorEnv.metadata

    batch: ConvectionVectorEnv

    def __init__(
        self, preset: str = "compact", device: str = "cpu", render_mode: str | None = None, **changes: Any
    ) -> None:
        super().__init__(ConvectionVectorEnv(1, preset, AutoresetMode.DISABLED, device, render_mode, **changes))
        self.cell = self.batch.cell
        self.agent_windows, self.agent_mirror = self.batch.agent_windows, self.batch.agent_mirror

    @property
    def time_limit(self) -> int:
        """The actions of an episode."""
        return self.cell.actions

    @property
    def controllers(self) -> dict[str, Controller]:
        """Controllers made by hand, by name; evaluations put them beside agents."""
        return controllers(self.cell)

    def _as_batch(self, action: Any) -> NDArray[np.float64]:
        return checked_commands(action, (self.cell.heaters,))[None]
