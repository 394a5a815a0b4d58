"""A study makes what is missing: whole or killed, at once or in parts, its rows are the same."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from agentgym.errors import AskError, CorruptFile, RunInUse
from agentgym.runs.locks import locked
from agentgym.study.cells import cells_of
from agentgym.study.file import load_study
from agentgym.study.rows import write_parquet
from agentgym.study.runner import open_results, run_study
from tests.forked import FORKED

WALL_CLOCK = ("seconds", "created")

RUN = """
import os
os.setsid()
os.environ.update(environment)
os.dup2(os.open(root + "/errors.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
from agentgym.study.file import load_study
from agentgym.study.runner import run_study
run_study(load_study(file), root, progress=False)
"""


def rows_of(path):
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in WALL_CLOCK} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The small study, made without a break."""
    from .conftest import SMALL

    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.toml").write_text(SMALL)
    return run_study(load_study(folder / "small.toml"), folder, progress=False)


def test_every_run_has_its_row_and_curve(whole):
    rows = rows_of(whole.rows.path)
    assert [(row["agent"], row["seed"]) for row in rows] == [
        ("ppo", "0"), ("mdpo-onpolicy", "0"), ("ppo", "1"), ("mdpo-onpolicy", "1")
    ]  # fmt: skip
    for row in rows:
        returns = [float(value) for value in row["returns"].split(";")]
        assert float(row["return"]) == pytest.approx(sum(returns) / 2, rel=1e-5)
        assert row["steps"] == "128"
        assert row["error"] == ""
    curves = rows_of(whole.curves.path)
    assert {row["agent"] for row in curves} <= {"ppo", "mdpo-onpolicy"}
    again = run_study(whole.study, whole.runs.parent, progress=False)  # nothing is left to do
    assert rows_of(again.rows.path) == rows


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_is_the_same(kills, whole, small_file, tmp_path):
    file, killed = small_file, 0
    while killed < kills:
        names = {"file": str(file), "root": str(tmp_path), "environment": dict(os.environ)}
        process = FORKED.Process(target=exec, args=(RUN, names))
        process.start()
        before, began = progress_of(file, tmp_path), time.monotonic()
        while process.is_alive() and progress_of(file, tmp_path) <= before and time.monotonic() - began < 60:
            time.sleep(0.01)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), (tmp_path / "errors.txt").read_text()
        assert process.exitcode or killed == kills, "it ended before it could be killed"
    results = run_study(load_study(file), tmp_path, progress=False)
    assert rows_of(results.rows.path) == rows_of(whole.rows.path)
    assert rows_of(results.curves.path) == rows_of(whole.curves.path)


def progress_of(file, root):
    """Checkpoints of all runs, by their steps."""
    return sum(
        max((int(one.name) for one in (cell.folder / "checkpoints").glob("[0-9]*")), default=0)
        for cell in cells_of(load_study(file), root / "small")
    )


FULL = """
import os, shutil, sys
disk, out = sys.argv[1:]
os.chdir(disk)
from agentgym.cli.main import main
size = 24
while True:
    try:
        main(["study", "run", out + "/small.toml", "--root", disk])
    except SystemExit as end:
        print(end.code, size, flush=True)
        rows = disk + "/small/rows.csv"
        shutil.copy(rows, f"{out}/rows-{size}.csv") if os.path.isfile(rows) else None
        size += 72  # kB; what was there before stays
        assert not os.system(f"mount -o remount,size={size}k {disk}")
    else:
        break
for name in ("rows.csv", "curves.csv"):
    shutil.copy(f"{disk}/small/{name}", out)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare (Linux)")
def test_a_full_disk_stops_the_study_and_nothing_is_lost(whole, small_file, tmp_path):
    """A disk that grows whenever it is full: rows are whole at any time, and at last those of an ample disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*mounted, f"mount -t tmpfs none {disk}"], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    (tmp_path / "full.py").write_text(FULL)
    run = f"mount -t tmpfs -o size=24k none {disk} && exec {sys.executable} {tmp_path}/full.py {disk} {tmp_path}"
    done = subprocess.run([*mounted, run], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stops = [line.split() for line in done.stdout.splitlines() if line[0].isdigit()]
    assert len(stops) > 3
    assert {code for code, _ in stops} == {"1"}
    said = [line for line in done.stderr.splitlines() if line.startswith("agentgym: ")]
    assert len(said) == len(stops)
    assert all("The disk is full, and the study in" in line and "the same command" in line for line in said)
    assert "Traceback" not in done.stderr
    ends, before = rows_of(whole.rows.path), 0
    for _, size in stops:
        kept = rows_of(tmp_path / f"rows-{size}.csv") if (tmp_path / f"rows-{size}.csv").is_file() else []
        assert [row for row in ends if row in kept] == kept
        assert len(kept) >= before
        before = len(kept)
    assert rows_of(tmp_path / "rows.csv") == ends
    assert rows_of(tmp_path / "curves.csv") == rows_of(whole.curves.path)


JUDGE = """
def judge(finished):
    if finished.cell.seed == 1:
        raise ValueError("no score\\nfor this one")
    yield {"case": "first", "quality": 2.0}
    yield {"case": "second", "quality": 3.0}
"""


def test_a_failed_run_is_a_row_and_is_tried_again(small_file, tmp_path):
    text = small_file.read_text().replace("seed = 7", 'judge = "judging:judge"\nscore = "quality"\ncase = "first"')
    small_file.write_text(text)
    (tmp_path / "judging.py").write_text(JUDGE)
    results = run_study(load_study(small_file), tmp_path, only=["ppo"], progress=False)
    rows = rows_of(results.rows.path)
    assert [(row["seed"], row["case"], row.get("quality")) for row in rows] == [
        ("0", "first", "2.0"), ("0", "second", "3.0"), ("1", "", "")
    ]  # fmt: skip
    assert rows[2]["error"].startswith("ValueError: no score for this one")
    changed = text.replace("judging:judge", "mended:judge")
    (tmp_path / "mended.py").write_text(JUDGE.replace("== 1", "== 2"))
    small_file.write_text(changed)
    with pytest.raises(AskError, match='judge was "judging:judge", is "mended:judge"'):
        run_study(load_study(small_file), tmp_path, only=["ppo"], progress=False)
    results.rows.path.unlink()
    results = run_study(load_study(small_file), tmp_path, only=["ppo"], progress=False)
    assert [row["error"] for row in rows_of(results.rows.path)] == [""] * 4


def test_other_settings_are_refused_before_work(whole, tmp_path):
    folder = whole.runs.parent
    study = folder / "small.toml"
    before = rows_of(whole.rows.path)
    text = study.read_text()
    try:
        study.write_text(text.replace("steps = 128", "steps = 160"))
        with pytest.raises(AskError, match="steps was 128, is 160"):
            run_study(load_study(study), folder, progress=False)
        study.write_text(text.replace("n_epochs = 2", "n_epochs = 3") + 'judge = "math:floor"\n')
        whole.rows.path.rename(folder / "aside.csv")
        with pytest.raises(AskError, match="n_epochs was 2, is 3"):
            run_study(load_study(study), folder, progress=False)
    finally:
        study.write_text(text)
        (folder / "aside.csv").rename(whole.rows.path)
    assert rows_of(whole.rows.path) == before


def test_one_process_at_a_time_and_whole_files_only(whole, tmp_path):
    more = {"seeds": [0, 1, 2]}
    with locked(whole.runs, "another command"), pytest.raises(RunInUse, match="another command"):
        run_study(whole.study, whole.runs.parent, **more, progress=False)
    good = whole.rows.path.read_bytes()
    try:
        whole.rows.path.write_bytes(good[: len(good) - 200])
        with pytest.raises(CorruptFile, match=r"row \d"):
            open_results(whole.study, whole.runs.parent)
    finally:
        whole.rows.path.write_bytes(good)


def test_a_ray_cluster_that_is_not_there_is_said_before_work(small_file, tmp_path):
    pytest.importorskip("ray", reason="needs the extra distributed")
    with pytest.raises(AskError, match="does not answer"):
        run_study(load_study(small_file), tmp_path / "runs", ray="127.0.0.1:1", progress=False)
    assert not (tmp_path / "runs").exists()


def test_parquet_has_numbers(whole, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(write_parquet(whole.rows.rows, tmp_path / "rows.parquet")).to_pydict()
    assert table["seed"] == [0, 0, 1, 1]
    assert table["return"] == [float(row["return"]) for row in whole.rows.rows]
    assert table["error"] == [None] * 4


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_command_killed_with_its_workers_is_the_same(study_file, tmp_path):
    """2 agents x 2 environments x 3 seeds with two workers; the whole group is killed three times."""
    text = """
seeds = "0-2"
steps = 400
checkpoint_every = 100
[agents.sac]
config = { actor_layers = [16], critic_layers = [16], batch_size = 32 }
[agents.ppo]
config = { n_steps = 64, batch_size = 32 }
[envs."Pendulum-v1"]
[envs."InvertedPendulum-v5"]
[protocol]
episodes = 3
"""
    file, found = study_file(text, "twelve"), {}
    program = "import sys; from agentgym.cli.main import main; main(sys.argv[1:])"
    for name, kills in (("whole", 0), ("cut", 3)):
        command = [sys.executable, "-c", program, "study", "run", str(file), "--workers", "2", "--root", name]
        rows, began = tmp_path / name / "twelve/rows.csv", time.monotonic()
        for kill in range(kills + 1):
            process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
            wanted = 3 * (kill + 1)
            while kill < kills and (not rows.is_file() or len(rows_of(rows)) < wanted):
                assert process.poll() is None
                time.sleep(0.1)
            if kill < kills:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.returncode == 0
        found[name] = rows_of(rows), rows_of(rows.with_name("curves.csv"))
        print(f"{name}: {time.monotonic() - began:.0f} s")
    assert len(found["whole"][0]) == 12
    assert found["cut"] == found["whole"]


def test_suites_and_controllers(study_file, tmp_path):
    text = """
seeds = [0]
steps = 64
[agents.ppo]
config = { n_steps = 64, batch_size = 32 }
env_kwargs = { randomize = "uniform" }
[agents.informed]
agent = "ppo"
config = { n_steps = 64, batch_size = 32 }
env_kwargs = { observe = "parameters" }
[agents.hands]
controller = "random"
[envs.pole]
env = "agentgym/RobustInvertedPendulum-v0"
perturbations = [{ type = "ActionNoise", std = 0.1 }]
[envs.errands]
env = "agentgym/Household-v0"
env_kwargs = { size = "tiny" }
[protocol]
episodes = 2
policy = ["mode", "samples"]
[questions.learned]
cells = [{ agent = "ppo", env = "pole" }, { agent = "informed", env = "pole" }]
protocol = { suites = ["perturbations:axes=action+dynamics,levels=1"] }
[questions.made]
cells = [{ agent = "hands", env = "errands" }]
"""
    results = run_study(load_study(study_file(text)), tmp_path, progress=False)
    assert [row["error"] for row in results.rows.rows] == [""] * len(results.rows.rows)
    *learned, hands = (results.rows.of(cell) for cell in results.cells)
    assert len(learned) == 2
    for rows in learned:
        assert rows[0]["case"] == ""
        assert float(rows[0]["sampled_length"]) > 0
        assert {row["case"] for row in rows[1:]} > {
            "Overview: nominal",
            "Action: delay (steps)",
            "Dynamics: gravity (scale)",
        }
        assert all(float(row["worst"]) <= float(row["iqm"]) for row in rows[1:])
    assert (results.cells[0].folder / "evaluation/evaluation.json").is_file()
    (row,) = hands
    assert (row["seed"], row["steps"], row["sampled_return"]) == ("-1", "0", row["return"])


STARTING = """
from agentgym.agents import GRPO
import gymnasium


def make(cell):
    env = gymnasium.make_vec(cell.world.env, 2, "vector_entry_point", **cell.env_kwargs)
    GRPO("tiny", env, seed=cell.seed, device="cpu", tasks=1, group_size=2).learn(0).save(cell.saved)


def judge(finished):
    yield {"return": float(next(finished.agent.policy.parameters()).detach().sum())}
"""


def test_a_shared_start_is_made_first_and_again_where_only_its_rows_are(study_file, tmp_path):
    text = """
seeds = [0]
steps = 1
[agents.grpo]
start = "first"
config = { tasks = 1, group_size = 2, learning_rate = 1e-9 }
[agents.first]
made_by = "starting:make"
[envs.errands]
env = "agentgym/Household-v0"
env_kwargs = { size = "tiny" }
[protocol]
judge = "starting:judge"
"""
    (tmp_path / "starting.py").write_text(STARTING)
    study = load_study(study_file(text))
    made = run_study(study, tmp_path, only=["first"], progress=False)
    (first,) = made.rows.rows
    assert not first["error"]
    shutil.rmtree(made.runs / "all_first_errands_seed0")
    results = run_study(study, tmp_path, progress=False)
    by_agent = {row["agent"]: row for row in results.rows.rows}
    assert by_agent["first"] == first
    assert by_agent["grpo"]["error"] == ""
    assert float(by_agent["grpo"]["return"]) == pytest.approx(float(first["return"]), abs=1e-3)  # it began there


def test_a_run_of_an_agent_that_sets_its_number_of_worlds_is_found_again(tmp_path):
    file = tmp_path / "teams.toml"
    file.write_text(
        "seeds = [0]\nsteps = 4\n[protocol]\nepisodes = 1\n[agents.maddpg.config]\nworlds = 2\nlearning_starts = 100\n"
        '[envs.spread]\nenv = "agentgym/SimpleSpread-v0"\n'
    )
    study = load_study(file)
    results = run_study(study, tmp_path)
    results.rows.path.unlink()
    assert len(run_study(study, tmp_path).rows.rows) == 1
