"""Where agents are evaluated: the environment and arguments of their training, known to workers or not."""

import json
import shutil

import gymnasium
import numpy as np
import pytest

from agentgym.agents.baselines.ppo import PPO
from agentgym.cli.main import main
from agentgym.errors import AskError
from agentgym.evaluation.entrants import Entrant, shared_environment
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.table import AgentRecord

A, B = "A-v0", "B-v0"


def trained(*worlds):
    return [Entrant(AgentRecord(str(i), "", "", ""), None, world) for i, world in enumerate(worlds)]


@pytest.mark.parametrize(
    ("worlds", "env", "env_kwargs", "expected"),
    [
        ([(A, {"x": 1})], None, None, (A, {"x": 1}, [])),
        ([(A, {"x": 1, "y": [2]}), (A, {"y": [2], "x": 1})], None, None, (A, {"x": 1, "y": [2]}, [])),
        ([(A, {"x": 1, "y": 2}), (A, {"x": 3, "y": 2})], None, None, (A, {"y": 2}, ["x"])),
        ([(A, {}), (A, {"x": 3})], None, None, (A, {}, ["x"])),
        ([(A, {"x": 1}), None], None, None, (A, {"x": 1}, [])),  # an object does not say what it was trained in
        ([(A, {"x": 1})], None, {"z": 2}, (A, {"z": 2}, [])),
        ([(A, {"x": 1})], None, {}, (A, {}, [])),
        ([(A, {"x": 1})], B, None, (B, {}, [])),
        ([(A, {"x": 1}), (B, {"y": 1})], B, None, (B, {"y": 1}, [])),
        ([None], B, None, (B, {}, [])),
    ],
)
def test_by_default_as_in_training(worlds, env, env_kwargs, expected):
    assert shared_environment(trained(*worlds), env, env_kwargs) == expected


@pytest.mark.parametrize("worlds", [[(A, {}), (B, {})], [None], []])
def test_without_one_environment_it_has_to_be_named(worlds):
    with pytest.raises(AskError, match="--env"):
        shared_environment(trained(*worlds), None, None)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs in CartPole that differ in one argument."""
    monkeypatch.chdir(tmp_path)
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, seed=0).save("saved")
    for name, kwargs in (("short", {"max_episode_steps": 5, "sutton_barto_reward": True}),
                         ("long", {"max_episode_steps": 7, "sutton_barto_reward": True})):  # fmt: skip
        shutil.copytree("saved", f"runs/{name}/final")
        config = {"agent": "ppo", "env": "CartPole-v1", "env_kwargs": kwargs, "provenance": {}}
        (tmp_path / f"runs/{name}/config.json").write_text(json.dumps(config))
    return tmp_path


def test_runs_are_evaluated_with_the_arguments_of_their_training(runs):
    def played(*names, **how):
        found = evaluate([f"runs/{name}" for name in names], [], episodes=2, progress=False, **how)
        assert not any(row.error for row in found.rows)
        return found.meta["env_kwargs"], max(row.length for row in found.rows)

    assert played("short") == ({"max_episode_steps": 5, "sutton_barto_reward": True}, 5)
    assert played("short", env_kwargs={"max_episode_steps": 3}) == ({"max_episode_steps": 3}, 3)
    assert played("short", env_kwargs={})[0] == {}
    with pytest.warns(UserWarning, match="max_episode_steps"):
        arguments, longest = played("short", "long")
    assert arguments == {"sutton_barto_reward": True}
    assert longest > 7


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], {"max_episode_steps": 5, "sutton_barto_reward": True}), (["--env-kwargs"], {}),
     (["--env-kwargs", "max_episode_steps=4"], {"max_episode_steps": 4})],
)  # fmt: skip
def test_by_command_line_too(runs, words, expected):
    main(["evaluate", "runs/short", "--suite", "stochasticity:dials=reward_noise", "--episodes", "1", "--no-report",
          "--out", "out", *words])  # fmt: skip
    assert json.loads((runs / "out/evaluation.json").read_text())["meta"]["env_kwargs"] == expected


class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, True, False, {}


MODULE = """
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
gymnasium.register("Moduled-v0", CartPoleEnv, max_episode_steps=4)
"""


def test_workers_are_asked_whether_they_know_the_environment(tmp_path, monkeypatch):
    if "MineAlone-v0" not in gymnasium.registry:
        gymnasium.register("MineAlone-v0", Mine)
    agent = PPO("MlpPolicy", Mine(), n_steps=8, batch_size=8, seed=0)
    assert not any(row.error for row in evaluate(agent, [], "MineAlone-v0", episodes=2, progress=False).rows)
    with pytest.raises(AskError, match=r"module:MineAlone-v0.*workers=1"):
        evaluate(agent, [], "MineAlone-v0", episodes=2, workers=2, progress=False)
    agent.lock = (word for word in ["nobody", "can", "send", "a", "generator"])
    with pytest.raises(AskError, match="cannot be sent to workers"):
        evaluate(agent, [], "MineAlone-v0", episodes=2, workers=2, progress=False)


def test_workers_import_the_module_that_is_named(tmp_path, monkeypatch):
    (tmp_path / "moduled.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    agent = PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, seed=0)
    one, two = (
        evaluate(agent, [], "moduled:Moduled-v0", episodes=2, workers=workers, progress=False).rows
        for workers in (1, 2)
    )
    assert one == two
    assert not any(row.error for row in one)
