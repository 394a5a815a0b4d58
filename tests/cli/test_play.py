"""``agentgym play`` where an environment is drawn in letters, oddly, or not at all."""

import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest

QUICK = ("--steps", 32, "--config.n-steps", 32, "--config.batch-size", 32, "--threads", 1)
MODULE = """
import gymnasium as gym, numpy as np
from gymnasium import spaces

class Drawn(gym.Env):  # never ends
    metadata = {"render_modes": ["rgb_array"], "render_fps": None}
    observation_space, action_space = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(2)

    def __init__(self, picture="rgb", render_mode=None):
        shape = {"rgb": (33, 51, 3), "gray": (33, 51), "rgba": (33, 51, 4)}.get(picture, (33, 51, 3))
        self.picture, self.frame = picture, np.random.default_rng(0).integers(0, 255, shape, np.uint8)

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        return np.zeros(3, np.float32), 1.0, False, False, {}

    def render(self):
        if self.picture == "none":
            return None
        if self.picture == "floats":
            return self.frame / 255
        return self.frame[: 20 + self.t] if self.picture == "growing" else self.frame

class Letters(Drawn):
    metadata = {"render_modes": ["ansi"]}

    def render(self):
        return f"step {self.t} \u2192"

class Blind(Drawn):
    metadata = {}

for one in (Drawn, Letters, Blind):
    gym.register(f"{one.__name__}-v0", entry_point=one)
"""


@pytest.fixture
def trained(typed, here, monkeypatch):
    """``trained(env)`` is the folder of a run; the module ``drawn_oddly`` is where one stands."""
    (here / "drawn_oddly.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "drawn_oddly", raising=False)

    def run(env):
        code, _, said = typed("train", "ppo", "--env", env, *QUICK, "--name", "run")
        assert code == 0, said
        return Path("runs/run")

    return run


@pytest.mark.parametrize("env", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_toy_texts_are_printed(env, trained, typed):
    run = trained(env)
    code, printed, _ = typed("play", run, "--steps", 3)
    assert code == 0
    assert "[3 steps, return" in printed
    assert not Path("play.mp4").exists()


@pytest.mark.parametrize("env", ["FrozenLake-v1", "CartPole-v1"])
def test_a_missing_pygame_is_said_with_the_command(env, trained, typed, monkeypatch):
    run = trained(env)
    monkeypatch.setitem(sys.modules, "pygame", None)
    code, _, said = typed("play", run, "--steps", 3, "--video", "film.mp4")
    assert code == 2
    assert "pip install" in said
    assert not Path("film.mp4").exists()


def test_pictures_of_any_kind_become_a_film_of_even_sides(trained, typed):
    run = trained("drawn_oddly:Drawn-v0")
    for picture in ("rgb", "gray", "rgba"):
        for name in ("film.mp4", "film.GIF", "film.png"):
            code, _, said = typed("play", run, "--steps", 3, "--env-kwargs", f"picture={picture}", "--video", name,
                                  "--overwrite")  # fmt: skip
            assert code == 0, said
        assert imageio.imread("film.mp4", index=0).shape == (34, 52, 3)
        assert imageio.imread("film.png").shape == (34, 4 * 52, 3)


@pytest.mark.parametrize(
    ("picture", "reason"), [("none", "object"), ("floats", "float64"), ("growing", "different sizes")]
)
def test_pictures_that_are_none(picture, reason, trained, typed):
    run = trained("drawn_oddly:Drawn-v0")
    code, _, said = typed("play", run, "--steps", 3, "--env-kwargs", f"picture={picture}", "--video", "film.mp4")
    assert code == 2
    assert reason in said
    assert not Path("film.mp4").exists()


def test_worlds_without_pictures(trained, typed):
    run = trained("drawn_oddly:Letters-v0")
    code, printed, _ = typed("play", run, "--steps", 2)
    assert code == 0
    assert printed.splitlines() == ["step 0 \u2192", "step 1 \u2192", "step 2 \u2192", "[2 steps, return 2]"]
    for env in ("Letters", "Blind"):
        code, _, said = typed("play", run, "--env", f"drawn_oddly:{env}-v0", "--video", "film.mp4")
        assert code == 2
        assert "cannot be filmed" in said


@pytest.mark.parametrize(
    "words",
    [
        ["--steps", "-1"], ["--steps", "0"], ["--seed", "-1"], ["--seed", 2**32], ["--video", "film"], ["--video", ""],
        ["--video", "folder.mp4"], ["--video", "drawn_oddly.py/film.mp4"], ["--env", "Nowhere-v0"],
        ["--env-kwargs", "picture"], ["--env-kwargs", "pictures=rgb"], ["--controllers", "zero"],
        ["--env", "Pendulum-v1"], ["--perturb", "Noize"],
    ],
)  # fmt: skip
def test_what_cannot_be_played_is_one_line(words, trained, typed):
    run = trained("drawn_oddly:Drawn-v0")
    Path("folder.mp4").mkdir()
    before = sorted(Path().rglob("*"))
    code, printed, said = typed("play", run, *words)
    assert (code, printed) == (2, "")
    assert said.startswith("agentgym: ")
    assert len(said.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before
