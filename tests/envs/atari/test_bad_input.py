"""One clear error for what cannot be."""

import subprocess
import sys

import gymnasium
import pytest

import agentgym  # noqa: F401  (registers the environments)
from agentgym.envs.atari.effects import effect_from_config
from agentgym.envs.atari.env import AtariEnv
from agentgym.envs.atari.vector import AtariVectorEnv
from agentgym.errors import AskError, InvalidAction, InvalidParameter, NonFinite, UnknownId
from agentgym.make import make_env


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"game": "Brekout"}, UnknownId, "Nearest: .*breakout"),
        ({"game": 3}, UnknownId, "no Atari game"),
        ({"game": "Pong", "observation": "ram"}, InvalidParameter, "none; breakout, boxing, gopher, bank_heist"),
        ({"game": "Pong", "effects": [{"type": "RandomEvent"}]}, InvalidParameter, "pong has none; breakout"),
        ({"game": "Pong", "effects": [{"type": "Blackout", "regions": ["score"]}]}, InvalidParameter, "pong has none"),
        ({"game": "Pong", "setting": "1"}, InvalidParameter, "only for breakout"),
        ({"game": "Breakout", "setting": "3.2D"}, UnknownId, "3.2"),
        ({"effects": [{"type": "RandomActions"}]}, UnknownId, "RandomAction"),
        ({"effects": [{"type": "RandomAction", "p": 0.1}]}, UnknownId, "setting of effect RandomAction"),
        ({"effects": [{"type": "RandomAction", "probability": 1.5}]}, InvalidParameter, "at most 1"),
        ({"effects": [{"type": "RandomAction", "probability": float("nan")}]}, NonFinite, "probability"),
        ({"effects": [{"type": "RandomAction", "actions": 9}]}, InvalidParameter, "only 4"),
        ({"effects": ["RandomAction"]}, InvalidParameter, "type"),
        ({"effects": [{"type": "RandomEvent", "mode": 4}]}, InvalidParameter, "There are 1: A brick that was hit"),
        ({"effects": [{"type": "Blackout"}]}, InvalidParameter, "at least one region of breakout: bricks"),
        ({"effects": [{"type": "Blackout", "regions": ["brick"]}]}, UnknownId, "bricks"),
        ({"effects": [{"type": "HideObjects", "objects": ["bal"]}]}, UnknownId, "ball"),
        ({"effects": [{"type": "Crop", "radius": 400}]}, InvalidParameter, "too small for a crop"),
        ({"effects": [{"type": "Crop"}], "observation": "ram"}, InvalidParameter, "Use HideObjects"),
        ({"effects": [{"type": "Drift", "concepts": [[]]}]}, InvalidParameter, "at least two"),
        ({"effects": [{"type": "Drift", "schedule": "gradual", "period": 5}]}, InvalidParameter, "its period"),
        ({"effects": [{"type": "Drift", "concepts": [[], [{"type": "Drift"}]]}]}, InvalidParameter, "cannot be"),
        ({"modifications": ["winds"]}, UnknownId, "wind"),
        ({"game": "Pong", "modifications": ["wind"]}, InvalidParameter, "pong has none"),
        ({"observation": "rgb", "stack": 4}, InvalidParameter, "not stacked"),
        ({"observation": "pixel"}, UnknownId, "pixels"),
        ({"size": 4}, InvalidParameter, "at least 8"),
        ({"frame_skip": 0}, InvalidParameter, "at least 1"),
        ({"max_frames": 3}, InvalidParameter, "less than one decision"),
        ({"mode": 999}, InvalidParameter, "no mode 999"),
        ({"padding": "zero"}, UnknownId, "zeros"),
        ({"render_mode": "human"}, UnknownId, "rgb_array"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(given, error, message):
    with pytest.raises(error, match=message):
        AtariEnv(**given)


def test_an_object_without_labels_cannot_be_hidden_in_ram():
    hide = [{"type": "HideObjects", "objects": ["blocks"]}]
    with pytest.raises(InvalidParameter, match="no labels"):
        AtariEnv(game="BankHeist", observation="ram", effects=hide)


def test_arguments_are_named_by_the_door_of_the_command_line():
    with pytest.raises(UnknownId, match="effects"):
        make_env("agentgym/Stori-Breakout-1-v0", {"efects": []})
    with pytest.raises(AskError, match=r"Stori-Breakout-3\.2C"):
        make_env("agentgym/Stori-Breakout-3.2-v0")


def test_actions_are_checked_before_any_game_is_stepped():
    env = AtariVectorEnv(2, game="Breakout", observation="ram")
    env.reset(seed=0)
    with pytest.raises(InvalidAction):
        env.step([0, 4])
    assert [world.frames for world in env.worlds] == [0, 0]


def test_a_modification_object_belongs_to_one_game():
    from agentgym.envs.atari.games.breakout import Wind

    with pytest.raises(InvalidParameter, match="belongs to one game"):
        AtariVectorEnv(2, game="Breakout", modifications=[Wind()])


def test_effects_are_taken_from_objects_too():
    effect = effect_from_config({"type": "RandomAction", "probability": 0.5})
    assert effect_from_config(effect) is effect


def test_a_missing_package_names_the_extra():
    code = (
        "import sys; sys.modules['ale_py'] = None\n"
        "import gymnasium, agentgym\n"
        "try: gymnasium.make('agentgym/Stori-Breakout-1-v0')\n"
        "except agentgym.errors.MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "agentgym[atari]"' in done.stdout, done.stderr


def test_the_catalog_knows_the_environments_without_the_package():
    assert gymnasium.spec("agentgym/Stori-BankHeist-2.1-v0").kwargs == {"game": "BankHeist", "setting": "2.1"}
