"""Perturbations of commands: renamed verbs and shuffled lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from agentgym.contracts.settings import flag
from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View
from agentgym.errors import InvalidParameter

__all__ = ["PermutedCommands", "RenamedVerbs"]


@dataclass(frozen=True, kw_only=True)
class RenamedVerbs(TextPerturbation):
    """Renames verbs of commands, both in the admissible list and in the parser: ``grab`` for ``take``.

    The verbs are drawn for every episode, with new names from ``world.synonyms``. Old and new verb are exchanged, so
    the old one is no longer a command. Observations keep their verbs.

    Args:
        rate: probability that a verb is renamed.
        told: whether the first observation explains it: "Say grab for take. ..."
    """

    longest: ClassVar[tuple[float, int]] = (1.0, 400)

    told: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "told", flag("RenamedVerbs.told", self.told))

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        synonyms = getattr(getattr(env, "world", None), "synonyms", {})
        if not synonyms:
            raise InvalidParameter(f"RenamedVerbs needs a world with synonyms of its verbs; {env} has none.")
        return _Renaming(self, synonyms)


class _Renaming(TextProcess):
    def __init__(self, settings: RenamedVerbs, synonyms: Mapping[str, str]) -> None:
        super().__init__()
        self.settings, self.synonyms = settings, synonyms
        self.exchanged: dict[str, str] = {}

    @override
    def begin(self) -> None:
        drawn = self.generator.random(len(self.synonyms)).tolist()
        pairs = [pair for pair, u in zip(self.synonyms.items(), drawn, strict=True) if u < self.settings.rate]
        self.exchanged = dict(pairs) | {new: old for old, new in pairs}
        self.pairs = pairs

    @override
    def act(self, command: str) -> str:
        self.fired |= bool(self.pairs)
        return self.inward(command)

    @override
    def see(self, view: View) -> None:
        self.fired |= bool(self.pairs)
        if "admissible_commands" in view.info:
            view.info["admissible_commands"] = [self.outward(one) for one in view.info["admissible_commands"]]
        if view.first and self.settings.told and self.pairs:
            view.text += "".join(f" Say {new} for {old}." for old, new in self.pairs)

    @override
    def outward(self, command: str) -> str:
        verb, gap, rest = command.lstrip().partition(" ")
        return self.exchanged.get(verb.lower(), verb) + gap + rest

    @override
    def inward(self, command: str) -> str:
        return self.outward(command)  # the exchange is its own inverse


@dataclass(frozen=True, kw_only=True)
class PermutedCommands(TextPerturbation):
    """Lists the admissible commands in random order.

    Args:
        rate: probability that a turn's list is shuffled.
    """

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        return _Shuffling(self.rate)


class _Shuffling(TextProcess):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @override
    def see(self, view: View) -> None:
        listed = admissible(view, "PermutedCommands")
        if self.generator.random() < self.rate:
            view.info["admissible_commands"] = [listed[n] for n in self.generator.permutation(len(listed)).tolist()]
            self.fired |= view.info["admissible_commands"] != listed


def admissible(view: View, owner: str) -> list[str]:
    """The admissible commands in an info.

    Raises:
        InvalidParameter: it has none.
    """
    if "admissible_commands" not in view.info:
        raise InvalidParameter(
            f'{owner} needs info["admissible_commands"]: make the environment without admissible=False.'
        )
    return list(view.info["admissible_commands"])
