"""Settings shared by all offline agents."""

from dataclasses import dataclass, fields

from agentgym.contracts.settings import AgentConfig, Range

__all__ = ["OfflineConfig", "SequenceConfig", "ranges_of"]

# Ranges of settings, by name, for all agents. Settings that only one agent has are checked by that agent.
_RANGES: dict[str, Range] = {
    **dict.fromkeys(("learning_rate", "energy_learning_rate", "clip", "max_weight"), Range(0, above=True)),
    **dict.fromkeys(("batch_size", "evaluation_episodes"), Range(1)),
    **dict.fromkeys(
        ("log_every", "evaluate_every", "weight_decay", "target_noise", "noise_clip", "return_range", "schedule_steps",
         "hold", "energy_weight", "value_weight", "prior_weight", "kl_weight"),
        Range(0),
    ),
    "gamma": Range(0, 1),
    **dict.fromkeys(("tau", "averaging"), Range(0, 1, above=True)),
    **dict.fromkeys(("layers", "hidden", "value_layers", "policy_layers"), Range(1)),
}  # fmt: skip


def ranges_of(settings: "OfflineConfig") -> dict[str, Range]:
    """The ranges of the settings that were changed: a default may be unused, and then lie outside."""
    changed = (field.name for field in fields(settings) if getattr(settings, field.name) != field.default)
    return {name: _RANGES[name] for name in changed if name in _RANGES}


@dataclass
class OfflineConfig(AgentConfig):
    """Settings of every offline agent. Subclasses add their own and may change defaults."""

    # Optimisation
    learning_rate: float = 3e-4  # of every network, unless an agent says otherwise
    batch_size: int = 256  # steps, or sequences, per gradient step

    # Monitoring
    log_every: int = 1_000  # gradient steps between two rows of the log
    evaluate_every: int = 5_000  # gradient steps between two evaluations in the environment; 0: no evaluation
    evaluation_episodes: int = 10  # episodes per evaluation, played side by side


@dataclass
class SequenceConfig(OfflineConfig):
    """Settings of agents with a transformer over histories; defaults of Decision Transformer (Chen et al. 2021)."""

    # Optimisation
    learning_rate: float = 1e-4  # of AdamW
    batch_size: int = 64  # windows per gradient step
    weight_decay: float = 1e-4  # of AdamW
    warmup: int = 1_000  # gradient steps over which the learning rate rises linearly from 0
    clip: float = 0.25  # maximum norm of the gradient

    # The transformer
    context: int = 20  # K, steps of history
    width: int = 128  # size of the embeddings
    layers: int = 3  # of the transformer
    heads: int = 1  # attention heads of every layer
    dropout: float = 0.1  # share of activations left out in training
    longest_episode: int = 1_000  # number of time embeddings; when acting, later steps use the last one
