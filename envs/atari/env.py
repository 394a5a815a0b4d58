"""The single-environment door: one game."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from agentgym.envs.atari.games import GAMES
from agentgym.envs.atari.presets import types_of
from agentgym.envs.atari.vector import AtariVectorEnv
from agentgym.vector.views import NativeEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["AtariEnv"]


class AtariEnv(NativeEnv, OwnTimeLimit[Any, Any]):
    """
    ## Description

    An Atari 2600 game of ale-py with the stochasticity of STORI (arXiv 2509.01793): random actions (type 1), random
    events (2.1), concept drift (2.2), plain pictures (3.1) and pictures or RAM with missing parts (3.2). Type 0 is the
    game without any of these, observed through its labelled RAM. Effects can be combined. The card explains each.

    ## Action Space

    `Discrete(n)`, the minimal action set of the game. An action lasts ``frame_skip`` emulated frames.

    ## Observation Space

    `Box(0, 255, (stack, size, size), uint8)`, grey and resized pictures, each the maximum of the last two frames of a
    decision. With ``observation="rgb"`` the screen, `(210, 160, 3)`. With ``observation="ram"`` the labelled RAM of
    Breakout, Boxing, Gopher or Bank Heist, scaled to about [-1, 1], `Box(..., (stack * F,), float32)`; the names of the
    F entries are in ``env.unwrapped.entries``.

    ## Rewards

    The score of the game, unclipped.

    ## Starting State

    The game as the console is switched on, then 1 to ``noop_max`` frames without action, then one frame of FIRE where
    there is such an action. ``reset`` always starts a new game.

    ## Episode End

    Termination when the emulator says that the game is over; the number of lives is not consulted. Truncation after
    ``max_frames`` emulated frames, counted without those of the reset.

    ``info`` has ``lives``, ``frames`` (emulated since the reset), ``executed`` (the action of each frame, -1 after the
    end), ``event`` (whether a random event happened), ``event_chances`` (how often it could have), ``concept`` (of the
    drift), ``masked`` (whether a part of the observation is hidden) and, if asked for, ``unmasked``. At the end,
    ``measures`` has the unclipped score, frames, whether time cut the game, and how often effects took place.

    ## Arguments

    Any setting of :class:`agentgym.envs.atari.presets.Settings`: `game`, `setting`, `effects`, `modifications`,
    `observation`, `stack`, `padding`, `frame_skip`, `noop_max`, ...

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/Stori-Boxing-0-v0", effects=[{"type": "RandomAction", "probability": 0.3}])
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (14,)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/Stori-Boxing-0-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.atari.vector.AtariVectorEnv`, whose games are stepped in threads.

    ## Version History

    * v0: first version.
    """

    metadata = AtariVectorEnv.metadata
    batch: AtariVectorEnv

    def __init__(self, render_mode: str | None = None, **given: Any) -> None:
        super().__init__(AtariVectorEnv(1, AutoresetMode.DISABLED, render_mode, threads=1, **given))
        self.setting = self.batch.setting

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As :meth:`NativeEnv.step`, by a shorter way for whole numbers."""
        if isinstance(action, int | np.integer) and 0 <= action < len(self.meanings):
            return self.batch.step_alone(int(action))
        return super().step(action)

    @property
    def time_limit(self) -> int:
        """Decisions after which an episode is truncated."""
        return self.setting.max_decisions

    @property
    def meanings(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.batch.meanings

    @property
    def stochastic_types(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Effects of each type of stochasticity for this game and kind of observation, by name of the type."""
        return types_of(self.setting.game, self.setting.observation)

    @property
    def plain_arguments(self) -> dict[str, Any]:
        """Arguments that, in place of the present ones, give the game without effects and modifications."""
        ram = self.setting.observation == "ram"
        name = "0" if ram else "3.1" if self.setting.game in GAMES else ""
        return {"setting": name, "effects": (), "modifications": ()}

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries of one decision's RAM; empty for pictures."""
        return self.batch.worlds[0].entries
