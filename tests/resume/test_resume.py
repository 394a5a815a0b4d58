"""Going on, and what is refused, on small runs in this process."""

import json
import shutil
import warnings

import pytest

from agentgym import checkpoint, training
from agentgym.errors import AskError, CorruptFile
from agentgym.runs import Run
from agentgym.training import resume, train

from .conftest import differing, everything


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    return train(small_run("sac", steps=200, every=100), "run", tmp_path_factory.mktemp("finished"), progress=False)


@pytest.fixture
def interrupted(finished, tmp_path):
    """The run as it was at its first checkpoint."""
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    for leftover in ("final", "checkpoints/0000000200"):
        shutil.rmtree(folder / leftover)
    (folder / "record.json").unlink()
    return folder


def edit(path, **changes):
    text = json.loads(path.read_text())
    path.write_text(json.dumps({**text, **changes}))


def test_a_run_killed_before_its_first_checkpoint_starts_over(finished, interrupted):
    shutil.rmtree(interrupted / "checkpoints")
    resume(interrupted, progress=False)
    assert differing(everything(finished.path), everything(interrupted)) == []


def test_more_steps_are_those_of_a_longer_run(small_run, finished, interrupted, tmp_path):
    """True for constant schedules, which these are."""
    longer = train(small_run("sac", steps=300, every=100), "longer", tmp_path, progress=False)
    shutil.copytree(finished.path, tmp_path / "extended")
    resume(tmp_path / "extended", more=100, progress=False)
    assert Run.open(tmp_path / "extended").config.steps == 300
    assert [
        path for path in differing(everything(longer.path), everything(tmp_path / "extended"))
        if path != "/state/_total_timesteps"
    ] == []  # fmt: skip


def test_a_finished_run_is_not_trained_again(finished):
    with pytest.raises(AskError, match="--steps MORE"):
        resume(finished.path)
    with pytest.raises(AskError, match="0 or more"):
        resume(finished.path, more=-1)
    with pytest.raises(FileNotFoundError, match="agentgym train"):
        resume(finished.path / "nowhere")


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"agent": "ppo", "config": {}}, "agent was sac, is ppo"),
        ({"env": "InvertedPendulum-v5", "env_kwargs": {}}, "is InvertedPendulum-v5"),
        ({"seed": 4}, "seed was 3, is 4"),
        ({"perturbations": []}, "perturbations was"),
        ({"config": {"gamma": 0.5}}, "config.gamma was None, is 0.5"),
    ],
)
def test_another_run_is_refused_and_the_difference_shown(interrupted, change, shown):
    edit(interrupted / "config.json", **change)
    before = sorted(path.name for path in interrupted.rglob("*"))
    with pytest.raises(AskError, match=shown):
        resume(interrupted, progress=False)
    assert sorted(path.name for path in interrupted.rglob("*")) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cpu capability", "SCALAR"),
        ("threads", 64),
        ("versions", {"torch": "1.0"}),
        ("machine", "pdp11"),
        ("source", "0123"),
        ("source", "edited"),
    ],
)
def test_another_machine_goes_on_with_a_warning_and_says_so(interrupted, monkeypatch, key, value):
    real = training.fingerprint()
    monkeypatch.setattr(training, "fingerprint", lambda: {**real, key: value})
    with pytest.warns(UserWarning, match="not bit for bit"):
        run = resume(interrupted, progress=False)
    (resumed,) = run.record()["resumes"]
    assert resumed["exact"] is False
    assert key in resumed["reasons"][0]


def test_an_environment_that_answers_otherwise_is_noticed(interrupted, monkeypatch):
    """Say, another build of the simulator with the same version."""
    import gymnasium

    from agentgym import recording

    class Drifts(gymnasium.Wrapper):
        def step(self, action):
            observation, *rest = self.env.step(action)
            return (observation + 1e-15, *rest)

    original = recording.RecordedEnv.__init__
    monkeypatch.setattr(
        recording.RecordedEnv, "__init__", lambda self, env, root, index: original(self, Drifts(env), root, index)
    )
    with pytest.warns(UserWarning, match="did not answer as it had"):
        run = resume(interrupted, progress=False)
    assert run.record()["resumes"][0]["exact"] is False


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(small_run, finished, tmp_path, monkeypatch):
    write, written = checkpoint.write, []

    def fill_up(folder, contents):
        written.append(folder)
        if len(written) == 4:  # rows and checkpoint of step 100, rows of step 200, then no room
            raise OSError(28, "No space left on device")
        return write(folder, contents)

    monkeypatch.setattr(checkpoint, "write", fill_up)
    with pytest.raises(OSError, match=r"step 200 could not be written.*last whole one is of step 100"):
        train(small_run("sac", steps=200, every=100), "run", tmp_path, progress=False)
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resume(tmp_path / "run", progress=False)
    assert differing(everything(finished.path), everything(tmp_path / "run")) == []


def test_a_broken_checkpoint_is_passed_over_for_the_one_before(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    (folder / "record.json").unlink()
    tensors = folder / "checkpoints/0000000200/tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="checkpoint 200 is broken"):
        resume(folder, progress=False)
    assert differing(everything(finished.path), everything(folder)) == []


def test_no_whole_checkpoint_is_an_error(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    (folder / "record.json").unlink()
    for path in folder.glob("checkpoints/0*/manifest.json"):
        path.unlink()
    with pytest.warns(UserWarning, match="broken"), pytest.raises(CorruptFile, match="No checkpoint"):
        resume(folder, progress=False)
