"""Lanes that are one native batch give the rows that single environments give, bit for bit."""

import importlib

import numpy as np
import pytest
from gymnasium.spaces import Box

from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.rollout import Job, play_episodes
from agentgym.evaluation.table import Scene

module = importlib.import_module("agentgym.evaluation.evaluate")  # the package has a function of that name
HOPPER = "agentgym/RobustHopper-v0"


class Player:
    """A feedback that is nonlinear enough to tell last bits apart; NaN at one place of the batch where it fails."""

    def __init__(self, fails_at=None):
        self.observation_space, self.action_space = Box(-np.inf, np.inf, (11,), np.float64), Box(-1, 1, (3,))
        self.fails_at, self.calls = fails_at, 0

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        self.calls += 1
        actions = np.tanh(observation[:, :3] + 0.3 * observation[:, 5:8]).astype(np.float32)
        if self.fails_at is not None:
            actions[self.fails_at, 1] = np.nan
        return actions, None


def jobs(count, env_kwargs=None, start=0):
    """Episodes under masses from 0.5 to 2 kg, one of them impossible where ``start`` is below 0."""
    found = []
    for episode in range(start, count):
        options = (
            {"parameters": {"torso_mass": -1.0 if episode < 0 else 0.5 + 0.5 * (episode % 4)}} if episode % 3 else {}
        )
        condition = Condition(f"c{episode}", Scene("s", "p", "bar", {}), HOPPER, env_kwargs or {}, options)
        found.append(Job(condition, 0, 100 + episode))
    return found


@pytest.mark.parametrize(("count", "lanes"), [(3, 8), (11, 4)])
@pytest.mark.parametrize("kwargs", [{}, {"randomize": "uniform", "schedule": {"gravity": "random_walk"}}])
def test_rows_are_equal(count, lanes, kwargs):
    rows = [
        {row.condition: row for row in play_episodes(Player(), "x", jobs(count, kwargs), num_envs=lanes, together=one)}
        for one in (False, True)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == count


def test_the_worlds_know_their_time_limit():
    kwargs = {"max_episode_steps": 7, "terminate_when_unhealthy": False}
    for changes in ({}, {"max_steps": 3}):
        played = [Job(job.condition, 0, job.seed, **changes) for job in jobs(4, kwargs)]
        rows = [list(play_episodes(Player(), "x", played, num_envs=4, together=one)) for one in (False, True)]
        assert rows[0] == rows[1]
        assert {row.length for row in rows[1]} == {7}


def test_what_fails_is_a_row_and_takes_no_other_with_it():
    good = {row.condition: row for row in play_episodes(Player(), "x", jobs(6), num_envs=4)}
    rows = {row.condition: row for row in play_episodes(Player(1), "x", jobs(6), num_envs=4, together=True)}
    failed = [name for name, row in rows.items() if row.error]
    assert len(rows) == 6
    assert failed
    assert all("finite" in rows[name].error for name in failed)
    assert all(rows[name] == good[name] for name in rows if name not in failed)
    rows = {row.condition: row for row in play_episodes(Player(), "x", jobs(6, start=-2), num_envs=4, together=True)}
    assert "torso_mass=-1" in rows["c-1"].error
    assert all(rows[name] == row for name, row in good.items())


def test_a_grid_is_played_in_a_batch_and_what_cannot_be_is_not(monkeypatch):
    chosen = []
    original = module.play_episodes

    def watched(agent, name, jobs, *args, together=False, **kwargs):
        chosen.append((together, len(jobs)))
        return original(agent, name, jobs, *args, together=together, **kwargs)

    monkeypatch.setattr(module, "play_episodes", watched)
    grid = "parameter-grid:points=2,parameters=torso_mass"
    kwargs = {"env": HOPPER, "episodes": 1, "progress": False}
    batch = evaluate({"x": Player()}, grid, **kwargs).rows
    assert chosen == [(True, len(batch))]
    chosen.clear()
    mixed = evaluate({"x": Player()}, [grid, "perturbations:axes=reward,levels=1"], **kwargs).rows
    assert chosen[-2:] == [(False, len(mixed) - len(batch)), (True, len(batch))]  # after the scale of observations
    monkeypatch.setattr(module, "_is_shared", lambda *args, **kwargs: False)
    assert evaluate({"x": Player()}, grid, **kwargs).rows == batch
    assert evaluate({"x": Player()}, [grid, "perturbations:axes=reward,levels=1"], **kwargs).rows == mixed
    monkeypatch.undo()
    scene = Scene("s", "p", "bar", {})
    noisy = Condition("n", scene, HOPPER, perturbations=({"type": "RewardNoise", "std": 1.0},))
    plain, drawn = (Condition("c", scene, HOPPER, kwargs) for kwargs in ({}, {"randomize": "uniform"}))
    assert module._is_shared(plain)
    assert module._is_shared(drawn)
    assert not module._is_shared(noisy)
    assert not module._is_shared(Condition("c", scene, "CartPole-v1"))
    assert not module._is_shared(plain, deterministic=False)
    assert not module._is_shared(plain, attacks={"c": object()})
