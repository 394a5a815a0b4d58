"""Stable-Baselines3's SAC actor and critics, computed as a few batched products per update.

Initial weights for equal seeds and the names in ``state_dict`` match Stable-Baselines3.
"""

from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.sac.policies import Actor
from torch import Tensor, nn

from agentgym.agents.common.mlp import stacked_mlp
from agentgym.agents.common.optim import FusedAdam
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.common.tanh_gaussian import LOG_STD_MAX, LOG_STD_MIN, squashed_sample
from agentgym.errors import InvalidParameter

if TYPE_CHECKING:
    from agentgym.agents.common.stack.stack import Stack

__all__ = ["StackedCritic", "TanhGaussianActor"]


def _linear_layers(network: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(name, layer) for name, layer in network.named_children() if isinstance(layer, nn.Linear)]


def _plain(activation_fn: type[nn.Module]) -> type[nn.Module]:
    """Check that an activation has no parameters and does not depend on the training mode.

    Raises:
        InvalidParameter: it has or does.
    """
    if issubclass(activation_fn, (nn.RReLU, nn.PReLU)) or list(activation_fn().parameters()):
        raise InvalidParameter(f"activation_fn {activation_fn.__name__} is learned or random: use ReLU, Tanh, ELU, ...")
    return activation_fn


