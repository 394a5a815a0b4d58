"""Policies that do the same in a world and in its mirror image, whatever their weights are."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentgym.agents.common.actor_critic import ActorCriticMlpPolicy
from agentgym.agents.mdpo.policies import OnPolicyMirrorDescentPolicy
from agentgym.errors import InvalidParameter

__all__ = ["MirrorInvariant", "MirrorInvariantMirrorDescent", "Symmetrised"]


class Symmetrised(nn.Module):
    """(f(o) + f(mirrored o)) / 2.

    Equal for a window and its mirror image to the bit: both networks' passes have the same shape, and a sum does not
    depend on the order of its two terms.

    Args:
        network: f.
        indices, signs: the mirror image is ``o[:, indices] * signs``.
    """

    indices: Tensor
    signs: Tensor

    def __init__(self, network: nn.Module, indices: Sequence[int], signs: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("indices", torch.as_tensor(indices), persistent=False)  # given again with the arguments
        self.register_buffer("signs", torch.as_tensor(signs, dtype=torch.float32), persistent=False)

    def forward(self, windows: Tensor) -> Tensor:
        """[B, F] to [B, D]."""
        mirrored = windows.index_select(1, self.indices) * self.signs
        found: Tensor = 0.5 * (self.network(windows) + self.network(mirrored))
        return found


class MirrorInvariant(ActorCriticMlpPolicy):
    """An actor-critic whose action distribution and value are those of the mirrored window.

    The hidden layers' outputs are averaged over both; the heads on top of them are linear.

    Args:
        *arguments, **keywords: those of the policy.
        mirror: None for none, or indices [F] and signs [F] as lists.

    Raises:
        InvalidParameter: with running statistics, which know nothing of the mirror.
    """

    def __init__(self, *arguments: Any, mirror: Sequence[Sequence[Any]] | None = None, **keywords: Any) -> None:
        if mirror is not None and keywords.get("normalize_observations"):
            raise InvalidParameter(
                "Observations that running statistics normalise have no exact mirror image. Use normalize=False, or "
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
    """On-policy MDPO's policy."""
