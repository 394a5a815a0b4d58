"""A transformer over vectors: causal for histories, or with full attention for whole segments."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agentgym.agents.common.attention import AttentionBlock, rotation

__all__ = ["Trunk"]


class Trunk(nn.Module):
    """Transformer blocks over the tokens that are not padding.

    Args:
        width: size of the tokens, D.
        layers, heads: numbers of blocks and of attention heads.
        dropout: rate for tokens, attention weights and block outputs, in training mode.
        causal: whether a token attends only to itself and earlier tokens.
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
        """States ``[B, R, D]`` for tokens ``[B, L, D]``.

        Args:
            tokens: the input.
            mask: bool ``[B, L]``, False for padding.
            read: the tokens whose states are returned; the last block computes only these.
        """
        length = tokens.shape[1]
        # Padding attends to itself, since attention to nothing is NaN. No other token attends to padding.
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
