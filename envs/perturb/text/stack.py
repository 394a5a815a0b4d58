"""A stack of text effects at work in one world: their order, their streams, what has fired."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Space, Text

from agentgym.envs.perturb.runtime import names_of
from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View
from agentgym.errors import InvalidAction, InvalidParameter
from agentgym.seeding import entropy, stream

__all__ = ["EffectStack", "check_command", "checked_effects", "widened"]


class EffectStack:
    """The effects between one world and its agent.

    Args:
        effects: from inside out.
        inside: types of the effects in the wrappers inside, which count for positions and names.
        env: the world's single environment without wrappers.
        under: the effects in those wrappers, at work in this world.
        true_observation: whether infos get to hold the world's own observation.
    """

    def __init__(
        self,
        effects: Sequence[TextPerturbation],
        inside: Sequence[str],
        env: Any,
        under: Sequence[TextProcess],
        true_observation: bool,
    ) -> None:
        types = [*inside, *(type(effect).__name__ for effect in effects)]
        self._names = names_of(types)[len(inside) :]
        self._keys = [("perturb", kind, place) for place, kind in enumerate(types)][len(inside) :]
        self._true_observation = true_observation
        self._under = list(under)
        self.processes: list[TextProcess] = []
        for effect in effects:
            self.processes.append(effect.process(env, [*under, *self.processes]))
        self.seeded = False

    @property
    def all_processes(self) -> list[TextProcess]:
        """Those of the wrappers inside as well, from inside out."""
        return [*self._under, *self.processes]

    def reseed(self, seed: int | None) -> None:
        """Fresh streams; None continues them, or starts some from the operating system."""
        if seed is None and self.seeded:
            return
        self.seeded = True
        root = entropy() if seed is None else int(seed)
        for process, key in zip(self.processes, self._keys, strict=True):
            process.generator = stream(root, *key)

    def begin(self, text: str, info: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A new episode's first observation and info, as the agent gets them."""
        for process in self.processes:
            process.begin()
            process.fired = False
        return self._see(View(text, dict(info), first=True))

    def act(self, command: Any) -> str:
        """What reaches the world of the agent's command.

        Raises:
            InvalidAction: it is no string.
        """
        check_command(command)
        for process in reversed(self.processes):
            process.fired = False
            command = process.act(command)
        return command

    def see(self, text: str, info: dict[str, Any], over: bool) -> tuple[str, dict[str, Any]]:
        """The observation and info after a step, as the agent gets them."""
        return self._see(View(text, dict(info), over=over))

    def outward(self, command: str) -> str:
        """How a command is said outside that is called ``command`` inside."""
        for process in self.processes:
            command = process.outward(command)
        return command

    def _see(self, view: View) -> tuple[str, dict[str, Any]]:
        if self._true_observation:
            view.info.setdefault("true_observation", view.text)
        for process in self.processes:
            process.see(view)
        fired = {name: process.fired for name, process in zip(self._names, self.processes, strict=True)}
        view.info["perturbed"] = {**view.info.get("perturbed", {}), **fired}
        return view.text, view.info


def check_command(command: Any) -> None:
    """Refuse what is no command.

    Raises:
        InvalidAction: it is no string.
    """
    if not isinstance(command, str):
        raise InvalidAction(f"An action is a command, a string, not {command!r} of type {type(command).__name__}.")


def checked_effects(effects: Sequence[Any], *its: Space[Any]) -> tuple[TextPerturbation, ...]:
    """The effects, where the environment's spaces are of texts and all effects are as well.

    Raises:
        InvalidParameter: the message names what does not fit.
    """
    for effect in effects:
        if not isinstance(effect, TextPerturbation):
            raise InvalidParameter(
                f"{type(effect).__name__} is no effect on texts: use perturb(env, ...) for both kinds."
            )
        for space in its:
            if not isinstance(space, Text):
                raise InvalidParameter(f"{type(effect).__name__} changes texts, and this environment has {space}.")
    return tuple(effects)


def widened(space: Any, effects: Sequence[TextPerturbation]) -> Text:
    """A space of texts that holds what the effects make of them: longer, with the letters that they use."""
    length: float = space.max_length
    for effect in effects:
        factor, more = effect.longest
        length = factor * length + more
    letters = set(space.characters)
    if any(effect.longest != (1.0, 0) for effect in effects):
        letters |= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,:;")
    for effect in effects:
        letters |= set(getattr(effect, "instruction", ""))
    return Text(int(np.ceil(length)), min_length=space.min_length, charset=frozenset(letters))
