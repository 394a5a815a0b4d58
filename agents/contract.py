"""A type check for mypy: every agent in the catalog satisfies :class:`agentgym.contracts.agent.Agent`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgym import agents
    from agentgym.contracts.agent import Agent

    AGENTS: list[type[Agent]] = [
        agents.BC,
        agents.DQN,
        agents.DecisionTransformer,
        agents.DeepIWOCS,
        agents.DoC,
        agents.DrGRPO,
        agents.EPO,
        agents.GRPO,
        agents.GiGPO,
        agents.HATRPO,
        agents.HATRPOQ,
        agents.IQL,
        agents.M2TD3,
        agents.MADDPG,
        agents.MDPO,
        agents.ODICE,
        agents.OREO,
        agents.OnPolicyMDPO,
        agents.PercentBC,
        agents.PPO,
        agents.PRDC,
        agents.QRDQN,
        agents.RARL,
        agents.RCBC,
        agents.RLOO,
        agents.SAC,
        agents.SharedGradient,
        agents.SharedMDPO,
        agents.SharedPPO,
        agents.SoftM2TD3,
        agents.SPEAR,
        agents.TabularDoC,
        agents.TD3BC,
        agents.TimeConstrained,
        agents.TRPO,
    ]
