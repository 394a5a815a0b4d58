"""The verbs as a user types them: once in processes of their own, otherwise in this one, which has imported torch."""

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.cli.main import VERBS, main

ENV = "agentgym/RobustInvertedPendulum-v0"


def run(*arguments, cwd):
    environment = {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("agentgym")), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, check=False)


TRAIN = ["train", "sac", "--env", ENV, "--steps", "300", "--threads", "1", "--config.learning-starts", "100",
         "--config.actor-layers", "32", "32", "--config.critic-layers", "32", "32",
         "--config.batch-size", "64"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two briefly trained runs, nominal (in a process of its own) and randomised."""
    root = tmp_path_factory.mktemp("work")
    done = run(*TRAIN, "--name", "nominal", cwd=root)
    assert done.returncode == 0, done.stderr
    with contextlib.chdir(root):
        main([*TRAIN, "--name", "randomised", "--env-kwargs", "randomize=uniform"])
    return root


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb, typed):
    code, said, _ = typed(*(["train", "sac", "--help"] if verb == "train" else [verb, "--help"]))
    assert code == 0
    assert f"agentgym {verb}" in said
    assert "xample" in said


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["--version"], ["list", "envs"], ["show", "sac"], *([verb, "--help"] for verb in VERBS)]
)
def test_a_reader_that_goes_away_is_no_failure(words, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as stop:
            main(words)
    assert stop.value.code == 0
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_leaves_nothing_to_say_at_the_end(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [str(Path(sys.executable).with_name("agentgym")), "list", "envs"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_list_and_show(typed, tmp_path):
    listed = run("list", cwd=tmp_path).stdout
    assert all(name in listed for name in (ENV, "sac", "parameter-grid"))
    assert "# " in typed("show", "sac")[1]


@pytest.mark.parametrize("chosen", [None, "active"])
def test_waiting_threads_sleep_unless_the_user_chose(chosen):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
    code = "import os, agentgym.cli.main as cli; cli.main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split()[-1] == (chosen or "passive")


def test_a_run_holds_what_was_asked_measured_and_learned(trained):
    config = json.loads((trained / "runs/randomised/config.json").read_text())
    assert config["env_kwargs"] == {"randomize": "uniform"}
    assert config["config"]["learning_starts"] == 100
    assert config["provenance"]["versions"]["torch"]
    config = json.loads((trained / "runs/nominal/config.json").read_text())
    assert "--name nominal" in config["provenance"]["command"]
    with (trained / "runs/nominal/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == 300
    assert {"rollout/ep_rew_mean", "train/actor_loss", "train/critic_loss"} <= set(rows[-1])
    assert (trained / "runs/nominal/final/tensors.safetensors").is_file()
    assert list((trained / "runs/nominal").glob("events.out.tfevents.*"))


def test_equal_seeds_train_to_equal_weights(trained, typed, monkeypatch):
    monkeypatch.chdir(trained)
    assert typed(*TRAIN, "--name", "again")[0] == 0  # the first was trained in another process
    first, second = (trained / f"runs/{name}/final/tensors.safetensors" for name in ("nominal", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_evaluate_writes_rows_summary_and_report(trained, typed, monkeypatch):
    monkeypatch.chdir(trained)
    code, _, said = typed(
        "evaluate", "runs/nominal", "runs/randomised", "--episodes", 1,
        "--suite", "parameter-grid:points=2", "transfer", "attacks:epsilons=0.1",
        "--workers", 2, "--out", "reports/both",
    )  # fmt: skip
    assert code == 0, said
    folder = trained / "reports/both"
    with (folder / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (1 + 4 + 2 + 3)
    assert not any(row["error"] for row in rows)
    summary = (folder / "summary.csv").read_text()
    assert "pole_mass" in summary
    assert "worst_condition" in summary
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    assert typed("report", "reports/both")[0] == 0
    assert (folder / "report.html").read_text() == page


@pytest.mark.parametrize("name", ["film.png", "film.mp4"])
def test_play_films_the_agent(trained, name, typed, monkeypatch):
    monkeypatch.chdir(trained)
    code, _, said = typed("play", "runs/nominal", "--video", name, "--steps", 5)
    if code == 2 and "cannot be rendered" in said and not os.environ.get("CI"):
        pytest.skip(said)
    assert code == 0, said
    import imageio.v3 as imageio

    assert imageio.imread(trained / name, index=0).std() > 0  # not a blank picture


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["trian"], "train"),
        (["train", "sca", "--env", ENV], "sac"),
        (["train", "sac", "--env", "agentgym/RobustHoper-v0"], "agentgym/RobustHopper-v0"),
        (["train", "sac", "--env", ENV, "--env-kwargs", "randomise=uniform"], "randomise"),
        (["train", "sac", "--env", ENV, "--env-kwargs", 'parameters={"pole_mass": 99.0}'], "pole_mass"),
        (["train", "sac", "--env", ENV, "--perturb", "ObservationNoize"], "ObservationNoise"),
        (["train", "sac", "--env", "CartPole-v1"], "Discrete"),
        (["train", "sac", "--env", ENV, "--name", "nominal"], "--overwrite"),
        (["evaluate", "runs/none"], "no run at"),
        (["evaluate", "runs/nominal", "--suite", "grid"], "parameter-grid"),
        (["evaluate", "runs/nominal", "--env", "Hopper-v5"], "observation space"),
        (["play", "runs/nominal", "--video", "film.docx"], ".mp4"),
        (["show", "sca"], "sac"),
        (["report", "runs"], "agentgym evaluate"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(trained, arguments, hint, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = sorted(path.name for path in (trained / "runs").iterdir())
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert hint in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert sorted(path.name for path in (trained / "runs").iterdir()) == before


def test_a_truncated_model_is_refused_by_name(trained, typed, monkeypatch):
    monkeypatch.chdir(trained)
    shutil.copytree("runs/nominal", "runs/broken")
    path = Path("runs/broken/final/tensors.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    code, _, said = typed("evaluate", "runs/broken")
    assert code == 2
    assert "tensors.safetensors" in said
    assert "truncated" in said


def test_a_missing_extra_is_said_before_the_work(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(SystemExit):
        main(["evaluate", "runs/nominal"])
    assert 'pip install "agentgym[report]"' in capsys.readouterr().err


def test_an_installed_package_adds_environments_agents_and_suites(monkeypatch):
    from agentgym import catalog

    class Point:
        @staticmethod
        def load():
            entry = catalog.Entry("suite", "theirs", "somewhere:Suite", "a suite of another package", "somewhere")
            return lambda: [entry]

    catalog._all.cache_clear()
    monkeypatch.setattr(catalog, "entry_points", lambda group: [Point()] if group == "agentgym" else [])
    assert catalog.find("suite", "theirs").summary == "a suite of another package"
    catalog._all.cache_clear()
