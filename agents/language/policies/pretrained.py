"""Hugging Face causal language models as policies that write or choose commands. Needs the extra ``language``."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.cached import PretrainedSession, additive
from agentgym.agents.language.policies.chat import Frame, Transcript, frame_of
from agentgym.agents.language.policies.lora import ALL_LINEAR, adapt, digest, without_adapters
from agentgym.agents.language.policies.policy import Policy, judged
from agentgym.agents.language.policies.token_trees import Forest
from agentgym.errors import InvalidParameter, MissingExtra
from agentgym.runs.processes import largest

__all__ = ["Options", "PretrainedPolicy"]

# Tokens whose activations are held at a time when learning, about 1 MB each in SmolLM2-135M.
TOKENS_AT_ONCE = 4096


@dataclass(frozen=True)
class Options:
    """How a pretrained policy is used; fields of :class:`agentgym.agents.language.loop.config.LanguageConfig`."""

    context: int = 2048
    temperature: float = 1.0
    transcript: Transcript = "auto"
    list_commands: bool = False
    score: Literal["sum", "mean"] = "sum"
    trained_layers: int = 0
    lora_rank: int = 0
    lora_alpha: float = 0.0
    lora_targets: tuple[str, ...] = (ALL_LINEAR,)
    checkpointing: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"


class PretrainedPolicy(Policy):
    """A causal language model that continues a transcript of observations and commands, as a chat or as plain text.

    The transcript is one sequence of tokens: each part is made of tokens once, where it is read or sampled, and never
    again, so no chat template can render it differently later. What the environment says is never read as a special
    token, so an observation cannot end a message or begin one.

    Writing, a command is sampled token by token. Choosing, each admissible command is scored by the log-probability of
    its tokens and its end, and the scores' softmax over the list is the policy; acting and learning compute it alike.

    Args:
        model: a transformers causal language model whose logits are its output embeddings applied to its last states.
        tokenizer: its tokenizer, a fast one.
        frame: what stands around observations and commands.
        options: how it is used.

    Raises:
        InvalidParameter: the context is longer than the model's, it has fewer layers than are to be trained or no
            layers of the adapters' names, or it does not support ``checkpointing``.
        MissingExtra: there are to be adapters, and peft is not installed.
    """

    def __init__(self, model: Any, tokenizer: Any, frame: Frame, options: Options) -> None:
        super().__init__()
        self.model, self.tokenizer, self.options = model, tokenizer, options
        longest = getattr(model.config, "max_position_embeddings", None)
        if longest is not None and options.context > longest:
            raise InvalidParameter(f"context is {options.context}, but the model reads at most {longest} tokens.")
        self.context, self.temperature = options.context, options.temperature
        self.use_frame(frame)
        self.base, self.sharded = "", False
        if options.lora_rank:
            self.base = digest(model)
            adapt(model, options.lora_rank, options.lora_alpha or 2.0 * options.lora_rank, options.lora_targets)
        self._freeze(options.trained_layers)
        if options.checkpointing:
            self._checkpoint_layers()
        if options.dtype == "bfloat16":
            self._halve()
        # Dropout would make learning see other probabilities than acting had.
        self.model.eval()

    def use_frame(self, frame: Frame) -> None:
        """Set what stands around observations and commands."""
        self.frame = frame
        self.opening, self.between = frame.opening, frame.between
        self.prompt, self.closing = frame.prompt, frame.closing

    def _checkpoint_layers(self) -> None:
        if not getattr(self.model, "supports_gradient_checkpointing", False):
            raise InvalidParameter("checkpointing is set, which this model does not support.")
        if hasattr(self.model, "activation_checkpointing_enable"):
            self.model.activation_checkpointing_enable()
        else:  # transformers that have only its old name
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def _halve(self) -> None:
        """Store what is not trained in bfloat16, except the output embeddings, so that logits stay exact to float32.

        What is trained stays in float32: the steps of an optimiser are smaller than bfloat16 can tell apart.
        """
        kept = {id(parameter) for parameter in self.model.get_output_embeddings().parameters()}
        for parameter in self.model.parameters():
            if not parameter.requires_grad and id(parameter) not in kept:
                parameter.data = parameter.data.to(torch.bfloat16)

    def _freeze(self, trained_layers: int) -> None:
        """Freeze all but the last ``layers`` layers and the final norm; 0: freeze nothing."""
        if not trained_layers:
            return
        layers = getattr(self.model.base_model, "layers", None)
        if layers is None or len(layers) < trained_layers:
            raise InvalidParameter(f"trained_layers is {trained_layers}, which this model does not have.")
        self.model.requires_grad_(False)
        for part in [*layers[-trained_layers:], getattr(self.model.base_model, "norm", None)]:
            if part is not None:
                part.requires_grad_(True)

    @classmethod
    def read(cls, path: str, options: Options, instructions: str = "") -> Self:
        """Load from a folder. Nothing is downloaded, and no code in the folder is run.

        Args:
            path: a folder with a Hugging Face causal language model and a tokenizer.
            options: how it is used.
            instructions: what the environment says about its commands.

        Raises:
            MissingExtra: transformers is not installed.
            FileNotFoundError: there is no such folder.
            InvalidParameter: it holds no model that transformers can read, or the options do not fit.
        """
        transformers = load_transformers()
        if not Path(path).is_dir():
            raise FileNotFoundError(
                f'There is no model at {path}: give "tiny", "smollm2", or the folder of a Hugging Face model.'
            )
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=torch.float32)
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:  # transformers raises of all kinds: what they have in common is the folder
            raise InvalidParameter(
                f"{path} holds no causal language model with a tokenizer that transformers can read "
                f"({type(error).__name__}: {' '.join(str(error).split())[:300]})."
            ) from error
        return cls(model, tokenizer, frame_of(tokenizer, options.transcript, instructions), options)

    @classmethod
    def described(cls, description: dict[str, Any], options: Options) -> Self:
        """With initial weights, from what :meth:`description` gave.

        Raises:
            MissingExtra: transformers is not installed.
        """
        model, tokenizer = model_of(description), tokenizer_of(description)
        return cls(model, tokenizer, Frame.of(description["frame"]), options)

    def description(self) -> dict[str, Any]:
        """The model's configuration, the tokenizer, the frame, and with adapters the SHA-256 of their model."""
        return {
            "model": json.loads(self.model.config.to_json_string(use_diff=False)),
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "bos": self.tokenizer.bos_token,
            "eos": self.tokenizer.eos_token,
            "frame": self.frame.values(),
            **({"base": self.base} if self.base else {}),
        }

    def train(self, mode: bool = True) -> Self:
        """Keep the model in evaluation mode, without dropout, so that training and acting agree."""
        return self

    def encode(self, text: str) -> list[int]:
        """The text's tokens; special tokens in the text are encoded as ordinary text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def decode(self, ids: Sequence[int]) -> str:
        """The tokens' text, without special tokens and surrounding blanks."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def observed(self, observation: str, commands: Sequence[str] | None, first: bool) -> list[int]:
        """As :meth:`Policy.observed`; with the option ``list_commands``, a list of the commands ends the observation.

        Raises:
            InvalidParameter: they are to be listed, and are not known.
        """
        if self.options.list_commands:
            if not commands:
                raise InvalidParameter(
                    'list_commands needs info["admissible_commands"], in predict(..., commands=...) as well.'
                )
            observation = f"{observation} Commands now: {'; '.join(commands)}."
        return super().observed(observation, commands, first)

    def session(self, count: int) -> PretrainedSession:
        """Start ``count`` episodes."""
        return PretrainedSession(self, count)

    def head(self, states: Tensor) -> Tensor:
        """Logits [..., V] of the next token from last states [..., D]; always computed in float32."""
        logits: Tensor = self.model.get_output_embeddings()(states.float())
        return logits

    def run(self, **inputs: Any) -> Any:
        """Call the model without its output embeddings; with the options' ``dtype`` and ``checkpointing``.

        Layers are computed anew in the backward pass only where there is one: elsewhere they may use a cache.
        """
        again = self.options.checkpointing and torch.is_grad_enabled()
        layers = [layer for layer in self.model.modules() if getattr(layer, "gradient_checkpointing", False)]
        for layer in layers:
            layer.training = again  # of this module alone: its attention, which may have dropout, stays as it is
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.options.dtype == "bfloat16"):
            return self.model.base_model(**inputs)

    def shard(self) -> None:
        """As :meth:`Policy.shard`."""
        from agentgym.agents.language.policies.sharding import shard

        shard(self.model, self._embeddings())
        self.sharded = True
        self.register_state_dict_post_hook(_put_together)

    def kept_whole(self) -> set[int]:
        """As :meth:`Policy.kept_whole`."""
        return {id(parameter) for parameter in self._embeddings()}

    def _embeddings(self) -> set[torch.nn.Parameter]:
        return {*self.model.get_input_embeddings().parameters(), *self.model.get_output_embeddings().parameters()}

    def whole(self) -> AbstractContextManager[None]:
        """As :meth:`Policy.whole`."""
        from agentgym.agents.language.policies.sharding import whole

        return whole(self.model) if self.sharded else super().whole()

    def load_state_dict(self, state_dict: Any, *arguments: Any, **keywords: Any) -> Any:
        """As PyTorch's; whole tensors are divided as the policy is."""
        if self.sharded:
            from agentgym.agents.language.policies.sharding import shared_out

            state_dict = shared_out(state_dict, dict(self.named_parameters()))
        return super().load_state_dict(state_dict, *arguments, **keywords)

    def twin(self) -> Self:
        """As :meth:`Policy.twin`.

        Raises:
            InvalidParameter: the policy is divided among processes.
        """
        if self.sharded:
            raise InvalidParameter(
                "A method that copies the policy (kl, gae, oreo) cannot be used with shard: leave it out, or train "
                "adapters (lora_rank) instead."
            )
        return super().twin()

    def without_adapters(self) -> AbstractContextManager[None]:
        """As :meth:`Policy.without_adapters`."""
        return without_adapters(self.model) if self.base else super().without_adapters()

    @property
    def state_size(self) -> int:
        """The model's width."""
        return int(self.model.config.hidden_size)

    def decision_states(self, batch: Batch) -> Tensor:
        """As :meth:`Policy.decision_states`, in parts as :meth:`evaluate_decisions`."""
        parts, wide = list(_parts(batch)), batch.at.shape[1]
        again = len(parts) > 1 and torch.is_grad_enabled()
        found = [checkpoint(self._states, part, use_reentrant=False) if again else self._states(part) for part in parts]
        return torch.cat([functional.pad(states, (0, 0, 0, wide - states.shape[1])) for states in found])

    def _states(self, batch: Batch) -> Tensor:
        places = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        read = (places < batch.lengths[:, None]).long()
        states = self.run(input_ids=batch.ids, attention_mask=read, use_cache=False).last_hidden_state
        return states.gather(1, batch.at.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1]))

    def evaluate_decisions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As :meth:`Policy.evaluate_decisions`; logits are computed at decisions only.

        Large batches are worked through in parts, whose activations are computed anew in the backward pass: a third
        more work for memory that does not grow.
        """
        parts = list(_parts(batch))
        own = len(parts)
        if self.sharded:  # every process must call the model equally often
            parts += parts[:1] * (largest(own) - own)
        evaluate = self._evaluate_choices if batch.choices is not None else self._evaluate_tokens
        if len(parts) == 1 or not torch.is_grad_enabled():
            outputs = [evaluate(part) for part in parts]
        else:
            outputs = [checkpoint(evaluate, part, use_reentrant=False) for part in parts]
        wide = batch.at.shape[1]
        logp, entropy = (
            torch.cat([functional.pad(values, (0, wide - values.shape[1])) for values in column])
            for column in zip(*outputs[:own], strict=True)
        )
        for further, _ in outputs[own:]:
            logp = logp + 0 * further.sum()
        return logp, entropy

    def _evaluate_tokens(self, batch: Batch) -> tuple[Tensor, Tensor]:
        places = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        read = (places < batch.lengths[:, None]).long()
        states = self.run(input_ids=batch.ids, attention_mask=read, use_cache=False).last_hidden_state
        there = batch.at >= 0
        rows, columns = there.nonzero(as_tuple=True)
        logits = self.head(states[rows, batch.at[rows, columns]])
        logp, entropy = judged(logits / self.temperature, batch.targets[rows, columns])
        zeros = torch.zeros(there.shape, device=logp.device)
        return zeros.masked_scatter(there, logp), zeros.masked_scatter(there, entropy)

    def _evaluate_choices(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One pass over each episode, followed by the trees of all its turns' commands."""
        assert batch.choices is not None
        forest = Forest(_options(batch.choices), self.closing, batch.ids.device)
        there = batch.at >= 0
        at, long = batch.at.clamp(min=0), batch.ids.shape[1]
        root = at.gather(1, forest.decision.clamp(min=0))  # [B, Q]: where each node's tree stands
        places = torch.arange(long, device=at.device)
        read = places < batch.lengths[:, None]
        # What each token sees [B, L + Q, L + Q]: tokens see earlier ones; nodes what was read, and their ancestors.
        causal = (places <= places[:, None]) & read[:, None]
        below = (places <= root[..., None]) & (forest.decision >= 0)[..., None]
        nothing = torch.zeros(len(at), long, root.shape[1], dtype=torch.bool, device=at.device)
        visible = torch.cat([torch.cat([causal, nothing], 2), torch.cat([below, forest.ancestry], 2)], 1)
        states = self.run(
            input_ids=torch.cat([batch.ids, forest.tokens], 1),
            position_ids=torch.cat([places.expand_as(batch.ids), root + 1 + forest.depth], 1),
            attention_mask=additive(visible),
            use_cache=False,
        ).last_hidden_state
        roots = states.gather(1, at[..., None].expand(-1, -1, states.shape[-1]))
        scores = forest.scores(self.head, roots, states[:, long:], self.options.score == "mean")
        logp, entropy = judged(scores / self.temperature, batch.targets)
        return logp * there, entropy * there


