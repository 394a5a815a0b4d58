"""``agentgym forensics``: a benchmark and an episode of a trained team, help, and requests that cannot be met."""

import csv
import functools
import json
import os
from pathlib import Path

import pytest

from agentgym.cli.main import main
from agentgym.evaluation.forensics.detectors import by_name
from agentgym.evaluation.forensics.detectors.dynamics import Dynamics

TEAM = (
    "train", "maddpg", "--env", "agentgym/SimpleSpread-v0", "--steps", 256, "--config.learning-starts", 64,
    "--name", "team", "--threads", 1,
)  # fmt: skip
SMALL = ("--clean", 40, "--fresh", 40, "--episodes", 5)


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """A run of a team that has learned next to nothing, and detectors that learn quickly."""
    folder, before = tmp_path_factory.mktemp("teams"), os.getcwd()
    os.chdir(folder)
    try:
        main([str(word) for word in TEAM])
    finally:
        os.chdir(before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_name, "Dynamics", functools.partial(Dynamics, steps=100, batch_size=256))
        yield folder / "runs/team"


def test_a_benchmark_and_an_episode(team, typed):
    code, printed, said = typed("forensics", team, "--faults", "gauss:0.5", "astuck", "--detectors", "combined", *SMALL)
    assert code == 0, said
    assert "gauss:0.5" in printed
    assert "stage 1 + 2" in printed
    folder = Path("reports/team-forensics")
    rows = list(csv.DictReader((folder / "rows.csv").open()))
    assert len(rows) == 3 * 5
    assert {row["fault"] for row in rows} == {"clean", "gauss:0.5", "astuck"}
    assert len(list(csv.DictReader((folder / "summary.csv").open()))) == 3
    assert json.loads((folder / "forensics.json").read_text())["alpha"] == 0.05
    assert "Patient-0 accuracy" in (folder / "report.html").read_text()
    again = ("forensics", team, "--faults", "gauss:0.5", "--out", folder)
    code, _, said = typed(*again)
    assert code == 2
    assert "--overwrite" in said

    fault = "AgentObservationFault:kind=gauss,size=2.0,victim=1,earliest=8,latest=8"
    code, printed, said = typed("play", team, "--perturb", fault, "--record", "episode.npz", "--seed", 3)
    assert code == 0, said
    assert "25 steps" in printed
    code, printed, said = typed("forensics", team, "--episode", "episode.npz", *SMALL)
    assert code == 0, said
    assert printed.startswith("Agent 1 failed first"), printed
    page = Path("reports/team-episode/report.html").read_text()
    assert "data:image/gif;base64," in page
    assert "Ring: the suspect" in page

    code, _, said = typed("forensics", team, "--episode", "episode.npz", "--env-kwargs", "max_cycles=20", *SMALL)
    assert code == 2
    assert "The episode is one of agentgym/SimpleSpread-v0" in said
    code, _, said = typed("play", team, "--record", "episode.npz")
    assert code == 2
    assert "already exists" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--faults"),
        (("--faults", "gaus:0.5"), "gauss"),
        (("--faults", "gauss:x"), "no number"),
        (("--faults", "freeze:1"), "no size"),
        (("--faults", "freeze", "--detectors", "combind"), "combined"),
        (("--faults", "freeze", "--episode", "e.npz"), "not both"),
        (("--faults", "freeze", "--alpha", "0.001", "--fresh", "100"), "at least 999 clean episodes"),
        (("--episode", "nowhere.npz"), "no recording at nowhere.npz"),
        (("--episode", "nowhere.npz", "--stage2", "walk gaps"), "walk action_gap"),
        (("--faults", "freeze", "--env", "CartPole-v1"), "space"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_first(words, says, team, typed):
    code, _, said = typed("forensics", team, *words)
    assert code == 2, said
    assert says in said
    assert not Path("reports").exists()


def test_agents_that_are_no_teams_are_refused(typed):
    quick = ("--steps", 32, "--config.n-steps", 32, "--config.batch-size", 32, "--threads", 1)
    assert typed("train", "ppo", "--env", "CartPole-v1", *quick, "--name", "alone")[0] == 0
    code, _, said = typed("forensics", "runs/alone", "--faults", "freeze")
    assert code == 2
    assert "no team that forensics knows" in said


def test_help_has_examples(typed):
    code, printed, _ = typed("forensics", "--help")
    assert code == 0
    assert "agentgym forensics runs/team --episode episode.npz" in printed
