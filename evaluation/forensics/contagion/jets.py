"""Second-order Taylor arithmetic: a network's value, slope and curvature along one direction per row, in one pass.

Nested forward-mode differentiation carries four tensors through every layer (value, two equal slopes, curvature) and
differentiates each activation twice. A :class:`Jet` carries three, none of which is computed while it is zero, and
reads all derivatives of an activation from one evaluation. It knows the operations of the networks of
:mod:`agentgym.agents.marl.teams.networks`; any other is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp

__all__ = ["Jet", "second_order"]

SHAPED = ("view", "flatten", "unflatten", "unsqueeze", "squeeze", "transpose", "expand", "index_select", "sum")
CURVED = ("relu", "tanh", "elu", "gelu")  # elementwise; silu, the default, has a rule of its own


class Jet:
    """x + t first + t^2 / 2 second, with tensors of one shape; None stands for zeros."""

    def __init__(self, value: Tensor, first: Tensor | None = None, second: Tensor | None = None) -> None:
        self.value, self.first, self.second = value, first, second

    @classmethod
    def __torch_function__(cls, function: Any, _types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> "Jet":
        name, kwargs = function.__name__.strip("_"), kwargs or {}
        if name in SHAPED or name == "getitem":
            return args[0]._each(lambda part: function(part, *args[1:], **kwargs))
        if name in CURVED:
            return _elementwise(args[0], lambda value: function(value, *args[1:], **kwargs))
        if name not in RULES:
            raise NotImplementedError(f"jets have no rule for {name}")
        return RULES[name](*args, **kwargs)

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Jet":
        """A linear function of all three parts."""
        first, second = (None if part is None else function(part) for part in (self.first, self.second))
        return Jet(function(self.value), first, second)

    def __getattr__(self, name: str) -> Any:
        if name in SHAPED or name == "masked_fill":
            method = getattr(Tensor, name)
            return lambda *args, **kwargs: Jet.__torch_function__(method, (), (self, *args), kwargs)
        if name in ("shape", "dtype", "device", "dim"):
            return getattr(self.value, name)
        raise AttributeError(f"jets have no {name}")

    def __getitem__(self, index: Any) -> "Jet":
        return self._each(lambda part: part[index])

    def __add__(self, other: "Jet | Tensor") -> "Jet":
        return _add(self, other)

    def __mul__(self, other: Tensor) -> "Jet":
        return self._each(lambda part: part * other)


def second_order(critic: Callable[[Any], Any], x: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and curvature of values [B, I] along ``move`` [B, A, k] at x [B, A, k].

    Args:
        critic: of x, made of the operations that jets know.

    Raises:
        NotImplementedError: it uses another operation.
    """
    with torch.no_grad():
        found: Jet = critic(Jet(x, move))
    return _filled(found.value, found.first), _filled(found.value, found.second)


def _filled(like: Tensor, part: Tensor | None) -> Tensor:
    return torch.zeros_like(like) if part is None else part


def _plus(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _jet(value: "Jet | Tensor") -> Jet:
    return value if isinstance(value, Jet) else Jet(value)


def _add(left: "Jet | Tensor", right: "Jet | Tensor") -> Jet:
    a, b = _jet(left), _jet(right)
    return Jet(a.value + b.value, _plus(a.first, b.first), _plus(a.second, b.second))


def _affine(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Jet]:
    """The rule of bias + product(x, weights)."""

    def rule(bias: Tensor, x: Jet, weights: Tensor) -> Jet:
        found = x._each(lambda part: product(part, weights))
        found.value += bias
        return found

    return rule


def _cat(parts: Sequence["Jet | Tensor"], dim: int = 0) -> Jet:
    jets = [_jet(part) for part in parts]

    def joined(name: str) -> Tensor | None:
        if all(getattr(jet, name) is None for jet in jets):
            return None
        return torch.cat([_filled(jet.value, getattr(jet, name)) for jet in jets], dim)

    return Jet(torch.cat([jet.value for jet in jets], dim), joined("first"), joined("second"))


def _where(mask: Tensor, x: Jet, other: float) -> Jet:
    first, second = (None if part is None else torch.where(mask, part, 0.0) for part in (x.first, x.second))
    return Jet(torch.where(mask, x.value, other), first, second)


def _masked_fill(x: Jet, mask: Tensor, value: float) -> Jet:
    return _where(~mask, x, value)


def _logsumexp(x: Jet, dim: Any, keepdim: bool = False) -> Jet:
    value = torch.logsumexp(x.value, dim, keepdim=True)
    share = torch.exp(x.value - value)
    first = second = None
    if x.first is not None:
        first = (share * x.first).sum(dim, keepdim=True)
        inner = x.first.square() if x.second is None else x.first.square() + x.second
        second = (share * inner).sum(dim, keepdim=True) - first.square()
    found = Jet(value, first, second)
    return found if keepdim else found._each(lambda part: part.squeeze(dim))


def _silu(x: Jet, inplace: bool = False) -> Jet:
    """With s = sigmoid(v): v s, its slope s + v s (1 - s), its curvature s (1 - s) (2 + v (1 - 2 s))."""
    share = torch.sigmoid(x.value)
    value = x.value * share
    if x.first is None:
        return Jet(value)
    other = 1 - share
    slope = torch.addcmul(share, value, other)
    bend = (other - share).mul_(x.value).add_(2).mul_(share.mul_(other))
    return _chained(x, value, slope, bend)


def _elementwise(x: Jet, function: Callable[[Tensor], Tensor]) -> Jet:
    """Any other function of single numbers, differentiated in general."""
    if x.first is None:
        return Jet(function(x.value))
    ones = torch.ones_like(x.value)
    moved: Any = jvp(lambda at: jvp(function, (at,), (ones,)), (x.value,), (ones,))
    (value, slope), (_, bend) = moved
    return _chained(x, value, slope, bend)


def _chained(x: Jet, value: Tensor, slope: Tensor, bend: Tensor) -> Jet:
    assert x.first is not None
    second = bend.mul_(x.first).mul_(x.first)
    return Jet(value, slope * x.first, second if x.second is None else second.addcmul_(slope, x.second))


RULES: dict[str, Callable[..., Jet]] = {
    "add": _add, "radd": _add, "cat": _cat, "where": _where, "masked_fill": _masked_fill, "logsumexp": _logsumexp,
    "silu": _silu, "addmm": _affine(torch.mm), "baddbmm": _affine(torch.bmm),
}  # fmt: skip
