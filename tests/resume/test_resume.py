"""Going on, and what is refused, on small runs in this process."""

import json
import os
import shutil
import signal
import threading
import warnings

import gymnasium
import numpy as np
import pytest

from agentgym.errors import AskError, CorruptFile, NotWritable, RunInUse, Stopped
from agentgym.evaluation.evaluate import evaluate
from agentgym.make import make_env
from agentgym.runs import resume as resuming
from agentgym.runs import session, state_files
from agentgym.runs.checkpoints import Checkpoints
from agentgym.runs.locks import locked
from agentgym.runs.run import Run
from agentgym.runs.train import resume, train
from agentgym.wrappers import replay as recording

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


@pytest.mark.parametrize(
    ("agent", "num_envs", "asked", "learned", "after_10_more"),
    [
        ("sac", 3, 100, 102, 114),  # a step of all environments at a time
        ("mdpo", 1, 100, 100, 110),
        ("ppo", 1, 50, 64, 96),  # rollouts of 32 steps
        ("mdpo-onpolicy", 2, 50, 64, 128),  # rollouts of 32 steps in each environment
        ("shared-ppo", 1, 50, 64, 96),
    ],
)
def test_more_steps_begin_where_the_run_ended(agent, num_envs, asked, learned, after_10_more, small_run, tmp_path):
    """Rollouts are whole, so that a run may have learned more steps than it was asked for."""
    run = train(small_run(agent, num_envs, steps=asked, every=0), "run", tmp_path, progress=False)
    assert run.record()["learned_steps"] == learned
    run = resume(run.path, more=10, progress=False)
    assert run.config.steps == learned + 10
    assert run.record()["learned_steps"] == after_10_more
    assert run.record()["finished_steps"] == learned + 10
    with pytest.raises(AskError, match="is finished"):
        resume(run.path, progress=False)


def test_more_steps_of_a_run_that_was_stopped_come_after_those_it_was_asked_for(interrupted):
    run = resume(interrupted, more=10, progress=False)  # at step 100 of 200
    assert run.config.steps == run.record()["learned_steps"] == 210


def test_a_finished_run_is_not_trained_again(finished):
    with pytest.raises(AskError, match="--steps MORE"):
        resume(finished.path)
    with pytest.raises(AskError, match="at least 0"):
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
        ({"config": {"gamma": 0.5}}, "config.gamma was 0.99, is 0.5"),
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
    real = session.fingerprint()
    monkeypatch.setattr(session, "fingerprint", lambda: {**real, key: value})
    with pytest.warns(UserWarning, match="not bit for bit"):
        run = resume(interrupted, progress=False)
    (resumed,) = run.record()["resumes"]
    assert resumed["exact"] is False
    assert key in resumed["reasons"][0]


def test_an_episode_is_played_again_with_its_resets_options():
    def recorded():
        return recording.RecordedEnv(make_env("agentgym/RobustInvertedPendulum-v0", {}, []), root=3, index=0)

    one, other = recorded(), recorded()
    one.reset()
    one.reset(options={"parameters": {"pole_mass": 20.0}})
    for _ in range(3):
        one.step([0.5])
    other.restore(one.state())
    assert other.replayed_exactly
    np.testing.assert_array_equal(one.step([0.5])[0], other.step([0.5])[0])
    one.reset()
    other.reset()
    np.testing.assert_array_equal(one.step([0.5])[0], other.step([0.5])[0])  # which go with their episode


