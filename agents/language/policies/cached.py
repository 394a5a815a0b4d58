"""Running episodes of a pretrained policy, with a growing cache of keys and values."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from agentgym.agents.language.policies.policy import Decision, Sampler, Session
from agentgym.agents.language.policies.token_trees import Forest

__all__ = ["PretrainedSession", "additive"]


def additive(visible: Tensor) -> Tensor:
    """An additive attention mask, float32 [B, 1, Q, K], from bool [B, Q, K]."""
    # The lowest number of bfloat16, to which autocast may round: float32's own would become minus infinity, and rows in
    # which nothing is visible would become NaN.
    hidden = torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, torch.finfo(torch.bfloat16).min)
    return hidden[:, None]


class CachingPolicy(Protocol):
    """What a session needs from its policy.

    Attributes:
        model: a Hugging Face causal language model.
        closing: the token that ends a command.
        temperature: of the choice.
    """

    model: Any
    closing: int
    temperature: float

    @property
    def options(self) -> Any:
        """With ``score``: how a command's tokens give its score."""

    def head(self, states: Tensor) -> Tensor:
        """Logits of the next token, from hidden states."""

    def run(self, **inputs: Any) -> Any:
        """Call the model without its output embeddings."""


class PretrainedSession(Session):
    """Running episodes of a pretrained policy, all in one batch.

    The cache grows only at its end: an episode with fewer new tokens than others gets masked slots and its own position
    numbers. A common beginning is read once. Episodes that are no longer asked for leave the batch; if one of them
    returns, all episodes are read again.

    Args:
        policy: the policy.
        count: number of episodes.
    """

    def __init__(self, policy: CachingPolicy, count: int) -> None:
        self.policy = policy
        self.cached: list[list[int]] = [[] for _ in range(count)]  # tokens whose keys and values are in the cache
        self.waiting: list[list[int]] = [[] for _ in range(count)]  # tokens still to be read
        self._empty()

    def _empty(self) -> None:
        self.rows: list[int] = []  # the episodes in the cache
        self.cache: Any = None
        self.real = torch.zeros(0, 0, dtype=torch.bool, device=self.policy.model.device)  # [rows, slots]

    def read(self, episode: int, ids: Sequence[int]) -> None:
        """Add tokens to an episode; they are read with the first token of the next command."""
        self.waiting[episode].extend(ids)

    @torch.no_grad()
    def generate(self, episodes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample commands, one token per step for all episodes."""
        policy = self.policy
        said = {episode: Decision([], [], [], []) for episode in episodes}
        states, _ = self._advance(episodes)
        for step in range(limit):
            drawn = sampler.draw(policy.head(states) / policy.temperature)
            for episode, token, logp, entropy, acted in zip(episodes, *drawn, strict=True):
                decision = said[episode]
                if policy.closing not in decision.ids[-1:]:
                    decision.ids.append(token)
                    decision.logps.append(logp)
                    decision.entropies.append(entropy)
                    decision.acted.append(acted)
                    self.waiting[episode].append(token)
            going = [policy.closing not in said[episode].ids[-1:] for episode in episodes]
            if step + 1 == limit or not any(going):
                break
            states, _ = self._advance(episodes, going)
        return list(said.values())

    @torch.no_grad()
    def choose(
        self, episodes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Score all commands of all episodes in the pass that reads the last observation."""
        policy = self.policy
        forest = Forest([[commands] for commands in options], policy.closing, policy.model.device)
        states, nodes = self._advance(episodes, forest=forest)
        scores = forest.scores(policy.head, states[:, None], nodes, policy.options.score == "mean")[:, 0]
        drawn = sampler.draw(scores / policy.temperature)
        decisions = []
        for episode, mine, choice, logp, entropy, acted in zip(episodes, options, *drawn, strict=True):
            ids = [*mine[choice], policy.closing]
            self.waiting[episode].extend(ids)
            decisions.append(Decision(ids, [logp], [entropy], [acted], choice))
        return decisions

    def _advance(
        self, episodes: Sequence[int], going: Sequence[bool] | None = None, forest: Forest | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read the waiting tokens, except of episodes that are not ``going``, followed by a forest of commands.

        Returns:
            The states of each episode's last token [n, D], and those of the forest's nodes [n, Q, D], which are not
            kept in the cache.
        """
        self._select(episodes)
        device = self.real.device
        parts = [self.waiting[episode] if going is None or going[row] else [] for row, episode in enumerate(episodes)]
        counts = torch.tensor([len(part) for part in parts], device=device)
        wide = int(counts.max())
        fed = torch.tensor([[*part, *[0] * (wide - len(part))] for part in parts], device=device)
        new = torch.arange(wide, device=device)
        there = new < counts[:, None]
        positions = self.real.sum(1)[:, None] + new
        before = self.real[:, None].expand(-1, wide, -1)
        causal = (new <= new[:, None]) & there[:, None] | torch.eye(wide, dtype=torch.bool, device=device)
        visible = torch.cat([before, causal], 2)  # [n, W, S + W]
        if forest is not None:
            fed = torch.cat([fed, forest.tokens], 1)
            length = self.real.sum(1) + counts
            positions = torch.cat([positions, length[:, None] + forest.depth], 1)
            below = torch.cat([self.real, there], 1)[:, None].expand(-1, forest.tokens.shape[1], -1)
            visible = torch.cat([functional.pad(visible, (0, forest.tokens.shape[1])),
                                 torch.cat([below, forest.ancestry], 2)], 1)  # fmt: skip
        states = self._forward(fed, positions, visible, wide)
        self.real = torch.cat([self.real, there], 1)
        for episode, part in zip(episodes, parts, strict=True):
            self.cached[episode] += part
            if part:
                self.waiting[episode] = []
        last = (counts - 1).clamp(min=0)
        return states[torch.arange(len(episodes), device=device), last], states[:, wide:]

    def _forward(self, fed: Tensor, positions: Tensor, visible: Tensor, kept: int) -> Tensor:
        """States [n, W, D] of the fed tokens, of which the first ``kept`` stay in the cache."""
        slots = self.real.shape[1] + kept
        out = self.policy.run(
            input_ids=fed, position_ids=positions, attention_mask=additive(visible),
            past_key_values=self.cache, use_cache=True,
        )  # fmt: skip
        self.cache = out.past_key_values
        if fed.shape[1] > kept:
            for layer in self.cache.layers:
                layer.keys, layer.values = layer.keys[:, :, :slots], layer.values[:, :, :slots]
        states: Tensor = out.last_hidden_state
        return states

    def _select(self, episodes: Sequence[int]) -> None:
        """Let the cache hold these episodes, in this order."""
        if list(episodes) == self.rows:
            return
        if set(episodes) <= set(self.rows):
            index = torch.tensor([self.rows.index(episode) for episode in episodes], device=self.real.device)
            self.cache.batch_select_indices(index)
            self.real, self.rows = self.real[index], list(episodes)
            return
        self._empty()
        for episode, cached in enumerate(self.cached):
            self.waiting[episode] = [*cached, *self.waiting[episode]]
            self.cached[episode] = []
        self.rows = list(episodes)
        self.real = torch.zeros(len(episodes), 0, dtype=torch.bool, device=self.real.device)
        self._read_common(episodes)

    def _read_common(self, episodes: Sequence[int]) -> None:
        """Read the common beginning of all episodes, such as a chat's system message, once and copy it to all."""
        first, *others = (self.waiting[episode] for episode in episodes)
        common = 0
        limit = min(len(self.waiting[episode]) for episode in episodes) - 1  # each episode keeps a token to go on from
        while common < limit and all(other[common] == first[common] for other in others):
            common += 1
        if not others or not common:
            return
        device = self.real.device
        places = torch.arange(common, device=device)[None]
        self.real = self.real[:1]
        self._forward(
            torch.tensor([first[:common]], device=device), places, (places <= places[0][:, None])[None], common
        )
        self.cache.batch_repeat_interleave(len(episodes))
        self.real = torch.ones(len(episodes), common, dtype=torch.bool, device=device)
        for episode in episodes:
            self.cached[episode], self.waiting[episode] = self.waiting[episode][:common], self.waiting[episode][common:]
