"""The page of a search in a real browser. The search is real; its runs are a formula instead of training."""

import csv
import math
import time

import pytest

import agentgym.study.runner as runner
import agentgym.study.tuning as tuning
from agentgym.evaluation.report.words import number
from agentgym.study.file import load_study
from agentgym.study.judging import Made
from agentgym.study.rows import stamp
from agentgym.study.tuning import BEFORE, TUNED, tune
from agentgym.study.tuning_page import write_page

from .test_page import HOSTILE, By, open_tab

optuna = pytest.importorskip("optuna")

STUDY = f"""
title = "A search in {HOSTILE}"
steps = 1000
[agents.ppo]
config = {{ learning_rate = 1e-4 }}
[envs."Pendulum-v1"]
[tune]
trials = 24
seeds = [0]
fresh_seeds = [5, 6, 7, 8]
startup = 5
[tune.ranges]
learning_rate = {{ low = 1e-5, high = 1e-1, log = true }}
actor_layers = {{ values = [[8], [16, 16]] }}
"""
TABS = ["Overview", "History", "Importance", "Slices", "All trials"]


def score(config):
    """Best, 0, at a learning rate of 1e-3; the layers do not matter."""
    return -100.0 * (math.log10(config["learning_rate"]) + 3.0) ** 2


def trial(cell, callbacks=()):
    """What a run gives; trial 3 fails, and trials after the first ten that do badly are given up."""
    number = int(cell.runs.name.removeprefix("trial-"))
    if number == 3:
        raise ValueError(HOSTILE)
    value = score(cell.config)
    if number >= 10 and value < -100.0:
        (rungs,) = callbacks
        rungs.trial.report(value, 0)
        raise optuna.TrialPruned
    return Made([{"case": "", "return": value}])


def fresh(cell):
    value = score(cell.config) + cell.seed
    return Made([{"case": "", "return": value, "steps": 1000, "seconds": 1.0, **stamp(), "plan": cell.plan()}])


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    (folder / "odd.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "make_cell", trial)
        patch.setattr(runner, "make_cell", fresh)
        study = load_study(folder / "odd.toml")
        search, results = tune(study, folder, progress=False)
    write_page(study, search, results, folder / "tune.html")
    return search.optuna(), results, folder / "tune.html"


@pytest.fixture(scope="module")
def page(browser, searched):
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(searched[2].as_uri())
    yield browser
    assert [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []


def test_every_tab_draws(page, searched):
    trials = searched[0].trials
    assert {one.state.name for one in trials} == {"COMPLETE", "PRUNED", "FAIL"}
    assert [button.text for button in page.find_elements(By.CSS_SELECTOR, '[role="tab"]')] == TABS
    plots = {name: open_tab(page, name) for name in TABS}
    assert {name: len(found) for name, found in plots.items()} == dict(zip(TABS, (0, 1, 1, 2, 0), strict=True))
    for name in TABS:
        for plot in open_tab(page, name):
            assert plot.find_element(By.CSS_SELECTOR, "svg.main-svg").size["width"] > 250
        width, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width <= window


def test_the_result_is_that_of_the_fresh_seeds(page, searched):
    best = searched[0].best_trial
    tuned, before = (number(score(config) + 6.5) for config in (best.params, {"learning_rate": 1e-4}))
    open_tab(page, "Overview")
    verdict = page.find_element(By.CSS_SELECTOR, ".verdict").text
    assert f"{TUNED}" in verdict
    assert f"{tuned} [" in verdict
    assert f"{before} [" in verdict
    line = page.find_element(By.CSS_SELECTOR, '[aria-label="Scores with fresh seeds"] tbody tr').text
    assert tuned in line
    assert before in line
    setting = page.find_element(By.CSS_SELECTOR, '[aria-label="The best setting"]').text
    assert f"{best.params['learning_rate']:.4g}" in setting
    assert "0.0001" in setting  # as it stood
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, '[aria-label="Failed trials"]').text
    assert {row["agent"] for row in searched[1].rows.rows} == {TUNED, BEFORE}


def test_the_plots_have_every_trial(page, searched):
    by_state = {}
    for one in searched[0].trials:
        by_state.setdefault(one.state.name, []).append(one)
    open_tab(page, "History")
    line, given_up, finished = page.execute_script(
        "return [...document.querySelectorAll('.plot')].find(p => p.checkVisibility()).data.map(t => [t.x, t.y])"
    )
    assert finished == [[t.number for t in by_state["COMPLETE"]], [t.value for t in by_state["COMPLETE"]]]
    assert given_up == [[t.number for t in by_state["PRUNED"]], [t.value for t in by_state["PRUNED"]]]
    assert line[1] == [max(finished[1][: n + 1]) for n in range(len(finished[1]))]
    open_tab(page, "Importance")
    names, shares = page.execute_script(
        "const d = [...document.querySelectorAll('.plot')].find(p => p.checkVisibility()).data[0]; return [d.y, d.x]"
    )
    assert names[-1] == "learning_rate"  # the longest bar is drawn on top
    assert sum(shares) == pytest.approx(1.0)


def test_all_trials_are_listed_and_download(page, searched, tmp_path):
    trials = searched[0].trials
    open_tab(page, "All trials")
    assert len(page.find_elements(By.CSS_SELECTOR, "#conditions tbody tr")) == len(trials)
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.find_element(By.ID, "download").click()
    end = time.monotonic() + 60
    while not (tmp_path / "trials.csv").is_file():
        assert time.monotonic() < end
        time.sleep(0.05)
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == [one.state.name.lower() for one in trials]
    assert [float(row["score"]) for row in rows if row["score"]] == [t.value for t in trials if t.value is not None]
