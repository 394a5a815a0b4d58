"""Presets by name, from Python, from the command line, and in what a run records."""

import json

import pytest

from agentgym import catalog
from agentgym.cli.main import main
from agentgym.errors import UnknownId
from agentgym.runs.build import build
from agentgym.runs.run import Run, RunConfig
from agentgym.runs.train import resume, train

CONFIGS = {entry.id: catalog.load(entry).Config for entry in catalog.OURS if entry.kind == "agent"}
PRESETS = [(agent, name) for agent, config in CONFIGS.items() for name in config.presets]
SMALL = {"actor_layers": (8,), "critic_layers": (8,), "buffer_size": 100}


@pytest.mark.parametrize(("agent", "name"), PRESETS)
def test_a_preset_is_the_default_but_for_what_it_names(agent, name):
    config, preset = CONFIGS[agent], CONFIGS[agent].presets[name]
    default, made = config(), config.preset(name)
    different = {field for field, value in vars(made).items() if value != getattr(default, field)}
    assert different <= set(preset.settings)
    assert {field: getattr(made, field) for field in preset.settings} == preset.settings
    assert preset.about


def test_there_are_presets():
    assert {agent for agent, _ in PRESETS} >= {"sac", "mdpo", "mdpo-onpolicy", "iql", "odice", "prdc", "grpo"}


def test_what_is_given_beside_a_preset_wins():
    config = CONFIGS["mdpo"].preset("minimal", batch_size=7)
    assert (config.batch_size, config.actor_layers) == (7, (64, 64))


@pytest.mark.parametrize("agent", ["sac", "bc"])
def test_an_unknown_preset_is_refused_with_the_list(agent):
    with pytest.raises(UnknownId, match="Presets: mujoco" if agent == "sac" else "has none"):
        CONFIGS[agent].preset("mujocco")


def test_a_run_records_the_preset_and_all_settings(tmp_path):
    config = RunConfig("sac", "Pendulum-v1", preset="mujoco", steps=4, config=SMALL | {"batch_size": 9})
    run = train(config, "run", tmp_path, progress=False)
    written = json.loads((run.path / "config.json").read_text())
    assert written["preset"] == "mujoco"
    assert (written["config"]["learning_starts"], written["config"]["batch_size"]) == (10_000, 9)
    assert written["config"].keys() == vars(CONFIGS["sac"]()).keys()
    assert resume(run.path, more=2, progress=False).config.preset == "mujoco"


def test_a_run_is_not_made_with_a_preset_that_is_not_there(tmp_path):
    with pytest.raises(UnknownId, match="mujoco"):
        build(RunConfig("sac", "Pendulum-v1", preset="atari"))


def test_the_command_line_takes_a_preset_and_single_settings_win(tmp_path):
    main(["train", "sac", "--env", "Pendulum-v1", "--preset", "mujoco", "--config.batch-size", "9", "--steps", "3",
          "--config.buffer-size", "50", "--root", str(tmp_path), "--name", "one"])  # fmt: skip
    config = Run.open(tmp_path / "one").config
    assert (config.preset, config.config["learning_starts"], config.config["batch_size"]) == ("mujoco", 10_000, 9)
    main(["train", "sac", "--env", "Pendulum-v1", "--preset=mujoco", "--config.learning-starts", "1", "--steps", "3",
          "--config.buffer-size", "50", "--root", str(tmp_path), "--name", "two"])  # fmt: skip
    assert Run.open(tmp_path / "two").config.config["learning_starts"] == 1


def test_a_language_preset_waits_for_the_policy(tmp_path):
    """Rates and sizes that are 0 are the policy's own: a preset's default must not take the tiny policy's."""
    from agentgym.cli.train import _defaults

    assert _defaults(CONFIGS["grpo"], "dr-bot").learning_rate == 0.0


def test_the_command_line_refuses_an_unknown_one(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["train", "sac", "--env", "Pendulum-v1", "--preset", "mujoko", "--root", str(tmp_path)])
    assert left.value.code == 2
    assert "Nearest: mujoco" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_shows_the_presets_and_their_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "prdc", "--preset", "antmaze", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())  # without the terminal's line breaks
    assert all(name in shown for name in CONFIGS["prdc"].presets)
    assert "(default: 10000.0)" in shown


@pytest.mark.parametrize("agent", ["sac", "bc"])
def test_show_prints_what_the_configuration_has(agent, capsys):
    main(["show", agent])
    shown = capsys.readouterr().out
    for name, value in vars(CONFIGS[agent]()).items():
        assert f"| `{name}` | {value} |" in shown
    assert ("--preset mujoco" if agent == "sac" else "no presets") in shown
