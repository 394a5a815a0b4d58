"""Settings shared by all offline agents."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from agentgym.contracts.settings import AgentConfig
from agentgym.errors import InvalidParameter

__all__ = ["OfflineConfig", "SequenceConfig", "check_settings"]

# Ranges of settings, by name, for all agents. Settings that only one agent has are checked by that agent.
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
    """Check settings against their ranges. Defaults are not checked, since they may be unused.

    Raises:
        InvalidParameter: a setting is out of its range.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        allowed, holds = ALLOWED.get(field.name, ("", bool))
        if allowed and value != field.default and not holds(value):
            raise InvalidParameter(f"{field.name} of agent {agent} is {value}; it must be {allowed}.")


@dataclass
class OfflineConfig(AgentConfig):
    """Settings of every offline agent. Subclasses add their own and may change defaults."""

    # Optimisation
    learning_rate: float = 3e-4
    batch_size: int = 256  # steps, or sequences, per gradient step

    # Monitoring
    log_every: int = 1_000  # gradient steps between two rows of the log
    evaluate_every: int = 5_000  # gradient steps between two evaluations in the environment; 0: no evaluation
    evaluation_episodes: int = 10  # episodes per evaluation, played side by side


@dataclass
class SequenceConfig(OfflineConfig):
    """Settings of agents with a transformer over histories; defaults of Decision Transformer (Chen et al. 2021)."""

    # Optimisation
    learning_rate: float = 1e-4
    batch_size: int = 64  # windows per gradient step
    weight_decay: float = 1e-4
    warmup: int = 1_000  # gradient steps over which the learning rate rises linearly from 0
    clip: float = 0.25  # maximum norm of the gradient

    # The transformer
    context: int = 20  # K, steps of history
    width: int = 128
    layers: int = 3
    heads: int = 1
    dropout: float = 0.1
    longest_episode: int = 1_000  # number of time embeddings; when acting, later steps use the last one
