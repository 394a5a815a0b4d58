"""A robust world put back by its state goes on bit for bit: in all tasks, schedules and draws included."""

import json

import gymnasium as gym
import numpy as np
import pytest

import agentgym
from agentgym.envs.robust.presets import TASKS
from agentgym.errors import InvalidParameter
from agentgym.runs.state import pack, unpack

from .test_vector import actions, assert_same

assert agentgym
MOVING = {"gravity": "random_walk", "joint_damping": "cosine", "actuator_gear": "exponential"}
CASES = {
    "plain": {},
    "drawn": {"randomize": "uniform", "forces": "rarl"},
    "walking": {"schedule": "random_walk"},
    "cosine": {"schedule": {"gravity": "cosine"}, "randomize": "uniform"},
    "everything": {"schedule": MOVING, "randomize": "uniform", "forces": "rarl"},
}
HARD = {
    ("Ant", "cosine"): "SameStep", ("HumanoidStandup", "walking"): "SameStep", ("Hopper", "plain"): "SameStep",
    ("Walker2d", "drawn"): "SameStep", ("HalfCheetah", "everything"): "SameStep",
    ("InvertedPendulum", "everything"): "SameStep", ("Hopper", "everything"): "NextStep",
    ("Ant", "drawn"): "NextStep", ("HumanoidStandup", "everything"): "NextStep", ("Walker2d", "walking"): "Disabled",
}  # fmt: skip


def play(env, steps):
    """All that the batch answers, with the resets that it leaves to the caller."""
    told = []
    for step in steps:
        told.append(env.step(step))
        over = told[-1][2] | told[-1][3]
        if env.autoreset_mode.value == "Disabled" and over.any():
            told.append(env.reset(options={"reset_mask": over}))
    return told


@pytest.mark.parametrize(("task", "case"), HARD)
def test_ninety_further_steps_are_bit_equal_in_a_fresh_batch(task, case):
    arguments = {"max_episode_steps": 35, "autoreset_mode": HARD[task, case], **CASES[case]}
    one, other = (gym.make_vec(f"agentgym/Robust{task}-v0", num_envs=2, **arguments) for _ in range(2))
    steps = actions(one, 120)
    one.reset(seed=4)
    play(one, steps[:20])
    held = next(iter(one.known_parameters))
    one.set_parameters({held: [one.nominal_parameters[held], None]})  # leaves its schedule
    play(one, steps[20:30])
    saved = unpack(pack({"state": one.get_state()}))["state"]  # as a checkpoint holds it
    other.reset(seed=99)
    other.step(steps[0])
    other.set_state(saved)
    for mine, theirs in zip(play(one, steps[30:]), play(other, steps[30:]), strict=True):
        for left, right in zip(mine, theirs, strict=True):
            assert_same(left, right)


def test_values_given_at_a_reset_and_lost_states_are_part_of_it():
    one, other = (gym.make_vec("agentgym/RobustHopper-v0", num_envs=3, check_range=False) for _ in range(2))
    one.reset(seed=0, options={"parameters": {"torso_mass": [0.5, 1.5, 2.5]}})
    other.set_state(one.get_state())
    np.testing.assert_array_equal(other.parameters["torso_mass"], [0.5, 1.5, 2.5])
    steps = actions(one, 3)
    for mine, theirs in zip(play(one, steps), play(other, steps), strict=True):
        for left, right in zip(mine, theirs, strict=True):
            assert_same(left, right)
    for env in (one, other):
        np.testing.assert_array_equal(env.reset()[1]["parameters"]["torso_mass"], [0.5, 1.5, 2.5])


def test_a_single_world_has_snapshots_too():
    one, other = (gym.make("agentgym/RobustAnt-v0", **CASES["everything"]).unwrapped for _ in range(2))
    one.reset(seed=3)
    steps = [space.copy() for space in actions(gym.make_vec("agentgym/RobustAnt-v0", num_envs=1), 12)]
    for step in steps[:5]:
        one.step(step[0])
    taken = one.snapshot()
    other.restore(taken)
    assert json.dumps(taken["uncertainty"])
    for step in steps[5:]:
        for left, right in zip(one.step(step[0]), other.step(step[0]), strict=True):
            assert_same(left, right)
    assert_same(one.reset()[0], other.reset()[0])


def test_states_of_other_worlds_are_refused():
    hopper, walker, three = (
        gym.make_vec(f"agentgym/Robust{task}-v0", num_envs=worlds)
        for task, worlds in (("Hopper", 2), ("Walker2d", 2), ("Hopper", 3))
    )
    hopper.reset(seed=0)
    with pytest.raises(InvalidParameter, match="Walker2d"):
        walker.set_state(hopper.get_state())
    with pytest.raises(InvalidParameter, match="does not have 3"):
        three.set_state(hopper.get_state())
    assert set(TASKS) >= {task for task, _ in HARD}
