"""Any Hugging Face causal language model as a policy that writes commands. Needs the extra ``language``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agentgym.agents.language.policy import Decision, Policy, Sampler, Session, judged
from agentgym.agents.language.trajectory import Batch
from agentgym.errors import InvalidParameter, MissingExtra

__all__ = ["PretrainedPolicy"]

PROMPT = "\n> "  # between an observation and its command
CLOSING = "\n"  # ends a command


class PretrainedPolicy(Policy):
    """A causal language model that continues a transcript: observation, ``> ``, command, new line, observation, ...

    The transcript is one sequence of tokens: each part is made of tokens once, where it is read or sampled, and never
    again, so no chat template can render it differently later.

    Args:
        model: a transformers causal language model whose logits are its output embeddings applied to its last states.
        tokenizer: its tokenizer, a fast one.
        context: the most tokens of an episode.
        temperature: of sampling and learning.

    Raises:
        InvalidParameter: a new line is not one token, or the context is longer than the model's.
    """

    def __init__(self, model: Any, tokenizer: Any, context: int, temperature: float) -> None:
        super().__init__()
        self.model, self.tokenizer, self.temperature = model, tokenizer, temperature
        longest = getattr(model.config, "max_position_embeddings", None)
        if longest is not None and context > longest:
            raise InvalidParameter(f"context is {context}, but the model reads at most {longest} tokens.")
        self.context = context
        closing = self.encode(CLOSING)
        if len(closing) != 1:
            raise InvalidParameter("This tokenizer has no token of its own for a new line, which ends commands here.")
        self.closing, self.prompt = closing[0], self.encode(PROMPT)
        self.opening = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        # Dropout would make learning see other probabilities than acting had.
        self.model.eval()

    @classmethod
    def read(cls, path: str, context: int, temperature: float) -> Self:
        """From a folder; nothing is downloaded.

        Raises:
            MissingExtra: transformers is not installed.
            FileNotFoundError: there is no such folder.
        """
        transformers = _transformers()
        if not Path(path).is_dir():
            raise FileNotFoundError(f'There is no model at {path}: give "tiny", or the folder of a Hugging Face model.')
        model = transformers.AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=torch.float32)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        return cls(model, tokenizer, context, temperature)

    @classmethod
    def described(cls, description: dict[str, Any], context: int, temperature: float) -> Self:
        """With initial weights, from what :meth:`description` gave.

        Raises:
            MissingExtra: transformers is not installed.
        """
        transformers = _transformers()
        values = dict(description["model"])
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        from tokenizers import Tokenizer

        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(description["tokenizer"]), bos_token=description["bos"]
        )
        return cls(model, tokenizer, context, temperature)

    def description(self) -> dict[str, Any]:
        """The model's configuration and the tokenizer."""
        return {
            "model": json.loads(self.model.config.to_json_string(use_diff=False)),
            "tokenizer": self.tokenizer.backend_tokenizer.to_str(),
            "bos": self.tokenizer.bos_token,
        }

    def train(self, mode: bool = True) -> Self:
        """The model stays as it acts: without dropout."""
        return self

    def encode(self, text: str) -> list[int]:
        """The text's tokens, and no special ones."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The tokens' text, without what does not belong in a command: special tokens and outer blanks."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def session(self, lanes: int) -> "PretrainedSession":
        """Begin episodes."""
        return PretrainedSession(self, lanes)

    def evaluate_decisions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As :meth:`Policy.evaluate_decisions`; logits are computed where something was sampled only.

        Raises:
            InvalidParameter: the decisions are choices among commands.
        """
        if batch.choices is not None:
            raise InvalidParameter('A pretrained policy writes commands: set actions="write".')
        places = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        read = (places < batch.lengths[:, None]).long()
        states = self.model.base_model(input_ids=batch.ids, attention_mask=read).last_hidden_state
        there = batch.at >= 0
        rows, columns = there.nonzero(as_tuple=True)
        logits = self.model.get_output_embeddings()(states[rows, batch.at[rows, columns]])
        logp, entropy = judged(logits / self.temperature, batch.targets[rows, columns])
        zeros = torch.zeros(there.shape, device=states.device)
        return zeros.masked_scatter(there, logp), zeros.masked_scatter(there, entropy)


class PretrainedSession(Session):
    """Episodes of a pretrained policy. Each turn reads its episode anew, and keeps a cache while it writes."""

    def __init__(self, policy: PretrainedPolicy, lanes: int) -> None:
        self.policy = policy
        self.ids: list[list[int]] = [[] for _ in range(lanes)]

    def read(self, lane: int, ids: Sequence[int]) -> None:
        """Tokens are read together with the next command's first step."""
        self.ids[lane].extend(ids)

    @torch.no_grad()
    def generate(self, lanes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample commands, all lanes together, one token a step."""
        model, closing = self.policy.model, self.policy.closing
        said = {lane: Decision([], [], []) for lane in lanes}
        longest = max(len(self.ids[lane]) for lane in lanes)
        fed = torch.zeros(len(lanes), longest, dtype=torch.int64)
        read = torch.zeros_like(fed)
        for row, lane in enumerate(lanes):  # padded at the front, so that all rows go on at the same place
            fed[row, longest - len(self.ids[lane]) :] = torch.as_tensor(self.ids[lane])
            read[row, longest - len(self.ids[lane]) :] = 1
        fed, read, cache = fed.to(model.device), read.to(model.device), None
        positions = (read.cumsum(1) - 1).clamp(min=0)
        for _ in range(limit):
            out = model(
                input_ids=fed, attention_mask=read, position_ids=positions, past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            tokens, logps, entropies = sampler.draw(out.logits[:, -1] / self.policy.temperature)
            for lane, token, logp, entropy in zip(lanes, tokens, logps, entropies, strict=True):
                decision = said[lane]
                if closing not in decision.ids[-1:]:
                    decision.ids.append(token)
                    decision.logps.append(logp)
                    decision.entropies.append(entropy)
                    self.ids[lane].append(token)
            if all(decision.ids[-1] == closing for decision in said.values()):
                break
            fed = torch.tensor(tokens, device=model.device)[:, None]
            read = torch.cat([read, torch.ones_like(fed)], 1)
            positions = positions[:, -1:] + 1
        return list(said.values())

    def choose(
        self, lanes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Not offered.

        Raises:
            InvalidParameter: always.
        """
        raise InvalidParameter('A pretrained policy writes commands: set actions="write".')


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtra("transformers", "language") from None
    return transformers
