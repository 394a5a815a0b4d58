"""Reading a study from plain values, such as those of a TOML file, with errors that know their place."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from agentgym.contracts.settings import from_settings, whole_number
from agentgym.errors import InvalidParameter, UnknownId
from agentgym.seeding import LARGEST_SEED
from agentgym.study.places import at, known_name
from agentgym.study.schema import AgentSpec, Column, Curves, EnvSpec, Protocol, Question, Study, TableSpec

__all__ = ["seeds_of", "study_of"]


def study_of(name: str, values: Mapping[str, Any], folder: Path = Path()) -> Study:
    """Build a study from plain values, such as those of a TOML file.

    Raises:
        AskError: a key or name is unknown, a value has the wrong type, or a grid is empty. Its ``path`` attribute
            leads to the value.
    """
    known = [each.name for each in dataclasses.fields(Study) if each.init and each.name not in ("name", "folder")]
    for key in values:
        with at(key):
            if key not in known:
                raise UnknownId("setting of a study", key, known)
    made: dict[str, Any] = dict(values)
    for key, kind in (("agents", AgentSpec), ("envs", EnvSpec), ("questions", Question)):
        made[key] = _by_key(kind, values.get(key, {}), key)
    made["groups"] = _groups(values.get("groups", {}))
    for key, one in (("protocol", Protocol), ("curves", Curves)):
        made[key] = _build(one, values.get(key, {}), (key,))
    made["tables"] = tuple(_table(each, i) for i, each in enumerate(_listed(values.get("tables", ()), "tables")))
    with at("seeds"):
        made["seeds"] = seeds_of(values.get("seeds", Study.seeds))
    _check_fields(Study, {k: made[k] for k in values if get_type_hints(Study)[k] in (str, int)}, "a study", ())
    with at("tune"):
        _require_table(made.get("tune", {}), "tune")
    return _completed(Study(name=name, folder=Path(folder), **made))


def _completed(given: Study) -> Study:
    """Expand grids, fill in what is left out, and check that names lead somewhere."""
    for key, what in (("agents", "an agent"), ("envs", "an environment")):
        with at(key):
            if not getattr(given, key):
                raise InvalidParameter(f"A study needs {what} at least: [{key}.NAME].")
    agents, agent_variants = _expanded(given.agents, "agents", "config")
    envs, env_variants = _expanded(given.envs, "envs", "env_kwargs")
    groups = {**{key: tuple(names) for key, names in agent_variants.items()}, **given.groups}
    study = dataclasses.replace(
        given, agents=agents, envs=envs, groups=groups, title=given.title or given.name,
        questions=given.questions or {"all": Question(title="All agents and environments")},
    )  # fmt: skip
    object.__setattr__(study, "env_variants", env_variants)
    pairs = [*agent_variants.items(), *env_variants.items()]
    object.__setattr__(study, "written", {new: key for key, names in pairs for new in names})
    for group, members in given.groups.items():
        for index, member in enumerate(members):
            with at("groups", group, index):
                known_name("agent", member, [*agents, *groups])
    for key, spec in given.agents.items():
        with at("agents", study.written.get(key, key), "start"):
            if spec.start:
                known_name("agent", spec.start, list(agents))
    with at("baseline"):
        known_name("agent", given.baseline, ["", *agents])
    for key, question in study.questions.items():
        for name in question.changes:
            with at("questions", key, "for", name):
                known_name("agent", name, [*agents, *groups])
        with at("questions", key, "baseline"):
            known_name("agent", question.baseline, ["", *agents])
    for index, table in enumerate(given.tables):
        with at("tables", index, "question"):
            known_name("question", table.question, ["", *study.questions])
        for place, agent in enumerate(table.agents):
            with at("tables", index, "agents", place):
                known_name("agent", agent, [*agents, *groups])
    return study


def seeds_of(given: Any) -> tuple[int, ...]:
    """Seeds from a list or from a text such as "0-4" or "0-2,10".

    Raises:
        InvalidParameter: it is neither, a seed is out of range or appears twice, or there is none.
    """
    if isinstance(given, str):
        found: list[Any] = []
        for part in given.split(","):
            ends = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
            if not ends:
                raise InvalidParameter(f'seeds is {given!r}; it must be a list, or a text like "0-4" or "0-2,10".')
            found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
        given = found
    if not isinstance(given, list | tuple):
        raise InvalidParameter(f'seeds is {given!r}; it must be a list, or a text like "0-4" or "0-2,10".')
    if not given:
        raise InvalidParameter("seeds is empty: a study needs one at least.")
    seeds = tuple(whole_number("seeds", seed, 0, LARGEST_SEED) for seed in given)
    if len(set(seeds)) < len(seeds):
        raise InvalidParameter(f"A seed appears twice in {list(seeds)}.")
    return seeds


Spec = TypeVar("Spec")
LEAST = {"episodes": 1, "seed": 0, "suite_episodes": 0, "steps": 0, "num_envs": 1, "every": 0, "checkpoint_every": 0}


def _by_key(kind: type[Spec], values: Any, name: str) -> dict[str, Spec]:
    with at(name):
        _require_table(values, name)
    return {key: each if isinstance(each, kind) else _build(kind, each, (name, key)) for key, each in values.items()}


def _build(kind: type[Spec], values: Any, path: tuple[str | int, ...]) -> Spec:
    """A specification from a table of values."""
    if isinstance(values, kind):
        return values
    what = ".".join(map(str, path))
    with at(*path):
        _require_table(values, what)
    if kind is Question and "for" in values:
        values = {("changes" if key == "for" else key): value for key, value in values.items()}
    _check_fields(kind, values, what, path)
    made = from_settings(kind, values, what)
    if isinstance(made, Question):
        _check_question(made, path)
    if isinstance(made, EnvSpec) and made.reference and len(made.reference) != 2:
        with at(*path, "reference"):
            raise InvalidParameter("reference has two scores: those that count as 0 and as 1.")
    return made


def _check_fields(kind: type, values: Mapping[str, Any], what: str, path: tuple[str | int, ...]) -> None:
    """Check names and types, one by one, so that an error knows its place."""
    hints = get_type_hints(kind)
    known = [each.name for each in dataclasses.fields(kind) if each.init]
    for key, value in values.items():
        with at(*path, "for" if key == "changes" else key):
            if key not in known:
                raise UnknownId(f"setting of {what}", str(key), known)
            if get_origin(hints[key]) is dict:
                _require_table(value, key)
            elif kind is not Study:
                from_settings(kind, {key: value}, what)
            elif hints[key] is not type(value):
                raise InvalidParameter(f"{key} is {value!r}; it must be a {hints[key].__name__}.")
            if key in LEAST and hints[key] is int:
                whole_number(key, value, LEAST[key])
            if key == "grid":
                _check_grid(value)
            if key == "perturbations" and not all(isinstance(each, dict) and "type" in each for each in value):
                raise InvalidParameter(f"perturbations is {value!r}; each must be a table with a type.")
            if key in ("judge", "made_by", "pictures") and value and not re.fullmatch(r"[\w.]+:\w+", value):
                raise InvalidParameter(f"{key} is {value!r}; it must be module:function.")


def _check_question(question: Question, path: tuple[str | int, ...]) -> None:
    with at(*path, "seeds"):
        object.__setattr__(question, "seeds", seeds_of(question.seeds) if question.seeds != () else ())
    _build(Protocol, question.protocol, (*path, "protocol"))
    typed = from_settings(Protocol, question.protocol, "protocol")
    object.__setattr__(question, "protocol", {name: getattr(typed, name) for name in question.protocol})
    for key, change in question.changes.items():
        with at(*path, "for", key):
            _require_table(change, key)
            for name, value in change.items():
                with at(name):
                    if name not in ("steps", "config"):
                        raise UnknownId("setting", name, ["steps", "config"])
                    if name == "config":
                        _require_table(value, "config")
                    else:
                        whole_number("steps", value, 1)


def _check_grid(grid: Mapping[str, Any]) -> None:
    for key, values in grid.items():
        with at(key):
            if not isinstance(values, list | tuple) or not values:
                raise InvalidParameter(f"The grid of {key} is {values!r}; it must be a list of one value at least.")
            if any(values.count(value) > 1 for value in values):
                raise InvalidParameter(f"The grid of {key} has a value twice: {values}.")


def _groups(values: Any) -> dict[str, tuple[str, ...]]:
    with at("groups"):
        _require_table(values, "groups")
    for key, members in values.items():
        with at("groups", key):
            if not isinstance(members, list | tuple) or not members:
                raise InvalidParameter(f"The group {key} is {members!r}; it must be a list of agents.")
    return {key: tuple(members) for key, members in values.items()}


def _table(values: Any, index: int) -> TableSpec:
    made = _build(TableSpec, values, ("tables", index))
    listed = _listed(made.columns, "columns")
    columns = tuple(_build(Column, each, ("tables", index, "columns", i)) for i, each in enumerate(listed))
    return dataclasses.replace(made, columns=columns)


def _listed(values: Any, name: str) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        with at(name):
            raise InvalidParameter(f"{name} is {values!r}; it must be a list of tables.")
    return values


def _require_table(value: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise InvalidParameter(f"{name} is {value!r}; it must be a table of keys and values.")


def _expanded(specs: dict[str, Any], name: str, into: str) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Specifications with one for every combination of a grid, and the keys of these by the key of the grid."""
    found: dict[str, Any] = {}
    variants: dict[str, list[str]] = {}
    for key, spec in specs.items():
        for values in itertools.product(*spec.grid.values()):
            chosen = dict(zip(spec.grid, values, strict=True))
            given = " ".join(f"{field}={_short(value)}" for field, value in chosen.items())
            new, label = (f"{text} {given}".strip() for text in (key, spec.name or key))
            with at(name, key):
                if new in found:
                    raise InvalidParameter(f"There are two {name} named {new!r}.")
            if chosen:
                variants.setdefault(key, []).append(new)
                label = label if spec.name or key != new else ""
            changes = {into: {**getattr(spec, into), **chosen}, "grid": {}, "name": label if chosen else spec.name}
            if isinstance(spec, AgentSpec) and not (spec.agent or spec.controller or spec.made_by):
                changes["agent"] = key
            found[new] = dataclasses.replace(spec, **changes)
            if isinstance(spec, EnvSpec) and not (spec.env or spec.dataset):
                from agentgym.data.recipe import is_recipe

                found[new] = dataclasses.replace(found[new], **{"dataset" if is_recipe(key) else "env": key})
    return found, variants


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
