"""Protocols for optional features of environments beyond Gymnasium's interface.

An environment supports a protocol by having its attributes; nothing is registered. Suites, controllers and agents
check the protocol that they need: ``isinstance(env.unwrapped, Uncertain)``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

__all__ = [
    "Adapter", "Adjustable", "Controlled", "Convecting", "Demonstrating", "Diagnosing", "Differentiable", "Drawn",
    "Generated", "LaidOut", "Mirrored", "Patterned", "Stateful", "TurnLimited", "Uncertain", "Worded", "controllers_of",
    "single_spaces",
]  # fmt: skip


@runtime_checkable
class Stateful(Protocol):
    """An environment, or a batch, whose state can be saved and restored."""

    def get_state(self) -> dict[str, Any]:
        """The complete state as nested dictionaries of arrays and plain JSON values."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`get_state`, also of another instance made with the same arguments."""


@runtime_checkable
class Uncertain(Protocol):
    """An environment with uncertain parameters; ``reset(options={"parameters": {name: value}})`` sets them."""

    @property
    def parameter_ranges(self) -> Mapping[str, tuple[float, float]]:
        """The uncertainty set: lowest and highest value of each parameter."""


@runtime_checkable
class Adjustable(Uncertain, Protocol):
    """An environment with uncertain parameters that can also be changed within an episode, for adversaries."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The current values; of a batch, [N] each."""

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Change values from the next step to the end of the episode; of a batch, numbers or arrays [N]."""


@runtime_checkable
class Controlled(Protocol):
    """An environment that provides hand-made controllers to compare agents with."""

    @property
    def controllers(self) -> Mapping[str, Any]:
        """The controllers by name, each a :class:`agentgym.contracts.agent.Player`."""


@runtime_checkable
class Worded(Protocol):
    """A text environment that can list its vocabulary."""

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """Every word of observations and useful commands; None if they cannot be listed."""


@runtime_checkable
class TurnLimited(Protocol):
    """An environment that truncates its episodes after ``max_turns`` turns, one of its arguments."""

    @property
    def max_turns(self) -> int:
        """Turns after which an episode is truncated."""


@runtime_checkable
class Demonstrating(Protocol):
    """A batch that can generate demonstrations by an expert."""

    def demonstrations(self, seeds: Iterable[int], expert: str, random_share: float) -> Iterator[Any]:
        """Yield one expert episode per seed, with a share of the commands replaced by random ones."""


@runtime_checkable
class Diagnosing(Protocol):
    """A batch that can tell where an episode went wrong."""

    def diagnose(self, seed: int, commands: Sequence[str]) -> tuple[int, str] | None:
        """The first turn whose command did not bring success nearer, and an expert's command there; None: no turn."""


@runtime_checkable
class Drawn(Protocol):
    """An environment that can be rendered, with ``metadata["render_modes"]`` and ``render_mode`` as in Gymnasium."""

    metadata: dict[str, Any]
    render_mode: str | None


@runtime_checkable
class Generated(Protocol):
    """An environment that generates its worlds, of a given size and from one split."""

    @property
    def split(self) -> str:
        """The split: "train", "seen" or "unseen"."""

    @property
    def dials(self) -> Mapping[str, Any]:
        """The size parameters, each also an argument of the environment; empty if it has none."""


@runtime_checkable
class LaidOut(Protocol):
    """An environment, or a batch, in which several agents act."""

    @property
    def agent_windows(self) -> np.ndarray:
        """Indices of the entries of the flattened observation that each agent sees, int64 [A, F]."""


@runtime_checkable
class Mirrored(Protocol):
    """An environment, or a batch, of several agents that can mirror an agent's observation."""

    @property
    def agent_mirror(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Indices and signs, [F] each, that mirror an agent's observation; None if there is no mirror symmetry."""


@runtime_checkable
class Differentiable(Protocol):
    """A batch with a pure form of ``step`` that gradients pass through. Episodes end by their time limit only."""

    def differentiable_state(self) -> tuple[tuple[Any, ...], Any]:
        """The states of all worlds as tensors [N, ...] that the caller may keep, and the observations [N, ...].

        Raises:
            InvalidParameter: the environment, with these arguments, cannot be differentiated.
        """

    def differentiable_step(self, state: tuple[Any, ...], actions: Any) -> tuple[tuple[Any, ...], Any, Any]:
        """Next states, observations and rewards [N], for any number of worlds; equal to ``step`` up to rounding.

        The batch does not change. ``actions``, a tensor within the bounds, is not checked.
        """


@runtime_checkable
class Patterned(Protocol):
    """An environment, or a batch, on a ring, whose state is told by the strongest wavenumber around it."""

    @property
    def agent_pattern(self) -> np.ndarray:
        """Entries of the flattened observation, equally spaced around the ring, int64 [C]."""


@runtime_checkable
class Convecting(Protocol):
    """An environment of a convection cell."""

    @property
    def cell(self) -> Any:
        """The configured cell: ``rayleigh``, ``prandtl``, ``columns``, ``seen_heaters`` and so on."""


@runtime_checkable
class Swarming(Protocol):
    """An environment of a swarm in a duct."""

    @property
    def setting(self) -> Any:
        """The swarm as it was asked for: ``agents``, ``regime``, ``lag`` and so on."""

    def set_back_pressure(self, value: float) -> None:
        """Change the back pressure, over the stagnation pressure, from now on."""


@runtime_checkable
class Stochastic(Protocol):
    """An environment with types of stochasticity, set by its argument ``effects``."""

    @property
    def stochastic_types(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Configurations of the effects of each type, by name of the type."""

    @property
    def plain_arguments(self) -> Mapping[str, Any]:
        """Arguments of the environment without any effect."""


@runtime_checkable
class Adapter(Protocol):
    """A Stable-Baselines3 ``VecEnv`` around a Gymnasium ``VectorEnv``."""

    env: Any


def single_spaces(env: Any) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
    """Observation and action space of one environment, of a batch those of each sub-environment."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def controllers_of(env: Any) -> Mapping[str, Any]:
    """The hand-made controllers that an environment provides, by name; empty for most environments."""
    base = env.unwrapped
    return base.controllers if isinstance(base, Controlled) else {}
