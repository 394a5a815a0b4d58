"""Decision Transformer: behaviour cloning conditioned on the return-to-go."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from agentgym.agents.offline.dt.config import DTConfig
from agentgym.agents.offline.dt.networks import DecisionTransformerPolicy
from agentgym.agents.offline.history import History
from agentgym.agents.offline.sequence_agent import SequenceAgent
from agentgym.data.dataset import OfflineDataset

__all__ = ["DecisionTransformer"]


class DecisionTransformer(SequenceAgent):
    """Decision Transformer (Chen et al. 2021, arXiv 2106.01345).

    Box actions are trained with mean squared error through a tanh, Discrete ones with cross-entropy.

    Args:
        policy, env, dataset, seed, device: see :class:`~agentgym.agents.offline.agent.OfflineAgent`.
        **settings: fields of :class:`~agentgym.agents.offline.dt.config.DTConfig`.
    """

    catalog_name: ClassVar[str] = "dt"
    Config = DTConfig
    metric_names: ClassVar[tuple[str, ...]] = ("loss", "gradient_norm")

    policy: DecisionTransformerPolicy

    def _build(self) -> None:
        settings = self.settings
        self.policy = DecisionTransformerPolicy(
            self.observation_width, self.action_width, settings.width, settings.layers, settings.heads,
            settings.dropout, settings.longest_episode,
        )  # fmt: skip

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        self._parameters: list[Tensor] = list(self.policy.parameters())
        return {
            "policy": torch.optim.AdamW(
                self._parameters, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
            )
        }

    def _take(self, dataset: OfflineDataset) -> None:
        super()._take(dataset)
        greatest = float(self.sequences.returns_to_go.abs().max())
        self.policy.return_scale.fill_(greatest or 1.0)
        self.policy.greatest_return.fill_(float(dataset.returns.max()))

    @property
    def target_return(self) -> float:
        """The return that episodes are conditioned on."""
        asked = self.settings.target_return
        return float(self.policy.greatest_return) if asked is None else float(asked)

    def _gradient_step(self) -> tuple[Tensor, ...]:
        window = self.sequences.ending_at(
            self.sequences.draw(self.settings.batch_size, self.generator), self.settings.context
        )
        outputs = self.policy(
            window.returns_to_go, self._states(window.observations), self._inputs(window.actions), window.times,
            window.mask,
        )[window.mask]  # fmt: skip
        actions = window.actions[window.mask]
        loss = F.cross_entropy(outputs, actions) if self.discrete else F.mse_loss(torch.tanh(outputs), actions)
        rate = self.settings.learning_rate
        norm = self._descend(self.optimizers["policy"], loss, self._parameters, rate)
        return loss.detach(), norm

    def _choose(self, history: History, begins: Tensor, deterministic: bool) -> tuple[Tensor, Any]:
        outputs = self.policy(
            self.returns_to_go(history), history.observations, history.actions, history.times, history.mask
        )[:, -1]
        if not self.discrete:
            return torch.tanh(outputs), None
        if deterministic:
            return outputs.argmax(1), None
        return torch.multinomial(outputs.softmax(1), 1, generator=self.generator).squeeze(1), None

    def returns_to_go(self, history: History) -> Tensor:
        """The remaining target at each step, ``[B, K]``: the target less the rewards before the step."""
        paid = history.rewards.double()
        from_here = paid.flip(1).cumsum(1).flip(1)  # the newest reward is still zero
        asked = (self.target_return - history.total)[:, None] + from_here
        return asked.float().masked_fill(~history.mask, 0.0)

    def promised(self, state: Any, count: int) -> np.ndarray:
        """The target return: the agent has no other estimate. float64 ``[count]``."""
        return np.full(count, self.target_return)
