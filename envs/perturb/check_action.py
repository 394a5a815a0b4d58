"""Refuse actions that are none before anything steps."""

from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper

from agentgym.envs.perturb.spaces import Codec

__all__ = ["CheckAction", "CheckVectorAction"]


class CheckAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Raise InvalidAction for NaN, infinite, wrong-shaped or wrong-typed actions.

    Perturbed environments do so by themselves. Numbers outside a Box's bounds pass: what the actuator makes of them is
    the environment's affair.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._actions = Codec(env.action_space, "action")

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Check, then step."""
        self._actions.check_action(action)
        return self.env.step(action)


class CheckVectorAction(VectorWrapper[Any, Any, Any, Any, Any]):
    """:class:`CheckAction` for a batch: nothing steps if one world's action is none."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._actions = Codec(env.single_action_space, "action", env.num_envs, env.action_space)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Check, then step."""
        self._actions.check_action(actions)
        return self.env.step(actions)
