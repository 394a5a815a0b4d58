"""A small transformer over words, trained from scratch, that writes commands or chooses among them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import IMPOSSIBLE, Decision, Policy, Sampler, Session, judged
from agentgym.agents.language.policies.transformer import Cache, Transformer
from agentgym.agents.language.policies.vocabulary import ACT, BEGIN, END, PAD, UNKNOWN, Vocabulary
from agentgym.errors import InvalidParameter

__all__ = ["TinyPolicy"]

MAX_COMMAND_WORDS = 16
EPISODES_A_PASS = 16  # of similar lengths: less padding, and states that stay in the processor's cache


class TinyPolicy(Policy):
    """A transformer over a word vocabulary.

    Writing, a command is sampled word by word up to ``<end>``. Choosing, every admissible command is scored in one
    step: its words make one vector, which looks once over the whole episode (:class:`Chooser`).

    Args:
        vocabulary: all words that it can read and write.
        width, layers, heads: of the transformer.
        context: the most tokens an episode may have.
        temperature: of sampling and learning.
    """

    def __init__(
        self, vocabulary: Vocabulary, width: int, layers: int, heads: int, context: int, temperature: float = 1.0
    ) -> None:
        super().__init__()
        if width % (4 * heads):
            raise InvalidParameter(f"width must be a multiple of 4 x heads, not {width} with {heads} heads.")
        self.vocabulary, self.context, self.temperature = vocabulary, context, temperature
        self.opening, self.between, self.prompt, self.closing = [BEGIN], [], [ACT], END
        self.model = Transformer(len(vocabulary), width, layers, heads)
        self.chooser = Chooser(self.model, heads)
        never = torch.zeros(len(vocabulary), dtype=torch.bool)
        never[[PAD, UNKNOWN, BEGIN, ACT]] = True
        self.never: Tensor
        self.register_buffer("never", never, persistent=False)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's words."""
        return self.vocabulary.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Words with spaces between them."""
        return self.vocabulary.decode(ids)

    def session(self, count: int) -> "TinySession":
        """Start ``count`` episodes."""
        return TinySession(self, count)

    def description(self) -> dict[str, Any]:
        """The words."""
        return {"words": list(self.vocabulary.words)}

    def token_logits(self, states: Tensor) -> Tensor:
        """[..., tokens]: of what may come next; no command contains a mark other than ``<end>``."""
        return self.model.logits(states).masked_fill(self.never, IMPOSSIBLE)

    @property
    def state_size(self) -> int:
        """The width."""
        return self.model.width

    def decision_states(self, batch: Batch) -> Tensor:
        """As :meth:`Policy.decision_states`."""
        order = batch.lengths.argsort(stable=True)
        size = batch.at.shape[1]
        states = []
        for part in order.split(EPISODES_A_PASS):
            small = batch.rows(part)
            found = _at(self.model(small.ids), small.at)
            states.append(functional.pad(found, (0, 0, 0, size - found.shape[1])))
        return torch.cat(states)[order.argsort()]

    def evaluate_decisions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As :meth:`Policy.evaluate_decisions`, from passes over whole episodes, the shortest first."""
        order = batch.lengths.argsort(stable=True)
        parts = [self._evaluate_together(batch.rows(part)) for part in order.split(EPISODES_A_PASS)]
        back = order.argsort()
        size = batch.at.shape[1]
        logp, entropy = (
            torch.cat([functional.pad(values, (0, size - values.shape[1])) for values in column])[back]
            for column in zip(*parts, strict=True)
        )
        return logp, entropy

    def _evaluate_together(self, batch: Batch) -> tuple[Tensor, Tensor]:
        states = self.model(batch.ids)
        there = batch.at >= 0
        if batch.choices is None:
            rows, columns = there.nonzero(as_tuple=True)
            logits = self.token_logits(states[rows, batch.at[rows, columns]])
            logp, entropy = judged(logits / self.temperature, batch.targets[rows, columns])
            zeros = torch.zeros(there.shape, device=states.device)
            return zeros.masked_scatter(there, logp), zeros.masked_scatter(there, entropy)
        logits = self.chooser(states, batch.at.clamp(min=0), batch.choices)
        logp, entropy = judged(logits / self.temperature, batch.targets)
        return logp * there, entropy * there


def _at(states: Tensor, at: Tensor) -> Tensor:
    """[B, U, D]: the states [B, L, D] at places [B, U]; those of padding are of the first token."""
    return states.gather(1, at.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1]))


