"""What cannot be is one line and exit code 2, before anything is written; what is said fits any terminal."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from agentgym import catalog
from agentgym.cli.main import main

TRAIN = ("train", "ppo", "--env", "CartPole-v1", "--steps", "32")
OLD = """
import gymnasium as gym, numpy as np
from gymnasium import spaces

class FourValues(gym.Env):
    observation_space, action_space = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 1.0, False, {}

gym.register("FourValues-v0", entry_point=FourValues)
"""


def refused(said):
    assert said.startswith("agentgym: ")
    assert len(said.splitlines()) == 1
    return True


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--seed", -1], "4294967295"),
        (["--seed", 2**32], "4294967295"),
        (["--num-envs", 0], "at least 1"),
        (["--num-envs", -3], "at least 1"),
        (["--steps", 0], "at least 1"),
        (["--steps", -5], "at least 1"),
        (["--threads", -1], "threads"),
        (["--threads", 10**6], "threads"),
        (["--checkpoint-every", -1], "at least 0"),
        (["--keep-checkpoints", -1], "at least 0"),
        (["--device", "gpu"], "cuda"),
        (["--device", "cuda:99"], "CUDA devices"),
        (["--root", "file"], "not a folder"),
        (["--root", "file/deeper"], "not a folder"),
        (["--name", ""], "name"),
        (["--name", ".."], "name"),
        (["--name", "a/b"], "name"),
        (["--name", "n" * 256], "shorter"),
        (["--config.gamma", "nan"], "gamma"),
        (["--config.learning-rate", "inf"], "learning_rate"),
        (["--env-kwargs", "sutton=true"], "sutton_barto_reward"),
        (["--env-kwargs", "sutton_barto_reward"], "key=value"),
        (["--env-kwargs", "=true"], "key=value"),
        (["--env-kwargs", "a=1", "a=2"], "twice"),
        (["--env-kwargs", "max_episode_steps=nan"], "max_episode_steps"),
        (["--perturb", "ObservationNoise:std=-1"], "std"),
        (["--perturb", "ObservationNoise:sdt=1"], "std"),
        (["--env", "old:FourValues-v0"], "4 values"),
        (["--env", "nowhere:X-v0"], "nowhere"),
        (["--env", ""], "--env ID"),
    ],
)
def test_train(words, hint, typed):
    Path("file").touch()
    Path("old.py").write_text(OLD)
    before = sorted(Path().rglob("*.*"))
    code, printed, said = typed(*TRAIN, *words)
    assert (code, printed) == (2, "")
    assert refused(said)
    assert hint in said
    assert not Path("runs").exists()
    assert {path for path in Path().rglob("*.*") if "__pycache__" not in path.parts} == set(before)


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "nowhere"], ["resume", "file"], ["resume", "."], ["resume", "nowhere", "--steps", "-5"],
        ["evaluate", "nowhere"], ["evaluate", "file"], ["play", "file"], ["play", ""], ["report", "file"],
        ["report", "."],
        ["show", ""], ["show", "x" * 5000], ["trian"], [""], ["data", "nope"], ["data", "show", "nope"],
    ],
)  # fmt: skip
def test_the_other_verbs(words, typed):
    Path("file").touch()
    code, printed, said = typed(*words)
    assert (code, printed) == (2, "")
    assert refused(said)
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_folder_that_may_not_be_written_is_refused_before_training(typed, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the superuser may write everywhere
    code, _, said = typed(*TRAIN)
    assert code == 2
    assert "--root" in said
    code, _, said = typed("play", "--controllers", "zero", "--env", "agentgym/Convection-v0", "--video", "film.gif")
    assert code == 2
    assert "read-only" in said


def test_a_failing_disk_is_no_wrong_word(typed, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agentgym.runs.run.write_file", full)
    code, _, said = typed(*TRAIN)
    assert code == 1
    assert said.splitlines()[-1] == "agentgym: [Errno 28] No space left on device"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_every_card_and_list_fits_any_terminal(encoding, here, monkeypatch):
    listed = [entry for kind in get_args(catalog.Kind) for entry in catalog.entries(kind)]
    shown = {entry.card: entry.id for entry in listed}  # one name a card
    for words in (["list"], ["--help"], ["data"], ["train"], *(["show", name] for name in shown.values())):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        with contextlib.suppress(SystemExit):
            main(words)
        stream.flush()
        assert stream.buffer.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_module_where_one_stands_is_found_by_the_installed_command(encoding, here):
    (here / "old.py").write_text(OLD)
    command = [str(Path(sys.executable).with_name("agentgym")), *TRAIN, "--env", "old:FourValues-v0"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "step() of old:FourValues-v0 returns 4 values" in done.stderr
