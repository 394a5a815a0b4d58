"""Several agents that are not alike: groups with spaces of their own, agents that leave early, a global state.

:class:`ParallelEnvBatch` steps PettingZoo environments side by side and gives what happened as arrays by group,
:class:`JointStep` and :class:`JointObservation`. Agents that are all alike and stay until the end have a simpler form
on stacked spaces, :class:`JointEnv`.
"""

from agentgym.multi_agent.batch import ParallelEnvBatch
from agentgym.multi_agent.groups import AgentGroup, check_same_groups, group_agents, groups_from_json, groups_to_json
from agentgym.multi_agent.joint import JointEnv
from agentgym.multi_agent.steps import JointObservation, JointStep

__all__ = [
    "AgentGroup", "JointEnv", "JointObservation", "JointStep", "ParallelEnvBatch", "check_same_groups", "group_agents",
    "groups_from_json", "groups_to_json",
]  # fmt: skip
