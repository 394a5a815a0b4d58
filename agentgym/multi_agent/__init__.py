"""Multi-agent environments: groups of agents with different spaces, agents that leave early, and a global state.

:class:`ParallelEnvBatch` steps several PettingZoo environments and returns arrays by group of agents, in
:class:`JointObservation` and :class:`JointStep`. If all agents have equal spaces and stay until the end,
:class:`JointEnv` is simpler: a Gymnasium environment with stacked spaces.
"""

from agentgym.multi_agent.batch import ParallelEnvBatch
from agentgym.multi_agent.groups import AgentGroup, check_same_groups, group_agents, groups_from_json, groups_to_json
from agentgym.multi_agent.joint import JointEnv
from agentgym.multi_agent.steps import JointObservation, JointStep

__all__ = [
    "AgentGroup", "JointEnv", "JointObservation", "JointStep", "ParallelEnvBatch", "check_same_groups", "group_agents",
    "groups_from_json", "groups_to_json",
]  # fmt: skip
