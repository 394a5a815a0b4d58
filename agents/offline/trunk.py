"""A transformer over vectors: GPT's for histories, the same without its triangle for whole stretches."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.agents.common.attention import AttentionBlock, rotation

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """Blocks of attention over the tokens that are no padding.

    Args:
        width: of the tokens, D.
        layers, heads: of attention.
        dropout: of tokens, attention weights and what the blocks add, in training mode.
        causal: a token sees itself and what is before it; else all.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float, causal: bool = True) -> None:
        super().__init__()
        self.dropout, self.causal = dropout, causal
        self.head = width // heads
        self.blocks = nn.ModuleList(AttentionBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for block in self._blocks():
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * layers))

    def _blocks(self) -> list[AttentionBlock]:
        return [cast(AttentionBlock, block) for block in self.blocks]

    def forward(self, tokens: Tensor, mask: Tensor, read: slice = slice(None)) -> Tensor:
        """States ``[B, R, D]`` of tokens ``[B, L, D]``.

        Args:
            tokens: what is attended to.
            mask: bool ``[B, L]``, False where there is padding.
            read: the tokens whose states are asked for; the last block is spared the others.
        """
        length = tokens.shape[1]
        # Padding sees itself: attention to nothing would be NaN. Nobody else sees it.
        seen = mask[:, None, :] | torch.eye(length, dtype=torch.bool, device=mask.device)
        if self.causal:
            seen = seen.tril()
        states = F.dropout(tokens, self.dropout, self.training)
        turn = rotation(torch.arange(length, device=tokens.device)[None], self.head)
        blocks = self._blocks()
        for block in blocks:
            query, key, value = (part.transpose(1, 2) for part in block.project(states, turn))
            if block is blocks[-1]:
                query, seen, states = query[:, :, read], seen[:, read], states[:, read]
            mixed = F.scaled_dot_product_attention(
                query, key, value, attn_mask=seen[:, None], dropout_p=self.dropout if self.training else 0.0
            )
            states = block.finish(states, mixed.transpose(1, 2))
        return cast(Tensor, self.norm(states))
