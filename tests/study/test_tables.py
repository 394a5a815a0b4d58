"""The tables of the documentation are what the studies' rows give."""

from pathlib import Path

import pytest

from agentgym.study.docs import write_docs
from agentgym.study.file import load_study
from agentgym.study.rows import stamp
from agentgym.study.runner import open_results
from agentgym.study.scores import Scores
from agentgym.study.tables import as_markdown, origins, tables

ROOT = Path(__file__).parents[2]
DOCS = Path("docs/results")


DOCUMENTED = [file for file in sorted((ROOT / "studies").glob("*.toml")) if (ROOT / DOCS / f"{file.stem}.md").is_file()]


def test_the_results_that_cards_cite_are_documented():
    assert {file.stem for file in DOCUMENTED} >= {"convection", "language", "mujoco_v5", "offline"}


@pytest.mark.parametrize("file", DOCUMENTED, ids=lambda file: file.stem)
def test_documentation_is_made_from_the_rows(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = open_results(load_study(file.relative_to(ROOT)))
    pictures = [f"{file.stem}.png"] if results.curves.rows else []
    assert (DOCS / f"{file.stem}.md").read_text() == as_markdown(results, DOCS, pictures)
    results.rows.require_same_plan(results.cells)  # so that nothing is made again
    known = {cell.key for cell in results.cells}
    assert {(row["question"], row["agent"], row["env"], int(row["seed"])) for row in results.rows.rows} <= known


STUDY = """
seeds = "0-3"
steps = 10
baseline = "ppo"
[agents.ppo]
name = "PPO"
[agents.sac]
[envs."Pendulum-v1"]
[protocol]
score = "quality"
statistic = "mean"
"""


@pytest.fixture
def results(study_file, tmp_path):
    """Four runs of PPO, of which one failed, and three of SAC, of which one was made by other versions."""
    results = open_results(load_study(study_file(STUDY)), tmp_path)
    for cell in results.cells:
        if cell.key[1:] == ("sac", "Pendulum-v1", 3):
            continue
        value = {"ppo": 1.0, "sac": 3.0}[cell.agent] + cell.seed * (1 if cell.agent == "ppo" else 2)
        row = {"quality": value, "steps": 10, "seconds": 3600, **stamp(), "plan": cell.plan()}
        if cell.key[1:] == ("sac", "Pendulum-v1", 2):
            row["versions"] = "torch=1"
        if cell.key[1:] == ("ppo", "Pendulum-v1", 3):
            row |= {"quality": "", "error": "ValueError: exploded"}
        results.rows.replace(cell, [row], results.cells)
    return open_results(results.study, tmp_path)


def test_a_table_counts_pairs_and_marks(results):
    text = tables(results.study, Scores(results))
    assert "| environment | agent | runs | quality | against the baseline |" in text
    assert "| `Pendulum-v1` | PPO | 3 | 2 [1, 3] |  |" in text  # seeds 0 to 2: 1, 2, 3
    assert "|  | sac | 3 | 5 [3, 7]† | 3 [2, 4]† |" in text  # 3, 5, 7: 2, 3 and 4 more with the same seeds
    page = as_markdown(results, results.runs)
    assert "- PPO, Pendulum-v1, seed 3: ValueError: exploded" in page
    assert "put together here" in page
    assert [line.split(" hours")[0] for line in origins(results)] == ["- 6 runs, 6.0", "- 1 runs, 1.0"]


def test_a_matrix(results, study_file, tmp_path):
    text = STUDY + '[[tables]]\ntitle = "Both"\nlayout = "matrix"\ncolumns = [{ digits = ".2f" }]\n'
    study = load_study(study_file(text))
    made = tables(study, Scores(open_results(study, tmp_path)))
    assert "## Both" in made
    assert "| Pendulum-v1 | 10 | 2.00 [1.00, 3.00], n = 3, 1 failed | 5.00 [3.00, 7.00]†, n = 3 |" in made


def test_documentation_has_its_picture(results, tmp_path):
    for cell in results.cells:
        points = [
            {"step": step, "updates": step, "seconds": step, "return": step * (cell.seed + 1)} for step in (1, 5, 9)
        ]
        results.curves.replace(cell, points, results.cells)
    page = write_docs(results, tmp_path / "docs")
    assert "![Learning curves](odd.png)" in page.read_text()
    assert (tmp_path / "docs/odd.png").stat().st_size > 10_000
