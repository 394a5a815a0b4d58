"""The search for hyperparameters: its table, killed and shared searches, pruning, and the winner with fresh seeds."""

import json
import math

import pytest
from safetensors import safe_open

from agentgym.errors import AskError, MissingExtra
from agentgym.study.file import load_study, study_in
from agentgym.study.ranges import tuning_of
from agentgym.study.tuning import BEFORE, TUNED, Search, _score, open_search, run_trial, tune
from agentgym.study.tuning_page import write_page

optuna = pytest.importorskip("optuna")

TUNE = """
[tune]
agent = "ppo"
trials = 4
seeds = [0]
fresh_seeds = [5, 6]
rungs = 1
startup = 3

[tune.ranges]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
n_epochs = { low = 1, high = 3 }
actor_layers = { values = [[8], [16, 16]] }
"""


@pytest.fixture
def study(small_file):
    small_file.write_text(small_file.read_text().replace("steps = 128", "steps = 64") + TUNE)
    return load_study(small_file)


def trials_of(search):
    return [(t.number, t.state.name, t.params, t.value) for t in search.optuna().trials]


def test_a_killed_search_goes_on_and_the_winner_has_fresh_seeds(study, tmp_path, monkeypatch):
    search, results = tune(study, tmp_path / "whole", progress=False)
    whole = trials_of(search)
    assert [number for number, *_ in whole] == [0, 1, 2, 3]
    assert {state for _, state, *_ in whole} <= {"COMPLETE", "PRUNED"}
    assert all(set(params) == {"learning_rate", "n_epochs", "actor_layers"} for *_, params, _ in whole)
    rows = results.rows.rows
    assert {(row["agent"], row["seed"]) for row in rows} == {(a, s) for a in (TUNED, BEFORE) for s in "56"}
    best = search.optuna().best_trial
    made = next(json.loads(row["plan"]) for row in rows if row["agent"] == TUNED)
    assert made["config"]["learning_rate"] == best.params["learning_rate"]
    assert made["config"]["actor_layers"] == json.loads(best.params["actor_layers"])
    assert made["evaluation_seed"] != study.protocol.seed  # its episodes have selected nothing either

    class Killed(BaseException):
        """What ends a process leaves its trial as it is."""

    import agentgym.study.tuning as tuning

    real, calls = tuning.make_cell, []

    def killed(cell, callbacks):
        calls.append(cell)
        if len(calls) == 2:
            raise Killed
        return real(cell, callbacks)

    monkeypatch.setattr(tuning, "make_cell", killed)
    with pytest.raises(Killed):
        tune(study, tmp_path / "killed", progress=False)
    broken = open_search(study, tmp_path / "killed")
    assert [state for _, state, *_ in trials_of(broken)] == ["COMPLETE", "RUNNING"]
    search, _ = tune(study, tmp_path / "killed", progress=False)
    assert trials_of(search) == whole

    page = write_page(study, search, results, tmp_path / "tune.html").read_text()
    assert all(f'data-tab="{tab}"' in page for tab in ("Overview", "History", "Importance", "Slices", "All trials"))
    assert "learning_rate" in page
    study.tune["rungs"] = 0
    with pytest.raises(AskError, match="holds trials of other settings: rungs was 1, is 0"):
        tune(study, tmp_path / "killed", progress=False)


def test_a_bad_setting_is_given_up_and_evaluations_change_no_run(study, tmp_path, monkeypatch):
    def weights(root, rungs):
        study.tune["rungs"] = rungs
        search = open_search(study, tmp_path / root)
        run_trial(search)
        (file,) = (search.folder / "trial-0").glob("*/final/*.safetensors")
        with safe_open(file, "np") as tensors:
            return {name: tensors.get_tensor(name).tobytes() for name in tensors.keys()}  # noqa: SIM118

    assert weights("with", 2) == weights("without", 0)
    open_as_it_is = Search.optuna

    def strict(self):
        found = open_as_it_is(self)
        found.pruner = optuna.pruners.ThresholdPruner(lower=math.inf)
        return found

    monkeypatch.setattr(Search, "optuna", strict)
    study.tune.update(trials=1, rungs=1)
    with pytest.raises(AskError, match="No trial has finished"):
        tune(study, tmp_path / "strict", progress=False)
    ((_, state, _, _),) = trials_of(open_search(study, tmp_path / "strict"))
    assert state == "PRUNED"
    assert not list((tmp_path / "strict").glob("small-tune/trial-0/*/final"))


@pytest.mark.parametrize(
    ("better", "reference", "direction"),
    [("higher", "", "maximize"), ("lower", "", "minimize"), ("higher", "[-200.0, 0.0]", "maximize"),
     ("lower", "[0.0, -200.0]", "maximize")],
)  # fmt: skip
def test_the_search_knows_which_trials_are_better(small_file, tmp_path, better, reference, direction):
    """Fractions of references are better when they are higher, whatever the scores."""
    text = small_file.read_text().replace("seed = 7", f'seed = 7\nbetter = "{better}"')
    small_file.write_text(
        text.replace('[envs."Pendulum-v1"]', f'[envs."Pendulum-v1"]\nreference = {reference or []}') + TUNE
    )
    search = open_search(load_study(small_file), tmp_path)
    assert search.optuna().direction.name.lower() == direction
    low, high = (-200.0, -100.0) if better == "higher" else (-100.0, -200.0)
    values = [_score(search.cells[0], [{"return": score}]) for score in (low, high)]
    assert max(values) == values[1] if direction == "maximize" else min(values) == values[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (TUNE, "", r"says nothing of tuning"),
        ('agent = "ppo"', 'agent = "po"', r"odd.toml:\d+: .*'po'.*ppo"),
        ("trials = 4", "trials = 0", "trials"),
        ("trials = 4", "trails = 4", "trails.*trials"),
        ("fresh_seeds = [5, 6]", "fresh_seeds = [0, 6]", "Seed 0 is among seeds too"),
        ("n_epochs = {", "n_epoch = {", "n_epoch.*n_epochs"),
        ("low = 1, high = 3", "low = 3, high = 1", "low is 3; it must be below high"),
        ("low = 1, high = 3", "low = 0, high = 3", "n_epochs"),
        ("low = 1, high = 3", "low = 1, hihg = 3", "is no range"),
        ("low = 1e-4", "low = 0.0", "begins above 0|learning_rate"),
        ("values = [[8], [16, 16]]", "values = [[8]]", "two different values"),
        ("values = [[8], [16, 16]]", 'values = [[8], "wide"]', "actor_layers"),
        ("low = 1, high = 3", "low = 1, high = 3, step = 0.5", "step is 0.5"),
    ],
)
def test_what_is_wrong_with_a_search_is_said_with_its_line(small_file, study_file, old, new, said):
    text = small_file.read_text() + TUNE
    assert old in text
    with pytest.raises(AskError, match=said), study_in(study_file(text.replace(old, new))) as study:
        tuning_of(study)


def test_without_optuna_the_extra_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"agentgym\[tune\]"):
        tune(study, tmp_path / "runs", progress=False)
    assert not (tmp_path / "runs").exists()
