"""agentgym data as one types it: what it prints, its exit codes, and that looking needs no torch."""

import subprocess
import sys

import h5py
import pytest

from agentgym.cli.main import main


def run(*arguments: str) -> int:
    """The exit code."""
    try:
        main(["data", *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_make_list_show_check(capsys, home):
    assert run("list") == 0
    assert "agentgym data make" in capsys.readouterr().out
    assert run("make", "frozenlake", "bernoulli-bandit:size=100") == 0
    assert run("make", "frozenlake") == 0
    said = capsys.readouterr().out
    assert "agentgym/frozenlake/standard-v0: made" in said
    assert "agentgym/frozenlake/standard-v0: already exists" in said
    assert run("list") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "bernoulli" in line)
    assert line.split() == ["bernoulli-bandit:size=100", "100", "100", "0.18", "±", "0.384", "0.5", "0.9"]
    assert run("show", "bernoulli-bandit:size=100") == 0
    shown = capsys.readouterr().out
    assert all(key in shown for key in ("sha256", "settings.p", "agentgym data make bernoulli-bandit:size=100", "git"))
    assert run("check", "frozenlake", "agentgym/bernoulli-bandit/size100-v0") == 0
    assert capsys.readouterr().out.count("no problems found") == 2


def test_check_ends_with_1_on_errors_and_with_0_on_warnings(capsys, home):
    run("make", "frozenlake", "bernoulli-bandit:size=100")
    with h5py.File(home / "agentgym/frozenlake/standard-v0/data/main_data.hdf5", "a") as file:
        file["episode_7/rewards"][0] = 3.0
        file["episode_9/truncations"][-1] = file["episode_9/terminations"][-1] = False
    capsys.readouterr()
    assert run("check", "bernoulli-bandit:size=100", "frozenlake") == 1
    said = capsys.readouterr().out
    assert "hash" in said
    assert "neither terminated nor truncated" in said
    (home / "agentgym/frozenlake/standard-v0/data/metadata.json").write_text("{")
    assert run("check", "frozenlake") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mkae"], "make"),
        (["make", "frozenlake", "hoper-medium"], "hopper-medium"),
        (["make", "hopper-medium:nose=1"], "noise"),
        (["show", "frozenlake"], "agentgym data make frozenlake"),
        (["check", "frozenlake:slip=0.3"], "agentgym data make frozenlake:slip=0.3"),
        (["check", "D4RL/door/human-v2"], "minari download"),
        (["show", "../../etc-v0"], "no recipe or dataset"),
        (["make"], "agentgym list recipes"),
        (["check"], "agentgym data list"),
        (["make", "frozenlake:slip=2"], "from 0 to 1"),
        (["make", "frozenlake:slip=nan"], "slip"),
        (["make", "frozenlake", "bernoulli-bandit:size=-1"], "at least 1"),
        (["make", "frozenlake:trajectories=1e30"], "at most"),
        (["make", "bernoulli-bandit:size=1e400"], "not a finite number"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(arguments, said, capsys, home):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not home.exists() or not list(home.rglob("*.hdf5"))  # the last one's faults are said before any work


@pytest.mark.parametrize("within", ["", "deeper"])
def test_a_folder_of_datasets_that_cannot_be(capsys, tmp_path, monkeypatch, within):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "file" / within))
    for verb in (["list"], ["make", "frozenlake"], ["check", "frozenlake"]):
        assert run(*verb) == 2
        assert "MINARI_DATASETS_PATH=DIR" in capsys.readouterr().err


def test_what_cannot_be_written_is_said_before_the_work(capsys, home, monkeypatch):
    (home / "agentgym/frozenlake").mkdir(parents=True)
    (home / "agentgym/frozenlake/standard-v0").write_text("in the way")
    monkeypatch.setattr("agentgym.recipes.frozenlake.FrozenLake.make", None)
    assert run("make", "frozenlake", "--overwrite") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_strange_files_and_folders_are_passed_over(capsys, home):
    run("make", "bernoulli-bandit:size=100")
    for strange in ("my stuff/data", "x/data", ".hidden/x-v0/data", "agentgym/empty-v0/data"):
        (home / strange).mkdir(parents=True)
    (home / "x/data/metadata.json").write_text("{}")
    (home / "damaged-v0/data").mkdir(parents=True)
    (home / "damaged-v0/data/metadata.json").write_text("{")
    data = home / "agentgym/bernoulli-bandit/size100-v0/data"
    for file in (home / ".DS_Store", home / "agentgym/notes~", data / ".DS_Store", data / "metadata.json~"):
        file.write_text("x")
    capsys.readouterr()
    assert run("list") == 0
    said = capsys.readouterr().out
    assert "damaged-v0" in said
    assert "bernoulli-bandit:size=100" in said
    assert run("check", "bernoulli-bandit:size=100") == 0
    assert run("make", "bernoulli-bandit:size=100") == 0
    assert run("make", "bernoulli-bandit:size=100", "--overwrite") == 2
    assert "metadata.json~" in capsys.readouterr().err


def test_training_says_how_to_make_a_recipe(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "bc", "--dataset", "hopper-medium:noise=0.5"])
    assert end.value.code == 2
    assert "agentgym data make hopper-medium:noise=0.5" in capsys.readouterr().err


def test_every_part_explains_itself_with_an_example(capsys):
    for verb in ("make", "list", "show", "check"):
        assert run(verb, "--help") == 0
        assert f"agentgym data {verb}" in capsys.readouterr().out


def test_looking_at_datasets_needs_no_torch(home):
    run("make", "frozenlake")
    code = (
        "import sys; from agentgym.cli.main import main\n"
        "for verb in (['list'], ['show', 'frozenlake'], ['check', 'frozenlake']): main(['data', *verb])\n"
        "print(sorted({'torch', 'mujoco', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
