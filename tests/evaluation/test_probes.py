"""Probes against closed forms."""

import numpy as np
import pytest
import torch

from agentgym.envs.atari.env import AtariEnv
from agentgym.errors import InvalidParameter, NonFinite
from agentgym.evaluation.probes import chance_share, input_gradients, unstable_directions


def test_the_share_of_chance_is_that_of_known_variances():
    generator = np.random.default_rng(0)
    starts, chance = 3.0, 2.0  # standard deviations
    returns = generator.normal(0, starts, (4000, 1)) + generator.normal(0, chance, (4000, 5))
    found = chance_share(returns)
    assert found.chance == pytest.approx(chance**2, rel=0.03)
    assert found.start == pytest.approx(starts**2, rel=0.06)
    assert found.share == pytest.approx(4 / 13, rel=0.06)
    assert chance_share(np.array([[1.0, 1.0], [4.0, 4.0]])).share == 0.0
    assert np.isnan(chance_share(np.ones((2, 2))).share)
    with pytest.raises(InvalidParameter, match="at least two each"):
        chance_share(np.ones((1, 5)))
    with pytest.raises(NonFinite):
        chance_share(np.array([[1.0, np.nan], [1.0, 1.0]]))


def test_the_unstable_direction_of_linear_values_is_known():
    """With two actions and logits W x, every gradient is parallel to the difference of the rows of W."""
    weights = torch.tensor([[1.0, 2.0, -1.0, 0.5], [0.0, -1.0, 1.0, 0.5]])
    states = np.random.default_rng(0).normal(size=(30, 4))
    found = unstable_directions(input_gradients(lambda x: x @ weights.T, states), k=1)
    wanted = (weights[0] - weights[1]).numpy()
    wanted = wanted / np.linalg.norm(wanted)
    assert abs(found.directions[0] @ wanted) == pytest.approx(1.0, abs=1e-5)
    assert found.shares[0] == pytest.approx(1.0, abs=1e-6)
    assert found.overlap(found) == pytest.approx(1.0)


def test_the_gram_matrix_gives_the_eigenvectors_of_the_large_one():
    gradients = np.random.default_rng(1).normal(size=(12, 40)) * np.linspace(3, 0.1, 40)
    found = unstable_directions(gradients, k=3)
    values, vectors = np.linalg.eigh(gradients.T @ gradients)
    for rank in range(3):
        assert abs(found.directions[rank] @ vectors[:, -1 - rank]) == pytest.approx(1.0)
        assert found.shares[rank] == pytest.approx(values[-1 - rank] / values.sum())
    with pytest.raises(InvalidParameter, match="no 2 independent"):
        unstable_directions(np.ones((3, 4)), k=2)


def test_one_start_is_repeated_with_other_chance():
    env = AtariEnv(game="Boxing", setting="1", observation="ram")
    rollouts = []
    for chance in (0, 1, 1, 0):
        first, _ = env.reset(seed=3, options={"chance": chance})
        rollouts.append((first.copy(), np.concatenate([env.step(0)[4]["executed"] for _ in range(20)])))
    for first, _ in rollouts:
        np.testing.assert_array_equal(first, rollouts[0][0])
    np.testing.assert_array_equal(rollouts[0][1], rollouts[3][1])
    np.testing.assert_array_equal(rollouts[1][1], rollouts[2][1])
    assert (rollouts[0][1] != rollouts[1][1]).any()
    other = AtariEnv(game="Boxing", setting="1", observation="ram")
    env.reset(seed=3, options={"chance": 1})
    env.step(0)
    other.set_state(env.get_state())
    np.testing.assert_array_equal(env.step(2)[4]["executed"], other.step(2)[4]["executed"])
    with pytest.raises(InvalidParameter, match="chance"):
        env.reset(options={"chance": -1})
