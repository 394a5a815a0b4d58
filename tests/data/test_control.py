"""Behaviours and what is recorded from them, on a behaviour of 600 steps."""

import dataclasses
import shutil

import numpy as np
import pytest

from agentgym.agents.common.saving import load_agent
from agentgym.data.checks import check_dataset
from agentgym.errors import AskError
from agentgym.make import make_env
from agentgym.recipes import behaviours, control
from agentgym.recipes.behaviours import BEHAVIOURS, trained
from agentgym.recipes.make import make_dataset
from agentgym.runs.build import build
from agentgym.runs.run import RunConfig
from agentgym.seeding import episode_seed

pytestmark = pytest.mark.usefixtures("tiny")


def made(text, runs, **how):
    return make_dataset(text, runs, progress=False, **how)[0]


def test_published_behaviours_are_what_the_card_says():
    config = BEHAVIOURS["hopper"].config()
    assert (config.agent, config.env, config.steps, config.seed, config.threads) == ("sac", "Hopper-v5", 200_000, 0, 1)
    assert (config.checkpoint_every, config.keep_checkpoints) == (10_000, 0)
    assert (config.config["learning_starts"], config.config["buffer_size"]) == (10_000, 300_000)
    assert (BEHAVIOURS["pendulum"].steps, BEHAVIOURS["pendulum"].checkpoint_every) == (20_000, 1_000)


def test_a_behaviour_is_trained_once_and_gone_on_with_where_it_was_killed(runs, tmp_path, monkeypatch):
    whole = trained("inverted-pendulum", runs, progress=False)  # the session's, not trained again: see below
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    path = copy / "behaviours/inverted-pendulum"
    monkeypatch.setattr(behaviours, "train", lambda *_, **__: pytest.fail("trained again"))
    trained("inverted-pendulum", copy, progress=False)

    for late in path.glob("checkpoints/00000006*"):
        shutil.rmtree(late)
    shutil.rmtree(path / "final")
    record = whole.run.record()
    behaviours.Run.open(path).write_record({**record, "finished_steps": None})
    resumed = trained("inverted-pendulum", copy, progress=False)
    seen = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_array_equal(resumed.policy(600)(seen, []), whole.policy(600)(seen, []))
    np.testing.assert_array_equal(resumed.replay(600).rewards, whole.replay(600).rewards)


def test_a_run_of_that_name_that_is_another_is_refused(runs, monkeypatch):
    other = dataclasses.replace(BEHAVIOURS["inverted-pendulum"], learning_starts=200)
    monkeypatch.setitem(BEHAVIOURS, "inverted-pendulum", other)
    with pytest.raises(AskError, match=r"differs in config.*--runs DIR"):
        trained("inverted-pendulum", runs, progress=False)


def test_policies_are_the_checkpoints(runs):
    behaviour = trained("inverted-pendulum", runs, progress=False)
    assert behaviour.steps == [200, 400, 600]
    seen = np.random.default_rng(0).normal(size=(5, 4))
    final = load_agent(behaviour.run.final)
    np.testing.assert_array_equal(behaviour.policy(600)(seen, []), final.predict(seen, deterministic=True)[0])
    assert (behaviour.policy(200)(seen, []) != behaviour.policy(600)(seen, [])).any()
    one, two, other = (behaviour.policy(600, seed) for seed in (1, 1, 2))
    first = one(seen, [])
    np.testing.assert_array_equal(first, two(seen, []))
    assert (first != other(seen, [])).any()
    assert (first != one(seen, [])).any()


