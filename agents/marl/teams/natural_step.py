"""One step of a policy within a trust region: conjugate gradient, then backtracking (Schulman et al. 2015)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["NaturalStep", "natural_step"]


class NaturalStep(NamedTuple):
    """What a step did.

    Attributes:
        taken: whether weights changed; if not, they are bit-equal to those before.
        improvement: of the surrogate.
        divergence: mean KL to the old policy.
    """

    taken: bool
    improvement: Tensor
    divergence: Tensor


def natural_step(
    parameters: Sequence[Tensor],
    objective: Callable[[], tuple[Tensor, Tensor]],
    sampled_divergence: Callable[[], Tensor],
    max_kl: float,
    cg_steps: int = 10,
    cg_damping: float = 0.1,
    line_search_steps: int = 10,
    line_search_shrink: float = 0.8,
    accept_ratio: float = 0.5,
) -> NaturalStep:
    """Raise a surrogate while a divergence stays at most ``max_kl``; change nothing if that cannot be done.

    The direction solves (F + damping) x = g, where F is the Hessian of the divergence at the old policy. Non-positive
    or non-finite curvature along it, a gradient of zero or NaN, and a line search that finds no improvement all leave
    the weights as they were.

    Args:
        parameters: the policy's weights.
        objective: the surrogate at the current weights, and the mean KL from the old policy (constant) to the current
            one; scalars.
        sampled_divergence: the KL over some of the samples, for the curvature.
        max_kl, cg_steps, cg_damping, line_search_steps, line_search_shrink, accept_ratio: see the configuration.
    """
    parameters = list(parameters)
    before, _ = objective()
    gradient = _flat(torch.autograd.grad(before, parameters))
    nothing = NaturalStep(False, torch.zeros_like(before.detach()), torch.zeros_like(before.detach()))
    size = gradient.norm()
    if not torch.isfinite(size) or size == 0:
        return nothing
    slope = torch.autograd.grad(sampled_divergence(), parameters, create_graph=True)

    def curve(vector: Tensor) -> Tensor:
        product = torch.autograd.grad(_flat(slope) @ vector, parameters, retain_graph=True)
        return _flat(product) + cg_damping * vector

    direction = _conjugate_gradient(curve, gradient, cg_steps)
    curvature, rise = direction @ curve(direction), gradient @ direction
    if not (torch.isfinite(curvature) and torch.isfinite(rise) and curvature > 0 and rise > 0):
        return nothing
    length = torch.sqrt(2 * max_kl / curvature)
    old = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for number in range(line_search_steps):
            share = line_search_shrink**number
            _add(parameters, old, share * length * direction)
            reached, apart = objective()
            gained = reached - before
            promised = share * length * rise
            if torch.isfinite(gained) and apart <= max_kl and gained > 0 and gained >= accept_ratio * promised:
                return NaturalStep(True, gained.detach(), apart.detach())
        for parameter, value in zip(parameters, old, strict=True):
            parameter.copy_(value)
    return nothing


def _conjugate_gradient(product: Callable[[Tensor], Tensor], wanted: Tensor, steps: int) -> Tensor:
    found, rest = torch.zeros_like(wanted), wanted.clone()
    along, square = rest.clone(), rest @ rest
    first = square
    for _ in range(steps):
        curved = product(along)
        scale = square / (along @ curved)
        found, rest = found + scale * along, rest - scale * curved
        following = rest @ rest
        if not torch.isfinite(following) or following < 1e-10 * first:
            break
        along, square = rest + following / square * along, following
    return found


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _add(parameters: Sequence[Tensor], old: Sequence[Tensor], change: Tensor) -> None:
    place = 0
    for parameter, value in zip(parameters, old, strict=True):
        count = parameter.numel()
        parameter.copy_(value + change[place : place + count].view_as(value))
        place += count
