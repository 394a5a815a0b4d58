"""What a study is: typed tables with the same fields in Python and in a file (:mod:`agentgym.study.file`)."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from agentgym.contracts.settings import from_settings, whole_number
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.seeding import LARGEST_SEED

__all__ = [
    "AgentSpec", "Column", "EnvSpec", "Protocol", "Question", "Study", "TableSpec", "at", "path_of", "seeds_of",
]  # fmt: skip

Statistic = Literal["iqm", "mean"]


@dataclass(frozen=True)
class AgentSpec:
    """An agent of a study.

    Attributes:
        agent: its name in the catalog; by default the key in ``agents``.
        name: how it is called in tables; by default the key.
        preset: preset of hyperparameters.
        config: hyperparameters that differ from the preset or the defaults.
        grid: values to try, by hyperparameter; every combination becomes an agent of its own, KEY FIELD=VALUE.
        env_kwargs: keyword arguments of the environment for this agent only.
        start: another agent of the study; training begins with its final weights of the same seed and environment.
        controller: a hand-made controller of the environment, which is only evaluated.
        made_by: ``module:function`` that makes the agent instead of a training run; see ``agentgym.study.judging``.
    """

    agent: str = ""
    name: str = ""
    preset: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    controller: str = ""
    made_by: str = ""


@dataclass(frozen=True)
class EnvSpec:
    """What agents are trained on: an environment, or a dataset for offline agents.

    Attributes:
        env: Gymnasium id. If there is neither ``env`` nor ``dataset``, the key is one of the two.
        dataset: recipe or Minari id.
        name: how it is called in tables; by default the key.
        env_kwargs: keyword arguments of the environment.
        perturbations: configurations, innermost first: ``{type = "ObservationNoise", std = 0.1}``.
        grid: values to try, by keyword argument; every combination becomes an environment of its own.
        num_envs: environments stepped in parallel in training.
        steps: environment steps of a run, or gradient steps for offline agents; 0: those of the question.
        reference: scores that count as 0 and 1 where environments are put together, so the second is the better one;
            by default the worst and the best score of the question's runs.
    """

    env: str = ""
    dataset: str = ""
    name: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    perturbations: tuple[dict[str, Any], ...] = ()
    grid: dict[str, list[Any]] = field(default_factory=dict)
    num_envs: int = 1
    steps: int = 0
    reference: tuple[float, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """How the final policy of a run is judged.

    Attributes:
        episodes: episodes in the environment of the training, perturbations included.
        seed: root of the episodes' seeds, the same for all runs.
        policy: "mode", "samples", or both. The measures of samples begin with ``sampled_``.
        suites: robustness suites, which vary the environment without the training's perturbations.
        suite_episodes: episodes per condition of the suites; 0: as ``episodes``.
        judge: ``module:function`` that judges instead; see ``agentgym.study.judging``.
        score: the measure that is the score, of the case ``case``.
        case: the case whose measure is the score; a judge may give several cases.
        better: which scores are better.
        statistic: how the scores of several seeds are put together.
    """

    episodes: int = 10
    seed: int = 0
    policy: tuple[Literal["mode", "samples"], ...] = ("mode",)
    suites: tuple[str, ...] = ()
    suite_episodes: int = 0
    judge: str = ""
    score: str = "return"
    case: str = ""
    better: Literal["higher", "lower"] = "higher"
    statistic: Statistic = "iqm"


@dataclass(frozen=True)
class Curves:
    """Which metrics of a run become its learning curves.

    Attributes:
        metrics: keys of metrics.csv by the name of the curve; by default the mean return of training episodes, or of
            evaluations during training for offline agents. The first is drawn on the page.
        every: number of logged values that one point is the mean of; 0: so many that a run has at most 100 points.
        labels: what is written at the axes, by the name of the curve.
        better: which values of the first curve are better; by default as for the score if the curve has its name,
            otherwise "higher".
    """

    metrics: dict[str, str] = field(default_factory=dict)
    every: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    better: Literal["", "higher", "lower"] = ""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        measure: the measure; by default the score.
        head: the heading; by default the name of the measure.
        case: the case that it is taken from; by default that of the table.
        show: "interval" (value and 95 % interval), "value", "range" (least and greatest run), "count" (runs), or
            "difference" (from the baseline, in pairs of runs with equal seeds).
        statistic: by default that of the protocol.
        digits: a format such as ``.3f`` or ``.4g``.
        scale: factor before formatting.
        unit: appended to the value.
    """

    measure: str = ""
    head: str = ""
    case: str = ""
    show: Literal["interval", "value", "range", "count", "difference"] = "interval"
    statistic: Literal["", "iqm", "mean"] = ""
    digits: str = ".4g"
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True)
class TableSpec:
    """A table of the documentation.

    Attributes:
        title: heading; "" continues the one before.
        question: the question whose rows it shows; by default the first one.
        about: a paragraph above the table.
        layout: "matrix" (a line an environment, a column an agent) or "list" (a line an environment and agent).
        case: the case that is shown, unless a column names another.
        columns: of a list; of a matrix only the first, for the format.
        agents: the agents, in the order of the lines or columns; by default those of the question.
        env_head, agent_head: headings; without ``env_head`` a list has no column for environments.
        env_note: a measure of the environment that stands behind its name.
        settings: whether steps and settings of the agents are listed above the table.
    """

    title: str = ""
    question: str = ""
    about: str = ""
    layout: Literal["matrix", "list"] = "list"
    case: str = ""
    columns: tuple[Any, ...] = (Column(),)
    agents: tuple[str, ...] = ()
    env_head: str = ""
    agent_head: str = "agent"
    env_note: str = ""
    settings: bool = False


