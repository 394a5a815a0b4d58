"""The multi-agent door: a PettingZoo agent for every place in the pool."""

from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode

from agentgym.envs.swarm.vector import SwarmVectorEnv
from agentgym.errors import InvalidParameter
from agentgym.vector.views import NativeParallelEnv

__all__ = ["SwarmParallelEnv"]


class SwarmParallelEnv(NativeParallelEnv):
    """:class:`agentgym.envs.swarm.env.SwarmEnv`, whose manual holds here too, with an agent a place in the pool.

    PettingZoo's agents cannot come back, and drones enter and leave all the time, so an agent is a place: while no
    drone in the duct has it, it sees zeros, its actions do nothing, its rewards are 0 and its info ``inside`` is False.
    All agents end together.

    Args:
        settings: those of the single environment; ``pooled`` is not one here.

    Attributes:
        agent_mirror: where each entry of an agent's observation stands in the mirrored world, and with which sign.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **SwarmVectorEnv.metadata, "name": "swarm_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = SwarmVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        if batch.setting.pooled:
            raise InvalidParameter("pooled=True is for one agent; PettingZoo's form has an agent a drone.")
        super().__init__(batch, [f"drone_{k}" for k in range(batch.world.fluid.pool)], batch.agent_windows)
        self.agent_mirror = batch.agent_mirror
