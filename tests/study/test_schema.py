"""Studies are read as written, and what is wrong with one is said with its line before anything runs."""

import json

import pytest

from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.study.cells import UNSEEDED, cells_of, chosen, with_starts
from agentgym.study.file import line_of, load_study, study_in
from agentgym.study.reading import seeds_of, study_of
from agentgym.study.runner import open_results, run_study
from agentgym.study.schema import AgentSpec, EnvSpec, Protocol, Question

FULL = """\
title = "Everything"                                   # 1
seeds = [3, 5]
steps = 100
baseline = "ppo"

[agents.ppo]
preset = ""
[agents.sac]
grid = { learning_rate = [1e-3, 3e-4], gamma = [0.9] }
[agents.zero]
controller = "zero"

[groups]
learned = ["ppo", "sac"]

[envs."Pendulum-v1"]
[envs."agentgym/Convection-v0"]
[envs.noisy]
env = "Pendulum-v1"
grid = { g = [9.81, 5.0] }
perturbations = [{ type = "ObservationNoise", std = 0.1 }]
num_envs = 2
steps = 50

[protocol]
episodes = 3

[questions.short]
agents = ["learned"]
envs = ["Pendulum-v1"]
config = { gamma = 0.5 }
[questions.short.for.ppo]
steps = 10
config = { n_epochs = 3 }
[questions.long]
seeds = "0-2"
protocol = { episodes = 4 }
cells = [{ agent = "zero", env = "agentgym/Convection-v0" }, { agent = "ppo", env = "noisy g=5", steps = 7 }]
"""


def test_cells_come_breadth_first_with_their_settings(study_file, tmp_path):
    study = load_study(study_file(FULL))
    cells = cells_of(study, tmp_path)
    found = [(c.question, c.agent, c.env, c.seed, c.steps) for c in cells]
    first, second = "sac learning_rate=0.001 gamma=0.9", "sac learning_rate=0.0003 gamma=0.9"
    assert found == [
        ("short", "ppo", "Pendulum-v1", 3, 10), ("short", first, "Pendulum-v1", 3, 100),
        ("short", second, "Pendulum-v1", 3, 100), ("long", "zero", "agentgym/Convection-v0", UNSEEDED, 0),
        ("long", "ppo", "noisy g=5", 0, 7), ("short", "ppo", "Pendulum-v1", 5, 10),
        ("short", first, "Pendulum-v1", 5, 100), ("short", second, "Pendulum-v1", 5, 100),
        ("long", "ppo", "noisy g=5", 1, 7), ("long", "ppo", "noisy g=5", 2, 7),
    ]  # fmt: skip
    assert cells[0].config == {"gamma": 0.5, "n_epochs": 3}
    assert cells[1].config == {"gamma": 0.9, "learning_rate": 1e-3}  # the agent's own stay
    assert [cells[0].protocol.episodes, cells[4].protocol.episodes] == [3, 4]
    assert cells[4].run_config().env_kwargs == {"g": 5.0}
    assert cells[4].run_config().perturbations == [{"type": "ObservationNoise", "std": 0.1}]
    assert json.loads(cells[0].plan())["steps"] == 10
    assert len({cell.folder for cell in cells}) == len(cells)
    assert [c.key for c in chosen(study, cells, ["sac", "short"])] == [c.key for c in cells if "sac" in c.agent]
    assert {c.env for c in chosen(study, cells, ["noisy"])} == {"noisy g=5"}
    with pytest.raises(UnknownId, match=r"Nearest: .*noisy"):
        chosen(study, cells, ["nosy"])


def test_python_and_file_are_the_same_study(small_file):
    made = study_of(
        "small",
        {
            "title": "Two agents on a pendulum", "seeds": [0, 1], "steps": 128, "checkpoint_every": 32,
            "baseline": "ppo", "protocol": Protocol(episodes=2, seed=7),
            "agents": {
                "ppo": AgentSpec(config={"n_steps": 32, "batch_size": 32, "n_epochs": 2}),
                "mdpo-onpolicy": {"name": "MDPO", "config": {"n_steps": 32}},
            },
            "envs": {"Pendulum-v1": EnvSpec()},
        },
        small_file.parent,
    )  # fmt: skip
    assert made == load_study(small_file)
    assert made.questions == {"all": Question(title="All agents and environments")}


def test_starts_come_before_those_that_need_them(study_file, tmp_path):
    text = "steps = 5\nseeds = [0]\n[agents.grpo]\nstart = 'first'\n[agents.first]\nagent = 'grpo'\n[envs.Household]\n"
    cells = cells_of(load_study(study_file(text)), tmp_path)
    assert [[cell.agent for cell in wave] for wave in with_starts(cells)] == [["first"], ["grpo"]]
    (grpo,) = (cell for cell in cells if cell.agent == "grpo")
    assert grpo.run_config().config["start"] == str(grpo.start.folder / "final")


