"""What a study is: typed tables with the same fields in Python and in a file.

:func:`agentgym.study.reading.study_of` makes one from plain values, :func:`agentgym.study.file.load_study` from a file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["AgentSpec", "Column", "Curves", "EnvSpec", "Protocol", "Question", "Study", "TableSpec"]

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
        env_kwargs: keyword arguments of the environment for this agent only. Suites are played without them, unless
            they change the spaces.
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
