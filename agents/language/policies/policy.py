"""The interface of a policy: token ids in, token ids out."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.errors import InvalidParameter, NonFinite

__all__ = ["IMPOSSIBLE", "Decision", "Drawn", "Policy", "Sampler", "ServerProtocol", "Session", "judged"]

ServerProtocol = Literal["sglang", "vllm"]

# The logit of what cannot be chosen: its probability is exactly 0, and 0 * log 0 stays 0 in the entropy.
IMPOSSIBLE = -1e9


@dataclass
class Decision:
    """The decisions of one turn.

    Attributes:
        ids: the tokens that it put down.
        logps, entropies: one a sampled token, or one for a chosen command; nats.
        acted: the log-probabilities with which they were drawn, which differ at another temperature of the sampler.
        choice: the number of the chosen command; 0 for free generation.
    """

    ids: list[int]
    logps: list[float]
    entropies: list[float]
    acted: list[float]
    choice: int = 0


class Drawn(NamedTuple):
    """What was drawn from n rows of logits; log-probabilities and entropies are of the policy itself, in nats."""

    tokens: list[int]
    logps: list[float]
    entropies: list[float]
    acted: list[float]  # log-probabilities at the sampler's temperature


class Sampler:
    """Draws from logits with its own generator.

    Args:
        generator: on the CPU, so that a run draws the same on every device.
        deterministic: take the likeliest instead.
        temperature: of drawing, on top of the policy's own; what is learned from keeps the policy's.
    """

    def __init__(
        self, generator: torch.Generator | None, deterministic: bool = False, temperature: float = 1.0
    ) -> None:
        self.generator, self.deterministic, self.temperature = generator, deterministic, temperature

    def draw(self, logits: Tensor) -> Drawn:
        """What was drawn from logits [n, K], its log-probability, and the entropy, of each row.

        Raises:
            NonFinite: a policy with weights that are NaN or infinite.
        """
        own = logits.float().cpu()
        scaled = own if self.temperature == 1 else own / self.temperature
        if self.deterministic:
            drawn = scaled.argmax(-1)
        else:
            uniform = torch.rand(scaled.shape, generator=self.generator).clamp_(1e-20)
            drawn = (scaled - (-uniform.log()).log()).argmax(-1)  # Gumbel-max: a sample of softmax(scaled)
        logp, entropy = judged(own, drawn)
        if not logp.isfinite().all():
            raise NonFinite("The policy's probabilities are not finite: its weights are not, or they are too large.")
        logps = logp.tolist()
        acted = logps if scaled is own else judged(scaled, drawn)[0].tolist()
        return Drawn(drawn.tolist(), logps, entropy.tolist(), acted)


def judged(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """log p(target) and the entropy of the distribution, each [...], from logits [..., K]; nats."""
    logs = torch.log_softmax(logits.float(), -1)
    entropy = -(logs.exp() * logs).sum(-1)
    return logs.gather(-1, targets[..., None])[..., 0], entropy


class Session(ABC):
    """Running episodes, by number: what each has read and said. Made by :meth:`Policy.session`."""

    @abstractmethod
    def read(self, episode: int, ids: Sequence[int]) -> None:
        """Add tokens for an episode to read before its next command."""

    @abstractmethod
    def generate(self, episodes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample a command for each episode, token by token, up to the closing token or ``limit`` tokens.

        The sampled tokens are added to the episode.
        """

    @abstractmethod
    def choose(
        self, episodes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Choose one of each episode's commands, given as non-empty tokens. It is added to the episode."""


class Policy(nn.Module, ABC):
    """A model of the next tokens, and the encoding of texts as tokens.

    Attributes:
        opening: tokens before an episode's first observation.
        between: tokens before every other observation.
        prompt: tokens between an observation and the command.
        closing: the token that ends a command.
        temperature: of all its distributions, also when they are learned from.
        context: the most tokens that an episode may have.
        base: SHA-256 of the model under its adapters; "" if it has none.
    """

    base: str = ""
    opening: list[int]
    between: list[int]
    prompt: list[int]
    closing: int
    temperature: float
    context: int

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """A text's tokens."""

    def encoded(self, commands: Sequence[str]) -> list[list[int]]:
        """The tokens of each command of a list to choose from.

        Raises:
            InvalidParameter: it is no list of strings, or none of them has a word.
        """
        if not isinstance(commands, list | tuple) or not all(isinstance(command, str) for command in commands):
            raise InvalidParameter(f"Commands to choose from are a list of strings, not {commands!r}.")
        encoded = [self.encode(command) for command in commands]
        if not any(encoded):
            raise InvalidParameter(f"None of the commands to choose from has a word: {commands!r}.")
        return encoded

    def observed(self, observation: str, commands: Sequence[str] | None, first: bool) -> list[int]:
        """The tokens that an observation adds to an episode, up to the start of the command.

        Args:
            observation: the text.
            commands: the admissible ones, if they are known; for policies that are told of them.
            first: whether it is an episode's first.
        """
        return [*(self.opening if first else self.between), *self.encode(observation), *self.prompt]

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens."""

    @abstractmethod
    def session(self, count: int) -> Session:
        """Start ``count`` episodes."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What else defines the policy besides settings and weights, as JSON values, for saving."""

    def twin(self) -> Self:
        """A copy. Parameters that are not trained never change, so the copy shares them."""
        frozen = {id(parameter): parameter for parameter in self.parameters() if not parameter.requires_grad}
        return copy.deepcopy(self, frozen)

    def shard(self) -> None:
        """Divide the weights among processes.

        Raises:
            InvalidParameter: this policy cannot.
        """
        raise InvalidParameter("This policy cannot be divided among processes: leave shard off.")

    def kept_whole(self) -> set[int]:
        """The ids of the parameters that :meth:`shard` leaves whole in every process."""
        return {id(parameter) for parameter in self.parameters()}

    def whole(self) -> AbstractContextManager[None]:
        """A context in which processes may call the policy different numbers of times."""
        return nullcontext()

    def without_adapters(self) -> AbstractContextManager[None]:
        """A context in which the policy has no adapters.

        Raises:
            InvalidParameter: it never has any.
        """
        raise InvalidParameter(
            "This policy has no adapters to leave out: set lora_rank, or let the reference be a copy."
        )

    @property
    @abstractmethod
    def state_size(self) -> int:
        """D, the width of :meth:`decision_states`."""

    @abstractmethod
    def decision_states(self, batch: Batch) -> Tensor:
        """The model's states [B, U, D] from which a batch's decisions were made, differentiable, for a critic."""

    @abstractmethod
    def evaluate_decisions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy [B, U] of a batch's decisions, differentiable; 0 where there is none."""
