"""Calibrated intensities against a loss that is known, and the file that the suite reads."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentgym.cli.main import main
from agentgym.errors import AskError, CorruptFile, InvalidParameter
from agentgym.evaluation import evaluate
from agentgym.evaluation.calibrating import calibrate
from agentgym.evaluation.calibration import read_calibration
from agentgym.evaluation.suites.stori import Stori, largest_intensity


class Press(gymnasium.Env):
    """Action 1 pays 1. With random actions at a share w of the steps, the loss is w."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float(action), False, self.steps == 100, {}


gymnasium.register("tests/Press-v0", Press)
gymnasium.register("tests/OtherPress-v0", Press)


class Fixed:
    """Always the same action."""

    observation_space, action_space = Press.observation_space, Press.action_space

    def __init__(self, action):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(len(observation), self.action), state


def test_intensities_cost_what_is_stated_and_the_suite_reads_them(tmp_path):
    found = calibrate({"one": Fixed(1)}, "tests/Press-v0", types=("1", "3.2"), loss=0.25, episodes=20, rounds=6)
    assert found.plain == 100.0
    assert found.random == pytest.approx(50, abs=4)
    first = found.types["1"]
    assert first.reached
    assert first.low <= 0.25 / 0.3 <= first.high  # the usual weight is 0.3, and the loss is the weight
    assert first.high - first.low < 0.25
    assert first.effects[0]["weight"] == pytest.approx(0.3 * first.intensity)
    assert first.loss == pytest.approx(0.25, abs=0.03)
    blind = found.types["3.2"]  # the policy does not look
    assert not blind.reached
    assert (blind.intensity, blind.loss) == (2.0, 0.0)  # a probability of 1
    assert found == calibrate({"one": Fixed(1)}, "tests/Press-v0", types=("1", "3.2"), loss=0.25, episodes=20, rounds=6)
    file = tmp_path / "press.json"
    found.write(file)
    assert read_calibration(file) == found
    suite = f"stori:calibrated={file},intensities=1"
    result = evaluate({"one": Fixed(1)}, suite, env="tests/Press-v0", episodes=20, progress=False)
    assert list(result.scenes) == ["nominal", "tested in plain", "tested in 1", "type 1 at 1"]
    assert "costs 0" in result.meta["left_out"]["stori: type 3.2"]
    scores = [row.episode_return for row in result.rows if row.condition == "tested in 1"]
    assert np.mean(scores) == pytest.approx(100 - 0.25 * (100 - found.random), abs=1.5)


def test_what_cannot_be_calibrated(tmp_path):
    with pytest.raises(AskError, match="nothing to lose"):
        calibrate({"zero": Fixed(0)}, "tests/Press-v0", episodes=10)
    with pytest.raises(InvalidParameter, match="loss"):
        calibrate({"one": Fixed(1)}, "tests/Press-v0", loss=0.0)
    with pytest.raises(InvalidParameter, match="one reference policy"):
        calibrate({"a": Fixed(1), "b": Fixed(1)}, "tests/Press-v0", types=("1",), episodes=10)
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "agentgym calibration 1", "types": 3}')
    with pytest.raises(CorruptFile, match="no calibration"):
        Stori(calibrated=str(broken))
    found = calibrate({"one": Fixed(1)}, "tests/Press-v0", types=("1",), loss=0.25, episodes=4, rounds=1)
    found.write(tmp_path / "press.json")
    with pytest.raises(AskError, match="not of tests/OtherPress-v0"):
        evaluate(
            {"one": Fixed(1)}, f"stori:calibrated={tmp_path / 'press.json'}", env="tests/OtherPress-v0", progress=False
        )


def test_how_far_an_intensity_can_go():
    assert largest_intensity([{"type": "ActionMixture", "weight": 0.25}]) == 4.0
    assert largest_intensity([{"type": "ActionNoise", "std": 0.3}]) == np.inf
    drift = {"type": "Drift", "concepts": [[], [{"type": "Crop", "probability": 0.5}]]}
    assert largest_intensity([drift, {"type": "Crop", "part": "left"}]) == 1.0


def test_the_command_refuses_a_place_before_playing(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["data", "calibrate", "nowhere", "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "is a folder" in capsys.readouterr().err
