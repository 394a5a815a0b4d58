"""Episodes of a pretrained policy in play: a cache of keys and values that grows with them."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from agentgym.agents.language.policies.policy import Decision, Sampler, Session
from agentgym.agents.language.policies.token_trees import Forest

__all__ = ["PretrainedSession", "additive"]


def additive(visible: Tensor) -> Tensor:
    """float32 [B, 1, Q, K], to be added to attention's logits, from bool [B, Q, K]."""
    hidden = torch.zeros(visible.shape, device=visible.device).masked_fill_(~visible, torch.finfo(torch.float32).min)
    return hidden[:, None]


class CachingPolicy(Protocol):
    """What a session needs of its policy.

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


class PretrainedSession(Session):
    """Episodes of a pretrained policy, all lanes in one batch.

    The cache only ever grows at its end: a lane that has less to read than others gets slots that nobody sees, and
    counts its positions itself. What all lanes begin with is read once. Lanes that are no longer asked for leave the
    batch; if one of them comes back, all read their episodes anew.

    Args:
        policy: whose model it is.
        lanes: how many episodes.
    """

    def __init__(self, policy: CachingPolicy, lanes: int) -> None:
        self.policy = policy
        self.cached: list[list[int]] = [[] for _ in range(lanes)]  # tokens of which there are keys and values
        self.waiting: list[list[int]] = [[] for _ in range(lanes)]
        self._empty()

    def _empty(self) -> None:
        self.rows: list[int] = []  # the lanes in the cache
        self.cache: Any = None
        self.real = torch.zeros(0, 0, dtype=torch.bool, device=self.policy.model.device)  # [rows, slots]

    def read(self, lane: int, ids: Sequence[int]) -> None:
        """Tokens are read together with the next command's first step."""
        self.waiting[lane].extend(ids)

    @torch.no_grad()
    def generate(self, lanes: Sequence[int], limit: int, sampler: Sampler) -> list[Decision]:
        """Sample commands, all lanes together, one token a step."""
        policy = self.policy
        said = {lane: Decision([], [], []) for lane in lanes}
        states, _ = self._advance(lanes)
        for step in range(limit):
            tokens, logps, entropies = sampler.draw(policy.head(states) / policy.temperature)
            for lane, token, logp, entropy in zip(lanes, tokens, logps, entropies, strict=True):
                decision = said[lane]
                if policy.closing not in decision.ids[-1:]:
                    decision.ids.append(token)
                    decision.logps.append(logp)
                    decision.entropies.append(entropy)
                    self.waiting[lane].append(token)
            going = [policy.closing not in said[lane].ids[-1:] for lane in lanes]
            if step + 1 == limit or not any(going):
                break
            states, _ = self._advance(lanes, going)
        return list(said.values())

    @torch.no_grad()
    def choose(
        self, lanes: Sequence[int], options: Sequence[Sequence[Sequence[int]]], sampler: Sampler
    ) -> list[Decision]:
        """Score all commands of all lanes in the step that reads the last observation."""
        policy = self.policy
        forest = Forest([[commands] for commands in options], policy.closing, policy.model.device)
        states, nodes = self._advance(lanes, forest=forest)
        scores = forest.scores(policy.head, states[:, None], nodes, policy.options.score == "mean")[:, 0]
        chosen, logps, entropies = sampler.draw(scores / policy.temperature)
        decisions = []
        for lane, mine, choice, logp, entropy in zip(lanes, options, chosen, logps, entropies, strict=True):
            ids = [*mine[choice], policy.closing]
            self.waiting[lane].extend(ids)
            decisions.append(Decision(ids, [logp], [entropy], choice))
        return decisions

    def _advance(
        self, lanes: Sequence[int], going: Sequence[bool] | None = None, forest: Forest | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read what waits, except in lanes that are not ``going``, and look at a forest of commands behind it.

        Returns:
            The states of each lane's last token [n, D], and those of the forest's nodes [n, Q, D], which leave no
            trace in the cache.
        """
        self._select(lanes)
        device = self.real.device
        parts = [self.waiting[lane] if going is None or going[row] else [] for row, lane in enumerate(lanes)]
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
        for lane, part in zip(lanes, parts, strict=True):
            self.cached[lane] += part
            if part:
                self.waiting[lane] = []
        last = (counts - 1).clamp(min=0)
        return states[torch.arange(len(lanes), device=device), last], states[:, wide:]

    def _forward(self, fed: Tensor, positions: Tensor, visible: Tensor, kept: int) -> Tensor:
        """States [n, W, D]; the first ``kept`` of the fed tokens stay in the cache."""
        slots = self.real.shape[1] + kept
        out = self.policy.model.base_model(
            input_ids=fed, position_ids=positions, attention_mask=additive(visible),
            past_key_values=self.cache, use_cache=True,
        )  # fmt: skip
        self.cache = out.past_key_values
        if fed.shape[1] > kept:
            for layer in self.cache.layers:
                layer.keys, layer.values = layer.keys[:, :, :slots], layer.values[:, :, :slots]
        states: Tensor = out.last_hidden_state
        return states

    def _select(self, lanes: Sequence[int]) -> None:
        """Make the cache that of these lanes, in this order."""
        if list(lanes) == self.rows:
            return
        if set(lanes) <= set(self.rows):
            index = torch.tensor([self.rows.index(lane) for lane in lanes], device=self.real.device)
            self.cache.batch_select_indices(index)
            self.real, self.rows = self.real[index], list(lanes)
            return
        self._empty()
        for lane, cached in enumerate(self.cached):
            self.waiting[lane] = [*cached, *self.waiting[lane]]
            self.cached[lane] = []
        self.rows = list(lanes)
        self.real = torch.zeros(len(lanes), 0, dtype=torch.bool, device=self.real.device)
        self._read_common(lanes)

    def _read_common(self, lanes: Sequence[int]) -> None:
        """What all lanes begin with, such as a chat's system message, is read by one and given to all."""
        first, *others = (self.waiting[lane] for lane in lanes)
        common = 0
        limit = min(len(self.waiting[lane]) for lane in lanes) - 1  # every lane needs a token of its own to go on from
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
        self.cache.batch_repeat_interleave(len(lanes))
        self.real = torch.ones(len(lanes), common, dtype=torch.bool, device=device)
        for lane in lanes:
            self.cached[lane], self.waiting[lane] = self.waiting[lane][:common], self.waiting[lane][common:]
