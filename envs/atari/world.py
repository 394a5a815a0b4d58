"""One game: emulator, effects, preprocessing. Seed and actions determine everything that happens."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.envs.atari.effects import Actor, Drift, Effect, Happening, Live, Mask
from agentgym.envs.atari.emulator import HEIGHT, WIDTH, Emulator, cv2
from agentgym.envs.atari.events import Modification
from agentgym.envs.atari.games import modifications_of, table_of
from agentgym.envs.atari.presets import Settings
from agentgym.seeding import stream

__all__ = ["World"]

Array = NDArray[Any]
TOTALS = ("score", "replaced actions", "events", "masked")


class World:
    """One game with its effects. It shares nothing with other worlds, so that worlds can be stepped in threads.

    Args:
        setting: the settings.

    Attributes:
        emulator: the console.
        shape, dtype: of one observation.
        observation: the present observation; the array is overwritten by the next step.
        unmasked: the same without masks, of the last decision only; None unless the settings ask for it.
        lives, frames: lives now, and emulated frames since the reset.
        executed: executed actions of the last decision, int64 [frame_skip]; -1 for frames after the end.
        event, masked: whether an event happened and a mask was applied in the last decision.
        chances: number of frames or decisions of the last decision in which an event was possible.
        concept: the active concept of the first drift; 0 without one.
        totals: sums over the episode: score, frames whose action was replaced, events, and decisions with a mask.
    """

    def __init__(self, setting: Settings) -> None:
        self.setting = setting
        self.emulator = Emulator(setting.game, setting.mode, setting.difficulty)
        self.pictures = setting.observation != "ram"
        table = table_of(setting.game, "An observation of RAM (type 0)") if not self.pictures else None
        self._modifications: list[Modification] = [
            each if isinstance(each, Modification) else modifications_of(setting.game)[each]()
            for each in setting.modifications
        ]
        self._drifts = [effect for effect in setting.effects if isinstance(effect, Drift)]
        self._lives, self._gates = self._made_live(setting.effects)
        self._table = table
        hides = any(isinstance(live, Mask) and live.objects for live in self._lives)
        self._objects = table_of(setting.game, "Hiding objects").objects if hides else {}
        self._colour = setting.observation == "rgb" or setting.preprocessing == "sb3"
        self.executed = np.full(setting.frame_skip, -1, np.int64)
        meanings = self.emulator.meanings
        self._has_fire = len(meanings) > 2 and meanings[1] == "FIRE"
        self._must_fire = False
        self.lives = self.frames = self.decisions = self.chances = self.concept = 0
        self.event = self.masked = False
        self.totals = dict.fromkeys(TOTALS, 0.0)
        self._allocate()

    def _made_live(self, effects: Sequence[Effect]) -> tuple[list[Live], list[tuple[int, int] | None]]:
        """Live effects, and for those of a drift its index and the concept."""
        made: list[Live] = []
        gates: list[tuple[int, int] | None] = []
        about = self.setting.game, len(self.emulator.actions), self.pictures
        for effect in effects:
            if isinstance(effect, Drift):
                index = self._drifts.index(effect)
                for concept, members in enumerate(effect.parsed):
                    made += [member.live(*about) for member in members]
                    gates += [(index, concept)] * len(members)
            else:
                made.append(effect.live(*about))
                gates.append(None)
        return made, gates

    def _allocate(self) -> None:
        setting = self.setting
        screen = (HEIGHT, WIDTH, 3) if self._colour else (HEIGHT, WIDTH)
        self._screens = np.zeros((2, *screen), np.uint8)
        self._true_screens = np.zeros((2, *screen), np.uint8)
        self._pooled = np.zeros(screen, np.uint8)
        stack = setting.stack or 1
        part: tuple[int, ...]
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if self._table is None else np.float32)
        if self._table is not None:
            part = (len(self._table.names),)
            self.shape: tuple[int, ...] = (stack * part[0],)
        elif setting.observation == "rgb":
            part, self.shape = screen, screen
        else:
            part = (setting.size, setting.size)
            self.shape = (stack, *part)
        self._stack = np.zeros((stack, *part), self.dtype)
        self.observation = self._stack.reshape(self.shape)
        self.unmasked: Array | None = np.zeros(part, self.dtype) if setting.unmasked else None

    def bounds(self) -> tuple[Array, Array]:
        """The lowest and highest value of each entry of an observation."""
        if self._table is None:
            return np.zeros(self.shape, np.uint8), np.full(self.shape, 255, np.uint8)
        low, high = self._table.bounds()
        stack = len(self._stack)
        return np.tile(low, stack), np.tile(high, stack)

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries of the RAM; empty for pictures."""
        return () if self._table is None else self._table.names

    # An episode

    def start(self, seed: int, episode: int, chance: int = 0) -> None:
        """Start episode number ``episode`` of a seed. The start is the same for every ``chance``, the draws are not."""
        setting = self.setting
        self._switch_on()
        first = self.emulator.ram
        for number, live in enumerate(self._lives):
            live.begin(stream(seed, "effect", number, episode, chance), first)
        self._clocks = [stream(seed, "drift", number, episode, chance) for number in range(len(self._drifts))]
        self._find_active(0)
        noops = int(stream(seed, "noops", episode).integers(1, setting.noop_max + 1)) if setting.noop_max else 0
        for _ in range(noops):
            self._unseen_frame(0)
        fires = setting.fire_reset and self._has_fire
        if fires and setting.preprocessing == "sb3":
            for action in (1, 2):
                self._decide(action)
                if self.emulator.over:
                    self._switch_on()
        else:
            if fires:
                self._unseen_frame(1)
            hidden, painters = self._drawn("decision")
            more, more_painters = self._drawn("frame")
            self.masked = bool(hidden or painters or more or more_painters)
            self._capture(0, hidden + more, more_painters)
            self._write(1, hidden, painters)
        self._pad()
        self.lives, self.decisions, self.frames, self.chances, self.event = self.emulator.ale.lives(), 0, 0, 0, False
        self.executed[:] = -1
        self._must_fire = False
        self.totals = dict.fromkeys(TOTALS, 0.0)

    def step(self, action: int) -> tuple[float, bool]:
        """Take one decision. Returns the unclipped reward and whether the game is over."""
        if self._drifts:
            self._find_active(self.decisions)
        action = 1 if self._must_fire else action
        reward = self._decide(action)
        self.decisions += 1
        before, self.lives = self.lives, self.emulator.ale.lives()
        self._must_fire = self.setting.fire_lives and self._has_fire and self.lives < before
        self.totals["score"] += reward
        if self._actors:
            self.totals["replaced actions"] += sum(each not in (action, -1) for each in self.executed.tolist())
        self.totals["events"] += self.event
        self.totals["masked"] += self.masked
        return reward, self.emulator.over

    def _switch_on(self) -> None:
        self.emulator.reset()
        for each in self._modifications:
            each.begin(self.emulator)

    def _find_active(self, decision: int) -> None:
        """The effects of the concepts that are active in this decision."""
        concepts = [
            drift.concept(decision, clock) for drift, clock in zip(self._drifts, self._clocks, strict=True)
        ]  # fmt: skip
        self.concept = concepts[0] if concepts else 0
        active = [
            live for live, gate in zip(self._lives, self._gates, strict=True)
            if gate is None or concepts[gate[0]] == gate[1]
        ]  # fmt: skip
        self._actors = [live for live in active if isinstance(live, Actor)]
        self._frame_actors = [live for live in self._actors if live.per == "frame"]
        self._events = [live for live in active if isinstance(live, Happening)]
        masks = [live for live in active if isinstance(live, Mask)]
        self._masks = {per: [live for live in masks if live.per == per] for per in ("frame", "decision")}

    def _drawn(self, per: str) -> tuple[list[str], list[Mask]]:
        """Draw the masks of a frame or decision: names of hidden objects, and masks that paint."""
        hidden: list[str] = []
        painters: list[Mask] = []
        for mask in self._masks[per]:
            if mask.drawn():
                hidden += mask.objects
                if not mask.objects:
                    painters.append(mask)
        return hidden, painters

    def _decide(self, action: int) -> float:
        """Emulate the frames of a decision and write its observation."""
        ale, skip = self.emulator.ale, self.setting.frame_skip
        watched = bool(self._events or self._modifications)
        for actor in self._actors:
            action = actor.act(action) if actor.per == "decision" else action
        hidden, painters = self._drawn("decision")
        before_all = self.emulator.ram if self._events else None
        self.masked, self.event, self.chances, reward, count = bool(hidden or painters), False, 0, 0.0, 0
        executed = [-1] * skip
        more: list[str] = []
        more_painters: list[Mask] = []
        for frame in range(skip):
            chosen = action
            for actor in self._frame_actors:
                chosen = actor.act(chosen)
            if self._masks["frame"]:
                more, more_painters = self._drawn("frame")
            shown = self.pictures and frame >= skip - 2
            if shown and (hidden or more):
                self._hide(count, hidden + more, chosen)
            before = self.emulator.ram if watched else None
            gain = float(self.emulator.act(chosen))
            if before is not None:
                gain = self._after_frame(before, chosen, gain)
            reward += gain
            executed[frame] = chosen
            self.frames += 1
            if shown:
                self._capture(count, hidden + more, more_painters, already_hidden=True)
                count += 1
                self.masked |= bool(more or more_painters)
            if ale.game_over(with_truncation=False):
                if self.pictures and not shown:
                    self._capture(0, hidden + more, more_painters)
                    count = 1
                break
        for event in self._events:
            if event.per == "decision":
                reward = self._ask(event, before_all, self.emulator.ram, chosen, reward)
        self.executed[:] = executed
        self._write(count, hidden, painters)
        return reward

    def _after_frame(self, before: Array, action: int, gain: float) -> float:
        """Let events and modifications change the game after a frame. Returns the reward that is left."""
        for event in self._events:
            if event.per == "frame":
                gain = self._ask(event, before, self.emulator.ram, action, gain)
            event.event.frame(self.emulator, self.emulator.ram)
        for each in self._modifications:
            each.frame(self.emulator, before, self.emulator.ram)
        return gain

    def _ask(self, event: Happening, before: Any, after: Array, action: int, gain: float) -> float:
        possible, happened = event.after(self.emulator, before, after, action)
        self.chances += possible
        self.event |= happened
        return 0.0 if happened and event.event.takes_reward else gain

    def _unseen_frame(self, action: int) -> None:
        """A frame of the reset."""
        before = self.emulator.ram
        self.emulator.act(action)
        for each in self._modifications:
            each.frame(self.emulator, before, self.emulator.ram)
        if self.emulator.over:
            self._switch_on()

    # Observations

    def _screen(self, into: Array) -> None:
        if self._colour:
            self.emulator.ale.getScreenRGB(into)
        else:
            self.emulator.ale.getScreenGrayscale(into)

    def _hide(self, place: int, objects: list[str], action: int) -> None:
        """Show the frame that ``action`` leads to without some objects, and return to the present state."""
        emulator = self.emulator
        state = emulator.ale.cloneState()
        ram = emulator.ram
        for name in objects:
            emulator.poke(self._objects[name].active(ram))
        emulator.act(action)
        self._screen(self._screens[place])
        emulator.ale.restoreState(state)

    def _capture(self, place: int, objects: list[str], painters: list[Mask], already_hidden: bool = False) -> None:
        """Keep the present screen, with its masks, as one of the last two.

        At a reset, and when the game ends before the last two frames of a decision, objects are hidden by one frame
        without action from the present state, because the last frame cannot be emulated again.
        """
        if not self.pictures:
            return
        if self.unmasked is not None:
            self._screen(self._true_screens[place])
        if objects and not already_hidden:
            self._hide(place, objects, 0)
        elif not objects:
            self._screen(self._screens[place])
        for mask in painters:
            mask.paint(self._screens[place])

    def _write(self, count: int, hidden: list[str], painters: list[Mask]) -> None:
        """Push the observation of a decision, made of the last ``count`` screens, onto the stack."""
        self._stack[:-1] = self._stack[1:]
        if self._table is not None:
            values = self._table.read(self.emulator.ram)
            if self.unmasked is not None:
                self.unmasked[:] = values
            if hidden:
                values[self._table.entries_of(tuple(hidden))] = 0.0
            self._stack[-1] = values
            return
        picture = self._pool(self._screens, count)
        for mask in painters:
            mask.paint(picture)
        self._shrink(picture, self._stack[-1])
        if self.unmasked is not None:
            self._shrink(self._pool(self._true_screens, count), self.unmasked)

    def _pool(self, screens: Array, count: int) -> Array:
        """The maximum of the last screens. The result may be painted over."""
        if count == 1:
            self._pooled[:] = screens[0]
            return self._pooled
        np.maximum(screens[0], screens[1], out=self._pooled)
        return self._pooled

    def _shrink(self, picture: Array, into: Array) -> None:
        if self.setting.observation == "rgb":
            into[:] = picture
            return
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if self._colour else picture
        cv2.resize(grey, (self.setting.size, self.setting.size), dst=into, interpolation=cv2.INTER_AREA)

    def _pad(self) -> None:
        """Fill the stack before the first observation."""
        self._stack[:-1] = self._stack[-1] if self.setting.padding == "first" else 0
