"""What ``agentgym tune`` reads: the table ``[tune]`` of a study, checked."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentgym import catalog
from agentgym.contracts.finite import is_finite
from agentgym.contracts.settings import from_settings, whole_number
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.study.places import at, known_name
from agentgym.study.reading import seeds_of
from agentgym.study.schema import Study

__all__ = ["Range", "Tuning", "plan_of", "refuse_other_plan", "tuning_of"]


@dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take: those of a list, or all from ``low`` to ``high``.

    Attributes:
        values: a list; lists among them are written as JSON for Optuna.
        low, high: ends, both included. Two whole numbers give whole numbers.
        log: whether to draw on a logarithmic scale.
        step: distance between values, from ``low`` on.
    """

    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any, name: str) -> Any:
        """The value of an Optuna trial."""
        if self.values:
            return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))
        if self.whole:
            return trial.suggest_int(name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Tuning:
    """The table ``[tune]`` of a study.

    Attributes:
        agent: the agent whose hyperparameters are sought; by default the only one of the study.
        envs: environments that a setting is judged on; by default all. Several need a ``reference`` each, by which
            their scores are put together.
        ranges: by hyperparameter.
        trials: number of settings to try.
        seeds: seeds of the training runs of a setting; its score is their mean.
        fresh_seeds: seeds with which the best setting and the agent as it stands in the study are trained again.
        rungs: evenly spaced evaluations during a run, at which a setting that does badly is given up; 0: none.
        startup: settings that are drawn at random and not given up, before there is something to compare with.
        seed: of the search.
    """

    agent: str = ""
    envs: tuple[str, ...] = ()
    ranges: dict[str, Range] = field(default_factory=dict)
    trials: int = 20
    seeds: tuple[int, ...] = (0,)
    fresh_seeds: tuple[int, ...] = (100, 101, 102, 103, 104)
    rungs: int = 3
    startup: int = 5
    seed: int = 0


LEAST = {"trials": 1, "rungs": 0, "startup": 1, "seed": 0}


def tuning_of(study: Study) -> Tuning:
    """Read and check the table ``[tune]``.

    Raises:
        AskError: it is missing or something in it is wrong; the error's ``path`` leads there.
    """
    with at("tune"):
        if not study.tune:
            raise InvalidParameter("The study says nothing of tuning: add a table [tune] with ranges.")
        made = dict(study.tune)
        known = [each.name for each in dataclasses.fields(Tuning)]
        for key, value in study.tune.items():
            with at(key):
                if key not in known:
                    raise UnknownId("setting of tune", key, known)
                if key in LEAST:
                    whole_number(key, value, LEAST[key])
                if key in ("seeds", "fresh_seeds"):
                    made[key] = seeds_of(value)
        with at("agent"):
            trainable = [name for name, spec in study.agents.items() if not (spec.controller or spec.made_by)]
            agent = made["agent"] = made.get("agent") or (trainable[0] if len(trainable) == 1 else "")
            known_name("agent", agent, trainable)
        with at("envs"):
            made["envs"] = tuple(made.get("envs") or study.envs)
            for env in made["envs"]:
                known_name("environment", env, list(study.envs))
            if len(made["envs"]) > 1 and not all(study.envs[env].reference for env in made["envs"]):
                raise InvalidParameter("Several environments are put together by their reference scores: give each a "
                                       "reference = [low, high], or tune on one.")  # fmt: skip
        with at("ranges"):
            made["ranges"] = _ranges(made.get("ranges"), study.agents[agent].agent)
        tuning = Tuning(**made)
        with at("fresh_seeds"):
            if twice := set(tuning.seeds) & set(tuning.fresh_seeds):
                raise InvalidParameter(f"Seed {min(twice)} is among seeds too: the best setting was selected on it.")
        if tuning.rungs and study.protocol.case:
            with at("rungs"):
                raise InvalidParameter(f"Evaluations during a run know no case {study.protocol.case!r}: rungs = 0.")
    return tuning


def _ranges(given: Any, agent: str) -> dict[str, Range]:
    if not isinstance(given, Mapping) or not given:
        raise InvalidParameter("There is nothing to tune: give ranges, such as learning_rate = {low = 1e-5, high = "
                               "1e-2, log = true}.")  # fmt: skip
    config = catalog.load(catalog.find("agent", agent)).Config
    found = {}
    for name, values in given.items():
        with at(name):
            found[name] = _range(values)
            for value in found[name].values or (found[name].low, found[name].high):
                from_settings(config, {name: value}, f"agent {agent}")
    return found


def _range(values: Any) -> Range:
    names = {"values"} if isinstance(values, Mapping) and "values" in values else {"low", "high", "log", "step"}
    if not isinstance(values, Mapping) or not set(values) <= names or not names & {"values", *values} - {"log", "step"}:
        raise InvalidParameter(f"{values!r} is no range: it is {{values = [...]}} or {{low = ..., high = ..., log = "
                               "true or false, step = ...}.")  # fmt: skip
    if "values" in values:
        listed = values["values"]
        if not isinstance(listed, list | tuple) or len(listed) < 2 or any(listed.count(value) > 1 for value in listed):
            raise InvalidParameter(f"values is {listed!r}; it must be a list of two different values at least.")
        return Range(tuple(listed))
    made = Range(**values)
    for name in ("low", "high"):
        value = getattr(made, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not is_finite(value):
            raise InvalidParameter(f"{name} is {value!r}; it must be a number.")
    if not made.low < made.high:  # type: ignore[operator]
        raise InvalidParameter(f"low is {made.low}; it must be below high, which is {made.high}.")
    if not isinstance(made.log, bool):
        raise InvalidParameter(f"log is {made.log!r}; it must be true or false.")
    if made.log and (made.low <= 0 or made.step is not None):  # type: ignore[operator]
        raise InvalidParameter("A logarithmic range begins above 0 and has no step.")
    if made.step is not None and (not is_finite(made.step) or made.step <= 0 or (made.whole and made.step % 1)):
        raise InvalidParameter(
            f"step is {made.step!r}; it must be a number above 0, whole in a range of whole numbers."
        )
    return made


def plan_of(study: Study, tuning: Tuning) -> dict[str, Any]:
    """All that the trials depend on, as plain values; the number of trials may grow."""
    spec, protocol = study.agents[tuning.agent], study.protocol
    plan = dataclasses.asdict(dataclasses.replace(tuning, trials=0, fresh_seeds=()))
    plan |= {
        "steps": study.steps,
        "preset": spec.preset,
        "config": spec.config,
        "protocol": dataclasses.asdict(protocol),
    }
    plan["worlds"] = {env: dataclasses.asdict(study.envs[env]) for env in tuning.envs}
    found: dict[str, Any] = json.loads(json.dumps(plan))
    return found


def refuse_other_plan(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Refuse to go on with trials of other settings.

    Raises:
        AskError: the plans differ; the message says in what.
    """
    changed = [
        f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise AskError(f"{where} holds trials of other settings: {'; '.join(changed)}. Undo the change, remove the "
                       "folder, or choose another --root.")  # fmt: skip
