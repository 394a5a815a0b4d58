"""Recipes by name, the two that need no training, and Minari's own view of what they write."""

import os
import threading
from pathlib import Path

import minari
import numpy as np
import pytest

from agentgym import catalog
from agentgym.data.recipe import Recipe, find_recipe
from agentgym.data.storage import load_dataset
from agentgym.errors import AskError, InvalidParameter, RunInUse, UnknownId
from agentgym.make import make_env
from agentgym.recipes.frozenlake import FrozenLake, best_policy, model, optimum, success
from agentgym.recipes.make import make_dataset

RECIPES = [entry.id for entry in catalog.entries("recipe")]


def made(text):
    return make_dataset(text, progress=False)[0]


def in_memory(text):
    """The same without Minari's files, of which each episode costs milliseconds."""
    return find_recipe(text).make(Path(), progress=False)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_its_catalog_name_and_a_minari_id(name):
    recipe = find_recipe(name)
    assert recipe.name == recipe.text == name
    namespace, _, version = minari.dataset.minari_dataset.parse_dataset_id(recipe.dataset_id)
    assert namespace.startswith("agentgym/")
    assert version == 0


@pytest.mark.parametrize(
    ("text", "dataset_id"),
    [
        ("hopper-medium", "agentgym/hopper/medium-v0"),
        ("hopper-medium:noise=0.5", "agentgym/hopper/medium-noise50-v0"),
        ("hopper-medium:noise=0.125,size=1e6,seed=3", "agentgym/hopper/medium-noise12_5-size1000000-seed3-v0"),
        ("hopper-medium:size=100000", "agentgym/hopper/medium-v0"),  # the default, said
        ("halfcheetah-expert:reward-noise=0.5", "agentgym/halfcheetah/expert-reward-noise0_5-v0"),
        ("inverted-pendulum-medium-replay", "agentgym/inverted-pendulum/medium-replay-v0"),
        ("bernoulli-bandit", "agentgym/bernoulli-bandit/standard-v0"),
        ("bernoulli-bandit:p=0.3,exact=false", "agentgym/bernoulli-bandit/p30-not-exact-v0"),
        ("frozenlake:slip=0.2,alpha=-1", "agentgym/frozenlake/slip20-alpha-100-v0"),
    ],
)
def test_settings_make_the_datasets_name_and_come_back(text, dataset_id):
    recipe = find_recipe(text)
    assert recipe.dataset_id == dataset_id
    assert find_recipe(recipe.text) == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hoper-medium", "hopper-medium"),
        ("hopper-medium:nose=0.5", "noise"),
        ("hopper-medium:task=pendulum", "setting of recipe"),
        ("hopper-medium:noise=loud", "must be a number"),
        ("hopper-medium:noise=-0.1", "at least 0"),
        ("hopper-medium:size=10.5", "whole number"),
        ("hopper-medium:size=0", "at least 2"),
        ("hopper-medium:seed=-1", "at least 0"),
        ("hopper-medium-replay:noise=0.5", "takes no noise"),
        ("bernoulli-bandit:p=0.7", "at most 0.5"),
        ("bernoulli-bandit:p=0", "above 0"),
        ("bernoulli-bandit:p=0.33", "exact proportion"),
        ("bernoulli-bandit:exact=maybe", "true or false"),
        ("frozenlake:slip=1.5", "from 0 to 1"),
        ("frozenlake:alpha=2", "from -4 to 1"),
        ("frozenlake:trajectories=none", "whole number"),
        ("frozenlake:slip", "key=value"),
    ],
)
def test_what_cannot_be_made_is_said(text, said):
    with pytest.raises(AskError, match=said):
        find_recipe(text)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_the_exact_bandit_has_every_outcome_as_often_as_its_probability_says(p):
    data = in_memory(f"bernoulli-bandit:p={p}")
    counts = np.bincount(2 * data.actions + (data.rewards == 0), minlength=4)  # arm 1 pays, not, arm 2 pays, not
    np.testing.assert_array_equal(counts, np.rint(1000 * np.array([p * (1 - p), p * p, p * (1 - p), (1 - p) ** 2])))
    paid = data.actions[data.rewards == 1]
    assert (paid == 0).mean() == 0.5  # what misleads who looks at returns
    assert data.terminations.all()
    assert data.episodes == 1000
    assert (data.description.random_return, data.description.expert_return) == (0.5, 1 - p)


def test_the_sampled_bandit_is_near_its_probabilities_and_of_its_seed():
    texts = [f"bernoulli-bandit:exact=false,size=20000,seed={seed}" for seed in (0, 0, 1)]
    one, again, other = map(in_memory, texts)
    assert one.digest == again.digest != other.digest
    assert abs((one.actions == 0).mean() - 0.1) < 5 * np.sqrt(0.09 / 20000)
    for arm, chance in ((0, 0.9), (1, 0.1)):
        rewards = one.rewards[one.actions == arm]
        assert abs(rewards.mean() - chance) < 5 * np.sqrt(0.09 / len(rewards))


@pytest.mark.parametrize("slip", [0.0, 1 / 3, 2 / 3])
def test_the_lakes_policy_is_the_best_of_its_kind(slip):
    lake = model(make_env("FrozenLake-v1", {"success_rate": 1 - slip}).unwrapped)
    policy = best_policy(*lake)
    found = success(*lake, policy)
    assert found <= optimum(*lake) + 1e-12
    for state in range(16):  # no other action in one state is better, but for a thousandth
        for action in range(4):
            changed = policy.copy()
            changed[state] = np.eye(4)[action]
            assert success(*lake, changed) < found + 1e-3
    if slip == 0.0:
        assert found == 1.0
        assert success(*lake, policy, horizon=6) == 1.0  # the shortest way
        assert success(*lake, policy, horizon=5) == 0.0


