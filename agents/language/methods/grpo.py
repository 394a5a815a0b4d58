"""GRPO: group-relative policy optimisation (Shao et al., arXiv 2402.03300)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.groups import relative_returns
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.methods.asymre import ASYMRE_PRESET
from agentgym.agents.language.methods.canon import CANON_PRESET
from agentgym.agents.language.methods.dapo import DAPO
from agentgym.agents.language.methods.dr_bot import DR_BOT
from agentgym.agents.language.methods.gae import PPO
from agentgym.agents.language.methods.gspo import GSPO, GSPO_CHOSEN
from agentgym.agents.language.methods.mini_rl import MINI_RL
from agentgym.agents.language.methods.opmd import OPMD_PRESET
from agentgym.agents.language.methods.plugin import About, Estimator
from agentgym.agents.language.methods.r3l import R3L_PRESET
from agentgym.agents.language.methods.turn_ppo import TURN_PPO
from agentgym.contracts.settings import Preset

__all__ = ["GRPO", "GRPOConfig", "GroupRelative"]


@dataclass
class GroupRelative(Estimator):
    """A = (R - mean) / (std + 1e-6) with mean and standard deviation of the group."""

    ABOUT: ClassVar = About("A = (R - mean) / (std + 1e-6) over the group", "arXiv 2402.03300")

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """[B]."""
        return relative_returns(batch, settings.group_statistics, divide=True)


@dataclass
class GRPOConfig(LanguageConfig):
    """Settings of GRPO, without a penalty on the distance from a reference policy (that is the method ``kl``)."""

    presets: ClassVar[Mapping[str, Preset]] = {
        "dr-bot": DR_BOT, "dapo": DAPO, "gspo": GSPO, "gspo-chosen": GSPO_CHOSEN, "turn-ppo": TURN_PPO,
        "mini-rl": MINI_RL, "opmd": OPMD_PRESET, "asymre": ASYMRE_PRESET, "canon": CANON_PRESET, "ppo": PPO,
        "r3l": R3L_PRESET,
    }  # fmt: skip


class GRPO(LanguageAgent):
    """Group-relative policy optimisation (Shao et al., arXiv 2402.03300)."""

    catalog_name = "grpo"
    Config: ClassVar[type[LanguageConfig]] = GRPOConfig
