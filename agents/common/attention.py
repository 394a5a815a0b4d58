"""A transformer block with rotary positions. The caller computes the attention itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["AttentionBlock", "rotation"]


class AttentionBlock(nn.Module):
    """Pre-norm transformer block. The caller computes attention between :meth:`project` and :meth:`finish`.

    Args:
        width: size of a state, D.
        heads: number of attention heads, H.
        dropout: rate, in training mode, on the outputs of attention and feed-forward network.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def project(self, states: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, S, H, d] of the states [B, S, D], rotated with :func:`rotation`."""
        query, key, value = self.qkv(self.before(states)).chunk(3, dim=-1)
        shape = (*states.shape[:2], self.heads, -1)
        return _rotated(query.reshape(shape), turn), _rotated(key.reshape(shape), turn), value.reshape(shape)

    def finish(self, states: Tensor, mixed: Tensor) -> Tensor:
        """The block's output [B, S, D], given the output of attention [B, S, H, d]."""
        states = states + self.dropout(self.out(mixed.flatten(-2)))
        return states + self.dropout(self.down(functional.gelu(self.up(self.between(states)))))


def rotation(positions: Tensor, head: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, S, 1, head / 4] of rotary positions (Su et al., arXiv 2104.09864) on half of a head."""
    rates = 10_000.0 ** (-torch.arange(head // 4, device=positions.device) / max(1, head // 4))
    angles = positions[..., None, None] * rates
    return angles.cos(), angles.sin()


def _rotated(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    quarter = cos.shape[-1]
    first, second, rest = heads.split([quarter, quarter, heads.shape[-1] - 2 * quarter], dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)
