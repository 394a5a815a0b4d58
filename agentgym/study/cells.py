"""The cells of a study: one run, or one hand-made controller, with all that it needs."""

import json
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentgym.errors import InvalidParameter
from agentgym.runs.run import RunConfig
from agentgym.study.places import at, known_name
from agentgym.study.schema import AgentSpec, Curves, EnvSpec, Protocol, Question, Study

__all__ = ["UNSEEDED", "Cell", "cells_of", "chosen", "differences", "with_starts"]

UNSEEDED = -1  # the seed of a controller, which learns nothing
LONGEST_NAME = 120

Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Cell:
    """One run of a study; plain data that can be sent to a worker.

    Attributes:
        question, agent, env: keys in the study.
        seed: seed of the run; -1 for a controller.
        spec, world: the agent and what it is trained on.
        steps: steps of the run.
        config: all hyperparameters that the study sets.
        protocol: how the final policy is judged.
        curves: which metrics are kept.
        device, checkpoint_every: of the run.
        runs: folder of the study's runs.
        modules: where the study's modules are looked for.
        start: the cell whose final weights the training begins with.
    """

    question: str
    agent: str
    env: str
    seed: int
    spec: AgentSpec
    world: EnvSpec
    steps: int
    config: dict[str, Any]
    protocol: Protocol
    curves: Curves
    device: str
    checkpoint_every: int
    runs: Path
    modules: Path
    start: "Cell | None" = None

    @property
    def key(self) -> Key:
        """What makes two cells the same."""
        return self.question, self.agent, self.env, self.seed

    @property
    def is_run(self) -> bool:
        """Whether it is trained, rather than made by a function or by hand."""
        return not (self.spec.controller or self.spec.made_by)

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        parts = [self.question, self.agent, self.env, *([f"{self.steps}"] if self.steps else [])]
        name = re.sub(r"[^\w.+-]+", "-", "_".join(parts))[:LONGEST_NAME].strip("-")
        return self.runs / (name if self.seed == UNSEEDED else f"{name}_seed{self.seed}")

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the environment."""
        return {**self.world.env_kwargs, **self.spec.env_kwargs}

    def run_config(self) -> RunConfig:
        """The configuration of the training run."""
        start = {} if self.start is None else {"start": str(self.start.saved)}
        return RunConfig(
            self.spec.agent, self.world.env, self.env_kwargs, [dict(each) for each in self.world.perturbations],
            self.world.num_envs, self.steps, self.seed, self.device, threads=1, config={**start, **self.config},
            checkpoint_every=self.checkpoint_every, preset=self.spec.preset, dataset=self.world.dataset,
        )  # fmt: skip

    @property
    def saved(self) -> Path:
        """The folder of the trained agent."""
        return self.folder / "final" if self.is_run else self.folder

    def plan(self) -> str:
        """All that the results depend on besides the seed, as JSON."""
        trained = {
            "agent": self.spec.agent, "controller": self.spec.controller, "made_by": self.spec.made_by,
            "preset": self.spec.preset, "config": self.config, "env": self.world.env, "dataset": self.world.dataset,
            "env_kwargs": self.env_kwargs, "perturbations": [dict(each) for each in self.world.perturbations],
            "num_envs": self.world.num_envs if self.world.num_envs > 1 else 0, "steps": self.steps,
            "start": self.spec.start,
            "device": "" if self.device == "cpu" else self.device,
        }  # fmt: skip
        own = self.protocol
        judged = {
            "episodes": own.episodes, "evaluation_seed": own.seed, "policy": list(own.policy),
            "suites": list(own.suites), "suite_episodes": own.suite_episodes, "judge": own.judge,
        }  # fmt: skip
        if own.judge:  # a judge has a protocol of its own
            judged = {"judge": own.judge}
        kept = {name: value for name, value in {**trained, **judged}.items() if value not in ("", [], {}, 0)}
        return json.dumps(kept)


def cells_of(study: Study, runs: Path, seeds: Sequence[int] | None = None) -> list[Cell]:
    """All cells, breadth first: every cell's first seed, then the second.

    Args:
        study: the study.
        runs: the folder of its runs.
        seeds: other seeds than the study's.

    Raises:
        InvalidParameter: a cell appears twice, has no steps, or two cells share a folder.
        UnknownId: an agent or environment of a question is not one of the study.
    """
    by_question = {key: list(_pairs(study, key, question)) for key, question in study.questions.items()}
    own = {key: tuple(seeds or question.seeds or study.seeds) for key, question in study.questions.items()}
    found: dict[Key, Cell] = {}
    asked: set[Key] = set()
    for index in range(max(map(len, own.values()))):
        for key, pairs in by_question.items():
            for agent, env, steps in pairs if index < len(own[key]) else ():
                seed = UNSEEDED if study.agents[agent].controller else own[key][index]
                asked.add(_add(found, study, runs, (key, agent, env, seed), steps).key)
    cells = _starts_shared(found, asked)
    folders: dict[Path, Cell] = {}
    for cell in cells:
        other = folders.setdefault(cell.folder, cell)
        if other is not cell:
            raise InvalidParameter(f"{other.agent} on {other.env} and {cell.agent} on {cell.env} would share the "
                                   f"folder {cell.folder.name}. Rename one.")  # fmt: skip
    return cells


def _starts_shared(found: dict[Key, Cell], asked: Set[Key]) -> list[Cell]:
    """The cells, each after its start. A start that its question does not ask for is an equal run of another one."""
    equals = {(*cell.key[1:], cell.plan()): cell for key, cell in found.items() if key in asked}
    cells: dict[Key, Cell] = {}

    def settled(cell: Cell) -> Cell:
        if cell.key not in asked:
            cell = equals.get((*cell.key[1:], cell.plan()), cell)
        if cell.key not in cells:
            start = None if cell.start is None else settled(cell.start)
            cells[cell.key] = replace(cell, start=start)
        return cells[cell.key]

    for key, cell in found.items():
        if key in asked:
            settled(cell)
    return list(cells.values())


def _pairs(study: Study, key: str, question: Question) -> Iterator[tuple[str, str, int]]:
    """The pairs of one question with their steps (0: not said here)."""
    seen: set[tuple[str, str]] = set()

    def once(agent: str, env: str, steps: int) -> tuple[str, str, int]:
        if (agent, env) in seen:
            raise InvalidParameter(f"{agent} on {env} appears twice in the question {key!r}.")
        seen.add((agent, env))
        return agent, env, steps

    agents, envs = _names(study, key, question, "agents"), _names(study, key, question, "envs")
    if question.cells and not question.agents and not question.envs:
        agents = []
    for env in envs:
        for agent in agents:
            with at("questions", key, "agents"):
                yield once(agent, env, 0)
    for index, pair in enumerate(question.cells):
        with at("questions", key, "cells", index):
            if not isinstance(pair, dict):
                raise InvalidParameter(f"{pair!r} is no cell; it must be a table with an agent and an env.")
            for name in pair:
                with at(name):
                    if name not in ("agent", "env", "steps"):
                        raise InvalidParameter(f"{name!r} is no setting of a cell; it has agent, env and steps.")
            for name, known in (("agent", study.agents), ("env", study.envs)):
                with at(name):
                    known_name("environment" if name == "env" else name, pair.get(name), list(known))
            yield once(pair["agent"], pair["env"], int(pair.get("steps", 0)))


def _names(study: Study, key: str, question: Question, kind: str) -> list[str]:
    """The agents or environments of a question, with groups and grids expanded."""
    given: Sequence[str] = getattr(question, kind)
    known: dict[str, Any] = getattr(study, kind)
    more = study.groups if kind == "agents" else study.env_variants
    found: list[str] = []
    for index, name in enumerate(given):
        with at("questions", key, kind, index):
            known_name("agent" if kind == "agents" else "environment", name, [*known, *more])
            found += [name] if name in known else study.agents_in([name]) if kind == "agents" else more[name]
    return found or list(known)


def _add(found: dict[Key, Cell], study: Study, runs: Path, key: Key, steps: int) -> Cell:
    """The cell of a key, after the one that it starts from."""
    if key in found:
        return found[key]
    question_key, agent, env, seed = key
    question, spec, world = study.questions[question_key], study.agents[agent], study.envs[env]
    start = _add(found, study, runs, (question_key, spec.start, env, seed), steps) if spec.start else None
    changes = [
        question.changes[name]
        for name in question.changes
        if name == agent or agent in study.agents_in([name] if name in study.groups else [])
    ]
    config = {**question.config, **spec.config}
    for change in changes:
        config |= change.get("config", {})
        steps = steps or change.get("steps", 0)
    steps = steps or question.steps or world.steps or study.steps
    trained = not (spec.controller or spec.made_by)
    if trained and not steps:
        with at("questions", question_key):
            raise InvalidParameter(f"Nothing says how many steps {agent} is trained for on {env}: set steps.")
    _check_reference(study, question_key, env)
    found[key] = Cell(
        question_key, agent, env, seed, spec, world, steps if trained else 0,
        config if trained else dict(spec.config), study.protocol_of(question_key), study.curves,
        study.device, study.checkpoint_every, runs, study.folder, start,
    )  # fmt: skip
    return found[key]


def _check_reference(study: Study, question: str, env: str) -> None:
    """Refuse references whose second score is not the better one."""
    reference, better = study.envs[env].reference, study.protocol_of(question).better
    if reference and not (reference[0] < reference[1] if better == "higher" else reference[0] > reference[1]):
        with at("envs", study.written.get(env, env), "reference"):
            raise InvalidParameter(f"reference is {list(reference)}, but {better} scores are better: the second counts "
                                   "as 1 and must be the better one.")  # fmt: skip


def chosen(study: Study, cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells of some questions, agents and environments.

    Names of the same kind add up; names of different kinds restrict each other.

    Raises:
        UnknownId: a name is none of the study's.
    """
    kinds = {
        "question": {key: [key] for key in study.questions},
        "agent": {key: study.agents_in([key]) for key in [*study.groups, *study.agents]},
        "env": {
            **{key: [key] for key in study.envs},
            **{key: list(names) for key, names in study.env_variants.items()},
        },
    }
    wanted: dict[str, list[str]] = {}
    for name in only:
        kind = next((kind for kind, known in kinds.items() if name in known), None)
        if kind is None:
            known_name("question, agent or environment", name, [each for known in kinds.values() for each in known])
        else:
            wanted.setdefault(kind, []).extend(kinds[kind][name])
    return [cell for cell in cells if all(getattr(cell, kind) in names for kind, names in wanted.items())]


def with_starts(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in waves: those that others start from come first."""
    waves: dict[int, dict[tuple[str, str, str, int], Cell]] = {}

    def put(cell: Cell) -> int:
        depth = 0 if cell.start is None else put(cell.start) + 1
        waves.setdefault(depth, {})[cell.key] = cell
        return depth

    for cell in cells:
        put(cell)
    return [list(waves[depth].values()) for depth in sorted(waves)]


def differences(before: str, now: str) -> list[str]:
    """What differs between two plans, as "steps was 100, is 200"."""
    old, new = json.loads(before), json.loads(now)
    return [
        f"{name} was {json.dumps(old.get(name))}, is {json.dumps(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