@dataclass(frozen=True)
class Question:
    """Some agents on some environments; a study has one or several.

    Attributes:
        title: heading in tables and on the page; by default the key.
        about: a paragraph below it.
        agents: keys of agents and of groups; by default all agents.
        envs: keys of environments; by default all.
        cells: further pairs, ``{agent = "sac", env = "Hopper-v5"}``; the only ones if agents and envs are not given.
        steps: steps of a run; 0: those of the environment, then of the study.
        seeds: by default those of the study.
        config: hyperparameters of all its agents; those that an agent sets itself stay.
        changes: ``steps`` and ``config`` by agent or group, which go before all others (in a file: ``for``).
        protocol: fields that differ from the study's protocol.
        baseline: the agent that the others are compared with; by default that of the study.
    """

    title: str = ""
    about: str = ""
    agents: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    cells: tuple[dict[str, Any], ...] = ()
    steps: int = 0
    seeds: Any = ()
    config: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    baseline: str = ""


@dataclass(frozen=True)
class Study:
    """A study: agents x environments x seeds under one protocol.

    Attributes:
        name: names its folder; in a file, the file's name.
        title: heading.
        about: the protocol in words, Markdown.
        agents, envs: by key.
        groups: names for several agents.
        questions: by key; by default one with all agents and environments.
        seeds: a list, or a text such as "0-4" or "0-2,10".
        steps: steps of a run where neither question nor environment say.
        device: "cpu", "cuda" or "auto". Every run has one thread.
        checkpoint_every: steps between checkpoints.
        protocol, curves, tables: see their classes.
        baseline: the agent that the others are compared with.
        rows: the file of rows, relative to the study's file; by default in the folder of the runs.
        pictures: ``module:function`` that draws further pictures for the documentation.
        tune: what ``agentgym tune`` reads.
        folder: where modules named in the file are looked for.
    """

    name: str
    title: str = ""
    about: str = ""
    agents: dict[str, AgentSpec] = field(default_factory=dict)
    envs: dict[str, EnvSpec] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 0
    device: str = "cpu"
    checkpoint_every: int = 5_000
    protocol: Protocol = field(default_factory=Protocol)
    curves: Curves = field(default_factory=Curves)
    tables: tuple[TableSpec, ...] = ()
    baseline: str = ""
    rows: str = ""
    pictures: str = ""
    tune: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    env_variants: Mapping[str, Sequence[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    written: Mapping[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)  # keys before grids

    @classmethod
    def of(cls, name: str, values: Mapping[str, Any], folder: Path = Path()) -> "Study":
        """Build a study from plain values, such as those of a TOML file.

        Raises:
            AskError: a key or name is unknown, a value has the wrong type, or a grid is empty. Its ``path`` attribute
                leads to the value.
        """
        known = [each.name for each in dataclasses.fields(cls) if each.init and each.name not in ("name", "folder")]
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
            made["seeds"] = seeds_of(values.get("seeds", cls.seeds))
        _check_fields(cls, {k: made[k] for k in values if get_type_hints(cls)[k] in (str, int)}, "a study", ())
        with at("tune"):
            _require_table(made.get("tune", {}), "tune")
        study = cls(name=name, folder=Path(folder), **made)
        return study._complete()

    def _complete(self) -> "Study":
        """Expand grids, fill in what is left out, and check that names lead somewhere."""
        for key, what in (("agents", "an agent"), ("envs", "an environment")):
            with at(key):
                if not getattr(self, key):
                    raise InvalidParameter(f"A study needs {what} at least: [{key}.NAME].")
        agents, agent_variants = _expanded(self.agents, "agents", "config")
        envs, env_variants = _expanded(self.envs, "envs", "env_kwargs")
        groups = {**{key: tuple(names) for key, names in agent_variants.items()}, **self.groups}
        study = dataclasses.replace(
            self, agents=agents, envs=envs, groups=groups, title=self.title or self.name,
            questions=self.questions or {"all": Question(title="All agents and environments")},
        )  # fmt: skip
        object.__setattr__(study, "env_variants", env_variants)
        pairs = [*agent_variants.items(), *env_variants.items()]
        object.__setattr__(study, "written", {new: key for key, names in pairs for new in names})
        for group, members in self.groups.items():
            for index, member in enumerate(members):
                with at("groups", group, index):
                    known_name("agent", member, [*agents, *groups])
        for key, spec in self.agents.items():
            with at("agents", study.written.get(key, key), "start"):
                if spec.start:
                    known_name("agent", spec.start, list(agents))
        with at("baseline"):
            known_name("agent", self.baseline, ["", *agents])
        for key, question in study.questions.items():
            for name in question.changes:
                with at("questions", key, "for", name):
                    known_name("agent", name, [*agents, *groups])
            with at("questions", key, "baseline"):
                known_name("agent", question.baseline, ["", *agents])
        for index, table in enumerate(self.tables):
            with at("tables", index, "question"):
                known_name("question", table.question, ["", *study.questions])
            for place, agent in enumerate(table.agents):
                with at("tables", index, "agents", place):
                    known_name("agent", agent, [*agents, *groups])
        return study

    def protocol_of(self, question: str) -> Protocol:
        """The protocol of one question."""
        own = self.questions[question].protocol
        return dataclasses.replace(self.protocol, **own)

    def baseline_of(self, question: str) -> str:
        """The agent that the others of a question are compared with; "" if there is none."""
        return self.questions[question].baseline or self.baseline

    def label(self, agent: str) -> str:
        """The name of an agent in tables."""
        return self.agents[agent].name or agent

    def env_label(self, env: str) -> str:
        """The name of an environment in tables."""
        return self.envs[env].name or env

    def agents_in(self, names: Sequence[str]) -> list[str]:
        """The agents of these names, groups replaced by their members."""
        found: list[str] = []
        for name in names:
            found += [name] if name in self.agents else self.agents_in(self.groups[name])
        return found


@contextmanager
def at(*path: str | int) -> Iterator[None]:
    """Tell errors where in the study the value stands."""
    try:
        yield
    except AskError as error:
        error.path = (*path, *path_of(error))  # type: ignore[attr-defined]
        raise


def path_of(error: AskError) -> tuple[str | int, ...]:
    """The keys that lead to the value an error is about."""
    return getattr(error, "path", ())


def known_name(what: str, name: Any, known: Sequence[str]) -> None:
    """Refuse a name that is not among the known ones.

    Raises:
        UnknownId: it is not; the message gives the nearest.
    """
    if name not in known:
        raise UnknownId(f"{what} of this study", str(name), [each for each in known if each])


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


# Plain values into classes

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