class Chooser(nn.Module):
    """Scores commands: each is one vector c, attends over the episode so far, and an MLP reads (c, attended, state).

    Queries and keys begin as the same projection, so that a command's words find themselves in what was read: matching
    words with the task is what choosing needs to learn first.

    Args:
        model: whose embeddings make the commands' vectors.
        heads: of the attention.
    """

    def __init__(self, model: Transformer, heads: int) -> None:
        super().__init__()
        width = model.width
        self.heads = heads
        self.embedding = model.embedding
        self.place = nn.Parameter(0.02 * torch.randn(MAX_COMMAND_WORDS, width))
        self.mix = nn.Parameter(0.02 * torch.randn(MAX_COMMAND_WORDS, width, width) + torch.eye(width) / 2)
        self.norm = nn.LayerNorm(width)  # on the scale of the states that it is matched with
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.key.weight.data.copy_(self.query.weight.data)
        self.score = nn.Sequential(nn.Linear(3 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, 1))

    def vectors(self, commands: Tensor) -> Tensor:
        """[..., D] from tokens [..., W], -1 where a command is shorter: the sum of each word's embedding by its place.

        Raises:
            InvalidParameter: a command has more words than there are places.
        """
        words = commands.shape[-1]
        if words > MAX_COMMAND_WORDS:
            raise InvalidParameter(f"A command has {words} words; at most {MAX_COMMAND_WORDS} can be chosen among.")
        # A table of every word at every place, so that no command needs a product of matrices of its own.
        table = torch.einsum("vd,wde->wve", self.embedding.weight, self.mix[:words]) + self.place[:words, None]
        tokens = table.shape[1]
        index = commands.clamp(min=0) + tokens * torch.arange(words, device=commands.device)
        weights = (commands >= 0).to(table.dtype)
        summed = functional.embedding_bag(
            index.reshape(-1, words), table.flatten(0, 1), mode="sum", per_sample_weights=weights.reshape(-1, words)
        )
        return self.norm(summed.reshape(*commands.shape[:-1], -1))

    def forward(self, states: Tensor, at: Tensor, commands: Tensor) -> Tensor:
        """Logits [B, T, C] of commands [B, T, C, W] in turns that are decided at places [B, T] of states [B, L, D]."""
        batch, turns, many, _ = commands.shape
        vectors = self.vectors(commands)
        query = self._split(self.query(vectors.flatten(1, 2)))
        key, value = self._split(self.key(states)), self._split(self.value(states))
        places = torch.arange(states.shape[1], device=states.device)
        seen = (places <= at[..., None]).repeat_interleave(many, dim=1)[:, None]  # [B, 1, T * C, L]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        attended = attended.transpose(1, 2).reshape(batch, turns, many, -1)
        here = states.gather(1, at[..., None].expand(-1, -1, states.shape[-1]))[:, :, None].expand_as(attended)
        logits = self.score(torch.cat([vectors, attended, here], -1))[..., 0]
        return logits.masked_fill(commands[..., 0] < 0, IMPOSSIBLE)

    def _split(self, values: Tensor) -> Tensor:
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TinySession(Session):
    """Running episodes of a tiny policy, with a cache that grows by doubling."""

    def __init__(self, policy: TinyPolicy, count: int) -> None:
        self.policy = policy
        self.device = policy.never.device
        self.waiting: list[list[int]] = [[] for _ in range(count)]
        self.cache = Cache(policy.model, count, min(128, policy.context), self.device)

    def read(self, episode: int, ids: Sequence[int]) -> None:
        """Add tokens to an episode; they are read with the first token of the next command."""
        self.waiting[episode].extend(ids)

    @torch.no_grad()
    def generate(self, episodes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample commands, one token per step for all episodes."""
        said = {episode: Decision([], [], [], []) for episode in episodes}
        active = list(episodes)
        for _ in range(limit):
            states = self._advance(active)
            drawn = sampler.draw(self.policy.token_logits(states) / self.policy.temperature)
            for episode, token, logp, entropy, acted in zip(active, *drawn, strict=True):
                decision = said[episode]
                decision.ids.append(token)
                decision.logps.append(logp)
                decision.entropies.append(entropy)
                decision.acted.append(acted)
                self.waiting[episode].append(token)
            active = [episode for episode in active if said[episode].ids[-1] != END]
            if not active:
                break
        return list(said.values())

    @torch.no_grad()
    def choose(
        self, episodes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Score all commands of all episodes in one step."""
        self._advance(episodes)
        rows = self._rows(episodes)
        lengths = self.cache.lengths[rows]
        longest = int(lengths.max())
        hidden = self.cache.hidden[:, :longest]
        hidden = hidden if len(episodes) == len(self.waiting) else hidden[rows]
        commands = _commands(options, self.device)
        logits = self.policy.chooser(hidden, lengths[:, None] - 1, commands[:, None])[:, 0]
        drawn = sampler.draw(logits / self.policy.temperature)
        decisions = []
        for episode, mine, choice, logp, entropy, acted in zip(episodes, options, *drawn, strict=True):
            ids = [*mine[choice], END]
            self.waiting[episode].extend(ids)
            decisions.append(Decision(ids, [logp], [entropy], [acted], choice))
        return decisions

    def _rows(self, episodes: Sequence[int]) -> Tensor:
        return torch.as_tensor(episodes, device=self.device)

    def _advance(self, episodes: Sequence[int]) -> Tensor:
        """Read the waiting tokens; the state of each episode's last token, [n, D]."""
        counts = [len(self.waiting[episode]) for episode in episodes]
        ids = torch.zeros(len(episodes), max(counts), dtype=torch.int64)
        for row, episode in enumerate(episodes):
            ids[row, : counts[row]] = torch.as_tensor(self.waiting[episode])
            self.waiting[episode] = []
        rows = self._rows(episodes)
        self._reserve(int(self.cache.lengths[rows].max()) + ids.shape[1])
        return self.policy.model.extend(self.cache, rows, ids.to(self.device), counts)

    def _reserve(self, size: int) -> None:
        held = self.cache.hidden.shape[1]
        if size > held:
            more = max(size, 2 * held) - held
            self.cache.hidden = functional.pad(self.cache.hidden, (0, 0, 0, more))
            for name in ("keys", "values"):
                grown = [functional.pad(part, (0, 0, 0, 0, 0, more)) for part in getattr(self.cache, name)]
                setattr(self.cache, name, grown)


def _commands(options: Sequence[Sequence[Sequence[int]]], device: torch.device) -> Tensor:
    """Tokens [n, C, W] of lists of commands, -1 where there is none."""
    many = max(len(mine) for mine in options)
    words = max(len(command) for mine in options for command in mine)
    filled = [
        [[*command, *[-1] * (words - len(command))] for command in mine] + [[-1] * words] * (many - len(mine))
        for mine in options
    ]
    return torch.tensor(filled, dtype=torch.int64, device=device)
