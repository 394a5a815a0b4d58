"""The evaluation itself, on policies whose outcome is known."""

import os
import signal

import gymnasium
import numpy as np
import pytest

from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.evaluation.conditions import Condition, Suite
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.rollout import Job, play_episodes
from agentgym.evaluation.table import Evaluation, Scene
from agentgym.seeding import episode_seed

ENV = "Pendulum-v1"


def proportional(gain=2.0, kill_at=None, env=ENV):
    """A policy that can be written down: torque against the angle's sine. Optionally it dies at a speed."""

    class Policy:
        def __init__(self):
            world = gymnasium.make(env)
            self.observation_space, self.action_space = world.observation_space, world.action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            if kill_at is not None and (np.abs(observation[..., 2]) > kill_at).any():
                os.kill(os.getpid(), signal.SIGKILL)
            return np.clip(-gain * observation[..., 1:2], -2.0, 2.0).astype(np.float32), state

    return Policy()


class Gravity(Suite):
    """Pendulum under other gravities, through keyword arguments."""

    name = "gravity"

    def __init__(self, values=(5.0, 10.0, 15.0)):
        self.values = values

    def conditions(self, subject):
        return [
            Condition(f"g={g}", Scene("Gravity", "g", "curve", {"intensity": g}), subject.env, {"g": g})
            for g in self.values
        ]


def by_hand(policy, seed, **kwargs):
    env = gymnasium.make(ENV, **kwargs)
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action, _ = policy.predict(observation[None])
        observation, reward, terminated, truncated, _ = env.step(action[0])
        total += float(reward)
        over = terminated or truncated
    return total


def test_returns_are_those_of_a_plain_loop():
    policy = proportional()
    result = evaluate({"p": policy}, Gravity(), env=ENV, episodes=2, seed=7, progress=False)
    assert list(result.scenes) == ["nominal", "g=5.0", "g=10.0", "g=15.0"]
    for condition, kwargs in [("nominal", {}), ("g=5.0", {"g": 5.0}), ("g=15.0", {"g": 15.0})]:
        expected = [by_hand(policy, episode_seed(7, e), **kwargs) for e in range(2)]
        assert result.returns("p", condition) == expected
    assert result.returns("p", "nominal") == result.returns("p", "g=10.0")
    assert all(row.length == 200 for row in result.rows)


def test_common_random_numbers():
    result = evaluate({"a": proportional(1.0), "b": proportional(2.0)}, Gravity(), env=ENV, episodes=3, progress=False)
    seeds = {(row.agent, row.condition): [] for row in result.rows}
    for row in result.rows:
        seeds[row.agent, row.condition].append(row.seed)
    assert len({tuple(found) for found in seeds.values()}) == 1
    assert len({result.rows[i].seed for i in range(3)}) == 3


def test_the_result_does_not_depend_on_the_number_of_workers():
    policy = proportional()
    one, two = (
        evaluate({"p": policy}, ["perturbations:levels=2"], env=ENV, episodes=3, workers=workers, progress=False)
        for workers in (1, 2)
    )
    assert one.rows == two.rows
    assert not any(row.error for row in one.rows)


def test_reward_perturbations_leave_a_fixed_policys_score():
    """The control: what a policy cannot see cannot change the true return, bit for bit."""
    result = evaluate({"p": proportional()}, ["perturbations:axes=reward"], env=ENV, episodes=2, progress=False)
    nominal = result.returns("p", "nominal")
    assert len(result.scenes) == 7
    assert all(result.returns("p", condition) == nominal for condition in result.scenes)


def test_a_killed_worker_costs_its_rows_only():
    agents = {"dies": proportional(kill_at=0.0), "lives": proportional()}
    result = evaluate(agents, Gravity(), env=ENV, episodes=2, workers=2, progress=False)
    assert len(result.rows) == 16
    for row in result.rows:
        if row.agent == "dies":
            assert "SIGKILL" in row.error
            assert np.isnan(row.episode_return)
        else:
            assert row.error == ""
    assert len(result.returns("lives", "nominal")) == 2


def test_an_environment_that_breaks_is_a_row_with_its_error():
    class Breaks(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            self.count = 0
            return self.env.reset(seed=seed)

        def step(self, action):
            self.count += 1
            if self.count == 50:
                raise RuntimeError("the gearbox\nbroke")
            return self.env.step(action)

    gymnasium.register("BreaksForTest-v0", lambda: Breaks(gymnasium.make(ENV)))
    jobs = [Job(_condition("BreaksForTest-v0"), e, e) for e in range(3)] + [Job(_condition(ENV), 0, 0)]
    rows = list(play_episodes(proportional(), "p", jobs, num_envs=2))
    broken = [row for row in rows if row.error]
    assert [row.error for row in broken] == ["RuntimeError: the gearbox broke"] * 3
    assert all(row.length == 49 for row in broken)
    assert [row.length for row in rows if not row.error] == [200]


def _condition(env):
    return Condition(f"in {env}", Scene("x", "x", "nominal"), env)


def test_an_evaluation_is_read_back_as_it_was_written(tmp_path):
    result = evaluate({"p": proportional()}, Gravity((5.0,)), env=ENV, episodes=2, progress=False)
    back = Evaluation.read(result.write(tmp_path / "e"))
    assert back == result
    with pytest.raises(FileNotFoundError, match="agentgym evaluate"):
        Evaluation.read(tmp_path)


def test_what_cannot_be_is_refused_before_the_work():
    policy = proportional()
    with pytest.raises(UnknownId, match="parameter-grid"):
        evaluate({"p": policy}, "parametergrid", env=ENV)
    with pytest.raises(UnknownId, match="RobustHopper"):
        evaluate({"p": policy}, "perturbations", env="agentgym/RobustHoper-v0")
    with pytest.raises(SpaceMismatch, match="observation space"):
        evaluate({"p": policy}, "perturbations", env="MountainCarContinuous-v0")
    with pytest.raises(AskError, match="none"):
        evaluate({"p": policy}, "parameter-grid", env=ENV)
    with pytest.raises(AskError, match="--env"):
        evaluate({"p": policy}, "perturbations")
    with pytest.raises(AskError, match="no agent"):
        evaluate([], "perturbations", env=ENV)
    with pytest.raises(FileNotFoundError, match="agentgym train"):
        evaluate("runs/there-is-none", "perturbations", env=ENV)
