"""Settings of a game, and the 24 published settings of STORI by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentgym.contracts.settings import Range, check_settings, field_names
from agentgym.envs.atari.effects import effect_from_config
from agentgym.envs.atari.emulator import game_id
from agentgym.envs.atari.events import Modification
from agentgym.envs.atari.games import GAMES, modifications_of
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["STORI", "Settings", "settings", "types_of"]

Config = Mapping[str, Any]

_RANDOM: Config = {"type": "RandomAction", "probability": 0.3}


def _drift(schedule: str, period: int, *other: Config) -> Config:
    return {"type": "Drift", "schedule": schedule, "period": period, "concepts": [[], list(other)]}


_BREAKOUT_BALL: Config = {"type": "Blackout", "regions": ["ball-top", "ball-bottom"]}
_BOXING_ENEMY: Config = {"type": "HideObjects", "objects": ["enemy"], "probability": 0.7}
_GOPHER_TUNNELS: Config = {"type": "Blackout", "regions": ["underground-offset"]}
_CITY_BLOCKS: Config = {"type": "HideObjects", "objects": ["blocks"], "probability": 0.75}

STORI: dict[str, dict[str, tuple[Config, ...]]] = {
    "breakout": {
        "1": (_RANDOM,),
        "2.1": ({"type": "RandomEvent", "mode": 2, "probability": 0.25},),
        "2.2": (_drift("sudden", 300, _BREAKOUT_BALL),),
        "3.1": (),
        "3.2A": (_BREAKOUT_BALL,),
        "3.2B": ({"type": "Crop", "part": "left", "probability": 0.75},),
        "3.2C": ({"type": "Crop", "part": "circle"},),
    },
    "boxing": {
        "1": (_RANDOM,),
        "2.1": ({"type": "RandomEvent", "mode": 1, "probability": 0.001},),
        "2.2": (_drift("sudden", 300, _BOXING_ENEMY),),
        "3.1": (),
        "3.2A": ({"type": "Blackout", "regions": ["enemy-score", "player-score", "clock"]},),
        "3.2B": ({"type": "Crop", "part": "right", "probability": 0.75},),
        "3.2C": (_BOXING_ENEMY,),
    },
    "gopher": {
        "1": (_RANDOM,),
        "2.1": ({"type": "RandomEvent", "mode": 2, "probability": 0.3},),
        "2.2": (_drift("cyclic", 600, _GOPHER_TUNNELS),),
        "3.1": (),
        "3.2": (_GOPHER_TUNNELS,),
    },
    "bank_heist": {
        "1": ({**_RANDOM, "actions": 10},),
        "2.1": ({"type": "RandomEvent", "mode": 3, "probability": 0.001},),
        "2.2": (_drift("cyclic", 600, _CITY_BLOCKS),),
        "3.1": (),
        "3.2": (_CITY_BLOCKS,),
    },
}  # fmt: skip
"""Effects of the published settings, by ROM and name (Exp_configs.json of STORI)."""


def _missing(*objects: str, probability: float) -> Config:
    return {"type": "HideObjects", "objects": list(objects), "probability": probability}


_MISSING_IN_RAM: dict[str, Config] = {
    "breakout": _missing("ball", probability=0.5),
    "boxing": _missing("enemy", probability=0.7),
    "gopher": _missing("gopher x", "gopher height", probability=0.7),
    "bank_heist": _missing(*(f"slot {n} {what}" for n in range(3) for what in ("x", "y", "kind")), probability=0.75),
}
_OTHER_GAMES: dict[str, tuple[Config, ...]] = {
    "1": (_RANDOM,),
    "2.2": (_drift("sudden", 300, {"type": "Crop", "part": "circle"}),),
    "3.2": ({"type": "Crop", "part": "circle"},),
}


def types_of(game: str, observation: str) -> dict[str, tuple[Config, ...]]:
    """Effects of each type of stochasticity for one game, by name, in STORI's strength where it has one.

    For observations of RAM, hidden coordinates take the place of masks; these are ours. Games that STORI does not have
    get the types that need no table.
    """
    if game not in STORI:
        return _OTHER_GAMES
    published = {name: effects for name, effects in STORI[game].items() if effects}
    if observation != "ram":
        return published
    hidden = _MISSING_IN_RAM[game]
    drift = {**STORI[game]["2.2"][0], "concepts": [[], [hidden]]}
    return {"1": published["1"], "2.1": published["2.1"], "2.2": (drift,), "3.2": (hidden,)}


@dataclass(frozen=True)
class Settings:
    """Everything that makes an Atari environment.

    Attributes:
        game: name of the game, "BankHeist" or "bank_heist".
        setting: name of a published setting, such as "3.2A"; its effects come before ``effects``. "0" is the
            observation of RAM without effects.
        effects: configurations of effects, see :mod:`agentgym.envs.atari.effects`; objects once the settings are made.
        modifications: names of modifications of the game, or objects of a subclass of
            :class:`agentgym.envs.atari.events.Modification`.
        observation: "pixels": grey and resized, uint8 [stack, size, size]. "rgb": the screen, uint8 [210, 160, 3].
            "ram": the labelled RAM, float32 [stack * F].
        stack: decisions in one observation; by default 4 for pixels, 2 for RAM, 1 for RGB.
        padding: what stands before the first observation of an episode in a stack: "zeros" (as SB3's VecFrameStack and
            ale-py's AtariVectorEnv) or "first", the first observation repeated (as Gymnasium's FrameStackObservation).
        preprocessing: "gymnasium": maximum over grey screens; "sb3": over colour screens, then OpenCV's grey.
        size: height and width of pixels.
        frame_skip: emulated frames of a decision; the picture is the maximum of the last two.
        noop_max: at reset, 1 to this many frames without action; 0 for none.
        fire_reset: at reset, fire where the game has that action: for one frame, or with preprocessing "sb3" for one
            decision and then the third action for another one.
        fire_lives: the decision after a lost life is FIRE, whatever was chosen, where the game has that action. Without
            it Breakout waits for the player's FIRE until the time limit.
        max_frames: time limit in emulated frames, without those of the reset.
        mode, difficulty: switches of the game; None for its defaults.
        unmasked: put the observation without masks in ``info["unmasked"]``.
    """

    game: str = "breakout"
    setting: str = ""
    effects: tuple[Any, ...] = ()
    modifications: tuple[Any, ...] = ()
    observation: Literal["pixels", "rgb", "ram"] = "pixels"
    stack: int | None = None
    padding: Literal["zeros", "first"] = "zeros"
    preprocessing: Literal["gymnasium", "sb3"] = "gymnasium"
    size: int = 84
    frame_skip: int = 4
    noop_max: int = 30
    fire_reset: bool = True
    fire_lives: bool = True
    max_frames: int = 108_000
    mode: int | None = None
    difficulty: int | None = None
    unmasked: bool = False

    def __post_init__(self) -> None:
        ranges = {
            "stack": Range(1, 64), "size": Range(8, 512), "frame_skip": Range(1, 64), "noop_max": Range(0, 1000),
            "max_frames": Range(1),
        }  # fmt: skip
        check_settings(self, ranges, "the Atari environment")
        change = object.__setattr__
        change(self, "game", game_id(self.game))
        published = STORI.get(self.game, {})
        if self.setting == "0":
            change(self, "observation", "ram")
        elif self.setting and self.setting not in published:
            if not published:
                raise InvalidParameter(f"STORI has no setting for {self.game}, only for {', '.join(GAMES)}.")
            raise UnknownId(f"setting of {self.game}", self.setting, ["0", *published])
        if self.max_frames < self.frame_skip:
            raise InvalidParameter(f"max_frames is {self.max_frames}, less than one decision of {self.frame_skip}.")
        if self.observation == "rgb" and (self.stack or 1) > 1:
            raise InvalidParameter(f'A screen in colour is not stacked: stack is {self.stack} with observation="rgb".')
        if self.stack is None:
            change(self, "stack", {"pixels": 4, "rgb": 1, "ram": 2}[self.observation])
        parsed = tuple(effect_from_config(each) for each in (*published.get(self.setting, ()), *self.effects))
        change(self, "effects", parsed)
        for each in self.modifications:
            if not isinstance(each, Modification) and each not in (known := modifications_of(self.game)):
                raise UnknownId(f"modification of {self.game}", str(each), known)

    @property
    def max_decisions(self) -> int:
        """The time limit in decisions."""
        return self.max_frames // self.frame_skip


def settings(**given: Any) -> Settings:
    """Make settings from keyword arguments.

    Raises:
        UnknownId: there is no such game, setting, effect or modification.
        InvalidParameter, NonFinite: a value is not allowed.
    """
    known = field_names(Settings)
    for name in given:
        if name not in known:
            raise UnknownId("setting of Atari environments", name, known)
    return Settings(**given)
