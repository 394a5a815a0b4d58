"""The multi-agent convection environment: a PettingZoo environment with one agent per heater."""

from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode

from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.vector.views import NativeParallelEnv

__all__ = ["ConvectionParallelEnv"]


class ConvectionParallelEnv(NativeParallelEnv):
    """:class:`agentgym.envs.convection.env.ConvectionEnv` with one agent per heater.

    Agent ``heater_k`` observes its window [F] of the observation, centred on itself, and its action is one number from
    -1 to 1. Its reward is its entry of ``agent_rewards``. All agents' episodes end together. Everything else is as in
    the single environment.

    Args:
        settings: those of the single environment.

    Attributes:
        agent_mirror: for each entry of an agent's observation, its index in the mirrored environment and its sign.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **ConvectionVectorEnv.metadata, "name": "convection_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = ConvectionVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        super().__init__(batch, [f"heater_{k}" for k in range(batch.cell.heaters)], batch.agent_windows)
        self.agent_mirror = batch.agent_mirror
