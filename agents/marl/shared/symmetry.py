"""Policies that are invariant under the environment's reflection, for any weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.actor_critic import ActorCriticMlpPolicy
from agentgym.agents.mdpo.policies import OnPolicyMirrorDescentPolicy
from agentgym.errors import InvalidParameter

__all__ = ["MirrorInvariant", "MirrorInvariantMirrorDescent", "Symmetrised"]


class Symmetrised(nn.Module):
    """The symmetrised network (f(o) + f(mirrored o)) / 2.

    The output is bit-equal for a window and its mirror image: both passes have the same shape, and the sum of two terms
    does not depend on their order.

    Args:
        network: f.
        indices, signs: the mirror image of ``o`` is ``o[:, indices] * signs``.
    """

    indices: Tensor
    signs: Tensor

    def __init__(self, network: nn.Module, indices: Sequence[int], signs: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("indices", torch.as_tensor(indices), persistent=False)  # saved with the arguments
        self.register_buffer("signs", torch.as_tensor(signs, dtype=torch.float32), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows [B, F] to [B, D]."""
        mirrored = windows.index_select(1, self.indices) * self.signs
        found: Tensor = 0.5 * (self.network(windows) + self.network(mirrored))
        return found


class MirrorInvariant(ActorCriticMlpPolicy):
    """An actor-critic whose action distribution and value are the same for a window and its mirror image.

    The outputs of the hidden layers are averaged over both; the heads on top are linear.

    Args:
        *arguments, **keywords: those of the policy.
        mirror: indices [F] and signs [F] as lists, or None for no symmetry.

    Raises:
        InvalidParameter: together with running statistics, which are not symmetric.
    """

    def __init__(self, *arguments: Any, mirror: Sequence[Sequence[Any]] | None = None, **keywords: Any) -> None:
        if mirror is not None and keywords.get("normalize_observations"):
            raise InvalidParameter(
                "Observations normalised with running statistics have no exact mirror image. Use normalize=False, or "
                "mirror=False."
            )
        self._mirror = mirror
        super().__init__(*arguments, **keywords)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        if self._mirror is None:
            return
        extractor = self.mlp_extractor
        extractor.policy_net = nn.Sequential(Symmetrised(extractor.policy_net, *self._mirror))
        extractor.value_net = nn.Sequential(Symmetrised(extractor.value_net, *self._mirror))


class MirrorInvariantMirrorDescent(MirrorInvariant, OnPolicyMirrorDescentPolicy):
    """The policy of on-policy MDPO with the same symmetry."""
