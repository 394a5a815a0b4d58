"""Settings that all language agents share. Sources are in the card."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from agentgym import catalog
from agentgym.agents.language.loop.groups import Over
from agentgym.agents.language.loop.surrogate import Aggregation, Ratio
from agentgym.agents.language.policies.chat import Transcript
from agentgym.agents.language.policies.lora import ALL_LINEAR
from agentgym.agents.language.policies.policy import ServerProtocol
from agentgym.contracts.settings import AgentConfig, Range, check_settings, parse_settings
from agentgym.errors import InvalidParameter

__all__ = ["OWN", "LanguageConfig"]

# Defaults that depend on the policy. A token costs a thousand times more with a pretrained policy, which already knows
# the language and would forget it at the learning rates of a tiny one.
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
    **dict.fromkeys(("lora_rank", "lora_alpha", "server_gap"), Range(0)),
    **dict.fromkeys(("step_weight", "clip_low", "clip_high", "weight_decay"), Range(0)),
    **dict.fromkeys(("temperature", "learning_rate", "max_grad_norm", "imitation_rate"), Range(0, above=True)),
    **dict.fromkeys(("gamma", "final_rate", "imitation_random"), Range(0, 1)),
    "clip_dual": Range(1, above=True),
}


@dataclass
class LanguageConfig(AgentConfig):
    """Settings of all language agents.

    Sizes and rates that are 0 are replaced by the policy's defaults, :data:`OWN`.
    """

    # Policy
    policy: Annotated[str, tyro.conf.arg(prefix_name=False)] = "tiny"  # or "smollm2", or a folder of Hugging Face
    actions: Literal["choose", "write"] = "choose"  # choose an admissible command, or write one
    start: str = ""  # folder of a saved language agent whose weights to start with
    context: int = 2048  # the most tokens of an episode
    max_command_tokens: int = 0  # of a written command, including its end; 0: 12, pretrained 24
    temperature: float = 1.0  # in rollouts and in training
    # ... tiny
    width: int = 64  # of the tiny transformer's embeddings
    layers: int = 2  # of the tiny transformer
    heads: int = 4  # attention heads of the tiny transformer
    # ... pretrained
    transcript: Transcript = "auto"  # "chat": the tokenizer's template; "plain": none; "auto": the template, if any
    list_commands: bool = False  # append the admissible commands to each observation
    score: Literal["sum", "mean"] = "sum"  # when choosing: over the log-probabilities of a command's tokens
    trained_layers: int = 0  # train only the last N layers of the transformer; 0: train everything
    # Rank of low-rank adapters, which are then trained and saved alone; 0: none
    lora_rank: Annotated[int, tyro.conf.arg(aliases=("--config.lora.rank",))] = 0
    # Their scale is alpha / rank; 0: twice the rank
    lora_alpha: Annotated[float, tyro.conf.arg(aliases=("--config.lora.alpha",))] = 0.0
    # Linear layers with adapters, by the ends of their names: q_proj v_proj
    lora_targets: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--config.lora.targets",))] = (ALL_LINEAR,)
    checkpointing: bool = False  # recompute each layer in the backward pass: less memory, a third more work
    # Of computing; "bfloat16" also stores what is not trained in it, while what is trained stays in float32
    dtype: Literal["float32", "bfloat16"] = "float32"
    # With several processes each holds a part of weights, gradients and moments (FSDP2); rollouts gather the weights
    shard: bool = False
    server: str = ""  # address, without /v1, of the SGLang or vLLM server that writes the commands; "": none
    server_protocol: ServerProtocol = "sglang"  # the calls that the server answers
    server_folder: str = ""  # where weights are written for the server, which must see the same path
    server_gap: float = 0.5  # the most nats by which log-probabilities of server and policy may differ, in the mean

    # Collection
    tasks: int = 0  # per iteration; 0: 16, pretrained 4
    group_size: int = 8  # episodes of each task; at least 2

    # Advantages
    advantage: str = "grpo"  # an estimator, NAME or NAME:KEY=VALUE,KEY=VALUE: agentgym list estimators
    group_statistics: Over = "episodes"  # what an estimator takes means and deviations over
    gamma: float = 0.95  # GiGPO: discount per turn
    step_weight: float = 1.0  # GiGPO: weight of the advantage within equal states

    # Update
    learning_rate: float = 0.0  # 0: 3e-4, pretrained 1e-5
    warmup_iterations: int = 3  # of linear warm-up
    decay_iterations: int = 0  # the learning rate follows a cosine until this iteration; 0: constant
    final_rate: float = 0.2  # its final value as a fraction of learning_rate
    epochs: int = 0  # 0: 2, pretrained 1
    minibatches: int = 2  # updates of an epoch
    ratio: Ratio = "decision"  # whose probability is compared with the old one: of a turn or episode the geometric mean
    clip_low: float = 0.2  # the ratio of new to old probability is at least 1 less this
    clip_high: float = 0.28  # and at most 1 plus this
    clip_dual: float | None = None  # where A < 0 the loss is at most -clip_dual A; None: no bound
    aggregation: Aggregation = "decisions"  # what the loss is a mean over
    fixed_length: int = 32  # divisor of the aggregation "fixed", in decisions
    max_grad_norm: float = 1.0  # largest norm of the gradient
    weight_decay: float = 0.01  # of AdamW
    skip_dead: bool = True  # leave out episodes whose advantages are all 0, also from bonuses

    # Plug-ins
    methods: tuple[str, ...] = ("entropy:weight=0.005",)  # plug-ins in this order: NAME or NAME:KEY=VALUE,...

    # Imitation of the environment's demonstrations before the first iteration
    imitation_batches: int = 0  # of the environment's demonstrations, before the first iteration
    imitation_size: int = 0  # episodes per batch; 0: 64, pretrained 8
    imitation_rate: float = 0.0  # 0: 1e-3, pretrained 5e-5
    imitation_expert: Literal["explorer", "oracle"] = "explorer"  # who demonstrates
    imitation_random: float = 0.3  # share of turns with a random command instead of the expert's

    def __post_init__(self) -> None:
        own = OWN["tiny" if self.policy == "tiny" else "pretrained"]
        check_settings(self, {**RANGES, **dict.fromkeys(own, Range(0))}, type(self).__name__)
        for name, value in own.items():
            if not getattr(self, name):
                setattr(self, name, value)
        catalog.find("estimator", parse_settings(self.advantage)[0])
        self._check_pretrained()
        if self.group_size < 2:
            raise InvalidParameter(
                f"group_size must be at least 2, not {self.group_size}: {self.advantage} compares the episodes of one "
                "task with each other, so a single one has no advantage. Try 8, with fewer tasks."
            )
        if self.imitation_random == 1:
            raise InvalidParameter("imitation_random must be below 1: some commands must be the expert's.")
        if self.minibatches > self.tasks * self.group_size:
            raise InvalidParameter(f"{self.minibatches} minibatches cannot be made of {self.episodes} episodes.")

    def _check_pretrained(self) -> None:
        if self.policy == "tiny":
            for name, off in (
                ("lora_rank", 0),
                ("checkpointing", False),
                ("dtype", "float32"),
                ("server", ""),
                ("shard", False),
            ):
                if getattr(self, name) != off:
                    raise InvalidParameter(f"{name} is for pretrained policies: a tiny policy has no use for it.")
        if self.lora_rank and self.trained_layers:
            raise InvalidParameter("lora_rank and trained_layers both say what is trained: set one of them.")
        if self.shard and self.lora_rank:
            raise InvalidParameter("shard divides full weights, and adapters are small: set shard or lora_rank.")
        if not self.lora_targets:
            raise InvalidParameter(f"lora_targets names no layer: leave it at {ALL_LINEAR!r}, or name some.")
        if self.server and self.actions != "write":
            raise InvalidParameter('server is set, and a server writes commands: set actions="write".')
        if self.server and not self.server_folder:
            raise InvalidParameter("server is set, so server_folder must be too: a folder that the server sees.")

    @property
    def episodes(self) -> int:
        """Episodes per iteration; by default there are as many parallel environments."""
        return self.tasks * self.group_size

    @property
    def worlds(self) -> int:
        """The default number of parallel environments."""
        return self.episodes

    def to_kwargs(self) -> dict[str, Any]:
        """As :meth:`AgentConfig.to_kwargs`, without the policy, which is the constructor's first argument."""
        return {name: value for name, value in super().to_kwargs().items() if name != "policy"}
