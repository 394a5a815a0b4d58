"""The switch between two policies by the pattern around the ring, and actions clamped so that gradients lead back."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.marl.layout import Layout

__all__ = ["JointActor", "Switch", "TwoPolicies", "clamped"]

ENTER, LEAVE = 1.5, 1.0  # of the strength of wavenumber 1 over that of the strongest other one


class Switch:
    """Tells in which worlds wavenumber 1 dominates around the ring, with hysteresis.

    A world counts as inside once wavenumber 1 is ``ENTER`` times as strong as every other one, and as outside again
    once it is weaker than another, times ``LEAVE``.

    Args:
        entries: of the flattened observation, equally spaced around the ring, [C].
    """

    def __init__(self, entries: Sequence[int]) -> None:
        self.entries = torch.as_tensor(entries, dtype=torch.int64)

    def __call__(self, observations: Tensor, inside: Tensor) -> Tensor:
        """Which worlds are inside, bool [N], from observations [N, ...] and which were inside a step before."""
        line = observations.detach().flatten(1)[:, self.entries.to(observations.device)]
        strength = torch.fft.rfft(line).abs()[:, 1:]
        return strength[:, 0] > strength[:, 1:].amax(1) * torch.where(inside, LEAVE, ENTER)


class _Clamped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(values, low, high)
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, low, high = ctx.saved_tensors
        outwards = ((values > high) & (gradient < 0)) | ((values < low) & (gradient > 0))
        return gradient.masked_fill(outwards, 0.0), None, None


def clamped(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Clamp to [low, high]. Where a value is outside, a gradient by which descent would lead it back passes."""
    found: Tensor = _Clamped.apply(values, low, high)
    return found


class JointActor:
    """The joint mean action of a network that all agents share.

    Args:
        layout: what each agent sees, and the bounds of its actions.
        device: of the network.
    """

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.shape = layout.action_space.shape
        self.windows = torch.as_tensor(layout.windows, dtype=torch.int64, device=device)
        self.low, self.high = (
            torch.as_tensor(end, dtype=torch.float32, device=device)
            for end in (layout.own_action_space.low, layout.own_action_space.high)
        )

    def windows_of(self, seen: Tensor) -> Tensor:
        """Windows of all agents, float32 [N * A, F], from joint observations [N, ...]."""
        return seen.to(self.low).flatten(1)[:, self.windows].flatten(0, 1)

    def __call__(self, network: nn.Module, seen: Tensor) -> Tensor:
        """Joint actions [N, A] or [N, A, a]."""
        return clamped(network(self.windows_of(seen)), self.low, self.high).reshape(-1, *self.shape)


class TwoPolicies:
    """An inner policy where the switch says so, elsewhere an outer one, through which no gradient passes.

    Args:
        actor: turns a network into joint actions.
        inner: the inner policy's network.
        outer: the outer policy's network; None: the inner policy always acts.
        switch: tells where; None with ``outer``.
    """

    def __init__(self, actor: JointActor, inner: nn.Module, outer: nn.Module | None, switch: Switch | None) -> None:
        self.actor, self.inner, self.outer, self.switch = actor, inner, outer, switch

    def __call__(self, seen: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Joint actions, and in which worlds the inner policy acted, bool [N]; ``inside``: where it acted before."""
        own = self.actor(self.inner, seen)
        if self.switch is None or self.outer is None:
            return own, torch.ones_like(inside)
        inside = self.switch(seen, inside)
        if inside.all():
            return own, inside
        with torch.no_grad():
            other = self.actor(self.outer, seen)
        where = inside.to(own.device).reshape(-1, *[1] * (own.ndim - 1))
        return torch.where(where, own, other), inside
