"""The suite of stochastic types on Atari games."""

import numpy as np
import pytest

from agentgym.envs.atari.env import AtariEnv
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation import evaluate, write_report
from agentgym.evaluation.conditions import Subject
from agentgym.evaluation.suites.stori import Stori
from agentgym.make import make_env

GAME = "agentgym/Stori-Boxing-0-v0"
SHORT = {"max_frames": 80}


class Walker:
    """Always walks to the right and punches."""

    def __init__(self):
        probe = AtariEnv(game="Boxing", observation="ram")
        self.observation_space, self.action_space = probe.observation_space, probe.action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(len(observation), 11), state


def test_every_type_is_played_and_pictured_and_impossible_intensities_are_told(tmp_path):
    suite = Stori(types=("1", "3.2"), intensities=(0.5, 2.0), max_frames=80)
    result = evaluate({"walker": Walker()}, suite, env=GAME, env_kwargs=SHORT, episodes=2, progress=False)
    assert not result.failures()
    names = list(result.scenes)
    assert names[:4] == ["nominal", "tested in plain", "tested in 1", "tested in 3.2"]
    assert "type 3.2 at 0.5" in names
    assert "type 3.2 at 2" not in names  # its probability is 0.7
    assert result.meta["left_out"] == {"stori: type 3.2 at 2": "a probability would exceed 1"}
    by_name = {(row.condition, row.episode): row for row in result.rows}
    for row in by_name.values():
        assert row.measures["cut by time"] == 1.0
        assert row.measures["score"] == row.episode_return
        assert row.measures["frames"] == 80
    assert by_name["tested in plain", 0].measures["replaced actions"] == 0
    assert 0.05 < by_name["type 1 at 2", 0].measures["replaced actions"] < 0.9
    assert by_name["tested in 3.2", 0].measures["masked"] > 0.3
    assert list(result.meta["pictures"]) == ["plain", "type 1", "type 3.2"]
    assert len(set(result.meta["pictures"].values())) == 3
    page = write_report(result, tmp_path / "report.html").read_text()
    assert "Pictures" in page
    assert "cut by time" in page  # the share of games, a column of the table of all conditions
    assert page.count('<img alt="') == 3


def test_what_the_suite_does_not_do():
    bandit = make_env("agentgym/BernoulliBandit-v0")
    with pytest.raises(AskError, match="Stori-Breakout-0-v0"):
        Stori().conditions(Subject("agentgym/BernoulliBandit-v0", {}, bandit, None, {}))
    with pytest.raises(InvalidParameter, match="above 0"):
        Stori(intensities=(0.0,))
    with pytest.raises(UnknownId, match=r"3\.2"):
        evaluate({"a": Walker()}, "stori:types=3.3", env=GAME, env_kwargs=SHORT, progress=False)


class Still:
    """Does nothing in an environment."""

    def __init__(self, env):
        probe = make_env(env)
        self.observation_space, self.action_space = probe.observation_space, probe.action_space

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros((len(observation), *self.action_space.shape), self.action_space.dtype), state


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_other_families_have_the_same_types(env):
    given = {"max_episode_steps": 120}
    result = evaluate({"still": Still(env)}, Stori(intensities=(1.0, 2.0)), env=env, env_kwargs=given, episodes=3,
                      progress=False)  # fmt: skip
    assert not result.failures()
    assert [name for name in result.scenes if name.startswith("tested")] == [
        f"tested in {name}" for name in ("plain", "1", "2.1", "2.2", "3.2")
    ]
    assert "type 3.2 at 2" in result.scenes
    assert "pictures" not in result.meta
    plain = result.returns("still", "tested in plain")
    assert plain == result.returns("still", "nominal")
    assert plain != result.returns("still", "tested in 1")
    assert plain == result.returns("still", "tested in 3.2")  # it looks at nothing
