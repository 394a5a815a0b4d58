"""A small causal transformer: whole sequences for training, step by step with a cache for acting."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agentgym.agents.common.attention import AttentionBlock, rotation

__all__ = ["Cache", "Transformer"]


class Cache:
    """Keys, values and last hidden states of all tokens read so far, one row for each episode.

    Entries beyond a row's length come from padding or from other rows' longer chunks; they are overwritten
    before anything may look at it.

    Attributes:
        keys, values: one tensor [N, S, H, d] a layer.
        hidden: [N, S, D], the last layer's normalised states.
        lengths: int64 [N].
    """

    def __init__(self, model: "Transformer", rows: int, size: int, device: torch.device) -> None:
        shape = (rows, size, model.heads, model.width // model.heads)
        self.keys = [torch.zeros(shape, device=device) for _ in model.blocks]
        self.values = [torch.zeros(shape, device=device) for _ in model.blocks]
        self.hidden = torch.zeros(rows, size, model.width, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.int64, device=device)


class Transformer(nn.Module):
    """Pre-norm blocks, rotary positions on half of each head, tied input and output embeddings.

    Args:
        tokens: how many there are.
        width: of the states.
        layers, heads: of attention.
    """

    def __init__(self, tokens: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.embedding = nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        # With N(0, 1) embeddings a tied head gives huge logits, and CPU arithmetic meets denormal numbers.
        nn.init.normal_(self.embedding.weight, std=0.1)
        for block in self.layers():
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * layers))

    def layers(self) -> "list[AttentionBlock]":
        """The blocks, first to last."""
        return [block for block in self.blocks if isinstance(block, AttentionBlock)]

    def forward(self, ids: Tensor) -> Tensor:
        """States [B, L, D] of whole sequences [B, L], each padded at its end."""
        states = self.embedding(ids)
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        turn = rotation(positions, self.width // self.heads)
        for block in self.layers():
            query, key, value = block.project(states, turn)
            mixed = functional.scaled_dot_product_attention(
                query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), is_causal=True
            )
            states = block.finish(states, mixed.transpose(1, 2))
        return self.norm(states)

    def extend(self, cache: Cache, rows: Tensor, ids: Tensor, counts: Sequence[int]) -> Tensor:
        """Read a chunk of further tokens.

        Args:
            cache: updated in place.
            rows: int64 [n], the rows that read, ascending.
            ids: [n, S], padded at the end.
            counts: number of tokens in each chunk.

        Returns:
            [n, D]: the state of each row's last token.
        """
        start = cache.lengths[rows]
        positions = start[:, None] + torch.arange(ids.shape[1], device=ids.device)
        added = torch.as_tensor(counts, device=ids.device)
        reach = int((start + ids.shape[1]).max())
        every = len(rows) == len(cache.lengths)
        # [n, 1, S, reach]: a token sees what stands at its own position and before.
        seen = (torch.arange(reach, device=ids.device) <= positions[..., None])[:, None]
        states = self.embedding(ids)
        turn = rotation(positions, self.width // self.heads)
        places = rows[:, None]
        for layer, block in enumerate(self.layers()):
            query, key, value = block.project(states, turn)
            cache.keys[layer][places, positions] = key
            cache.values[layer][places, positions] = value
            keys, values = cache.keys[layer][:, :reach], cache.values[layer][:, :reach]
            if not every:
                keys, values = keys[rows], values[rows]
            mixed = functional.scaled_dot_product_attention(
                query.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=seen
            )
            states = block.finish(states, mixed.transpose(1, 2))
        states = self.norm(states)
        cache.hidden[places, positions] = states
        cache.lengths[rows] = start + added
        return states[torch.arange(len(rows), device=ids.device), added - 1]

    def logits(self, states: Tensor) -> Tensor:
        """[..., tokens] from states [..., D], by the input embeddings."""
        return functional.linear(states, self.embedding.weight)
