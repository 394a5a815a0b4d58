"""The suite of text environments: words, commands, objects, tools, instructions, episode length and worlds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from gymnasium.spaces import Text

from agentgym.contracts.environment import Generated, TurnLimited
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import make_env, perturbed

__all__ = ["TextSuite"]

PARTS = ("words", "commands", "objects", "tools", "instructions", "length", "worlds")

# Intensities double, so that a curve shows the intensity at which an agent breaks.
PARAPHRASED = (0.25, 0.5, 1.0)
MISTYPED = (0.05, 0.1, 0.2, 0.4)
RENAMED = (0.25, 0.5, 1.0)
FAILURES = (0.1, 0.2, 0.4)
TIMEOUTS = (0.05, 0.1, 0.2)  # each time-out costs three turns
INJECTED = (0.1, 0.2, 0.4)
MORE = (2, 4, 8)  # additional receptacles or items compared with training
DISTRACTORS = (20, 40, 80)  # additional articles
TURNS = (0.75, 0.5)  # of the nominal limit, rounded down
LARGER = 3  # number of sizes above the nominal one

# From small to large; each environment defines what a size consists of.
SIZES = {
    "rooms": ("tiny", "small", "medium", "large", "flat", "house", "manor"),  # households
    "hops": ("small", "medium", "large"),  # archives
}
Effect = dict[str, Any]


@dataclass(frozen=True)
class TextSuite(Suite):
    """Reworded texts, other verbs, shuffled lists, more objects, failing tools, injections, longer tasks, new worlds.

    Conditions that an environment has no setting for are left out and listed in the results. Episodes also have
    measures (columns of rows.csv and of the report's table of all conditions): success, turns, invalid turns, regret
    relative to the plan if it is known, and the number of injected instructions followed. The condition "not shown"
    draws the same injections without showing them: what an agent "follows" there it would have done anyway.

    Args:
        parts: any of words, commands, objects, tools, instructions, length and worlds.
    """

    name: ClassVar[str] = "text"

    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            if part not in PARTS:
                raise UnknownId("part of text", part, PARTS)
        require_once("parts of text", self.parts)

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, by part and from mild to severe."""
        if not isinstance(subject.probe.observation_space, Text):
            raise AskError(
                f"The suite text needs a text environment, and {subject.env} is none: use --env agentgym/Household-v0, "
                "or another suite."
            )
        return [condition for condition in self._listed(subject) if not _refused(condition, subject)]

    def left_out(self, subject: Subject) -> dict[str, str]:
        """Conditions that do not apply to this environment, with the reason."""
        reasons = {condition.name: _refused(condition, subject) for condition in self._listed(subject)}
        refused = {name: reason for name, reason in reasons.items() if reason}
        if not _dials(subject):
            none = f"{subject.env} has no dial for it"
            refused |= {name: none for part, name in _DIALS.items() if part in self.parts}
        return refused

    def _listed(self, subject: Subject) -> Iterator[Condition]:
        for part in self.parts:
            yield from _PARTS[part](subject)


def _words(subject: Subject) -> Iterator[Condition]:
    yield from _curve(subject, "Words", "paraphrase (rate a sentence)", PARAPHRASED, {"type": "Paraphrase"})
    yield from _curve(subject, "Words", "typos (rate a word)", MISTYPED, {"type": "Typos"})


def _commands(subject: Subject) -> Iterator[Condition]:
    yield from _curve(subject, "Commands", "renamed verbs (rate a verb)", RENAMED, {"type": "RenamedVerbs"})
    told = {"type": "RenamedVerbs", "told": True}
    yield from _curve(subject, "Commands", "renamed verbs, told (rate a verb)", RENAMED, told)
    yield from _curve(subject, "Commands", "shuffled lists (rate a turn)", (0.5, 1.0), {"type": "PermutedCommands"})


def _objects(subject: Subject) -> Iterator[Condition]:
    for dial, steps in (("items", MORE), ("receptacles", MORE), ("distractors", DISTRACTORS)):
        nominal = _dials(subject).get(dial)
        if nominal is not None:
            for value in (nominal + step for step in steps):
                yield _changed(subject, "Objects", f"{dial} (number)", value, **{dial: value})


def _tools(subject: Subject) -> Iterator[Condition]:
    yield from _curve(subject, "Tools", "failures (rate a command)", FAILURES, {"type": "ToolFailure"})
    yield from _curve(subject, "Tools", "time-outs (rate a command)", TIMEOUTS, {"type": "ToolTimeout"})


def _instructions(subject: Subject) -> Iterator[Condition]:
    shown, hidden = {"type": "InjectedInstruction"}, {"type": "InjectedInstruction", "shown": False}
    yield from _curve(subject, "Instructions", "injected (rate a turn)", INJECTED, shown)
    yield from _curve(subject, "Instructions", "injected, not shown (rate a turn)", INJECTED, hidden)


def _length(subject: Subject) -> Iterator[Condition]:
    for share in TURNS:
        world = subject.probe.unwrapped
        turns = int(share * world.max_turns) if isinstance(world, TurnLimited) else 0
        if turns:
            yield _changed(subject, "Length", "turns allowed (share)", share, max_turns=turns)
    if (hops := _dials(subject).get("hops")) is not None:
        for more in range(hops + 1, 5):
            yield _changed(subject, "Length", "articles to read", more, hops=more)
    for size in _larger(subject):
        scene = Scene("Length", "larger worlds", "matrix", {"test": size})
        yield _condition(subject, f"size: {size}", scene, size=size)


def _worlds(subject: Subject) -> Iterator[Condition]:
    world = subject.probe.unwrapped
    nominal = world.split if isinstance(world, Generated) else None
    for split in ("train", "seen", "unseen") if nominal is not None else ():
        if split != nominal:
            scene = Scene("Worlds", "split", "matrix", {"test": split})
            yield _condition(subject, f"split: {split}", scene, split=split)


_PARTS = {
    "words": _words, "commands": _commands, "objects": _objects, "tools": _tools, "instructions": _instructions,
    "length": _length, "worlds": _worlds,
}  # fmt: skip
_DIALS = {"objects": "more objects", "length": "larger worlds"}


def _dials(subject: Subject) -> Mapping[str, Any]:
    """The nominal values of the settings of the environment's size; empty if there are none."""
    world = subject.probe.unwrapped
    return world.dials if isinstance(world, Generated) else {}


def _larger(subject: Subject) -> Sequence[str]:
    """The next sizes after the nominal one."""
    for dial, sizes in SIZES.items():
        if dial in _dials(subject):
            nominal = subject.env_kwargs.get("size", "small")
            return sizes[sizes.index(nominal) + 1 :][:LARGER]
    return ()


def _refused(condition: Condition, subject: Subject) -> str:
    """Why a condition does not apply to the environment; empty if it does."""
    try:
        if condition.perturbations:
            perturbed(subject.probe, condition.perturbations)
        elif condition.env_kwargs != subject.env_kwargs:
            make_env(condition.env, dict(condition.env_kwargs)).close()
    except (InvalidParameter, AskError) as refusal:
        return str(refusal)
    return ""


def _condition(subject: Subject, name: str, scene: Scene, **settings: Any) -> Condition:
    return Condition(name, scene, subject.env, {**subject.env_kwargs, **settings})


def _changed(subject: Subject, tab: str, panel: str, value: float, **settings: Any) -> Condition:
    scene = Scene(tab, panel, "curve", {"intensity": float(value)})
    return _condition(subject, f"{panel} {value:g}", scene, **settings)


def _curve(subject: Subject, tab: str, panel: str, rates: Sequence[float], effect: Effect) -> Iterator[Condition]:
    for rate in rates:
        scene = Scene(tab, panel, "curve", {"intensity": rate})
        yield subject.condition(f"{panel} {rate:g}", scene, perturbations=({**effect, "rate": rate},))
