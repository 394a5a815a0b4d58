"""The effects: STORI's types of stochasticity, each a small dataclass with a seeded generator of its own.

An effect's configuration is a plain dictionary, ``{"type": "RandomAction", "probability": 0.3}``. ``per`` says when a
number is drawn: "frame" before every emulated frame, "decision" once for all frames of a decision.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import Range, check_settings, from_settings
from agentgym.envs.atari.emulator import HEIGHT, WIDTH, Emulator
from agentgym.envs.atari.events import Event, Ram
from agentgym.envs.atari.games import table_of
from agentgym.errors import InvalidParameter, UnknownId

__all__ = [
    "EFFECTS", "Actor", "Blackout", "Crop", "Drift", "Effect", "Happening", "HideObjects", "Mask", "RandomAction",
    "RandomEvent", "StickyAction", "effect_from_config",
]  # fmt: skip

Per = Literal["frame", "decision"]
PROBABILITY = {"probability": Range(0, 1)}
LUMINANCE = (0.2989, 0.5870, 0.1140)  # of ale-py's grey screen


class Live:
    """An effect in one game: its configuration and the generator of the episode."""

    generator: np.random.Generator

    def __init__(self, effect: Any) -> None:
        self.effect, self.per, self.probability = effect, effect.per, effect.probability

    def begin(self, generator: np.random.Generator, ram: Ram) -> None:
        """Start an episode."""
        self.generator = generator

    def drawn(self) -> bool:
        """Draw whether the effect takes place."""
        return bool(self.generator.random() < self.probability)


class Actor(Live):
    """Replaces actions."""

    def act(self, action: int) -> int:
        """The action to execute instead of ``action``; indices of the minimal action set."""
        raise NotImplementedError


class Happening(Live):
    """A random event of the game."""

    def __init__(self, effect: "RandomEvent", event: Event) -> None:
        super().__init__(effect)
        self.event = event

    def begin(self, generator: np.random.Generator, ram: Ram) -> None:
        """Start an episode."""
        super().begin(generator, ram)
        self.event.begin(ram)

    def after(self, emulator: Emulator, before: Ram, after: Ram, action: int) -> tuple[bool, bool]:
        """Let the event happen or not. Returns whether it could have happened, and whether it did."""
        if not self.event.possible(before, after, action):
            return False, False
        if not self.drawn():
            return True, False
        self.event.happen(emulator, before, after, self.generator)
        return True, True


class Mask(Live):
    """Hides a part of the observation.

    Attributes:
        objects: names of the objects that are hidden by RAM, instead of painting over.
    """

    objects: tuple[str, ...] = ()

    def paint(self, picture: NDArray[np.uint8]) -> None:
        """Paint over a screen, uint8 [210, 160] or [210, 160, 3], in place."""


class Effect(ABC):
    """Base of effects.

    Attributes:
        kind: STORI's number of the type.
        ranges: allowed ranges of numeric fields.
    """

    kind: ClassVar[str]
    ranges: ClassVar[dict[str, Range]] = PROBABILITY
    per: Per
    probability: float

    def __post_init__(self) -> None:
        check_settings(self, self.ranges, f"effect {type(self).__name__}")

    @abstractmethod
    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """The effect for one game.

        Args:
            game: name of the ROM.
            actions: size of the minimal action set.
            pictures: whether observations are pictures, not RAM.

        Raises:
            InvalidParameter, UnknownId: the effect does not apply to this game.
        """

    def config(self) -> dict[str, Any]:
        """The configuration as plain values; :func:`effect_from_config` is the inverse."""
        return {"type": type(self).__name__, **{f.name: getattr(self, f.name) for f in fields(self)}}  # type: ignore[arg-type]


class _Random(Actor):
    effect: "RandomAction"

    def __init__(self, effect: "RandomAction", actions: int) -> None:
        super().__init__(effect)
        self.actions = actions

    def act(self, action: int) -> int:
        return int(self.generator.integers(self.actions)) if self.drawn() else action


@dataclass(frozen=True)
class RandomAction(Effect):
    """Type 1: the executed action is sometimes a uniformly random one.

    Args:
        probability: of replacing the action.
        actions: the random action is one of the first ``actions`` of the minimal set; None for all.
        per: when to draw.
    """

    kind = "1"
    ranges: ClassVar[dict[str, Range]] = {**PROBABILITY, "actions": Range(1)}

    probability: float = 0.3
    actions: int | None = None
    per: Per = "frame"

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        if (self.actions or 0) > actions:
            raise InvalidParameter(f"actions of RandomAction is {self.actions}, but {game} has only {actions}.")
        return _Random(self, self.actions or actions)


class _Sticky(Actor):
    def begin(self, generator: np.random.Generator, ram: Ram) -> None:
        super().begin(generator, ram)
        self.last = 0

    def act(self, action: int) -> int:
        if not self.drawn():
            self.last = action
        return self.last


@dataclass(frozen=True)
class StickyAction(Effect):
    """Sticky actions (Machado et al. 2018): the last executed action is sometimes repeated. No type of STORI's.

    Args:
        probability: of repeating.
        per: when to draw.
    """

    kind = "1"

    probability: float = 0.25
    per: Per = "frame"

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        return _Sticky(self)


@dataclass(frozen=True)
class RandomEvent(Effect):
    """Type 2.1: a random event of the game. Breakout, Boxing, Gopher and Bank Heist have three or four each.

    Args:
        mode: the published number of the event; see the card.
        probability: of the event whenever it is possible.
        per: whether it is possible, and drawn, after every frame or after every decision.
    """

    kind = "2.1"
    ranges: ClassVar[dict[str, Range]] = {**PROBABILITY, "mode": Range(1)}

    mode: int = 1
    probability: float = 0.25
    per: Per = "frame"

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        events = table_of(game, "A random event (type 2.1)").events
        if self.mode not in events:
            told = "; ".join(f"{mode}: {' '.join((one.__doc__ or '').split())}" for mode, one in events.items())
            raise InvalidParameter(f"{game} has no event {self.mode}. There are {told}")
        return Happening(self, events[self.mode]())


class _Painted(Mask):
    def __init__(self, effect: Any, patches: Sequence[Any]) -> None:
        super().__init__(effect)
        self.places = [
            (slice(p.y0, p.y1 + 1), slice(p.x0, p.x1 + 1),
             np.array(p.colour, np.uint8), round(sum(map(lambda w, c: w * c, LUMINANCE, p.colour))))
            for p in patches
        ]  # fmt: skip

    def paint(self, picture: NDArray[np.uint8]) -> None:
        for rows, columns, colour, grey in self.places:
            picture[rows, columns] = grey if picture.ndim == 2 else colour


@dataclass(frozen=True)
class Blackout(Effect):
    """Type 3.2: regions of the screen are painted over. Breakout, Boxing, Gopher and Bank Heist have named regions.

    Args:
        regions: names of regions.
        probability: of painting.
        per: "decision": one draw per observation, after pooling, so that a region is hidden with this probability.
            "frame": one draw per emulated frame, before the maximum of the last two frames is taken, as published; a
            region is hidden if both were drawn.
    """

    kind = "3.2"

    regions: tuple[str, ...] = ()
    probability: float = 1.0
    per: Per = "decision"

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        _require_pictures(self, pictures)
        known = table_of(game, "A blackout of named regions").regions
        chosen = _chosen("region", self.regions, known, game)
        return _Painted(self, [patch for name in chosen for patch in known[name]])


class _Circle(Mask):
    effect: "Crop"

    def begin(self, generator: np.random.Generator, ram: Ram) -> None:
        super().begin(generator, ram)
        self.moves = True

    def drawn(self) -> bool:
        self.centre = self.generator.integers(HEIGHT), self.generator.integers(WIDTH)
        return super().drawn()

    def paint(self, picture: NDArray[np.uint8]) -> None:
        y, x = self.centre
        rows, columns = np.ogrid[-y : HEIGHT - y, -x : WIDTH - x]
        picture[rows * rows + columns * columns > self.effect.radius**2] = 0


class _Half(Mask):
    PLACES: ClassVar[dict[str, tuple[slice, slice]]] = {
        "left": (slice(None), slice(0, WIDTH // 2)), "right": (slice(None), slice(WIDTH // 2, None)),
        "top": (slice(0, HEIGHT // 2), slice(None)), "bottom": (slice(HEIGHT // 2, None), slice(None)),
    }  # fmt: skip

    def paint(self, picture: NDArray[np.uint8]) -> None:
        picture[self.PLACES[self.effect.part]] = 0


@dataclass(frozen=True)
class Crop(Effect):
    """Type 3.2: half of the screen, or all outside a moving circle, is black. For every game.

    Args:
        part: "left", "right", "top" or "bottom" is black; "circle": everything outside a circle around a uniformly
            random pixel is.
        probability: of cropping.
        radius: of the circle, in pixels of the 210 x 160 screen.
        per: as for :class:`Blackout`. With "frame", the last two circles are both seen.
    """

    kind = "3.2"
    ranges: ClassVar[dict[str, Range]] = {**PROBABILITY, "radius": Range(1)}

    part: Literal["left", "right", "top", "bottom", "circle"] = "circle"
    probability: float = 1.0
    radius: float = 75.0
    per: Per = "decision"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part == "circle" and self.radius >= math.hypot(HEIGHT, WIDTH):
            raise InvalidParameter(
                f"The screen of {HEIGHT} x {WIDTH} pixels is too small for a crop to a circle of radius "
                f"{self.radius:g}: nothing would be hidden. The published radius is 75."
            )

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        _require_pictures(self, pictures)
        return _Circle(self) if self.part == "circle" else _Half(self)


class _Hidden(Mask):
    def __init__(self, effect: Any, objects: tuple[str, ...]) -> None:
        super().__init__(effect)
        self.objects = objects


@dataclass(frozen=True)
class HideObjects(Effect):
    """Type 3.2: objects are missing from the observation, by RAM. Breakout, Boxing, Gopher and Bank Heist.

    A picture is made by emulating the same frame twice: once from a copy of the state in which the objects are erased,
    for the picture, and once from the true state, to go on. In observations of RAM the entries of the objects are 0.

    Args:
        objects: names of objects; in observations of RAM also of single labels.
        probability: of hiding.
        per: as for :class:`Blackout`.
    """

    kind = "3.2"

    objects: tuple[str, ...] = ()
    probability: float = 1.0
    per: Per = "decision"

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """As :meth:`Effect.live`."""
        table = table_of(game, "Hiding objects (type 3.2 by RAM)")
        if pictures:
            return _Hidden(self, _chosen("object", self.objects, table.objects, game))
        if self.per == "frame":
            raise InvalidParameter('An observation of RAM is made once a decision: per must be "decision".')
        labels = {label.name: label for label in table.labels}
        chosen = _chosen("object or label", self.objects, {**table.objects, **labels}, game)
        for name in chosen:
            if name in table.objects and not table.objects[name].labels:
                raise InvalidParameter(f"The object {name!r} of {game} has no labels that could be hidden in RAM.")
        return _Hidden(self, chosen)


@dataclass(frozen=True)
class Drift(Effect):
    """Type 2.2: concept drift. Each concept is a list of effects; one concept is active at a time.

    The clock counts decisions and starts anew with every episode, in the first concept.

    Args:
        concepts: for each concept the configurations of its effects; an empty list for the unchanged game.
        schedule: "sudden": the next concept after every ``period`` decisions, until the last, which stays. "cyclic":
            the first follows the last. "gradual": as sudden, but over ``width`` decisions the next concept takes over
            with a probability that grows linearly, drawn at each decision.
        period: decisions of a concept.
        width: length of a gradual change, at most ``period``.
    """

    kind = "2.2"
    ranges: ClassVar[dict[str, Range]] = {"period": Range(1), "width": Range(1)}

    concepts: tuple[Any, ...] = ((), ())
    schedule: Literal["sudden", "cyclic", "gradual"] = "sudden"
    period: int = 300
    width: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.concepts) < 2:
            raise InvalidParameter(f"A drift needs at least two concepts, not {len(self.concepts)}.")
        if self.schedule == "gradual" and self.width > self.period:
            raise InvalidParameter(f"The width of a gradual drift, {self.width}, exceeds its period, {self.period}.")
        parsed = tuple(tuple(effect_from_config(one) for one in _as_list(concept)) for concept in self.concepts)
        if any(isinstance(effect, Drift) for concept in parsed for effect in concept):
            raise InvalidParameter("A concept of a drift cannot be a drift: give the outer one more concepts.")
        object.__setattr__(self, "parsed", parsed)

    parsed: ClassVar[tuple[tuple[Effect, ...], ...]]

    def live(self, game: str, actions: int, pictures: bool) -> Live:
        """Not used: the effects of the concepts are live."""
        raise NotImplementedError

    def concept(self, decision: int, generator: np.random.Generator) -> int:
        """The concept at a decision, counted from 0."""
        last = len(self.concepts) - 1
        number, since = divmod(decision, self.period)
        if self.schedule == "cyclic":
            return number % (last + 1)
        if self.schedule == "gradual" and 0 < number <= last and since < self.width:
            number -= int(generator.random() >= (since + 1) / (self.width + 1))
        return min(number, last)

    def config(self) -> dict[str, Any]:
        """As :meth:`Effect.config`."""
        return {
            "type": "Drift", "schedule": self.schedule, "period": self.period, "width": self.width,
            "concepts": [[effect.config() for effect in concept] for concept in self.parsed],
        }  # fmt: skip


EFFECTS: dict[str, type[Effect]] = {
    effect.__name__: effect for effect in (RandomAction, StickyAction, RandomEvent, Drift, Crop, Blackout, HideObjects)
}


def effect_from_config(config: Any) -> Effect:
    """Make an effect from its configuration. An effect is returned as it is.

    Raises:
        UnknownId: there is no such effect or setting.
        InvalidParameter, NonFinite: a setting is not allowed.
    """
    if isinstance(config, Effect):
        return config
    if not isinstance(config, Mapping) or "type" not in config:
        raise InvalidParameter(f'An effect is {{"type": ..., "probability": ...}}, not {config!r}.')
    name = str(config["type"])
    if name not in EFFECTS:
        raise UnknownId("effect of Atari games", name, EFFECTS)
    values = {str(key): value for key, value in config.items() if key != "type"}
    return from_settings(EFFECTS[name], values, f"effect {name}")


def _as_list(concept: Any) -> Sequence[Any]:
    return concept if isinstance(concept, list | tuple) else [concept]


def _chosen(what: str, names: tuple[str, ...], known: Mapping[str, Any], game: str) -> tuple[str, ...]:
    if not names:
        raise InvalidParameter(f"Choose at least one {what} of {game}: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise UnknownId(f"{what} of {game}", name, known)
    return names


def _require_pictures(effect: Effect, pictures: bool) -> None:
    if not pictures:
        raise InvalidParameter(
            f"{type(effect).__name__} paints over pictures, and the observations are RAM. Use HideObjects, or "
            'observation="pixels".'
        )
