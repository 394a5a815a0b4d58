"""By name, from the command line: trained, stopped, resumed, listed, shown."""

import csv

import pytest

from agentgym import catalog
from agentgym.cli.main import main
from agentgym.runs.run import Run

SMALL = [
    "--config.tasks", "2", "--config.group-size", "4", "--config.width", "16", "--config.layers", "1",
    "--config.heads", "2", "--config.context", "400",
]  # fmt: skip


@pytest.mark.parametrize("agent", ["grpo", "spear", "epo"])
def test_trained_and_resumed(agent, tmp_path, capsys):
    home = ["--env", "agentgym/Household-v0", "--env-kwargs", "size=tiny", "max_turns=5"]
    run = ["--steps", "40", "--name", "run", "--root", str(tmp_path), "--device", "cpu", "--threads", "1"]
    main(["train", agent, *home, *run, *SMALL, "--config.methods", "entropy", "spear:capacity=8", "kl"])
    main(["resume", str(tmp_path / "run"), "--steps", "40"])
    with (tmp_path / "run" / "metrics.csv").open(encoding="utf-8") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == sorted(steps)
    assert steps[-1] >= 80
    assert Run.open(tmp_path / "run").config.num_envs == 8
    assert "trained" in capsys.readouterr().out


def test_it_has_a_card():
    for name in ("grpo", "dr-grpo", "rloo", "gigpo", "spear", "epo"):
        assert "Deviations" in catalog.card(catalog.find("agent", name))


def test_a_mistyped_method_is_refused_before_anything_is_written(tmp_path, capsys):
    arguments = ["--env", "agentgym/Household-v0", "--name", "run", "--root", str(tmp_path), *SMALL]
    with pytest.raises(SystemExit) as ending:
        main(["train", "grpo", *arguments, "--config.methods", "spaer"])
    assert ending.value.code == 2
    assert "spear" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_policy_is_an_argument_of_its_own(tmp_path, capsys):
    arguments = ["--env", "agentgym/Household-v0", "--name", "run", "--root", str(tmp_path), *SMALL]
    main(["train", "grpo", *arguments, "--steps", "8", "--policy", "tiny", "--env-kwargs", "size=tiny", "max_turns=2"])
    assert Run.open(tmp_path / "run").config.config["policy"] == "tiny"
    pytest.importorskip("transformers", reason="needs the extra language")
    with pytest.raises(SystemExit) as ending:
        main(["train", "grpo", *arguments, "--name", "other", "--policy", "/nowhere/at/all"])
    assert ending.value.code == 2
    assert "smollm2" in capsys.readouterr().err
