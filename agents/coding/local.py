"""A local Hugging Face model in the loop of coding agents."""

from collections.abc import Sequence
from typing import Any

import torch

from agentgym.agents.coding.costs import Usage
from agentgym.agents.coding.models import Messages, ModelError, Reply
from agentgym.agents.language.policies.chat import frame_of
from agentgym.agents.language.policies.pretrained import Options, PretrainedPolicy
from agentgym.contracts.settings import finite_number, whole_number

__all__ = ["LocalModel"]


class LocalModel:
    """A causal language model with a chat template, which writes its answers on this machine.

    Args:
        name: "smollm2", or the folder of a Hugging Face model. Nothing is downloaded.
        max_tokens: longest answer.
        temperature: of sampling; 0: the likeliest token each time.
        seed: of sampling.
        device: of the model.

    Raises:
        MissingExtra: transformers, or the package with SmolLM2's weights, is not installed.
        FileNotFoundError: there is no such folder.
        InvalidParameter: it holds no model that transformers can read, or a number is out of range.
    """

    def __init__(
        self, name: str, max_tokens: int = 256, temperature: float = 0.0, seed: int = 0, device: str = "cpu"
    ) -> None:
        self.name, self.kind, self.calls = name, "real", 0
        self.max_tokens = whole_number("max_tokens", max_tokens, 1)
        self.temperature = finite_number("temperature", temperature, 0.0)
        self._policy = _policy(name).to(device)
        self._seed = whole_number("seed", seed, 0)
        self.context: int = self._policy.model.config.max_position_embeddings

    def query(self, messages: Messages, commands: Sequence[str]) -> Reply:
        """The model's answer to the conversation.

        Raises:
            ModelError: the conversation does not fit into what the model can read.
        """
        self.calls += 1
        ids, closing = self._tokens(messages)
        if len(ids) >= self.context:
            raise ModelError(f"The conversation has {len(ids)} tokens; {self.name} reads at most {self.context}.")
        sampling: dict[str, Any] = {"do_sample": True, "temperature": self.temperature}
        model: Any = self._policy.model
        read = torch.tensor([ids], device=model.device)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed + self.calls)
            written = model.generate(
                input_ids=read, attention_mask=torch.ones_like(read), eos_token_id=closing, pad_token_id=closing,
                max_new_tokens=min(self.max_tokens, self.context - len(ids)),
                **(sampling if self.temperature else {"do_sample": False}),
            )[0, len(ids) :].tolist()  # fmt: skip
        return Reply(self._policy.decode(written), Usage(len(ids), output=len(written)))

    def _tokens(self, messages: Messages) -> tuple[list[int], int]:
        """The conversation's tokens, and the one that ends an answer. No text is read as a special token."""
        system, *others = messages
        frame, ids = frame_of(self._policy.tokenizer, "auto", system["content"]), []
        for message in others:
            text = self._policy.encode(message["content"])
            if message["role"] == "assistant":
                ids += [*text, frame.closing]
            else:
                ids += [*(frame.between if ids else frame.opening), *text, *frame.prompt]
        return ids, frame.closing


def _policy(name: str) -> PretrainedPolicy:
    if name == "smollm2":
        from agentgym.agents.language.policies.smollm2 import smollm2

        return smollm2(Options())
    return PretrainedPolicy.read(name, Options())