def _put_together(module: torch.nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    from agentgym.agents.language.policies.sharding import whole_tensors

    state.update(whole_tensors(state))


def _parts(batch: Batch) -> Iterator[Batch]:
    """Runs of rows with at most TOKENS_AT_ONCE tokens, padding and commands included."""
    sizes = batch.lengths
    if batch.choices is not None:
        sizes = sizes + (batch.choices >= 0).flatten(1).sum(1)
    rows: list[int] = []
    for row, size in enumerate(sizes.tolist()):
        longest = max(size, *(int(sizes[other]) for other in rows), 1)
        if rows and longest * (len(rows) + 1) > TOKENS_AT_ONCE:
            yield batch.rows(torch.tensor(rows, device=batch.ids.device))
            rows = []
        rows.append(row)
    yield batch.rows(torch.tensor(rows, device=batch.ids.device))


def _options(choices: Tensor) -> list[list[list[list[int]]]]:
    """Commands' tokens by row, decision and command, without padding."""
    return [
        [[[token for token in command if token >= 0] for command in turn if command[0] >= 0] for turn in row]
        for row in choices.tolist()
    ]


def model_of(description: dict[str, Any]) -> Any:
    """A causal language model with initial weights, from its configuration.

    Raises:
        MissingExtra: transformers is not installed.
    """
    transformers = load_transformers()
    values = dict(description["model"])
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def tokenizer_of(description: dict[str, Any]) -> Any:
    """A fast tokenizer, from its JSON form.

    Raises:
        MissingExtra: transformers is not installed.
    """
    transformers = load_transformers()
    from tokenizers import Tokenizer

    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(description["tokenizer"]),
        bos_token=description["bos"],
        eos_token=description["eos"],
    )


def load_transformers() -> Any:
    """The module.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise MissingExtra("transformers", "language") from None
    return transformers
