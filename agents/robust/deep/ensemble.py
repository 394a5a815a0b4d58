"""The solved models of deep IWOCS: for each a policy, the values of that policy, and a predictor of the next state."""

from typing import Any

import torch
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from agentgym.agents.common.networks import StackedCritic, TanhGaussianActor
from agentgym.agents.sac.policies import MlpPolicy

__all__ = ["Ensemble", "Model"]


class Model(nn.Module):
    """What is kept of a solved model T.

    Args:
        policy: SAC's policy; its shapes are used.
        predictor_layers: units of the predictor's hidden layers.

    Attributes:
        actor: SAC's actor in T, pi.
        values: two critics of the plain return, Q(s, a) without entropy, with one layer more than SAC's.
        predictor: s' of T for (s, a), in the units of observations.
    """

    actor: TanhGaussianActor
    values: StackedCritic

    def __init__(self, policy: MlpPolicy, predictor_layers: list[int]) -> None:
        super().__init__()
        self.actor = policy.make_actor()
        arguments: dict[str, Any] = policy._update_features_extractor(policy.critic_kwargs, None)
        layers = list(arguments["net_arch"])
        self.values = StackedCritic(**{**arguments, "net_arch": [*layers, layers[-1]], "n_critics": 2})
        width = self.actor.features_dim
        sizes = width + self.actor.mu.out_features, width, predictor_layers
        self.predictor = nn.Sequential(*create_mlp(*sizes, nn.ReLU))

    def predict_next(self, states: Tensor, actions: Tensor) -> Tensor:
        """s' ``[B, D]`` for s ``[B, D]`` and a ``[B, A]`` in [-1, 1]."""
        following: Tensor = self.predictor(torch.cat([states, actions], 1))
        return following

    def value(self, states: Tensor, actions: Tensor) -> Tensor:
        """min_i Q_i(s, a), ``[B]``."""
        return self.values.q_values(states, actions).min(0).values


class Ensemble(nn.Module):
    """The models, of which the first ``count`` act, and the policy for states that none of them explains.

    Args:
        policy, predictor_layers: see :class:`Model`.
        most: number of models that may be solved.
    """

    def __init__(self, policy: MlpPolicy, predictor_layers: list[int], most: int) -> None:
        super().__init__()
        self.fallback: TanhGaussianActor
        self.models = nn.ModuleList(Model(policy, predictor_layers) for _ in range(most))
        self.fallback = policy.make_actor()

    def model(self, index: int) -> Model:
        """One of the models."""
        found = self.models[index]
        assert isinstance(found, Model)
        return found

    @torch.no_grad()
    def act(
        self, count: int, radii: list[float], states: Tensor, before: tuple[Tensor, Tensor], starts: Tensor,
        deterministic: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """The action of the valid model whose value is least.

        A model is valid if its prediction from the last step is within its radius, in L1. At the start of an episode
        all are. Where none is, the fallback acts.

        Args:
            count: how many models there are.
            radii: rho of each of them.
            states: s, ``[B, D]``.
            before: the state and action before it, ``[B, D]`` and ``[B, A]``.
            starts: where an episode begins, so that there is none, bool ``[B]``.
            deterministic: take the modes of the policies.

        Returns:
            Actions in [-1, 1] ``[B, A]``; the model of each, or ``count`` for the fallback, ``[B]``; and the least
            value, infinite where no model is valid, ``[B]``.
        """
        actions, values = [], []
        for index, radius in zip(range(count), radii, strict=False):
            model = self.model(index)
            own = model.actor.act(states, deterministic)
            error = (model.predict_next(*before) - states).abs().sum(1)
            valid = starts | (error <= radius)
            actions.append(own)
            values.append(torch.where(valid, model.value(states, own), torch.inf))
        actions.append(self.fallback.act(states, deterministic))
        values.append(states.new_full((len(states),), torch.finfo(torch.float32).max))
        all_values = torch.stack(values)
        chosen = all_values.argmin(0)
        rows = torch.arange(len(states), device=states.device)
        least = all_values[:-1].amin(0) if count else states.new_full((len(states),), torch.inf)
        return torch.stack(actions)[chosen, rows], chosen, least
