"""Decision Transformer's network, with three tokens per step."""

import torch
from torch import Tensor, nn

from agentgym.agents.offline.networks import Normalizer, OfflinePolicy
from agentgym.agents.offline.trunk import Trunk

__all__ = ["DecisionTransformerPolicy"]


class DecisionTransformerPolicy(OfflinePolicy):
    """Predicts each action from the earlier tokens (return-to-go, observation, action) and the current observation.

    Args:
        observations, actions: sizes of an observation and an action.
        width, layers, heads, dropout: parameters of the transformer.
        times: number of time embeddings.
    """

    def __init__(
        self, observations: int, actions: int, width: int, layers: int, heads: int, dropout: float, times: int
    ) -> None:
        super().__init__()
        self.normalizer = Normalizer(observations)
        self.return_scale: Tensor
        self.greatest_return: Tensor
        self.register_buffer("return_scale", torch.ones(()))
        self.register_buffer("greatest_return", torch.zeros((), dtype=torch.float64))
        self.of_return, self.of_state = nn.Linear(1, width), nn.Linear(observations, width)
        self.of_action, self.of_time = nn.Linear(actions, width), nn.Embedding(times, width)
        self.norm, self.trunk = nn.LayerNorm(width), Trunk(width, layers, heads, dropout)
        self.head = nn.Linear(width, actions)
        nn.init.normal_(self.of_time.weight, std=0.02)

    def forward(self, returns_to_go: Tensor, states: Tensor, actions: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """The network's output for each step's action (logits, or before the tanh), ``[B, K, A]``.

        Args:
            returns_to_go: in the data's units, ``[B, K]``.
            states: normalised or one-hot observations, ``[B, K, D]``.
            actions: as inputs, ``[B, K, A]``; an output does not depend on its own step's action.
            times: int64 ``[B, K]``.
            mask: bool ``[B, K]``.
        """
        time = self.of_time(times.clamp(max=self.of_time.num_embeddings - 1))
        told = self.of_return((returns_to_go / self.return_scale)[..., None])
        tokens = torch.stack([told + time, self.of_state(states) + time, self.of_action(actions) + time], 2)
        of_states = self.trunk(self.norm(tokens.flatten(1, 2)), mask.repeat_interleave(3, 1), slice(1, None, 3))
        outputs: Tensor = self.head(of_states)
        return outputs
