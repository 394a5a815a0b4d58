"""The multi-agent door: a PettingZoo agent for every heater."""

from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode

from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.vector.views import NativeParallelEnv

__all__ = ["ConvectionParallelEnv"]


class ConvectionParallelEnv(NativeParallelEnv):
    """:class:`agentgym.envs.convection.env.ConvectionEnv`, whose manual holds here too, with an agent a heater.

    Agent ``heater_k`` sees its window [F] of the observation, itself in the middle, and acts with one number from -1 to
    1. Its reward is its entry of ``agent_rewards``. All agents end together.

    Args:
        settings: those of the single environment.

    Attributes:
        agent_mirror: where each entry of an agent's observation stands in the mirrored world, and with which sign.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **ConvectionVectorEnv.metadata, "name": "convection_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = ConvectionVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        super().__init__(batch, [f"heater_{k}" for k in range(batch.cell.heaters)], batch.agent_windows)
        self.agent_mirror = batch.agent_mirror
