"""The hooks through which methods change the core, and how a method is asked for by name."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from agentgym import catalog
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range, check_settings, from_settings, parse_settings
from agentgym.errors import UnknownId

__all__ = ["Plugin", "Replay", "Terms", "make_plugins"]


@dataclass
class Terms:
    """What a surrogate loss is made of, each [B, U].

    Attributes:
        loss: the clipped surrogate's, of each decision.
        logp, old_logp: log-probabilities now and when acting.
        advantages: of each decision.
        mask: which decisions count.
        clipped: where clipping took the gradient away.
        generator: for random choices; on the CPU.
    """

    loss: Tensor
    logp: Tensor
    old_logp: Tensor
    advantages: Tensor
    mask: Tensor
    clipped: Tensor
    generator: torch.Generator | None


@dataclass
class Replay:
    """Old episodes to learn from once more.

    Attributes:
        batch: with advantages.
        weight: of their loss.
        surrogate: the plug-in that changes their surrogate, in place of those of the new episodes; None: none.
    """

    batch: Batch
    weight: float
    surrogate: "Plugin | None"


@dataclass
class Plugin:
    """One method's part in an iteration. A method overrides the hooks that it changes; all others do nothing.

    A plug-in is a dataclass of its hyperparameters. What it remembers from iteration to iteration is in :meth:`state`.

    Attributes:
        numbers: of this iteration, for the log; empty at its start.
        PRESETS: named settings, "paper" and "as_released" where these differ.
        RANGES: the numbers that its settings may be.
        STOP_AT_VOID: whether a turn without any command ends the episode.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}
    RANGES: ClassVar[dict[str, Range]] = {}
    STOP_AT_VOID: ClassVar[bool] = False

    numbers: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            NonFinite, InvalidParameter, UnknownId: one of them is not what it may be.
        """
        check_settings(self, self.RANGES, type(self).__name__)

    def begin(self, policy: Policy) -> None:
        """See the policy before the first iteration."""

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Change ``batch.rewards`` before anything is computed from them."""

    def keep(self, batch: Batch) -> Tensor | None:
        """Which decisions to learn from, bool [B, U]; None: all."""
        return None

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """Other advantages [B, U] in place of the estimator's."""
        return advantages

    def surrogate(self, terms: Terms) -> Tensor:
        """Another loss of each decision [B, U]."""
        return terms.loss

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor | None:
        """A scalar to add to a minibatch's loss; ``logp`` and ``entropy`` [B, U] are differentiable."""
        return None

    def replay(self, iteration: int, generator: torch.Generator) -> Replay | None:
        """Old episodes for steps of their own after those on the new ones."""
        return None

    def finish(self, batch: Batch, iteration: int) -> None:
        """See the iteration's whole batch, with advantages, after all gradient steps."""

    def state(self) -> dict[str, Any]:
        """All that the plug-in remembers: nested dictionaries and lists of arrays and plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` gave."""


def make_plugins(names: tuple[str, ...]) -> dict[str, Plugin]:
    """Plug-ins as they are asked for, ``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``, by name and in order.

    The key ``preset`` takes one of the method's named settings; other keys change single ones.

    Raises:
        UnknownId: no such method, preset or setting, or a method stands there twice.
        InvalidParameter: a setting is not what it may be.
        AskError: a text has another form.
    """
    made: dict[str, Plugin] = {}
    for text in names:
        name, values = parse_settings(text)
        if name in made:
            others = {entry.id for entry in catalog.entries("method")} - {*made}
            raise UnknownId("further method", name, others)
        plugin_class: type[Plugin] = catalog.load(catalog.find("method", name))
        preset = values.pop("preset", None)
        if preset is not None and str(preset) not in plugin_class.PRESETS:
            raise UnknownId(f"preset of {name}", str(preset), plugin_class.PRESETS)
        chosen = plugin_class.PRESETS[str(preset)] if preset is not None else {}
        made[name] = from_settings(plugin_class, {**chosen, **values}, name)
    return made
