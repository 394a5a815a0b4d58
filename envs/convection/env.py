"""The single convection environment, in which one agent controls all heaters."""

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

    Rayleigh-Benard convection: a fluid layer, heated from below and cooled from above, circulates in rolls that
    transport heat. Ten heaters along the bottom plate can be made warmer or cooler without adding net heat. The task is
    to reduce the heat transport of the flow, measured by the Nusselt number (Vignon et al., Physics of Fluids 35,
    065146, 2023, arXiv 2304.02370). The two-dimensional Boussinesq equations in a periodic box with no-slip isothermal
    plates are solved by Fourier-Chebyshev collocation with an IMEX Runge-Kutta scheme (solver.py).

    Without control the flow has two pairs of rolls (Nusselt number 4.94) or one (4.14); both states are stable. A
    policy achieves more than a change in the number of rolls only if it goes below 4.14.

    ## Action Space

    `Box(-1, 1, (A,), float32)`, one command per heater (A = 10). The mean is subtracted, then all commands are divided
    by a common number, at least 1, so that none exceeds 1. Multiplied by 0.75 they are the heaters' deviations from the
    plate's mean temperature, in units of the temperature difference between the plates. They are held for 1.5 free-fall
    times. A number beyond [-1, 1], NaN or another shape raises :class:`agentgym.errors.InvalidAction`.

    With ``residual_on`` the action corrects a hand-made controller: clip(command + action, -1, 1) is executed, where
    the command is the named controller's response, within [-1, 1], to the last observation before any wrapper. An
    action of zeros therefore reproduces the controller. Supported are the controllers without internal state that treat
    all heaters alike: "proportional-middle", "proportional-low", "proportional-low-T". With "zero", the default,
    actions are the commands.

    ## Observation Space

    `Box(-inf, inf, (3, heights, columns), float32)`: 1.5 u, 1.5 w and 2 T at five heights above the middle of every
    heater (`compact`), with T relative to the mean of the plates. A shift of the flow by one heater shifts the columns
    exactly. `agent_windows` [A, F] lists the entries of the flattened observation that each heater's own agent
    observes, with that heater in the middle; `agent_mirror` describes the reflection of such a window.

    ## Rewards

    0.1 (4.5 - Nusselt number), with the true Nusselt number of the volume, averaged over the action's solver steps.
    ``info["agent_rewards"]`` [A] adds each heater's own number with the weight ``local_weight`` (0 by default).

    ## Starting State

    A cached steady flow with two pairs of rolls, shifted by a random distance, mirrored with probability one half, with
    smooth temperature noise. ``start`` selects "two-pair", "one-pair", "random", or "mixed": two pairs or one, equally
    likely. ``reset(options={"start": ...})`` uses another flow for one episode.

    ## Episode End

    Truncation after 200 actions. A flow that is too fast for the time step raises
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
    :class:`agentgym.envs.convection.vector.ConvectionVectorEnv`, which is many times faster per world.
    ``agentgym.parallel_env("agentgym/Convection-v0")`` makes the PettingZoo form, with one agent per heater.

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
        """The number of actions in an episode."""
        return self.cell.actions

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made controllers by name, as baselines for evaluations."""
        return controllers(self.cell)

    def _as_batch(self, action: Any) -> NDArray[np.float64]:
        return checked_commands(action, (self.cell.heaters,))[None]
