"""Wrappers that reject invalid actions before the environment steps."""

from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper

from agentgym.envs.perturb.spaces import Codec

__all__ = ["CheckAction", "CheckVectorAction"]


class CheckAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Raise InvalidAction for actions that are NaN or infinite, or have a wrong shape or type.

    Perturbed environments do this already. Numbers outside a Box's bounds are accepted and left to the environment.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._actions = Codec(env.action_space, "action")

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Check the action, then step."""
        self._actions.check_action(action)
        return self.env.step(action)


class CheckVectorAction(VectorWrapper[Any, Any, Any, Any, Any]):
    """:class:`CheckAction` for a batch: no world steps if one action is invalid."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._actions = Codec(env.single_action_space, "action", env.num_envs, env.action_space)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Check the actions, then step."""
        self._actions.check_action(actions)
        return self.env.step(actions)
