"""The page of a study in a real browser: every tab draws, plots tell their numbers, runs are linked."""

import csv
import time

import numpy as np
import pytest

from agentgym.errors import AskError
from agentgym.evaluation.report import is_report
from agentgym.study.file import load_study
from agentgym.study.page import write_page
from agentgym.study.rows import stamp
from agentgym.study.runner import open_results

pytest.importorskip("selenium", reason="the browser tests need selenium (the dev extra)")
from selenium.webdriver.common.by import By

HOSTILE = "<img src=x onerror=alert(1)> & 'one'"
STUDY = f"""
title = "A study of {HOSTILE}"
seeds = "0-4"
steps = 1000
baseline = "ppo"
[agents.ppo]
name = "PPO"
[agents.sac]
name = "{HOSTILE}"
[agents.random]
controller = "random"
[envs."Pendulum-v1"]
[envs."InvertedPendulum-v5"]
[protocol]
suites = ["perturbations"]
"""
TABS = ["Scores", "Together", "Learning curves", "Comparison", "Efficiency", "Robustness", "Every run"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "odd.toml").write_text(STUDY)
    results = open_results(load_study(folder / "odd.toml"), folder)
    draw = np.random.default_rng(0)
    for cell in results.cells:
        score = {"ppo": 40.0, "sac": 70.0, "random": 5.0}[cell.agent] + draw.normal(scale=8.0)
        about = {"steps": cell.steps, "seconds": 60.0, **stamp(), "plan": cell.plan()}
        rows = [{"case": "", "return": score, **about}]
        rows += [{"case": "Action: noise", "return": score / 2, "iqm": score / 2, "cvar": score / 4, "worst": 1.0,
                  "worst_condition": "noise 3", **about}]  # fmt: skip
        if cell.key[1:] == ("ppo", "Pendulum-v1", 4):
            rows = [{"case": "", "error": f"ValueError: {HOSTILE}", **about}]
        results.rows.replace(cell, rows, results.cells)
        points = [{"step": s, "updates": s, "seconds": s / 10, "return": score * s / 1000} for s in range(0, 1001, 100)]
        results.curves.replace(cell, points if cell.is_run else [], results.cells)
        (cell.folder).mkdir(parents=True, exist_ok=True)
    return results


@pytest.fixture(scope="module")
def page(browser, results):
    path = write_page(results, results.runs / "report.html")
    assert is_report(path)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(path.as_uri())
    yield browser
    assert [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []


def open_tab(page, name):
    next(button for button in page.find_elements(By.CSS_SELECTOR, '[role="tab"]') if button.text == name).click()
    time.sleep(0.3)
    return [plot for plot in page.find_elements(By.CSS_SELECTOR, ".plot") if plot.is_displayed()]


def test_every_tab_draws(page):
    names = [button.text for button in page.find_elements(By.CSS_SELECTOR, '[role="tab"]')]
    assert names == TABS
    plots = {name: open_tab(page, name) for name in TABS}
    assert {name: len(found) for name, found in plots.items()} == {
        "Scores": 2, "Together": 3, "Learning curves": 6, "Comparison": 5, "Efficiency": 0, "Robustness": 0,
        "Every run": 0,
    }  # fmt: skip
    for name in TABS:
        for plot in open_tab(page, name):
            assert plot.find_element(By.CSS_SELECTOR, "svg.main-svg").size["width"] > 250
        width, window = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width <= window


def test_plots_have_the_numbers(page, results):
    open_tab(page, "Learning curves")
    told = page.execute_script(
        "return [...document.querySelectorAll('.plot')].flatMap(p => (p.data || []).flatMap(t => t.hovertext || []))"
    )
    runs = [float(row["return"]) for row in results.rows.rows
            if (row["agent"], row["env"], row["case"]) == ("sac", "Pendulum-v1", "")]  # fmt: skip
    middle = sorted(runs)[1:-1]
    assert any(f"1 000 environment steps<br>{sum(middle) / 3:.3g} [" in text for text in told)


def test_sentences_tables_and_links(page, results):
    open_tab(page, TABS[0])
    verdict = page.find_element(By.CSS_SELECTOR, ".verdict").text
    assert "1 run failed, the first with: ValueError" in verdict
    assert "Against PPO" in verdict
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, ".agents").text
    open_tab(page, "Every run")
    links = page.find_elements(By.CSS_SELECTOR, "#conditions a")
    assert len(links) == len(results.rows.rows)
    assert results.cells[0].folder.as_uri() in links[0].get_attribute("href")
    failed = page.find_elements(By.CSS_SELECTOR, "#conditions tr.failed")
    assert len(failed) == 1
    assert HOSTILE in failed[0].text
    open_tab(page, "Robustness")
    assert "noise 3" in page.find_element(By.CSS_SELECTOR, '[aria-label="Robustness"]').text


def test_the_rows_download(page, tmp_path, results):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    open_tab(page, "Every run")
    page.find_element(By.ID, "download").click()
    end = time.monotonic() + 10
    while not (tmp_path / "odd.csv").is_file():
        assert time.monotonic() < end
        time.sleep(0.05)
    with (tmp_path / "odd.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {name: row.get(name, "") for name in results.rows.columns()} for row in results.rows.rows
        ]


def test_a_page_of_nothing(study_file, tmp_path):
    results = open_results(load_study(study_file(STUDY, "none")), tmp_path)
    assert "The study has no rows" in write_page(results, tmp_path / "none.html").read_text()


def test_a_file_that_is_no_report_stays(study_file, tmp_path, monkeypatch):
    from agentgym.cli.study import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(AskError, match="not a report"):
        main(["report", str(study_file(STUDY)), "--out", "mine.html"])
    assert (tmp_path / "mine.html").read_text() == "mine"
