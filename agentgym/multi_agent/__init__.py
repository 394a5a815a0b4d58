"""Several agents that are not alike: groups with spaces of their own, agents that leave early, a global state.

:class:`ParallelEnvBatch` steps PettingZoo environments side by side and gives what happened as arrays by group,
:class:`JointStep` and :class:`JointObservation`. Agents that are all alike and stay until the end have a simpler form
on stacked spaces, :class:`agentgym.joint.JointEnv`.
"""

from agentgym.multi_agent.batch import ParallelEnvBatch
from agentgym.multi_agent.groups import AgentGroup, group_agents
from agentgym.multi_agent.steps import JointObservation, JointStep

__all__ = ["AgentGroup", "JointObservation", "JointStep", "ParallelEnvBatch", "group_agents"]
