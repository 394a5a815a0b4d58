"""What a method can be: a plug-in whose hooks change steps of the training loop, or an estimator of advantages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agentgym import catalog
from agentgym.agents.language.loop.config import LanguageConfig
from agentgym.agents.language.loop.rollout import Start
from agentgym.agents.language.loop.surrogate import clipped_surrogate
from agentgym.agents.language.loop.trajectory import Batch, Episode
from agentgym.agents.language.policies.policy import Policy
from agentgym.contracts.settings import Range, check_settings, from_settings, parse_settings
from agentgym.errors import InvalidParameter, UnknownId

__all__ = [
    "About", "Acting", "Estimator", "Plugin", "Replay", "Rollouts", "Terms", "find_estimator", "hooks_of",
    "make_plugins",
]  # fmt: skip


class About(NamedTuple):
    """What ``agentgym show language-methods`` prints of a method.

    Attributes:
        formula: what it computes.
        source: paper, and the code that was read.
        unknown: what of it our sources do not tell, or where they disagree.
    """

    formula: str
    source: str
    unknown: str = ""


@dataclass
class Terms:
    """The terms of a surrogate loss, each [B, U].

    Attributes:
        loss: the surrogate loss of each decision, as the plug-ins before left it.
        logp, entropy: of each decision under the current policy.
        clipped: which decisions have no gradient because of clipping. A plug-in that clips sets it.
        batch: the minibatch, with ``old_logp``, ``rollout_logp``, ``old_entropy``, ``turn``, ``choices`` and ``group``.
        settings: the agent's.
        generator: for random choices; on the CPU.
    """

    loss: Tensor
    logp: Tensor
    entropy: Tensor
    clipped: Tensor
    batch: Batch
    settings: LanguageConfig
    generator: torch.Generator | None

    @property
    def old_logp(self) -> Tensor:
        """Log-probabilities under the policy before the update."""
        return self.batch.old_logp

    @property
    def advantages(self) -> Tensor:
        """Of each decision."""
        return self.batch.advantages

    @property
    def mask(self) -> Tensor:
        """Which decisions are learned from."""
        return self.batch.mask

    def clipped_loss(self, advantages: Tensor) -> tuple[Tensor, Tensor]:
        """The clipped loss of other advantages [B, U], and which decisions clipping takes out."""
        return clipped_surrogate(self.logp, self.batch, advantages, self.settings)


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
class Acting:
    """How an iteration's first episodes are played; None: as usual.

    Attributes:
        temperature: of drawing, on top of the policy's own temperature.
        attempts: episodes of each task, at most ``group_size``.
    """

    temperature: float | None = None
    attempts: int | None = None


@dataclass
class Rollouts:
    """Further episodes that a plug-in asks for.

    Attributes:
        starts: where they start. Groups that are there already get these episodes as further members.
        temperature: of drawing, on top of the policy's own temperature.
        apart: keep them apart from the batch, as a batch of their own for :meth:`Plugin.mix`.
    """

    starts: Sequence[Start]
    temperature: float = 1.0
    apart: bool = False


@dataclass
class Plugin:
    """Base class of methods that change steps of an iteration. Subclasses override hooks; the others do nothing.

    A plug-in is a dataclass of its hyperparameters. Whatever it keeps from one iteration to the next must be in
    :meth:`state`. The hooks are listed in the order in which an iteration calls them.

    Attributes:
        numbers: metrics of the current iteration, logged as ``METHOD/KEY``; cleared when an iteration ends.
        generator: for random choices, the run's; on the CPU.
        ABOUT: for the list of methods.
        PRESETS: settings by name, such as "paper" and "as_released".
        RANGES: valid ranges of numerical settings.
        STOP_AT_VOID: whether a turn without any command ends the episode.
        REPLACES: whether ``surrogate`` computes a loss of its own instead of changing the one it is given.
    """

    ABOUT: ClassVar[About] = About("", "")
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}
    RANGES: ClassVar[dict[str, Range]] = {}
    STOP_AT_VOID: ClassVar[bool] = False
    REPLACES: ClassVar[bool] = False

    numbers: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    generator: torch.Generator | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            NonFinite, InvalidParameter, UnknownId: a setting is not valid.
        """
        check_settings(self, self.RANGES, type(self).__name__)

    def enter(self, worlds: VectorEnv) -> None:
        """Called with the batch of environments, unwrapped, when the agent gets one.

        Raises:
            InvalidParameter: the environments lack what the method needs.
        """

    def begin(self, policy: Policy) -> None:
        """Called with the policy before the first iteration."""

    def acting(self, iteration: int, settings: LanguageConfig) -> Acting | None:
        """How the iteration's first episodes are played; None: as usual."""
        return None

    def extend(
        self, iteration: int, episodes: Sequence[Episode], apart: Sequence[Episode], settings: LanguageConfig
    ) -> Rollouts | None:
        """Further episodes to play, asked again until it returns None.

        Args:
            iteration: from 0.
            episodes: what was played so far.
            apart: what was played for this plug-in's :meth:`mix`.
            settings: the agent's.
        """
        return None

    def shape_rewards(self, batch: Batch, iteration: int) -> None:
        """Change ``batch.rewards`` [B, T] in place, before advantages are computed."""

    def keep(self, batch: Batch) -> Tensor | None:
        """The decisions to learn from, bool [B, U]; None: all."""
        return None

    def modulate(self, batch: Batch, advantages: Tensor) -> Tensor:
        """Advantages [B, U] computed from the estimator's."""
        return advantages

    def mix(self, batch: Batch, apart: Batch) -> Batch:
        """The batch to learn from, from the iteration's batch and the one played apart, both with advantages."""
        return batch

    def surrogate(self, terms: Terms) -> Tensor:
        """The loss of each decision [B, U] of a minibatch, before aggregation."""
        return terms.loss

    def loss(self, batch: Batch, logp: Tensor, entropy: Tensor, iteration: int) -> Tensor | None:
        """A scalar to add to the loss of a minibatch; ``logp`` and ``entropy`` [B, U] have gradients. None: nothing."""
        return None

    def scale_gradient(self, terms: Terms) -> float | None:
        """A factor for the gradient of a minibatch's step, before it is clipped; None: no change."""
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