def test_an_environment_that_answers_otherwise_is_noticed(interrupted, monkeypatch):
    """Say, another build of the simulator with the same version."""
    import gymnasium

    class Drifts(gymnasium.Wrapper):
        def step(self, action):
            observation, *rest = self.env.step(action)
            return (observation + 1e-15, *rest)

    original = recording.RecordedEnv.__init__
    monkeypatch.setattr(
        recording.RecordedEnv, "__init__", lambda self, env, root, index: original(self, Drifts(env), root, index)
    )
    with pytest.warns(UserWarning, match="replay of environment"):
        run = resume(interrupted, progress=False)
    assert run.record()["resumes"][0]["exact"] is False


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(small_run, finished, tmp_path, monkeypatch):
    write, written = state_files.write, []

    def fill_up(folder, contents):
        written.append(folder)
        if len(written) == 4:  # rows and checkpoint of step 100, rows of step 200, then no room
            raise OSError(28, "No space left on device")
        return write(folder, contents)

    monkeypatch.setattr(state_files, "write", fill_up)
    with pytest.raises(OSError, match=r"step 200 could not be written.*one is of step 100\. Free disk space"):
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
    with pytest.warns(UserWarning, match="checkpoint 200 is damaged"):
        resume(folder, progress=False)
    assert differing(everything(finished.path), everything(folder)) == []


def test_no_whole_checkpoint_is_an_error(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    (folder / "record.json").unlink()
    for path in folder.glob("checkpoints/0*/manifest.json"):
        path.unlink()
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CorruptFile, match="All checkpoints"):
        resume(folder, progress=False)


def damage(path, kind):
    rows = path.read_text().splitlines(keepends=True)
    if kind == "deleted":
        path.unlink()
    else:
        path.write_text(
            {"emptied": "", "cut": "".join(rows[:2]), "edited": rows[0] + rows[1].replace("1", "2", 1)}[kind]
        )


@pytest.mark.parametrize("kind", ["deleted", "emptied", "cut", "edited"])
def test_tables_that_were_damaged_are_put_back_and_that_is_said(finished, interrupted, kind):
    assert len((interrupted / "metrics.csv").read_text().splitlines()) > 3
    for name in ("metrics.csv", "timing.csv"):
        damage(interrupted / name, kind)
    with pytest.warns(UserWarning, match="changed since the checkpoint") as warned:
        run = resume(interrupted, progress=False)
    assert len([one for one in warned if "restored" in str(one.message)]) == 2
    (resumed,) = run.record()["resumes"]
    assert resumed["exact"] is True
    assert resumed["restored"] == ["metrics.csv was", "timing.csv was"]
    assert differing(everything(finished.path), everything(interrupted)) == []
    rows = [len((path / "timing.csv").read_text().splitlines()) for path in (finished.path, interrupted)]
    assert rows[0] == rows[1]


def test_a_record_that_was_damaged(finished, interrupted):
    (interrupted / "record.json").write_text("{")
    before = sorted(path.name for path in interrupted.rglob("*"))
    with pytest.raises(CorruptFile, match=r"record\.json is damaged.*Remove it"):
        resume(interrupted, progress=False)
    assert sorted(path.name for path in interrupted.rglob("*")) == before
    (interrupted / "record.json").unlink()
    run = resume(interrupted, progress=False)
    assert run.record()["seconds"] > 0
    shutil.rmtree(interrupted / "final")
    (interrupted / "record.json").unlink()
    with pytest.warns(UserWarning, match=r"record\.json was changed"):  # the checkpoint knows that it was resumed
        run = resume(interrupted, progress=False)
    assert [resumed["step"] for resumed in run.record()["resumes"]] == [100, 200]


