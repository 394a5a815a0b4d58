import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from agentgym.contracts.settings import from_settings, parse_settings, parse_values
from agentgym.errors import AskError, CorruptFile, InvalidParameter, NonFinite, UnknownId
from agentgym.runs import resume
from agentgym.runs.metrics import MetricsFile
from agentgym.runs.run import Run, RunConfig, provenance, run_folder
from agentgym.runs.train import train


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
    then, text = metrics.metrics.content(), (tmp_path / "metrics.csv").read_text()
    metrics.write({"a": 2.0, "new": 3.0}, {}, step=20)
    again = MetricsFile(tmp_path)
    again.restore(then)
    assert not again.damaged  # rows and columns that came later do not count
    assert (tmp_path / "metrics.csv").read_text() == text
    again.clear()
    assert not (tmp_path / "metrics.csv").exists()


@pytest.mark.parametrize(
    "damage",
    [None, b"", b"step,a\n", b"step,a\n10,1.0\n", b"step,a\n10,1.0\n20,9.0\n30,3.0\n", b"step,b\n10,1.0\n20,2.0\n",
     b"\x00\xff\xfe", b"a,step\n1.0,10\n2.0,20\n"],
)  # fmt: skip
def test_what_metrics_have_lost_is_put_back(tmp_path, damage):
    metrics, file = MetricsFile(tmp_path), tmp_path / "metrics.csv"
    for step in (10, 20):
        metrics.write({"a": step / 10}, {}, step=step)
    then, text = metrics.metrics.content(), file.read_text()
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    again = MetricsFile(tmp_path)
    again.restore(then)
    assert again.damaged
    assert file.read_text() == text
    again.write({"a": 3.0, "b": 1}, {}, step=30)
    assert file.read_text() == "step,a,b\n10,1.0,\n20,2.0,\n30,3.0,1\n"


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


WRONG = {
    "seed": [-1, 2**32, 1.0, True, "0", None],
    "num_envs": [0, -1, 1.5],
    "steps": [0, -5, 1e5, float("nan")],
    "threads": [-1, 5000],
    "checkpoint_every": [-1, "often"],
    "keep_checkpoints": [-1, 0.5],
    "device": ["gpu", "mps", "", "cuda:99", 0],
    "env": [None, 7],
    "env_kwargs": [None, ["g"], {"g": float("nan")}, {"g": object()}, {"deep": {"list": [float("inf")]}}],
    "perturbations": [{}, ["ObservationNoise"], [{"std": 1.0}], [{"type": "ObservationNoise", "std": float("nan")}]],
    "config": [{"gamma": "x"}, {"gamma": float("nan")}, {"batch_size": 1.5}, {"actor_layers": [64, "x"]},
               {"activation": "sine"}, {"gama": 0.9}, {"gamma": None}, {"compile": 1}],
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_python_refuses_what_the_command_line_refuses_before_a_folder_is_made(field, value, tmp_path):
    config = RunConfig("sac", "Pendulum-v1", steps=10)
    setattr(config, field, value)
    with pytest.raises((InvalidParameter, NonFinite, UnknownId)):
        train(config, "run", tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_numpys_numbers_are_pythons_own_in_a_run(tmp_path):
    config = RunConfig(
        "sac", "Pendulum-v1", {"g": np.float32(9.0)}, [{"type": "ObservationNoise", "std": np.float64(0.1)}],
        num_envs=np.int64(1), steps=np.int32(20), seed=np.uint32(2**32 - 1), threads=np.int8(1), device="cpu",
        config={"gamma": np.float32(0.5), "batch_size": np.int64(8), "actor_layers": np.array([8, 8]), "tau": 1},
    )  # fmt: skip
    run = train(config, "run", tmp_path, progress=False)
    back = Run.open(run.path).config
    assert back.seed == 2**32 - 1
    given = {"gamma": 0.5, "batch_size": 8, "actor_layers": [8, 8], "tau": 1}
    assert {name: back.config[name] for name in given} == given
    assert back.env_kwargs == {"g": 9.0}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", "a\\b", "a\nb", "x" * 201, "\0", "\udcff"])
def test_names_that_are_no_folders(name, tmp_path):
    with pytest.raises(InvalidParameter, match="name"):
        train(RunConfig("sac", "Pendulum-v1", steps=10), name, tmp_path / "runs", progress=False)
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_hold_runs(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(InvalidParameter, match="not a folder"):
            run_folder(root, "run")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(InvalidParameter, match="is not writable"):
        run_folder(tmp_path / "new" / "er", "run")


def test_settings_are_held_to_their_types():
    from agentgym.agents.sac.config import SACConfig

    def made(**values):
        return from_settings(SACConfig, values, "agent sac")

    assert made(batch_size=1e3).batch_size == 1000
    assert made(actor_layers=64).actor_layers == (64,)
    assert made(ent_coef=0.1).ent_coef == "0.1"
    with pytest.raises(InvalidParameter, match="batch_size of agent sac is 'many'; it must be a whole number"):
        made(batch_size="many")
    with pytest.raises(UnknownId, match="tanh"):
        made(activation="tahn")
    with pytest.raises(NonFinite, match="gamma=nan"):
        made(gamma=np.float32("nan"))


@pytest.mark.parametrize("pairs", [["=1"], ["a"], [""], ["a=1", "a=2"], ["a=NaN"], ["a=[1,Infinity]"], ["a=1e999"],
                                   ["a=" + "[" * 100_000]])  # fmt: skip
def test_values_that_are_none(pairs):
    with pytest.raises(AskError):
        parse_values(pairs)


def test_a_record_names_the_revision_of_a_checkout():
    if not (Path(__file__).parents[2] / ".git").exists():
        pytest.skip("not a git checkout")
    asked = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout
    assert head.startswith(provenance()["git"].removesuffix("-dirty").rpartition("-g")[2])


@pytest.mark.parametrize("name", ["sac.py", "solver.py", "native.py"])
def test_a_change_of_any_source_file_changes_what_exact_resume_compares(name, monkeypatch):
    before, read = resume._source.__wrapped__(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path.name == name else b""))
    assert resume._source.__wrapped__() != before
