"""The tables of a study in Markdown, with its failures and where its rows come from."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agentgym.stats import Estimate
from agentgym.study.cells import UNSEEDED
from agentgym.study.rows import origin
from agentgym.study.runner import Results
from agentgym.study.schema import Column, Study, TableSpec
from agentgym.study.scores import Scores, estimate, paired

__all__ = ["as_markdown", "origins", "tables"]

MIXED = "†"  # behind a value whose runs were made by different versions
MIXED_NOTE = f"{MIXED} Runs made by different versions are put together here: see Provenance."


def as_markdown(results: Results, folder: Path, pictures: Sequence[str] = ()) -> str:
    """The page of the documentation in a folder: protocol, pictures, tables, failures, provenance."""
    study, scores = results.study, Scores(results)
    command = f"agentgym study table {study.folder.name}/{study.name}.toml --docs {folder}"
    rows = os.path.relpath(results.rows.path, folder)
    parts = [f"# {study.title}\n"]
    parts += [f"Written by `{command}`; the raw rows are in [{results.rows.path.name}]({rows}). Do not edit by hand.\n"]
    parts += [f"{study.about.strip()}\n"] if study.about else []
    parts += [f"![Learning curves]({picture})\n" for picture in pictures]
    body = tables(study, scores)
    parts += [body, *([f"{MIXED_NOTE}\n"] if MIXED in body else [])]
    failed = [f"- {study.label(row['agent'])}, {study.env_label(row['env'])}, seed {row['seed']}: {row['error']}"
              for row in results.rows.rows if row["error"]]  # fmt: skip
    parts += ["## Failed runs\n", "\n".join(failed) or "None.", "\n## Provenance\n", *origins(results)]
    return "\n".join(parts) + "\n"


def tables(study: Study, scores: Scores) -> str:
    """All tables; those of a study that names none are lists of scores, one a question."""
    given = study.tables or tuple(_default(study, key) for key in study.questions)
    parts: list[str] = []
    for spec in given:
        question = spec.question or next(iter(study.questions))
        lines = list((_matrix if spec.layout == "matrix" else _list)(spec, question, scores))
        if len(lines) < 3:
            continue
        parts.append(f"## {spec.title or study.questions[question].title or question}\n")
        about = [study.questions[question].about, spec.about, _settings(question, scores) if spec.settings else ""]
        parts += [f"{text.strip()}\n" for text in about if text]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts) or "There are no rows yet.\n"


def _default(study: Study, question: str) -> TableSpec:
    columns = [Column(show="count", head="runs"), Column()]
    columns += [Column(show="difference", head="against the baseline")] if study.baseline_of(question) else []
    return TableSpec(question=question, env_head="environment", columns=tuple(columns))


def _agents(spec: TableSpec, question: str, scores: Scores) -> list[str]:
    there = scores.agents(question)
    wanted = scores.results.study.agents_in(spec.agents) if spec.agents else there
    return [agent for agent in wanted if agent in there]


def _matrix(spec: TableSpec, question: str, scores: Scores) -> Iterator[str]:
    """One line an environment, one column an agent."""
    study, agents = scores.results.study, _agents(spec, question, scores)
    yield f"| {spec.env_head or 'environment'} | steps | {' | '.join(study.label(agent) for agent in agents)} |"
    yield "|---" * (len(agents) + 2) + "|"
    for env in scores.envs(question):
        plans = [json.loads(row["plan"]) for agent in agents for row in scores.rows(question, agent, env)]
        steps = sorted({plan["steps"] for plan in plans if "steps" in plan})
        cells = [_in_matrix(scores, question, agent, env, spec) for agent in agents]
        yield f"| {study.env_label(env)} | {', '.join(f'{n:,}' for n in steps)} | {' | '.join(cells)} |"


def _in_matrix(scores: Scores, question: str, agent: str, env: str, spec: TableSpec) -> str:
    column = spec.columns[0]
    failed, count = scores.failed(question, agent, env), len(_values(scores, question, agent, env, spec, column))
    lost = f", {failed} failed" if failed else ""
    return f"{_cell(scores, question, agent, env, spec, column)}, n = {count}{lost}" if count else f"no run{lost}"


def _list(spec: TableSpec, question: str, scores: Scores) -> Iterator[str]:
    """One line an environment and agent, the columns of the specification."""
    study, protocol = scores.results.study, scores.results.study.protocol_of(question)
    heads = [column.head or column.measure or protocol.score for column in spec.columns]
    heads = [*([spec.env_head] if spec.env_head else []), spec.agent_head, *heads]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for env in scores.envs(question):
        first = True
        for agent in _agents(spec, question, scores):
            cells = [_cell(scores, question, agent, env, spec, column) for column in spec.columns]
            if not any(cells):
                continue
            about = [_env(scores, question, agent, env, spec) if first else ""] if spec.env_head else []
            yield f"| {' | '.join([*about, study.label(agent), *cells])} |"
            first = False


def _env(scores: Scores, question: str, agent: str, env: str, spec: TableSpec) -> str:
    label = f"`{scores.results.study.env_label(env)}`"
    if not spec.env_note:
        return label
    noted = scores.of(question, agent, env, spec.env_note, spec.case or None)
    return f"{label}, {spec.env_note.replace('_', ' ')} {next(iter(noted.values())):.4g}" if noted else label


def _values(
    scores: Scores, question: str, agent: str, env: str, spec: TableSpec, column: Column
) -> dict[int, float]:  # fmt: skip
    return scores.of(question, agent, env, column.measure, column.case or spec.case or None)


def _cell(scores: Scores, question: str, agent: str, env: str, spec: TableSpec, column: Column) -> str:
    """One value of a table; "" where there is none."""
    values = _values(scores, question, agent, env, spec, column)
    study = scores.results.study
    if column.show == "count":
        return "" if UNSEEDED in values else str(len(values) or "")
    if column.show == "difference":
        baseline, own = study.baseline_of(question), study.agents[agent]
        if agent == baseline or own.controller or own.made_by:
            return ""
        values = paired(values, _values(scores, question, baseline, env, spec, column))
    if not values:
        return ""
    if column.show == "range":
        ends = min(values.values()), max(values.values())
        return ", ".join(_number(end, column) for end in ends) if len(values) > 1 else ""
    if column.show == "value":
        return _number(float(np.mean(list(values.values()))), column) + column.unit
    found = estimate(values, column.statistic or study.protocol_of(question).statistic)
    mixed = MIXED if _mixed(scores, question, agent, env) else ""
    return _number(found.value, column) + column.unit + _interval(found, column) + mixed


def _mixed(scores: Scores, question: str, agent: str, env: str) -> bool:
    return len({origin(row)[1] for row in scores.rows(question, agent, env) if not row["error"]}) > 1


def _interval(found: Estimate, column: Column) -> str:
    if math.isnan(found.low):
        return ""
    return f" [{_number(found.low, column)}, {_number(found.high, column)}]"


def _number(value: float, column: Column) -> str:
    return f"{column.scale * value:{column.digits}}"


def _settings(question: str, scores: Scores) -> str:
    """Steps and settings by agent, as the rows have them."""
    study, kinds = scores.results.study, {}  # type: ignore[var-annotated]
    for agent in scores.agents(question):
        for env in scores.envs(question):
            for row in scores.rows(question, agent, env):
                plan = json.loads(row["plan"])
                kinds.setdefault((plan.get("steps"), json.dumps(plan.get("config", {}))), {})[study.label(agent)] = 1
    unit = "gradient steps" if any(study.envs[env].dataset for env in scores.envs(question)) else "steps"
    said = [
        f"{', '.join(agents)}: {steps:,} {unit}" + (f" with {config}" if config != "{}" else "")
        for (steps, config), agents in kinds.items()
        if steps
    ]
    return f"{'; '.join(said)}. {study.protocol_of(question).episodes} evaluation episodes per policy."


def origins(results: Results) -> list[str]:
    """One line for every combination of versions that made rows, with revisions and the time of training."""
    kinds: dict[str, dict[tuple[str, ...], dict[str, str]]] = {}
    for row in results.rows.rows:
        run = row["question"], row["agent"], row["env"], row["seed"]
        if row["seed"] != str(UNSEEDED) and row["steps"] != "0":
            kinds.setdefault(origin(row)[1], {})[run] = row
    lines = []
    for versions, runs in kinds.items():
        revisions = sorted({row["git"] for row in runs.values() if row["git"]})
        hours = sum(float(row["seconds"] or 0) for row in runs.values()) / 3600
        told = f"; revisions {', '.join(revisions)}" if revisions else ""
        lines.append(f"- {len(runs)} runs, {hours:.1f} hours on one core each: {versions}{told}")
    return lines or ["Nothing yet."]