@dataclass
class Estimator(Plugin):
    """Base class of estimators of advantages, chosen by the setting ``advantage``.

    An estimator is a plug-in too: its hooks are called before those of the plug-ins.

    Attributes:
        PER_DECISION: whether advantages are one a decision, [B, U].
        COMPARES: whether advantages compare the episodes of a group, so that each group needs two.
    """

    PER_DECISION: ClassVar[bool] = False
    COMPARES: ClassVar[bool] = True

    def __call__(self, batch: Batch, settings: LanguageConfig, iteration: int = 0) -> Tensor:
        """Advantages, float32: [B] for whole episodes, [B, T] for turns, or [B, U] with ``PER_DECISION``."""
        raise NotImplementedError


def hooks_of(method: type[Plugin]) -> list[str]:
    """Names of the hooks that a class overrides, in the order in which an iteration calls them."""
    common = [name for name in vars(Plugin) if not name.startswith("_") and callable(getattr(Plugin, name))]
    quiet = ("state", "restore", "begin", "enter", "finish")
    found = [name for name in common if name not in quiet and getattr(method, name) is not getattr(Plugin, name)]
    return ["advantages", *found] if issubclass(method, Estimator) else found


Kind = TypeVar("Kind", bound=Plugin)


def _made(kind: str, name: str, values: dict[str, Any]) -> Any:
    """A method from the catalog with these settings; the key ``preset`` selects one of its presets."""
    own: type[Plugin] = catalog.load(catalog.find(kind, name))  # type: ignore[arg-type]
    preset = values.pop("preset", None)
    if preset is not None and str(preset) not in own.PRESETS:
        raise UnknownId(f"preset of {name}", str(preset), own.PRESETS)
    chosen = own.PRESETS[str(preset)] if preset is not None else {}
    return from_settings(own, {**chosen, **values}, name)


def find_estimator(text: str) -> Estimator:
    """The advantage estimator of a text of the form ``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``.

    Raises:
        UnknownId: there is no such estimator, preset or setting; the message gives the nearest names.
        InvalidParameter: a setting is not valid.
        AskError: the text does not have this form.
    """
    estimator: Estimator = _made("estimator", *parse_settings(text))
    return estimator


def make_plugins(names: tuple[str, ...]) -> dict[str, Plugin]:
    """Plug-ins by name, in order, from texts of the form ``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE``.

    The key ``preset`` selects one of the method's presets; other keys set single settings.

    Raises:
        UnknownId: no such method, preset or setting, or a method is given twice.
        InvalidParameter: a setting is not valid, or a method that replaces the loss follows one that changes it.
        AskError: a text does not have this form.
    """
    made: dict[str, Plugin] = {}
    changed = ""  # the last method that changes the surrogate loss
    for text in names:
        name, values = parse_settings(text)
        if name in made:
            others = {entry.id for entry in catalog.entries("method")} - {*made}
            raise UnknownId("further method", name, others)
        plugin: Plugin = _made("method", name, values)
        if plugin.REPLACES and changed:
            raise InvalidParameter(
                f"{name} replaces the loss that {changed} changes: name {name} before the others, and only one such "
                "method."
            )
        if type(plugin).surrogate is not Plugin.surrogate:
            changed = name
        made[name] = plugin
    return made