class TanhGaussianActor(Actor):
    """Stable-Baselines3's SAC actor, with mean and log standard deviation computed in one product.

    Args:
        activation_fn: any activation without parameters.
        arguments, keywords: those of Stable-Baselines3's ``Actor``.
    """

    mu: nn.Linear
    log_std: nn.Linear  # type: ignore[assignment]

    def __init__(self, *arguments: Any, activation_fn: type[nn.Module] = nn.ReLU, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "activation_fn": _plain(activation_fn)})
        self._trunk = [layer for _, layer in _linear_layers(self.latent_pi)]

    def gaussian(self, features: Tensor, graded: int | None = None) -> Tensor:
        """Mean and log standard deviation before tanh, concatenated and not clamped, ``[B, 2A]``.

        Args:
            features: flattened float observations, ``[B, D]``.
            graded: rows from this one on get no gradient; see :func:`stacked_mlp`.
        """
        weights = [layer.weight for layer in self._trunk] + [torch.cat([self.mu.weight, self.log_std.weight])]
        biases = [layer.bias for layer in self._trunk] + [torch.cat([self.mu.bias, self.log_std.bias])]
        return stacked_mlp(features, weights, biases, self.activation_fn, graded).squeeze(0)

    def sample(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """A differentiable action in [-1, 1], ``[B, A]``, and its log-probability, ``[B]``.

        Args:
            features: flattened float observations, ``[B, D]``.
        """
        return squashed_sample(self.gaussian(features), self.noise(features))

    def sample_now_and_next(
        self, features: Tensor, next_features: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """:meth:`sample` at s, with gradient, and at s', without, in one pass.

        Args:
            features, next_features: ``[B, D]`` each.
        """
        both = self.gaussian(torch.cat([features, next_features]), graded=len(features))
        now, after = both.split(len(features))
        sampled = squashed_sample(now, self.noise(features))
        with torch.no_grad():
            return sampled, squashed_sample(after, self.noise(next_features))

    def noise(self, features: Tensor) -> Tensor:
        """What a sample for each row is made from, standard normal, ``[B, A]``."""
        return torch.randn(len(features), self.mu.out_features, device=features.device)

    def action_log_prob(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """:meth:`sample` for unprocessed observations, under Stable-Baselines3's name."""
        return self.sample(self.extract_features(obs, self.features_extractor))

    def stack(self, scratch: Scratch, optimizer: FusedAdam | None = None) -> "Stack":
        """:meth:`gaussian` as a stack of one network with these parameters."""
        from agentgym.agents.common.stack.stack import Stack  # not before it is used: it imports Numba

        parameters = [tensor for layer in self._trunk for tensor in (layer.weight, layer.bias)]
        heads = [self.mu.weight, self.log_std.weight, self.mu.bias, self.log_std.bias]
        sizes = [self._trunk[0].in_features, *(layer.out_features for layer in self._trunk), 2 * self.mu.out_features]
        return Stack(1, sizes, [*parameters, *heads], scratch, optimizer)

    def act(self, features: Tensor, deterministic: bool) -> Tensor:
        """An action in [-1, 1], ``[B, A]``, without its log-probability, for collection and evaluation."""
        hidden = self.latent_pi(features)
        mean: Tensor = self.mu(hidden)
        if not deterministic:
            mean = mean + torch.randn_like(mean) * self.log_std(hidden).clamp(LOG_STD_MIN, LOG_STD_MAX).exp()
        return torch.tanh(mean)


class StackedCritic(ContinuousCritic):
    """Q-networks of equal shape, stored as one weight ``[n, out, in]`` and bias ``[n, 1, out]`` per layer.

    The ``state_dict`` lists the networks individually, under the names of Stable-Baselines3's ``ContinuousCritic``
    (``qf0.0.weight``, ...), so weights can be moved between the two classes.

    Args:
        activation_fn: any activation without parameters.
        arguments, keywords: those of Stable-Baselines3's ``ContinuousCritic``.
    """

    def __init__(self, *arguments: Any, activation_fn: type[nn.Module] = nn.ReLU, **keywords: Any) -> None:
        super().__init__(*arguments, **{**keywords, "activation_fn": _plain(activation_fn)})
        self.activation_fn = activation_fn
        networks = [_linear_layers(network) for network in self.q_networks]
        self.layer_names = [name for name, _ in networks[0]]
        self.weights, self.biases = [], []
        for k in range(len(self.layer_names)):
            layers = [network[k][1] for network in networks]
            self.weights.append(nn.Parameter(torch.stack([layer.weight.detach() for layer in layers])))
            self.biases.append(nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]).unsqueeze(1)))
            self.register_parameter(f"weight_{k}", self.weights[k])
            self.register_parameter(f"bias_{k}", self.biases[k])
        for index in range(self.n_critics):
            delattr(self, f"qf{index}")
        self.q_networks = []

    def q_values(self, features: Tensor, actions: Tensor, frozen: bool = False, members: slice = slice(None)) -> Tensor:
        """Q_i(s, a) of the networks, ``[n, B]``.

        Args:
            features: flattened float observations, ``[B, D]``.
            actions: ``[B, A]`` in [-1, 1].
            frozen: gradients reach the actions but not the networks' parameters.
            members: which networks; all by default.
        """
        weights: list[Any] = self.weights
        biases: list[Any] = self.biases
        if frozen:
            weights, biases = [weight.detach() for weight in weights], [bias.detach() for bias in biases]
        if members != slice(None):
            weights, biases = [weight[members] for weight in weights], [bias[members] for bias in biases]
        return stacked_mlp((features, actions), weights, biases, self.activation_fn).squeeze(2)

    def stack(self, scratch: Scratch, optimizer: FusedAdam | None = None) -> "Stack":
        """:meth:`q_values` of features and actions side by side, ``[B, D + A]``, as a stack with these parameters."""
        from agentgym.agents.common.stack.stack import Stack

        parameters = [tensor for layer in zip(self.weights, self.biases, strict=True) for tensor in layer]
        sizes = [self.weights[0].shape[2], *(weight.shape[1] for weight in self.weights)]
        return Stack(self.n_critics, sizes, parameters, scratch, optimizer)

    def forward(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """One ``[B, 1]`` per network for unprocessed observations, as in Stable-Baselines3."""
        return tuple(self.q_values(self.extract_features(obs, self.features_extractor), actions).unsqueeze(2))

    def q1_forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """The first network's values, ``[B, 1]``."""
        return self.forward(obs, actions)[0]

    # state_dict uses Stable-Baselines3's names and shapes, one network after the other

    def member_names(self, prefix: str = "") -> list[tuple[str, list[str]]]:
        """For every stacked parameter its name and the names of its members in Stable-Baselines3's critic."""
        return [
            (f"{prefix}{kind}_{k}", [f"{prefix}qf{index}.{layer}.{kind}" for index in range(self.n_critics)])
            for k, layer in enumerate(self.layer_names)
            for kind in ("weight", "bias")
        ]

    @staticmethod
    def split(name: str, stacked: Tensor) -> list[Tensor]:
        """Split a stacked tensor (parameter or optimiser moment) into its members, in their own shapes."""
        return [member.squeeze(0) if "bias_" in name else member for member in stacked]

    @staticmethod
    def join(name: str, members: list[Tensor]) -> Tensor:
        """The inverse of :meth:`split`."""
        return torch.stack(members).unsqueeze(1) if "bias_" in name else torch.stack(members)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, members in self.member_names():
            parameter = self.get_parameter(name)
            tensors = self.split(name, parameter if keep_vars else parameter.detach())
            destination.update(zip([prefix + member for member in members], tensors, strict=True))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """Load the networks that are present. The others keep their weights and are reported as missing."""
        _, strict, missing, _, errors = arguments
        for name, members in self.member_names(prefix):
            own = self.split(name, self.get_parameter(name.removeprefix(prefix)).detach())
            found = [state_dict.pop(member, None) for member in members]
            for index, (member, tensor) in enumerate(zip(members, found, strict=True)):
                if tensor is None:
                    missing.extend([member] if strict else [])
                elif tensor.shape == own[index].shape:
                    own[index] = tensor
                else:
                    errors.append(f"size mismatch for {member}: {list(tensor.shape)}, not {list(own[index].shape)}")
            state_dict[name] = self.join(name, [tensor.to(own[0]) for tensor in own])
        super()._load_from_state_dict(state_dict, prefix, *arguments)