def test_a_start_is_the_equal_run_of_another_question(study_file, tmp_path):
    """One run serves both questions, in whichever order they stand; with other settings it is a run of its own."""
    text = (
        "steps = 5\nseeds = [0]\n[agents.grpo]\nstart = 'first'\n[agents.first]\nagent = 'grpo'\n[envs.Household]\n"
        "[questions.later]\nagents = ['grpo']\nseeds = [1, 0]\n[questions.whole]\nagents = ['first', 'grpo']\n"
    )
    cells = {cell.key: cell for cell in cells_of(load_study(study_file(text)), tmp_path)}
    assert ("later", "first", "Household", 0) not in cells
    assert cells["later", "grpo", "Household", 0].start == cells["whole", "first", "Household", 0]
    assert cells["later", "grpo", "Household", 1].start == cells["later", "first", "Household", 1]
    cells = {cell.key: cell for cell in cells_of(load_study(study_file(text + "steps = 6\n")), tmp_path)}
    assert cells["later", "grpo", "Household", 0].start == cells["later", "first", "Household", 0]
    assert len(cells) == 6


@pytest.mark.parametrize(("given", "seeds"), [("0-2,10", (0, 1, 2, 10)), ([4], (4,)), ("7", (7,))])
def test_seeds(given, seeds):
    assert seeds_of(given) == seeds


BAD = {
    # what replaces what in FULL, the line, and what is said
    "unknown key": ('preset = ""', 'prest = ""', 7, "no setting of agents.ppo named 'prest'. Nearest: preset"),
    "key of the study": ("steps = 100", "stepps = 100", 3, "Nearest: steps"),
    "grid of nothing": ("gamma = [0.9]", "gamma = []", 9, "grid of gamma is []"),
    "value twice": ("gamma = [0.9]", "gamma = [0.9, 0.9]", 9, "a value twice"),
    "unknown agent": ("[agents.sac]", "[agents.sax]", 14, "no agent of this study named 'sac'. Nearest: sax"),
    "of the catalog": ("[agents.zero]", '[agents.other]\nagent = "sacc"\n[agents.zero]', 11, "Nearest: sac"),
    "unknown env": ('envs = ["Pendulum-v1"]', 'envs = ["Pendulum-v2"]', 30, "Nearest: Pendulum-v1"),
    "same cell": (
        'cells = [{ agent = "zero"', 'cells = [{ agent = "ppo", env = "noisy g=5" }, { agent = "zero"', 38, "twice"
    ),
    "agent twice": ('agents = ["learned"]', 'agents = ["learned", "ppo"]', 29, "ppo on Pendulum-v1 appears twice"),
    "wrong type": ("episodes = 3", 'episodes = "many"', 26, "must be a whole number"),
    "no episode": ("episodes = 3", "episodes = 0", 26, "at least 1"),
    "in a question": ("episodes = 4", "episoodes = 4", 37, "Nearest: episodes"),
    "seeds": ("seeds = [3, 5]", 'seeds = "3-"', 2, "must be a list"),
    "no seed": ("seeds = [3, 5]", "seeds = []", 2, "seeds is empty"),
    "seed twice": ("seeds = [3, 5]", "seeds = [3, 3]", 2, "twice"),
    "baseline": ('baseline = "ppo"', 'baseline = "pp"', 4, "Nearest: ppo"),
    "no steps": ("steps = 100\n", "", 27, "how many steps"),
    "perturbation": ('type = "ObservationNoise"', 'type = "ObservationNoice"', 21, "Nearest: ObservationNoise"),
    "hyperparameter": ("n_epochs = 3", "n_epoch = 3", 6, "Nearest: n_epochs"),
    "its value": ("n_epochs = 3", "n_epochs = 0", 6, "n_epochs"),
    "controller": ('controller = "zero"', 'controller = "zorro"', 11, "zorro"),
    "suite": ("episodes = 3", 'episodes = 3\nsuites = ["perturbation"]', 27, "Nearest: perturbations"),
    "judge": ("episodes = 3", 'episodes = 3\njudge = "nowhere:judge"', 27, "nowhere:judge cannot be imported"),
    "preset": ('preset = ""', 'preset = "mujocco"', 7, "preset"),
    "argument": ("grid = { g = [9.81, 5.0] }", "grid = { gg = [9.81, 5.0] }", 18, "gg"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_an_error_names_its_line_before_anything_runs(case, study_file, tmp_path):
    old, new, line, said = BAD[case]
    assert old in FULL
    file = study_file(
        FULL.replace(old, new, 1).replace("noisy g=5", "noisy gg=5" if case == "argument" else "noisy g=5")
    )
    with pytest.raises(AskError) as caught, study_in(file) as study:
        run_study(study, tmp_path / "runs", progress=False)
    assert said in str(caught.value)
    assert f"{file}:{line}: " in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_study(study_file, tmp_path):
    with pytest.raises(InvalidParameter, match="not a TOML file: Invalid value"):
        load_study(study_file("seeds = ["))
    with pytest.raises(FileNotFoundError):
        load_study(tmp_path / "none.toml")
    with pytest.raises(AskError, match="needs an agent"):
        load_study(study_file(""))


def test_lines_of_keys_in_odd_places():
    text = 'about = """\n[agents.a]\nx = 1\n"""\nlist = [\n  1,\n]\n"agents".a = { x = 1,\n  y = 2 }\n'
    text += "[[tables]]\n[[tables]]\nb = 1\n"
    assert line_of(text, ("agents", "a", "x")) == 8
    assert line_of(text, ("agents", "a", "y")) == 9
    assert line_of(text, ("tables", 1, "b")) == 12
    assert line_of(text, ("tables", 1, "c")) == 11
    assert line_of(text, ("list",)) == 5


def test_nothing_is_written_by_looking(small_file, tmp_path):
    results = open_results(load_study(small_file), tmp_path / "runs")
    assert len(results.cells) == 4
    assert not (tmp_path / "runs").exists()
