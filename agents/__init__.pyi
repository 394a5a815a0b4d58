"""The classes that ``from agentgym.agents import ...`` finds; each is imported when it is first used."""

from .baselines.ppo import PPO as PPO
from .baselines.trpo import TRPO as TRPO
from .common.saving import load_agent as load_agent
from .language.methods.dr_grpo import DrGRPO as DrGRPO
from .language.methods.epo import EPO as EPO
from .language.methods.gigpo import GiGPO as GiGPO
from .language.methods.grpo import GRPO as GRPO
from .language.methods.rloo import RLOO as RLOO
from .language.methods.spear import SPEAR as SPEAR
from .marl.mdpo import SharedMDPO as SharedMDPO
from .marl.ppo import SharedPPO as SharedPPO
from .mdpo.off_policy import MDPO as MDPO
from .mdpo.on_policy import OnPolicyMDPO as OnPolicyMDPO
from .offline.bc.bc import BC as BC
from .offline.bc.bc import PercentBC as PercentBC
from .offline.doc.doc import DoC as DoC
from .offline.doc.tabular import TabularDoC as TabularDoC
from .offline.dt.dt import DecisionTransformer as DecisionTransformer
from .offline.iql.iql import IQL as IQL
from .offline.odice.odice import ODICE as ODICE
from .offline.prdc.prdc import PRDC as PRDC
from .offline.rcbc.rcbc import RCBC as RCBC
from .offline.td3bc.td3bc import TD3BC as TD3BC
from .sac.sac import SAC as SAC
