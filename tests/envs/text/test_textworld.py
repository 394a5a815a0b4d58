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


JOINTS = [" then ", ". ", ".", ", ", " and ", ", and ", ", then ", ".\n", " THEN "]


@pytest.mark.parametrize("name", ["cooking", "simple"])
def test_several_commands_in_one_are_none(game, name):
    env = game(name)
    _, before = env.reset(seed=0)
    plan = env.plan()
    for joint in JOINTS:
        for parts in (plan[:2], plan, ["look", plan[0]]):
            command = joint.join(parts)
            if len(command) <= 100:
                _, reward, terminated, _, info = env.step(command)
                assert (reward, terminated, info["problem"]) == (0.0, False, "unparsable"), command
    assert (info["anchor"], info["admissible_commands"]) == (before["anchor"], before["admissible_commands"])
    won = [env.step(command)[4] for command in plan]  # nothing was kept back for later turns
    assert all(info["valid"] for info in won)
    assert won[-1]["won"]
    env.close()


def test_one_command_for_several_things_moves_one_at_most(game):
    env = game("cooking", settings={"take": 2})
    env.reset(seed=1)
    env.step("open fridge")
    env.step(env.plan()[0])
    for command in ("take all", "take everything", "drop all", "take all from fridge", "take foods", "take things"):
        before = set(env.world.anchor())
        carried = env.step("inventory")[0]
        info = env.step(command)[4]
        moved = before ^ set(info["anchor"])
        assert len(moved) <= 2, command
        assert bool(moved) == (env.step("inventory")[0] != carried)  # the game says so as well
    env.close()


def container_with_food(env):
    """A food, and the open container that it is in."""
    for command in env.world.commands():
        words = command.split(" from ")
        if command.startswith("take ") and len(words) == 2 and f"close {words[1]}" in env.world.commands():
            return words[0].removeprefix("take "), words[1]
    return None


def test_a_wording_that_textworld_does_not_follow_is_refused(game):
    env = game("cooking", games=8)
    for seed in range(8):
        _, info = env.reset(seed=seed)
        for command in [command for command in info["admissible_commands"] if command.startswith("open ")]:
            info = env.step(command)[4]
        if container_with_food(env):
            break
    food, container = container_with_food(env)
    for command in (f"get {food}", f"pick up {food}"):
        info = env.step(command)[4]
        assert not info["valid"], command
        assert f"take {food} from {container}" in info["admissible_commands"]
    text, _, _, _, info = env.step(f"take {food}.")  # which it does follow
    assert info["valid"], text
    assert f"drop {food}" in info["admissible_commands"]
    env.close()


def test_what_changes_how_the_game_answers_is_refused(game):
    env = game()
    env.reset(seed=0)
    first = env.step("look")[0]
    for command in ("tw-trace-actions", "restrict commands", "superbrief", "notify off", "print_state"):
        assert env.step(command)[4]["problem"] == "unparsable", command
    assert env.step("look")[0] == first
    env.close()


def test_other_wordings_are_still_taken(game):
    env = game("coin-collector")
    env.reset(seed=0)
    (way,) = env.plan()[:1]
    assert way.startswith("go ")
    assert env.step("l")[4]["problem"] == "impossible"  # on no list, and no fact changed: but the game's own answer
    assert "Score" not in env.step("examine me")[0]
    assert env.step(way.removeprefix("go ")[0].upper())[4]["valid"]
    env.close()


def test_commands_that_are_tried_out_leave_no_trace(game):
    """Between an episode's commands, others that are refused: all else is the same."""
    junk = [
        "take all",
        "get table",
        "take me then look",
        "look me",
        "drop all",
        "x",
        "take it",
        "again",
        "oops",
        "wait",
    ]
    plain, disturbed = game("cooking"), game("cooking")
    plain.reset(seed=0)
    disturbed.reset(seed=0)
    for n, command in enumerate(plain.plan()):
        for other in junk[n % 3 :: 3]:
            disturbed.world._is_one_command(other)
        first, second = plain.step(command), disturbed.step(command)
        assert first == second
    assert first[4]["won"]


VERBS = ["take", "get", "drop", "put", "insert", "open", "close", "go", "look"]
WORDS = [*VERBS, "all", "it", "them", "and", "then"]


def test_no_command_leaves_the_lists_behind_the_game(game):
    """After any commands, TextWorld's plan still wins: it is played in the game, not in TextWorld's account of it."""
    generator = np.random.default_rng(0)
    env = game("cooking", settings={"take": 2}, max_turns=1000)
    for seed in range(2):
        env.reset(seed=seed)
        for _ in range(30):
            known = env.world.commands()
            nouns = [word for command in known for word in command.split()[1:]]
            words = generator.choice([*WORDS, *nouns], size=generator.integers(1, 5)).tolist()
            command = " ".join(words) if generator.random() < 0.6 else known[generator.integers(len(known))]
            if command.startswith(("eat", "cook")):  # which can lose the game
                continue
            before, (_, reward, terminated, _, info) = set(env.world.anchor()), env.step(command)
            assert np.isfinite(reward)
            assert len(before ^ set(info["anchor"])) <= 4, command  # what one action changes
            if terminated:
                break
        for command in env.plan():
            text, _, _, _, info = env.step(command)
            assert info["valid"], (command, text)
        assert info["won"] or terminated
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
