import csv
import json

import numpy as np
import pytest

from agentgym.errors import AskError, CorruptFile, UnknownId
from agentgym.metrics import MetricsFile
from agentgym.runs import Run, RunConfig
from agentgym.settings import parse_settings, parse_values


def test_a_run_is_read_back_as_it_was_asked_for(tmp_path):
    config = RunConfig("sac", "Pendulum-v1", {"g": 9.0}, [{"type": "ObservationNoise"}], seed=3, config={"gamma": 0.9})
    Run.create(tmp_path / "r", config)
    back = Run.open(tmp_path / "r")
    assert back.config == config
    assert set(back.provenance) >= {"command", "versions", "git", "created"}


def test_a_run_is_not_overwritten_unasked(tmp_path):
    Run.create(tmp_path / "r", RunConfig("sac", "Pendulum-v1"))
    with pytest.raises(AskError, match="--overwrite"):
        Run.create(tmp_path / "r", RunConfig("sac", "Pendulum-v1"))
    Run.create(tmp_path / "r", RunConfig("sac", "Pendulum-v1", seed=1), overwrite=True)
    assert Run.open(tmp_path / "r").config.seed == 1


def test_a_folder_that_is_no_run_is_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(AskError, match="not a run"):
        Run.create(tmp_path, RunConfig("sac", "Pendulum-v1"), overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_missing_and_damaged_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match="agentgym train"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"agent": "sac"}))
    with pytest.raises(CorruptFile, match=r"config\.json"):
        Run.open(tmp_path)


def test_metrics_gain_columns_and_keep_rows(tmp_path):
    MetricsFile(tmp_path).write({"a": 1.0}, {}, step=10)
    again = MetricsFile(tmp_path)  # another process goes on
    again.write({"a": np.float32(2.0), "b": 0.1, "hidden": 5, "picture": object()}, {"hidden": ("csv",)}, step=20)
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"step": "10", "a": "1.0", "b": ""}, {"step": "20", "a": "2.0", "b": "0.1"}]


def test_what_the_clock_says_stands_apart(tmp_path):
    MetricsFile(tmp_path).write({"loss": 1.0, "time/fps": 30}, {}, step=10)
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n10,1.0\n"
    assert (tmp_path / "timing.csv").read_text() == "step,time/fps\n10,30\n"


def test_metrics_are_cut_back_to_where_they_were(tmp_path):
    metrics = MetricsFile(tmp_path)
    metrics.write({"a": 1.0}, {}, step=10)
    then, text = metrics.position(), (tmp_path / "metrics.csv").read_text()
    metrics.write({"a": 2.0, "new": 3.0}, {}, step=20)
    again = MetricsFile(tmp_path)
    again.cut_back(then)
    assert (tmp_path / "metrics.csv").read_text() == text
    again.clear()
    assert not (tmp_path / "metrics.csv").exists()


def test_settings_as_typed():
    assert parse_settings("grid:points=7,endpoint=false,names=a+b,text=x") == (
        "grid",
        {"points": 7, "endpoint": False, "names": ["a", "b"], "text": "x"},
    )
    assert parse_values(['parameters={"torso_mass": 3.0}']) == {"parameters": {"torso_mass": 3.0}}
    with pytest.raises(AskError, match="key=value"):
        parse_values(["points"])


def test_an_unknown_setting_gives_the_nearest():
    from agentgym.evaluation.evaluate import load_suite

    with pytest.raises(UnknownId, match="points"):
        load_suite("parameter-grid:point=7")
