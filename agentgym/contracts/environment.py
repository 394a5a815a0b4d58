"""What environments may offer beyond Gymnasium's interface, a protocol each: ``isinstance(env.unwrapped, Uncertain)``.

A family offers one by having its attributes; nothing is registered. Suites, controllers and agents name the protocol
that they need.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

__all__ = [
    "Adapter", "Controlled", "Convecting", "Demonstrating", "Drawn", "Generated", "LaidOut", "Mirrored", "Stateful",
    "TurnLimited", "Uncertain", "Worded", "controllers_of",
]  # fmt: skip


@runtime_checkable
class Stateful(Protocol):
    """An environment, or a batch, that can be put back to where it was."""

    def get_state(self) -> dict[str, Any]:
        """All that its future depends on: nested dictionaries of arrays and plain JSON values."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` gave, also in another one made with the same arguments."""


@runtime_checkable
class Uncertain(Protocol):
    """An environment with uncertain parameters; ``reset(options={"parameters": {name: value}})`` sets them."""

    @property
    def parameter_ranges(self) -> Mapping[str, tuple[float, float]]:
        """The uncertainty set: lowest and highest value of each parameter."""


@runtime_checkable
class Controlled(Protocol):
    """An environment that brings along controllers made by hand, to stand beside agents."""

    @property
    def controllers(self) -> Mapping[str, Any]:
        """The controllers by name, each a :class:`agentgym.contracts.agent.Player`."""


@runtime_checkable
class Worded(Protocol):
    """Worlds of texts that can list their words."""

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """Every word of observations and useful commands; None where they cannot be listed."""


@runtime_checkable
class TurnLimited(Protocol):
    """An environment that ends episodes by itself, after a number of turns given by its argument ``max_turns``."""

    @property
    def max_turns(self) -> int:
        """Turns after which an episode is truncated."""


@runtime_checkable
class Demonstrating(Protocol):
    """A batch that shows expert episodes."""

    def demonstrations(self, seeds: Iterable[int], expert: str, random_share: float) -> Iterator[Any]:
        """One episode a seed, by an expert of which a share of the commands is replaced by random ones."""


@runtime_checkable
class Drawn(Protocol):
    """An environment that can be drawn: ``metadata["render_modes"]`` lists how, ``render_mode`` is what it does."""

    metadata: dict[str, Any]
    render_mode: str | None


@runtime_checkable
class Generated(Protocol):
    """An environment whose worlds are drawn from a split of all worlds of a size."""

    @property
    def split(self) -> str:
        """What it draws from: "train", "seen" or "unseen"."""

    @property
    def dials(self) -> Mapping[str, Any]:
        """What the size is made of, each an argument of the environment too; empty where there is none."""


@runtime_checkable
class LaidOut(Protocol):
    """An environment, or a batch, in which several agents act."""

    @property
    def agent_windows(self) -> np.ndarray:
        """int64 [A, F]; the entries of the flattened observation that each agent sees."""


@runtime_checkable
class Mirrored(Protocol):
    """An environment, or a batch, of several agents that knows what an agent would see in the mirrored world."""

    @property
    def agent_mirror(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Indices and signs, [F] each, of an agent's own observation; None where there is no mirror."""


@runtime_checkable
class Convecting(Protocol):
    """An environment of a convection cell."""

    @property
    def cell(self) -> Any:
        """The cell as it was asked for: ``rayleigh``, ``prandtl``, ``columns``, ``seen_heaters`` and so on."""


@runtime_checkable
class Adapter(Protocol):
    """A Stable-Baselines3 ``VecEnv`` around a Gymnasium ``VectorEnv``."""

    env: Any


def controllers_of(env: Any) -> Mapping[str, Any]:
    """The controllers that an environment brings along, by name; most bring none."""
    base = env.unwrapped
    return base.controllers if isinstance(base, Controlled) else {}