def test_medium_replay_is_the_run_up_to_medium_step_for_step(runs):
    """Played again with the run's own seeds and the recorded actions, the world answers the same."""
    data = made("inverted-pendulum-medium-replay", runs)
    assert len(data) == data.description.record["behaviour"]["checkpoints"][0]
    env = make_env("InvertedPendulum-v5")
    for e in range(data.episodes):
        first, last = data.starts[e], data.starts[e + 1]
        observations, rewards, ends = [env.reset(seed=episode_seed(0, 0, e))[0]], [], []
        for action in data.actions[first:last]:
            observation, reward, terminated, _, _ = env.step(action)
            observations.append(observation)
            rewards.append(reward)
            ends.append(terminated)
        np.testing.assert_array_equal(data.observations[first + e : last + e + 1], np.float32(observations))
        np.testing.assert_array_equal(data.rewards[first:last], np.float32(rewards))
        np.testing.assert_array_equal(data.terminations[first:last], ends)
    assert data.truncations[-1] or data.terminations[-1]


def test_medium_is_the_first_checkpoint_a_third_of_the_way(runs):
    recipe = control.Control("inverted-pendulum", "medium")
    making = control._Making(recipe, trained("inverted-pendulum", runs, progress=False), False)
    random, expert = making.nominal_references
    assert expert > random
    wanted = random + (expert - random) / 3
    assert making.selection == {}
    medium = making.medium
    assert making.selection["threshold"] == pytest.approx(wanted)
    assert making.selection["mean"] >= wanted
    for step in making.behaviour.steps:
        if step < medium:
            act = making.behaviour.policy(step, episode_seed(0, control.Part.SELECTION, step))
            played = control.record(making.nominal, act, (0, control.Part.SELECTION), episodes=4)
            assert played.returns.mean() < wanted


def test_a_behaviour_that_learned_nothing_has_no_medium(runs, monkeypatch):
    monkeypatch.setattr(control._Making, "nominal_references", (0.0, 1e6))
    with pytest.raises(AskError, match="did not learn"):
        made("inverted-pendulum-medium", runs)


def test_equal_seeds_record_equal_data(runs):
    text = "inverted-pendulum-medium-expert:noise=0.5,size=41"
    one = made(text, runs)
    digest = one.digest
    assert made(text, runs, overwrite=True).digest == digest
    assert made(text + ",seed=1", runs).digest != digest
    assert len(one) == 41
    assert 20 in one.starts  # half and half


def test_every_kind_is_whole_says_its_making_and_has_one_worlds_references(runs):
    found = [made(f"inverted-pendulum-{quality}", runs) for quality in control.QUALITIES]
    for data in found:
        about = data.description
        assert check_dataset(about.name) == []
        assert {"recipe", "settings", "steps", "episodes", "versions", "command", "references"} <= about.record.keys()
        behaviour = about.record["behaviour"]
        if "random" not in about.name:
            assert (behaviour["agent"], behaviour["steps"], behaviour["seed"]) == ("sac", 600, 0)
            assert all(len(digest) == 64 for digest in behaviour["sha256"])
        assert np.isfinite(behaviour["return_mean"])
        assert len(data) == (60 if "replay" not in about.name else behaviour["checkpoints"][0])
    assert len({(data.description.random_return, data.description.expert_return) for data in found}) == 1
    noisy = made("inverted-pendulum-random:noise=1.0", runs).description
    assert noisy.perturbations == ({"type": "TimeCorrelatedActionNoise", "std": 1.0, "scale": "half_range"},)
    assert noisy.random_return != found[0].description.random_return  # of its own world


def test_returns_and_references_are_of_true_rewards(runs):
    plain = made("inverted-pendulum-expert", runs).description
    noisy = made("inverted-pendulum-expert:reward-noise=5.0", runs)
    assert noisy.description.expert_return == plain.expert_return
    assert noisy.rewards.std() > 3.0
    assert noisy.description.record["behaviour"]["return_mean"] == plain.record["behaviour"]["return_mean"]


def test_an_offline_agent_is_evaluated_in_the_world_of_its_data(runs):
    made("inverted-pendulum-random:noise=0.25", runs)
    config = RunConfig("bc", dataset="inverted-pendulum-random:noise=0.25", config={"layers": (8,)})
    build(config)
    assert config.dataset == "agentgym/inverted-pendulum/random-noise25-v0"
    assert config.env == "InvertedPendulum-v5"
    assert config.perturbations[0]["std"] == 0.25
