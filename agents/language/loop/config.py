"""Hyperparameters of the language agents. Sources are in the card."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from agentgym import catalog
from agentgym.agents.language.loop.groups import Over
from agentgym.agents.language.loop.surrogate import Aggregation
from agentgym.agents.language.policies.chat import Transcript
from agentgym.contracts.settings import AgentConfig, Range, check_settings
from agentgym.errors import InvalidParameter

__all__ = ["OWN", "LanguageConfig"]

# What a policy takes where nothing else is asked for. A pretrained one costs a thousand times as much a token, knows
# the language already, and forgets it at the rates by which a tiny one learns it.
OWN: dict[str, dict[str, Any]] = {
    "tiny": {
        "tasks": 16, "epochs": 2, "learning_rate": 3e-4, "imitation_rate": 1e-3, "imitation_size": 64,
        "max_command_tokens": 12,
    },
    "pretrained": {
        "tasks": 4, "epochs": 1, "learning_rate": 1e-5, "imitation_rate": 5e-5, "imitation_size": 8,
        "max_command_tokens": 24,
    },
}  # fmt: skip

RANGES: dict[str, Range] = {
    **dict.fromkeys(("context", "max_command_tokens", "width", "layers", "heads"), Range(1)),
    **dict.fromkeys(("tasks", "epochs", "minibatches", "fixed_length", "imitation_size"), Range(1)),
    **dict.fromkeys(("trained_layers", "warmup_iterations", "decay_iterations", "imitation_batches"), Range(0)),
    **dict.fromkeys(("step_weight", "clip_low", "clip_high", "weight_decay"), Range(0)),
    **dict.fromkeys(("temperature", "learning_rate", "max_grad_norm", "imitation_rate"), Range(0, above=True)),
    **dict.fromkeys(("gamma", "final_rate", "imitation_random"), Range(0, 1)),
    "clip_dual": Range(1, above=True),
}


@dataclass
class LanguageConfig(AgentConfig):
    """What all language agents are set by.

    Sizes and rates that are 0 become the policy's own, :data:`OWN`.
    """

    # Policy
    # "tiny", from scratch; "smollm2", SmolLM2-135M-Instruct; or the folder of a Hugging Face causal language model
    policy: Annotated[str, tyro.conf.arg(prefix_name=False)] = "tiny"
    actions: Literal["choose", "write"] = "choose"  # among the admissible commands, or freely
    start: str = ""  # the folder of a saved language agent with whose weights to begin
    context: int = 2048  # the most tokens of an episode
    max_command_tokens: int = 0  # of a written command, its end included; 0: 12, pretrained 24
    temperature: float = 1.0  # of sampling and learning
    # ... of the tiny one
    width: int = 64
    layers: int = 2
    heads: int = 4
    # ... of pretrained ones
    transcript: Transcript = "auto"  # "chat": the tokenizer's template; "plain": none; "auto": where there is one
    list_commands: bool = False  # whether each observation is followed by the admissible commands
    score: Literal["sum", "mean"] = "sum"  # choosing: of the log-probabilities of a command's tokens
    trained_layers: int = 0  # only the last so many of the transformer's layers learn; 0: everything does

    # Collection
    tasks: int = 0  # an iteration; 0: 16, pretrained 4
    group_size: int = 8  # episodes of each task, which are compared: at least 2

    # Advantages
    advantage: str = "grpo"  # an estimator: agentgym list estimators
    group_statistics: Over = "episodes"
    gamma: float = 0.95  # GiGPO: discount a turn
    step_weight: float = 1.0  # GiGPO: of the advantage within equal states

    # Update
    learning_rate: float = 0.0  # 0: 3e-4, pretrained 1e-5
    warmup_iterations: int = 3  # the learning rate rises from 0
    decay_iterations: int = 0  # ... and falls along a cosine until this one; 0: it stays
    final_rate: float = 0.2  # the factor to which it falls
    epochs: int = 0  # 0: 2, pretrained 1
    minibatches: int = 2
    clip_low: float = 0.2
    clip_high: float = 0.28
    clip_dual: float | None = None
    aggregation: Aggregation = "decisions"
    fixed_length: int = 32  # divisor of the aggregation "fixed", decisions
    max_grad_norm: float = 1.0
    weight_decay: float = 0.01
    skip_dead: bool = True  # episodes whose advantages are all 0 cost no pass; bonuses then do not see them

    # Methods: NAME or NAME:KEY=VALUE,KEY=VALUE, in this order
    methods: tuple[str, ...] = ("entropy:weight=0.005",)

    # Imitation before the first iteration, where the environment has demonstrations
    imitation_batches: int = 0
    imitation_size: int = 0  # episodes a batch; 0: 64, pretrained 8
    imitation_rate: float = 0.0  # 0: 1e-3, pretrained 5e-5
    imitation_expert: Literal["explorer", "oracle"] = "explorer"
    imitation_random: float = 0.3  # the share of turns in which another command than the expert's is given

    def __post_init__(self) -> None:
        own = OWN["tiny" if self.policy == "tiny" else "pretrained"]
        check_settings(self, {**RANGES, **dict.fromkeys(own, Range(0))}, type(self).__name__)
        for name, value in own.items():
            if not getattr(self, name):
                setattr(self, name, value)
        catalog.find("estimator", self.advantage)
        if self.group_size < 2:
            raise InvalidParameter(
                f"group_size must be at least 2, not {self.group_size}: {self.advantage} compares the episodes of one "
                "task with each other, so that one alone teaches nothing. Try 8, with fewer tasks."
            )
        if self.imitation_random == 1:
            raise InvalidParameter("imitation_random must be below 1: the expert has to give some of the commands.")
        if self.minibatches > self.tasks * self.group_size:
            raise InvalidParameter(f"{self.minibatches} minibatches cannot be made of {self.episodes} episodes.")

    @property
    def episodes(self) -> int:
        """Episodes an iteration; by default as many worlds are stepped side by side."""
        return self.tasks * self.group_size

    @property
    def worlds(self) -> int:
        """How many environments a run takes where it is not told."""
        return self.episodes

    def to_kwargs(self) -> dict[str, Any]:
        """As :meth:`AgentConfig.to_kwargs`, without the policy, which is the constructor's first argument."""
        return {name: value for name, value in super().to_kwargs().items() if name != "policy"}