def test_events_that_were_deleted_are_made_again_from_metrics(interrupted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for file in interrupted.glob("events*"):
        file.unlink()
    with pytest.warns(UserWarning, match="TensorBoard's events were changed"):
        resume(interrupted, progress=False)
    events = EventAccumulator(str(interrupted)).Reload()
    assert min(event.step for event in events.Scalars("rollout/ep_rew_mean")) < 100


EVERY_KIND = (
    "sac", "ppo", "mdpo", "mdpo-onpolicy", "shared-mdpo", "m2td3", "rarl", "tc-rmdp", "iwocs", "maddpg", "hatrpo",
    "hatrpo-q", "dqn",
)  # fmt: skip


@pytest.mark.parametrize("agent", EVERY_KIND)
def test_equal_runs_have_equal_manifests_also_after_a_resume(agent, small_run, tmp_path):
    steps = 400 if agent == "iwocs" else 192  # shares of which must reach beyond the random ones
    config = small_run(agent, steps=steps, every=steps // 2)
    whole = train(config, "whole", tmp_path, progress=False)
    half = tmp_path / "half"
    shutil.copytree(whole.path, half)
    shutil.rmtree(half / "final")
    shutil.rmtree(sorted((half / "checkpoints").glob("0*"))[-1])
    (half / "record.json").unlink()
    resume(half, progress=False)
    assert (whole.final / "manifest.json").read_text() == (half / "final/manifest.json").read_text()
    assert differing(everything(whole.path), everything(half)) == []


@pytest.mark.parametrize("agent", ["ppo", "mdpo-onpolicy", "shared-ppo"])
def test_a_signal_is_heeded_within_a_long_rollout(agent, small_run, tmp_path, monkeypatch):
    config = small_run(agent, steps=192, every=10_000)
    whole = train(config, "whole", tmp_path, progress=False)
    monkeypatch.setattr(resuming.Checkpointer, "LONG", 0.0)
    monkeypatch.setattr(resuming.Checkpointer, "COST", 1e9)
    heard = resuming.Checkpointer._on_step

    def signal_once(self):
        if self.n_calls == 70:
            os.kill(os.getpid(), signal.SIGTERM)
        return heard(self)

    monkeypatch.setattr(resuming.Checkpointer, "_on_step", signal_once)
    with pytest.raises(Stopped, match="at step 64"):
        train(config, "half", tmp_path, progress=False)
    assert Run.open(tmp_path / "half").record()["seconds"] > 0
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        resume(tmp_path / "half", progress=False)
    assert differing(everything(whole.path), everything(tmp_path / "half")) == []


def test_slow_runs_have_checkpoints_whatever_the_number_of_steps(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming.Checkpointer, "LONGEST", 0.0)
    monkeypatch.setattr(resuming.Checkpointer, "COST", 1e9)
    run = train(small_run("ppo", steps=96, every=10_000), "some", tmp_path, progress=False)
    assert Checkpoints(run.path / "checkpoints").steps() == [64, 96]
    for name, changes in (("none", {"every": 0}), ("all", {"every": 64, "keep_checkpoints": 0})):
        run = train(small_run("ppo", steps=96, **changes), name, tmp_path, progress=False)
        assert Checkpoints(run.path / "checkpoints").steps() == {"none": [96], "all": [64, 96]}[name]


def test_in_a_thread(small_run, finished, tmp_path):
    found = []

    def work():
        found.append(train(small_run("sac", steps=100, every=100), "run", tmp_path, progress=False))
        found.append(resume(tmp_path / "run", more=100, progress=False))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 2
    assert signal.getsignal(signal.SIGTERM) is before
    finals = [path / "final/tensors.safetensors" for path in (finished.path, tmp_path / "run")]
    assert finals[0].read_bytes() == finals[1].read_bytes()


def test_two_runs_at_once_in_one_process_are_warned_of(small_run, tmp_path):
    inside = []

    class Nested(gymnasium.Wrapper):
        def reset(self, **keywords):
            inside.append(True)
            if len(inside) == 2:  # the first is of the look before anything is made
                with pytest.warns(UserWarning, match="Another run is training"):
                    train(small_run("ppo", steps=32), "inner", tmp_path, progress=False)
            return self.env.reset(**keywords)

    gymnasium.register("tests/Nested-v0", lambda: Nested(gymnasium.make("CartPole-v1")))
    try:
        train(small_run("ppo", steps=32, env="tests/Nested-v0", env_kwargs={}, perturbations=[]), "outer", tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            train(small_run("ppo", steps=32), "later", tmp_path, progress=False)
    finally:
        del gymnasium.registry["tests/Nested-v0"]
    assert len(inside) > 1


class Breaks(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def __init__(self, after):
        self.after = after

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.step(0)[0], {}

    def step(self, action):
        self.after -= 1
        if self.after < 0:
            raise OSError("the simulator is gone")
        return self.observation_space.low, 0.0, False, False, {}


@pytest.fixture(scope="module")
def breaking():
    gymnasium.register("tests/Breaks-v0", Breaks)
    yield "tests/Breaks-v0"
    del gymnasium.registry["tests/Breaks-v0"]


@pytest.mark.parametrize("there", ["nothing", "a folder with strays"])
def test_a_failure_before_anything_was_learned_leaves_the_name_free(small_run, tmp_path, breaking, there):
    path = tmp_path / "runs/run"
    if there != "nothing":
        path.mkdir(parents=True)
        (path / ".DS_Store").write_text("mine")
    config = small_run("ppo", env=breaking, env_kwargs={"after": 20}, perturbations=[])
    with pytest.raises(OSError, match="simulator"):
        train(config, "run", tmp_path / "runs", progress=False)
    left = [one.name for one in path.iterdir()] if path.exists() else []
    assert left == ([] if there == "nothing" else [".DS_Store"])
    assert (tmp_path / "runs").exists() == (there != "nothing")
    train(small_run("ppo", steps=32), "run", tmp_path / "runs", progress=False)


def test_a_failure_after_a_checkpoint_leaves_the_run(small_run, tmp_path, breaking):
    config = small_run("ppo", every=32, env=breaking, env_kwargs={"after": 80}, perturbations=[])
    with pytest.raises(OSError, match="simulator"):
        train(config, "run", tmp_path, progress=False)
    assert Checkpoints(tmp_path / "run/checkpoints").steps() == [32, 64]
    assert not (tmp_path / "run/running.json").exists()


def test_another_process_at_the_run_is_named_before_anything_is_touched(finished, small_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    with locked(folder, "agentgym train"):
        before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
        for call in (
            lambda: resume(folder, more=100, progress=False),
            lambda: train(small_run(), "run", tmp_path, overwrite=True, progress=False),
        ):
            with pytest.raises(RunInUse, match=rf"process {os.getpid()} on .*\(agentgym train\)"):
                call()
        assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before
        assert len(evaluate(folder, "perturbations:axes=action,levels=1", episodes=1, progress=False).rows) > 0


def test_overwriting_deletes_the_runs_own_files_only(finished, small_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    mine = [folder / "notes.txt", folder / "final/.DS_Store", folder / "checkpoints/mine.csv"]
    for path in mine:
        path.write_text("a month of work")
    run = train(small_run("ppo", steps=32), "run", tmp_path, overwrite=True, progress=False)
    assert all(path.read_text() == "a month of work" for path in mine)
    assert Checkpoints(folder / "checkpoints").steps() == [32]
    assert json.loads((run.final / "values.json").read_text())["agent"] == "ppo"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[1, 2]", '{"agent": "sac"}', '{"agent": [], "provenance": 3}']
)
def test_a_damaged_configuration_is_a_clear_error(finished, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"config\.json is damaged"):
        resume(tmp_path)


def test_a_final_folder_that_is_somebodys_is_refused_before_training(interrupted):
    (interrupted / "final").mkdir()
    (interrupted / "final/thesis.tex").write_text("mine")
    with pytest.raises(NotWritable, match="thesis"):
        resume(interrupted, progress=False)
    assert Run.open(interrupted).record()["resumes"] == []


def test_a_checkpoint_of_another_version_is_refused_and_the_run_stays_as_it_was(small_run, tmp_path):
    run = train(small_run("ppo"), "run", tmp_path, progress=False)
    step = Checkpoints(run.path / "checkpoints").steps()[-1]
    newest = run.path / "checkpoints" / f"{step:010d}"
    contents = state_files.read(newest)
    del contents.values["items"]["num_timesteps"]
    state_files.write(newest, contents)
    before = (run.path / "config.json").read_text()
    with pytest.raises(CorruptFile, match=r"has no num_timesteps.*another version of agentgym"):
        resume(run.path, 100, progress=False)
    assert (run.path / "config.json").read_text() == before
