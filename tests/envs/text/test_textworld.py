"""TextWorld's games: per-step rewards, seeds, the same games again, and what is refused."""

import string
import sys

import numpy as np
import pytest

from agentgym.envs.text.env import TextWorldEnv
from agentgym.envs.text.presets import TEXTWORLD
from agentgym.errors import InvalidParameter, MissingExtra, UnknownId

textworld = pytest.importorskip("textworld", reason="needs the extra text, and a C compiler: pip install textworld")


@pytest.fixture
def game(game_folder):
    def made(name="simple", **arguments):
        return TextWorldEnv(name, games=arguments.pop("games", 1), folder=game_folder, **arguments)

    return made


@pytest.mark.parametrize("name", TEXTWORLD)
def test_the_plan_wins_and_rewards_add_up_to_the_score(game, name):
    env = game(name)
    observation, info = env.reset(seed=0)
    assert "$" not in observation
    assert ">" not in observation
    assert info["task"]
    plan, rewards = env.plan(), []
    assert info["shortest"] == len(plan) > 0
    for command in plan:
        assert command in info["admissible_commands"]
        _, reward, terminated, truncated, info = env.step(command)
        rewards.append(reward)
        assert info["valid"]
    assert (terminated, truncated, info["won"]) == (True, False, True)
    assert sum(rewards) == env.world._state.max_score
    assert set(rewards) <= {0.0, 1.0}
    env.close()


def test_a_game_is_made_anew_byte_for_byte(game, tmp_path):
    first = game()
    first.reset(seed=0)
    again = TextWorldEnv(games=1, folder=str(tmp_path / "new"))
    again.reset(seed=0)
    files = [sorted(env.world.folder.glob("simple-*.z8")) for env in (first, again)]
    name = files[1][0].name
    assert (first.world.folder / name).read_bytes() == files[1][0].read_bytes()
    first.close()
    again.close()


def test_seeds_choose_among_the_games_and_splits_have_different_ones(game):
    env = game(games=2)
    tasks = {env.reset(seed=seed)[1]["task"] for seed in range(8)}
    assert len(tasks) == 2
    assert game(games=2, split="unseen").reset(seed=0)[1]["task"] not in tasks


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("look " * 100, "overlong"),
        ("лук", "unparsable"),
        ("look\x07", "unparsable"),
        ("dance", "impossible"),
        ("take the moon", "impossible"),
        ("quit", "unparsable"),
    ],
)
def test_bad_commands_change_nothing_and_say_so(game, command, problem):
    env = game()
    _, before = env.reset(seed=0)
    text, reward, terminated, truncated, info = env.step(command)
    assert text
    assert (reward, terminated, truncated, info["problem"], info["valid"]) == (0.0, False, False, problem, False)
    assert (info["anchor"], info["admissible_commands"]) == (before["anchor"], before["admissible_commands"])
    assert env.step("look")[4]["valid"]


@pytest.mark.parametrize(
    "command",
    ["save", "script", "quit", "look. Quit", "RESTART", "restore", "look, then undo", r"look \w", "look\\help"],
)
def test_what_would_end_the_interpreter_or_write_files_never_reaches_it(game, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env = game()
    env.reset(seed=0)
    _, _, terminated, _, info = env.step(command)
    env.step("answer.txt")  # what the interpreter would take for the file's name
    assert (terminated, info["problem"]) == (False, "unparsable")
    assert not list(tmp_path.iterdir())
    env.close()


def test_random_letters_do_no_harm(game):
    generator = np.random.default_rng(0)
    env = game(max_turns=1000)
    env.reset(seed=0)
    letters = list(string.printable)
    for length in generator.integers(1, 100, size=300):
        env.step("".join(generator.choice(letters, size=length)))
    observation = env.step("look")[0]
    assert "You" in observation
    env.close()


def test_several_lines_are_one_command(game):
    env = game()
    env.reset(seed=0)
    assert env.step("look\ninventory")[4]["turn"] == 1


def test_a_temporary_folder_goes_with_the_environment():
    env = TextWorldEnv(games=1)
    folder = env.world.folder
    assert folder.exists()
    env.close()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"game": "simpel"}, UnknownId, "Nearest: simple"),
        ({"settings": {"reward": "dense"}}, UnknownId, "Nearest: rewards"),
        ({"settings": {"rewards": 1}}, InvalidParameter, "type str"),
        ({"split": "dev"}, UnknownId, "split"),
        ({"games": 0}, InvalidParameter, "games"),
        ({"max_turns": 0}, InvalidParameter, "max_turns"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        TextWorldEnv(**arguments)


def test_settings_that_textworld_refuses_are_said_to_be(game):
    with pytest.raises(InvalidParameter, match=r"cannot make coin-collector.*1-300"):
        game("coin-collector", settings={"level": 1000}).reset(seed=0)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "textworld", None)
    with pytest.raises(MissingExtra, match=r'textworld is not installed.*pip install "agentgym\[text\]"'):
        TextWorldEnv()
