"""What a method can be: an estimator of advantages, or a plug-in whose hooks change steps of the training loop."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from agentgym import catalog
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.trajectory import Batch
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range, check_settings, from_settings, parse_settings
from agentgym.errors import UnknownId

__all__ = ["Estimator", "Plugin", "Replay", "Terms", "find_estimator", "make_plugins"]

# Advantages of a batch, float32: [B] for whole episodes, or [B, T] for turns.
Estimator = Callable[[Batch, LanguageConfig], Tensor]


@dataclass
class Terms:
    """The terms of a surrogate loss, each [B, U].

    Attributes:
        loss: the clipped surrogate loss of each decision.
        logp, old_logp: log-probabilities under the current policy and under the one that acted.
        advantages: of each decision.
        mask: which decisions are learned from.
        clipped: which decisions have no gradient because of clipping.
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
    """Stored episodes to learn from again.

    Attributes:
        batch: the episodes, with advantages.
        weight: of their loss.
        surrogate: the plug-in whose ``surrogate`` hook changes their loss; None: no plug-in does.
    """

    batch: Batch
    weight: float
    surrogate: "Plugin | None"


@dataclass
class Plugin:
    """Base class of methods that change steps of an iteration. Subclasses override hooks; the others do nothing.

    A plug-in is a dataclass of its hyperparameters. Whatever it keeps from one iteration to the next must be in
    :meth:`state`. The hooks are listed in the order in which an iteration calls them.

    Attributes:
        numbers: metrics of the current iteration, logged as ``METHOD/KEY``; cleared when an iteration starts.
        PRESETS: settings by name, such as "paper" and "as_released".
        RANGES: valid ranges of numerical settings.
        STOP_AT_VOID: whether a turn without any command ends the episode.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}
    RANGES: ClassVar[dict[str, Range]] = {}
    STOP_AT_VOID: ClassVar[bool] = False

    numbers: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            NonFinite, InvalidParameter, UnknownId: a setting is not valid.
        """
        check_settings(self, self.RANGES, type(self).__name__)

    def begin(self, policy: Policy) -> None:
        """Called with the policy before the first iteration."""

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Change ``batch.rewards`` [B, T] in place, before advantages are computed."""

    def keep(self, batch: Batch) -> Tensor | None:
        """The decisions to learn from, bool [B, U]; None: all."""
        return None

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """Advantages [B, U] computed from the estimator's."""
        return advantages

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss of each decision [B, U] of a minibatch, before aggregation."""
        return terms.loss

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor | None:
        """A scalar to add to the loss of a minibatch; ``logp`` and ``entropy`` [B, U] have gradients. None: nothing."""
        return None

    def replay(self, iteration: int, generator: torch.Generator) -> Replay | None:
        """Stored episodes to take gradient steps on after those on the new episodes; None: no replay."""
        return None

    def finish(self, batch: Batch, iteration: int) -> None:
        """Called with the whole batch, advantages included, after all gradient steps of the iteration."""

    def state(self) -> dict[str, Any]:
        """What the plug-in keeps between iterations, as nested dictionaries and lists of arrays and plain values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""


def find_estimator(name: str) -> Estimator:
    """The advantage estimator of that name in the catalog.

    Raises:
        UnknownId: there is none; the message gives the nearest names.
    """
    estimator: Estimator = catalog.load(catalog.find("estimator", name))
    return estimator


def make_plugins(names: tuple[str, ...]) -> dict[str, Plugin]:
    """Plug-ins by name, in order, from texts of the form ``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``.

    The key ``preset`` selects one of the method's presets; other keys set single settings.

    Raises:
        UnknownId: no such method, preset or setting, or a method is given twice.
        InvalidParameter: a setting is not valid.
        AskError: a text does not have this form.
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
