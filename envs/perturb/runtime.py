"""Execution of a stack of effects on a batch of worlds: their order, when they fire, and which have fired."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.envs.perturb.base import Perturbation, SignalPerturbation
from agentgym.envs.perturb.draws import Draws
from agentgym.envs.perturb.dynamics import DynamicsPerturbation
from agentgym.envs.perturb.signal import ALL, REWARD, Array, Signal, Where, Worlds
from agentgym.seeding import entropy, stream

__all__ = ["Runtime", "names_of"]


def names_of(types: Sequence[str]) -> list[str]:
    """The name of each effect of a stack in ``info``: its type, numbered from the second of its type on."""
    counts = [types[: place + 1].count(kind) for place, kind in enumerate(types)]
    return [kind if count == 1 else f"{kind}_{count}" for kind, count in zip(types, counts, strict=True)]


class _Link:
    """One effect of the stack, with its name, stream, firing rule and process."""

    def __init__(self, effect: SignalPerturbation, name: str, position: int, signal: Signal, worlds: int) -> None:
        self.name = name
        self.changes = effect.changes
        self.process = effect.process(signal, worlds)
        self._effect, self._position, self._worlds = effect, position, worlds
        self.timed = (effect.start, effect.stop, effect.every) != (0, None, 1)
        self.always = not self.timed and effect.probability == 1.0
        self.chance = Draws(worlds, (), lambda generator, rows: generator.random(rows))

    def reseed(self, world: int, seed: int) -> None:
        key = ("perturb", type(self._effect).__name__, self._position)
        if self.process.draws:
            self.process.reseed(world, stream(seed, *key))
        if 0.0 < self._effect.probability < 1.0:
            self.chance.reseed(world, stream(seed, *key, "fires"))

    def fires(self, time: Array, worlds: Worlds) -> Where:
        """In which of the selected worlds the effect fires; ``time`` [N] is the event of each of all worlds."""
        rule = self._effect
        if rule.probability == 0.0:
            return False
        due = self._due(time[worlds]) if self.timed else True
        if rule.probability == 1.0:
            return due
        drawn = self.chance.take(worlds)
        if self._worlds == 1:
            return due and drawn.item() < rule.probability
        return (drawn < rule.probability) if due is True else due & (drawn < rule.probability)

    def _due(self, time: Array) -> Where:
        """Whether ``start``, ``stop`` and ``every`` allow the events ``time`` [M]."""
        rule = self._effect
        due = (time >= rule.start) & ((time - rule.start) % rule.every == 0)
        if rule.stop is not None:
            due &= time < rule.stop
        return bool(due[0]) if self._worlds == 1 else due


class Runtime:
    """The state of a wrapper: each effect's process, each world's streams and event counters.

    Args:
        perturbations: effects, innermost first; those on the dynamics are ignored.
        inside: types of the effects of inner wrappers, which count for positions and names.
        observation: the observation of one world.
        action: the action of one world.
        worlds: number of worlds.

    Attributes:
        seeded: in which worlds the effects have streams, i.e. which have been reset.
        ready: whether they have in all worlds.
        fired: for each effect, in which worlds it has fired since :meth:`new_step` (for one world, a bool).
        clipped: for each effect that may clip, in which worlds it has clipped since then (likewise).
        constant: for each effect on the dynamics, whether it changes them.
    """

    def __init__(
        self,
        perturbations: Sequence[Perturbation],
        inside: Sequence[str],
        observation: Signal,
        action: Signal,
        worlds: int,
    ) -> None:
        self.worlds = worlds
        self._time = np.zeros(worlds, int)
        self.seeded = np.zeros(worlds, bool)
        self.ready = False
        signals = {"observation": observation, "action": action, "reward": REWARD}
        types = [*inside, *(type(effect).__name__ for effect in perturbations)]
        names = names_of(types)[len(inside) :]
        self._links = [
            _Link(effect, name, len(inside) + place, signals[effect.changes], worlds)
            for place, (effect, name) in enumerate(zip(perturbations, names, strict=True))
            if isinstance(effect, SignalPerturbation)
        ]
        self._on_actions = [link for link in reversed(self._links) if link.changes == "action"]
        self._on_rewards = [link for link in self._links if link.changes == "reward"]
        # Effects that use the observation get it as it is at their own position in the stack.
        self._on_observations = [link for link in self._links if link.changes == "observation" or link.process.watches]
        self.constant = {
            name: effect.scale != 1.0
            for effect, name in zip(perturbations, names, strict=True)
            if isinstance(effect, DynamicsPerturbation)
        }
        self.changes_actions = bool(self._on_actions)
        self.changes_rewards = bool(self._on_rewards)
        self.watches_observations = bool(self._on_observations)
        self._timed = any(link.timed for link in self._links)
        self._no_effect: dict[str, Where] = dict.fromkeys((link.name for link in self._links), False)
        clipping = (link.name for link in self._links if link.process.clips)
        self._no_clip: dict[str, Where] = dict.fromkeys(clipping, False)
        self.fired: dict[str, Where] = {}
        self.clipped: dict[str, Where] = {}

    def get_state(self) -> dict[str, Any]:
        """The state that determines the following events, as arrays and plain JSON values."""
        links = [{"process": link.process.get_state(), "chance": link.chance.get_state()} for link in self._links]
        return {"time": self._time.copy(), "seeded": self.seeded.copy(), "links": links}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`get_state` returned."""
        self._time, self.seeded = np.array(state["time"]), np.array(state["seeded"])
        self.ready = bool(self.seeded.all())
        for link, taken in zip(self._links, state["links"], strict=True):
            link.process.set_state(taken["process"])
            link.chance.set_state(taken["chance"])

    def reseed(self, worlds: Sequence[int], seeds: Sequence[int | None]) -> None:
        """Seed worlds. None continues a world's streams, or starts them from the operating system's entropy."""
        for world, seed in zip(worlds, seeds, strict=True):
            if seed is None and self.seeded[world]:
                continue
            self.seeded[world] = True
            root = entropy() if seed is None else int(seed)
            for link in self._links:
                link.reseed(world, root)
        self.ready = bool(self.seeded.all())

    def new_step(self) -> None:
        """Clear the records of what has fired."""
        self.fired = self._no_effect.copy()
        self.clipped = self._no_clip.copy()

    @property
    def truths(self) -> dict[str, dict[str, Array]]:
        """What was drawn for the running episodes by effects that tell it, arrays [N] by the effect's name."""
        found = {link.name: link.process.truth for link in self._links}
        return {name: truth for name, truth in found.items() if truth is not None}

    def begin(self, worlds: Worlds) -> None:
        """Start new episodes in ``worlds``."""
        self._time[worlds] = 0
        for link in self._links:
            link.process.begin(worlds)

    def act(self, actions: Array, worlds: Worlds = ALL) -> Array:
        """Perturb the agent's ``actions`` [M, ...] on their way to the environment, outermost effect first."""
        for link in self._on_actions:
            actions = self._apply(link, actions, worlds)
        return actions

    def reward(self, rewards: Array, worlds: Worlds = ALL) -> Array:
        """Perturb ``rewards`` [M] on their way to the agent; float64."""
        for link in self._on_rewards:
            rewards = self._apply(link, rewards, worlds)
        return rewards

    def advance(self, worlds: Worlds = ALL) -> None:
        """Count a step of ``worlds``, if any effect's rule asks for the time."""
        if self._timed:
            self._time[worlds] += 1

    def observe(self, observations: Array, worlds: Worlds = ALL) -> Array:
        """Perturb ``observations`` [M, ...] on their way to the agent, innermost effect first."""
        for link in self._on_observations:
            if link.process.watches:
                link.process.see(observations, worlds)
            else:
                observations = self._apply(link, observations, worlds)
        return observations

    def _apply(self, link: _Link, values: Array, worlds: Worlds) -> Array:
        process = link.process
        values, fired = process(values, True if link.always else link.fires(self._time, worlds), worlds)
        if self.worlds == 1:
            self.fired[link.name] = bool(fired)
            if process.clips:
                self.clipped[link.name] = bool(process.clipped)
            return values
        self._record(self.fired, link.name, fired, worlds)
        if process.clips:
            self._record(self.clipped, link.name, process.clipped, worlds)
        return values

    def _record(self, table: dict[str, Where], name: str, flags: Where, worlds: Worlds) -> None:
        if worlds is not ALL:
            everywhere = np.full(self.worlds, table[name], bool)
            everywhere[worlds] = flags
            flags = everywhere
        table[name] = flags
