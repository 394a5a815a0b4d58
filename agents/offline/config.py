"""What all offline agents can be told."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from agentgym.contracts.settings import AgentConfig
from agentgym.errors import InvalidParameter

__all__ = ["OfflineConfig", "SequenceConfig", "check_settings"]

# What a setting of that name must be, in all agents; those that only one has are checked there.
ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("learning_rate", "energy_learning_rate", "clip", "max_weight"), ("above 0", lambda x: x > 0)),
    **dict.fromkeys(("batch_size", "evaluation_episodes"), ("at least 1", lambda x: x >= 1)),
    **dict.fromkeys(
        ("log_every", "evaluate_every", "weight_decay", "target_noise", "noise_clip", "return_range", "schedule_steps",
         "hold", "energy_weight", "value_weight", "prior_weight", "kl_weight"),
        ("at least 0", lambda x: x >= 0),
    ),
    "gamma": ("from 0 to 1", lambda x: 0 <= x <= 1),
    **dict.fromkeys(("tau", "averaging"), ("above 0 and at most 1", lambda x: 0 < x <= 1)),
    **dict.fromkeys(
        ("layers", "hidden", "value_layers", "policy_layers"),
        ("at least 1", lambda x: min(x, default=1) >= 1 if isinstance(x, tuple) else x >= 1),
    ),
}  # fmt: skip


def check_settings(settings: Any, agent: str) -> None:
    """Refuse what makes no sense in any agent; what is not changed, and so perhaps not used, is right.

    Raises:
        InvalidParameter: a setting is out of its range.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        allowed, holds = ALLOWED.get(field.name, ("", bool))
        if allowed and value != field.default and not holds(value):
            raise InvalidParameter(f"{field.name} of agent {agent} is {value}; it is {allowed}.")


@dataclass
class OfflineConfig(AgentConfig):
    """Settings of every offline agent; each adds its own and may have other defaults."""

    # Optimisation
    learning_rate: float = 3e-4
    batch_size: int = 256  # steps, or sequences, a gradient step

    # Looking on
    log_every: int = 1_000  # gradient steps between two rows of the log
    evaluate_every: int = 5_000  # gradient steps between two evaluations in the environment; 0 makes none
    evaluation_episodes: int = 10  # episodes an evaluation, side by side


@dataclass
class SequenceConfig(OfflineConfig):
    """Settings of every agent that reads histories by a transformer: Decision Transformer's (Chen et al. 2021)."""

    # Optimisation
    learning_rate: float = 1e-4
    batch_size: int = 64  # windows a gradient step
    weight_decay: float = 1e-4
    warmup: int = 1_000  # gradient steps over which the learning rate rises from zero
    clip: float = 0.25  # greatest norm of a step's gradient

    # The transformer
    context: int = 20  # steps it sees, K
    width: int = 128
    layers: int = 3
    heads: int = 1
    dropout: float = 0.1
    longest_episode: int = 1_000  # steps with an embedding of their own time; when acting, later ones have the last's