def test_the_lakes_data_do_as_often_as_computed():
    data = in_memory("frozenlake:trajectories=1500,slip=0.4")
    about = data.description
    chance = about.record["behaviour"]["success"]
    assert abs(data.returns.mean() - chance) < 5 * np.sqrt(chance * (1 - chance) / 1500)
    assert about.random_return < chance < about.expert_return
    assert about.env_kwargs == {"success_rate": 0.6}
    uniform = data.actions[data.observations[np.arange(len(data)) + data.episode_of] == 0]
    share = np.bincount(uniform, minlength=4) / len(uniform)
    assert abs(np.sort(share)[:3].mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / len(uniform))  # epsilon / 4 each


def test_alpha_is_the_released_codes_quality():
    assert FrozenLake(alpha=1.0).epsilon == 0.0
    assert FrozenLake(alpha=-1.0).epsilon == pytest.approx(0.4)
    data = made("frozenlake:slip=0,alpha=1,trajectories=3")
    np.testing.assert_array_equal(data.lengths, 6)
    np.testing.assert_array_equal(data.returns, 1)


def test_two_that_make_one_dataset_at_once(home, monkeypatch):
    original, calls, begun, released = FrozenLake.make, [], threading.Event(), threading.Event()

    def slow(recipe, *arguments):
        calls.append(recipe)
        begun.set()
        assert released.wait(60)
        return original(recipe, *arguments)

    monkeypatch.setattr(FrozenLake, "make", slow)
    text, found = "frozenlake:trajectories=3", []
    first = threading.Thread(target=lambda: found.append(make_dataset(text, progress=False)))
    first.start()
    assert begun.wait(60)
    try:
        for overwrite in (False, True):
            with pytest.raises(RunInUse, match=f"trajectories3-v0 is in use: process {os.getpid()} on"):
                make_dataset(text, overwrite=overwrite, progress=False)
    finally:
        released.set()
        first.join()
    ((dataset, made_now),) = found
    again, made_again = make_dataset(text, progress=False)
    assert (made_now, made_again, len(calls)) == (True, False, 1)
    assert dataset.digest == again.digest
    assert {path.name for path in (home / "agentgym" / "frozenlake").iterdir()} == {"trajectories3-v0"}
    assert [path.name for path in (home / dataset.description.name).iterdir()] == ["data"]  # no lock is left


def test_minari_reads_what_is_written():
    data = made("frozenlake:reward-noise=0.1")
    theirs = minari.load_dataset(data.description.name)
    assert (theirs.total_episodes, theirs.total_steps) == (data.episodes, len(data))
    for e, episode in enumerate(theirs.iterate_episodes()):
        steps = slice(data.starts[e], data.starts[e + 1])
        np.testing.assert_array_equal(episode.observations, data.observations[steps.start + e : steps.stop + e + 1])
        np.testing.assert_array_equal(episode.actions, data.actions[steps])
        np.testing.assert_array_equal(episode.rewards, data.rewards[steps])
        np.testing.assert_array_equal(episode.terminations, data.terminations[steps])
        np.testing.assert_array_equal(episode.truncations, data.truncations[steps])
    env = theirs.recover_environment()
    assert env.spec.id == "FrozenLake-v1"
    assert env.spec.max_episode_steps == 100
    normalized = minari.get_normalized_score(theirs, np.array([0.4]))
    assert 100 * normalized[0] == pytest.approx(data.description.score(0.4))
    split = minari.split_dataset(theirs, sizes=[10, 90], seed=0)
    assert split[0].total_episodes == 10


def test_what_is_there_is_not_made_again_and_another_recipes_data_are_not_taken(home):
    _, first = make_dataset("frozenlake", progress=False)
    _, second = make_dataset("frozenlake:slip=0.66666666666666663", progress=False)  # the default, to the last digit
    assert (first, second) == (True, False)
    (home / "agentgym/frozenlake/slip20-v0").mkdir()
    (home / "agentgym/frozenlake/standard-v0/data").rename(home / "agentgym/frozenlake/slip20-v0/data")
    with pytest.raises(AskError, match=r"was made by frozenlake, not by frozenlake:slip=0\.2"):
        load_dataset("frozenlake:slip=0.2")
    made_again, now = make_dataset("frozenlake:slip=0.2", overwrite=True, progress=False)
    assert now
    assert made_again.description.env_kwargs == {"success_rate": 0.8}


def test_a_recipe_that_is_not_made_yet_says_the_command():
    with pytest.raises(FileNotFoundError, match=r"agentgym data make frozenlake:slip=0\.25$"):
        load_dataset("frozenlake:slip=0.25")
    with pytest.raises(UnknownId, match="frozenlake"):
        load_dataset("frozen-lake")
    with pytest.raises(FileNotFoundError, match="minari download D4RL/door/human-v2"):
        load_dataset("D4RL/door/human-v2")


def test_every_setting_has_its_own_dataset_name():
    """Two recipes that differ never share a folder."""
    texts = ["frozenlake", "frozenlake:slip=0.02", "frozenlake:slip=0.2", "frozenlake:slip=0.002", "frozenlake:seed=1",
             "frozenlake:trajectories=1", "frozenlake:alpha=0.5", "frozenlake:reward-noise=0.5"]  # fmt: skip
    recipes: list[Recipe] = [find_recipe(text) for text in texts]
    assert len({recipe.dataset_id for recipe in recipes}) == len(texts)


def test_the_dial_refuses_what_an_environment_does_not_have():
    with pytest.raises(InvalidParameter, match="has no slip"):
        find_recipe("frozenlake:slip=0.2").dial.env_kwargs("Hopper-v5")
