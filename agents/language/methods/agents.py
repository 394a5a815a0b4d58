"""The agents of the catalog: one core, named settings."""

from typing import ClassVar

from agentgym.agents.language.loop.agent import LanguageAgent
from agentgym.agents.language.loop.config import (
    DrGRPOConfig,
    EPOConfig,
    GiGPOConfig,
    GRPOConfig,
    LanguageConfig,
    RLOOConfig,
    SPEARConfig,
)

__all__ = ["EPO", "GRPO", "RLOO", "SPEAR", "DrGRPO", "GiGPO"]


class GRPO(LanguageAgent):
    """Group-relative policy optimisation (Shao et al., arXiv 2402.03300)."""

    catalog_name = "grpo"
    Config: ClassVar[type[LanguageConfig]] = GRPOConfig


class DrGRPO(LanguageAgent):
    """GRPO done right (Liu et al., arXiv 2503.20783)."""

    catalog_name = "dr-grpo"
    Config: ClassVar[type[LanguageConfig]] = DrGRPOConfig


class RLOO(LanguageAgent):
    """REINFORCE leave-one-out (Ahmadian et al., arXiv 2402.14740)."""

    catalog_name = "rloo"
    Config: ClassVar[type[LanguageConfig]] = RLOOConfig


class GiGPO(LanguageAgent):
    """Group-in-group policy optimisation (Feng et al., arXiv 2505.10978)."""

    catalog_name = "gigpo"
    Config: ClassVar[type[LanguageConfig]] = GiGPOConfig


class SPEAR(LanguageAgent):
    """Self-imitation with progressive exploration (Qin et al., arXiv 2509.22601)."""

    catalog_name = "spear"
    Config: ClassVar[type[LanguageConfig]] = SPEARConfig


class EPO(LanguageAgent):
    """Entropy-regularised policy optimisation (Xu et al., arXiv 2509.22576)."""

    catalog_name = "epo"
    Config: ClassVar[type[LanguageConfig]] = EPOConfig
