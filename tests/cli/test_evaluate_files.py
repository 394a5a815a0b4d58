"""What evaluate, report and play write, and what they leave as it is."""

import csv
import json
import shutil

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from agentgym.agents.baselines.ppo import PPO
from agentgym.cli.main import main

SUITE = ["--suite", "stochasticity:dials=reward_noise,intensities=1", "--episodes", "1"]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a saved agent, an untrained one."""
    monkeypatch.chdir(tmp_path)
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, seed=0).save("agents/pole")
    return tmp_path


def evaluate(*arguments):
    main(["evaluate", "agents/pole", "--env", "CartPole-v1", *SUITE, *arguments])


def refused(capsys, *arguments, verb=evaluate):
    """The one line of a refusal, which came before anything was written."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        verb(*arguments)
    said = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert len(said.splitlines()) == 1
    return said


def seeds(folder):
    with (folder / "rows.csv").open() as file:
        return {row["seed"] for row in csv.DictReader(file)}


def test_an_evaluation_is_never_written_over_another(work, capsys):
    evaluate("--no-report")
    first = (work / "reports/pole/rows.csv").read_bytes()
    evaluate("--no-report", "--seed", "1")
    evaluate("--no-report", "--seed", "2")
    assert (work / "reports/pole/rows.csv").read_bytes() == first
    assert "reports/pole-3/rows.csv" in capsys.readouterr().out
    assert len({*seeds(work / "reports/pole"), *seeds(work / "reports/pole-2"), *seeds(work / "reports/pole-3")}) == 3
    assert "--overwrite" in refused(capsys, "--out", "reports/pole")
    assert (work / "reports/pole/rows.csv").read_bytes() == first


def test_overwrite_replaces_an_evaluation_and_keeps_what_is_not_of_it(work, capsys):
    evaluate()
    (work / "reports/pole/notes.txt").write_text("mine")
    before = seeds(work / "reports/pole")
    evaluate("--seed", "1", "--overwrite", "--no-report")
    assert not before & seeds(work / "reports/pole")
    assert json.loads((work / "reports/pole/evaluation.json").read_text())["meta"]["seed"] == 1
    assert (work / "reports/pole/notes.txt").read_text() == "mine"
    assert not (work / "reports/pole/report.html").exists()  # that of the old rows
    evaluate("--seed", "2", "--overwrite", "--out", "reports/pole")
    assert (work / "reports/pole/report.html").is_file()


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_of_something_else_is_left_alone(work, more, capsys):
    (work / "thesis").mkdir()
    (work / "thesis/rows.csv").write_text("mine")
    (work / "file").write_text("mine")
    for out, said in (("thesis", "not an evaluation"), ("file", "not an evaluation"), ("file/below", "not a folder")):
        assert said in refused(capsys, "--out", out, *more)
    assert (work / "thesis/rows.csv").read_text() == (work / "file").read_text() == "mine"
    assert "--suite" in refused(capsys, "--suite")
    assert not (work / "reports").exists()
    (work / "empty").mkdir()
    evaluate("--out", "empty", "--no-report", *more)
    assert (work / "empty/rows.csv").is_file()


def test_names_of_many_runs_and_of_the_current_folder(work, monkeypatch):
    for index in range(7):
        shutil.copytree("agents/pole", f"agents/{index}-{'x' * 40}")
    arguments = [f"agents/{index}-{'x' * 40}" for index in range(7)]
    main(["evaluate", *arguments, "--env", "CartPole-v1", *SUITE, "--no-report"])
    assert [path.name for path in (work / "reports").iterdir()] == [f"0-{'x' * 40}-and-6-others"]
    monkeypatch.chdir(work / "agents/pole")
    main(["evaluate", ".", "--env", "CartPole-v1", *SUITE, "--no-report"])
    assert (work / "agents/pole/reports/pole/rows.csv").is_file()


def test_an_evaluation_that_failed_everywhere_writes_its_rows_and_exits_with_1(work, capsys, monkeypatch):
    monkeypatch.setattr(PPO, "predict", lambda self, *a, **k: 1 / 0)
    with pytest.raises(SystemExit) as stop:
        evaluate()
    assert stop.value.code == 1
    told = capsys.readouterr()
    assert "every episode failed" in told.err
    assert "ZeroDivisionError" in told.out
    with (work / "reports/pole/rows.csv").open() as file:
        assert all("ZeroDivisionError" in row["error"] for row in csv.DictReader(file))
    assert "failed" in (work / "reports/pole/report.html").read_text()


def test_rows_that_fail_in_part_do_not_fail_the_evaluation(work, capsys):
    main(["evaluate", "agents/pole", "--env", "CartPole-v1", "--suite", "attacks:epsilons=0.1", "--episodes", "1"])
    said = capsys.readouterr().out
    assert "1 of 4 episodes failed" in said
    assert "PPO has none" in said


def test_report_keeps_files_that_are_no_report(work, capsys):
    evaluate()
    page = (work / "reports/pole/report.html").read_text()
    (work / "index.html").write_text("<!doctype html><title>my site</title>")

    def report(*arguments):
        main(["report", "reports/pole", *arguments])

    assert "--overwrite" in refused(capsys, "--out", "index.html", verb=report)
    assert "my site" in (work / "index.html").read_text()
    assert "is a folder" in refused(capsys, "--out", "reports", verb=report)
    assert "not a folder" in refused(capsys, "--out", "index.html/page.html", verb=report)
    report()  # a report is made again where it was
    report("--out", "index.html", "--overwrite")
    report("--out", "index.html")
    assert (work / "index.html").read_text() == page == (work / "reports/pole/report.html").read_text()


class Drawn(CartPoleEnv):
    """A cart that is drawn without pygame."""

    def render(self):
        return np.full((32, 32, 3), 100, np.uint8)


def test_play_keeps_films(work, capsys):
    if "DrawnCart-v0" not in gymnasium.registry:  # no other file's: a process may run them all
        gymnasium.register("DrawnCart-v0", Drawn)
    (work / "film.png").write_text("mine")
    (work / "run").mkdir()
    (work / "run/config.json").write_text(json.dumps({"agent": "ppo", "env": "DrawnCart-v0", "provenance": {}}))
    shutil.copytree("agents/pole", "run/final")

    def play(*arguments):
        main(["play", "run", "--steps", "2", *arguments])

    assert "--overwrite" in refused(capsys, "--video", "film.png", verb=play)
    assert (work / "film.png").read_text() == "mine"
    play("--video", "film.png", "--overwrite")
    assert (work / "film.png").read_bytes().startswith(b"\x89PNG")
    for _ in range(2):
        play()
    assert (work / "play.mp4").is_file()
    assert (work / "play-2.mp4").is_file()
