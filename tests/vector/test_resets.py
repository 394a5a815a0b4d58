"""What reset takes: options by name in every family, single and batched; seeds and masks of a batch."""

import warnings

import gymnasium as gym
import numpy as np
import pytest

import agentgym
from agentgym.envs.convection.parallel import ConvectionParallelEnv
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.multi_agent import JointEnv
from agentgym.vector.resets import check_options, known_options, reset_mask, world_seeds

CELL = {"columns": 24, "points": 17, "time_step": 0.15, "actions": 3}
SINGLE = {
    "agentgym/RobustHopper-v0": ({}, {"parameter": {"torso_mass": 1.0}}, "parameters"),
    "agentgym/RobustInvertedPendulum-v0": ({}, {"reset_mask": [True]}, "parameters"),
    "agentgym/Convection-v0": (CELL, {"strat": "one-pair"}, "start"),
    "agentgym/Household-v0": ({"size": "tiny"}, {"seed": 3}, "It takes none"),
    "agentgym/Archive-v0": ({}, {"question": 1}, "It takes none"),
    "agentgym/BernoulliBandit-v0": ({}, {"P": 0.3}, "p"),
}
BATCHED = {env: (kwargs, {"reset_maks": [True, True]}, "reset_mask") for env, (kwargs, *_) in SINGLE.items()}
del BATCHED["agentgym/BernoulliBandit-v0"]  # has no batch of its own


@pytest.mark.parametrize("env_id", SINGLE)
def test_an_unknown_option_is_refused_with_the_nearest_name(env_id):
    kwargs, options, near = SINGLE[env_id]
    env = gym.make(env_id, **kwargs)
    with pytest.raises(UnknownId, match=f"{next(iter(options))}.*{near}"):
        env.reset(options=options)
    with pytest.raises(InvalidParameter, match="dictionary"):
        env.reset(options=["parameters"])
    env.reset(seed=0, options={})
    env.close()


@pytest.mark.parametrize("env_id", BATCHED)
def test_so_does_a_batch_before_any_world_changes(env_id):
    kwargs, options, near = BATCHED[env_id]
    env = gym.make_vec(env_id, 2, "vector_entry_point", **kwargs)
    first, _ = env.reset(seed=[3, 4])
    with pytest.raises(UnknownId, match=near):
        env.reset(seed=[8, 9], options=options)
    assert env.np_random_seed == (3, 4)
    with pytest.raises(InvalidParameter, match="reset_mask"):
        env.reset(seed=[8, 9], options={"reset_mask": [1, 0]})
    again, _ = env.reset(seed=[3, 4], options={"reset_mask": np.array([True, True])})
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    env.close()


@pytest.mark.parametrize(
    ("env_id", "options", "error"),
    [
        ("agentgym/RobustHopper-v0", {"parameters": {"torso_mas": 1.0}}, UnknownId),
        ("agentgym/RobustHopper-v0", {"parameters": {"torso_mass": float("nan")}}, InvalidParameter),
        ("agentgym/RobustHopper-v0", {"parameters": 3}, InvalidParameter),
        ("agentgym/Convection-v0", {"start": "one"}, UnknownId),
        ("agentgym/Convection-v0", {"start": ["one-pair"]}, UnknownId),
        ("agentgym/BernoulliBandit-v0", {"p": float("nan")}, InvalidParameter),
    ],
)
def test_values_are_checked(env_id, options, error):
    env = gym.make(env_id, **(CELL if "Convection" in env_id else {}))
    with pytest.raises(error):
        env.reset(seed=0, options=options)
    assert issubclass(error, AskError)


def test_a_refused_value_leaves_the_bandit_as_it_was():
    env = gym.make("agentgym/BernoulliBandit-v0", p=0.2).unwrapped
    env.reset(seed=1)
    with pytest.raises(InvalidParameter):
        env.reset(seed=2, options={"p": 2.0})
    assert (env.p, env.np_random_seed) == (0.2, 1)


@pytest.mark.parametrize("make", [ConvectionParallelEnv, lambda **kwargs: JointEnv(ConvectionParallelEnv(**kwargs))])
def test_pettingzoo_warns_because_its_own_checker_passes_an_option_that_is_none(make):
    env = make(**CELL)
    with pytest.warns(UserWarning, match=r"'strat'.*start.*ignored"):
        env.reset(seed=0, options={"strat": 1})
    with pytest.raises(UnknownId, match="one-pair"):
        env.reset(seed=0, options={"start": "one"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset(seed=0, options={"start": "one-pair"})
    assert agentgym.parallel_env("agentgym/Convection-v0", **CELL).reset(seed=np.int64(0))


def test_options_by_themselves():
    assert check_options("X", None) == {}
    given = {"a": 1}
    kept = check_options("X", given, ("a",))
    assert kept == given
    assert kept is not given
    with pytest.warns(UserWarning, match="'b'"):
        assert known_options("X", {"a": 1, "b": 2}, ("a",)) == {"a": 1}
    with pytest.raises(UnknownId, match="7"):
        check_options("X", {7: 1}, ("a",))


@pytest.mark.parametrize("seed", [5, np.int64(5), np.uint8(5), [5, 6], (5, 6), np.array([5, 6])])
def test_seeds_are_whole_numbers_of_any_kind(seed):
    assert world_seeds(seed, 2) == [5, 6]
    assert all(type(each) is int for each in world_seeds(seed, 2))


@pytest.mark.parametrize("seed", [-1, 1.5, True, "5", [1, -2], [1, 2.0], [1], [1, 2, 3], [True, 1], {1, 2}])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InvalidParameter):
        world_seeds(seed, 2)


def test_no_seed_and_masks():
    assert world_seeds(None, 2) == [None, None]
    assert world_seeds([None, 3], 2) == [None, 3]
    assert reset_mask(None, 2).tolist() == [True, True]
    assert reset_mask({"reset_mask": np.array([False, True])}, 2).tolist() == [False, True]
    for mask in (np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), None, "ab"):
        with pytest.raises(InvalidParameter, match="reset_mask"):
            reset_mask({"reset_mask": mask}, 2)
