"""Advantages against numbers worked out by hand."""

import math

import torch

from agentgym.agents.language.advantages import ESTIMATORS, discounted, gigpo, grpo, rloo

from .batches import batch, close, episode


def two_groups():
    return batch(
        episode(0, (1.0,)), episode(0, (0.0, 0.0, 0.0)),  # a short success and a long failure
        episode(1, (0.0, 1.0)), episode(1, (0.0, 0.0)), episode(1, (0.0, 0.0)), episode(1, (0.0, 1.0)),
    )  # fmt: skip


def test_grpo():
    std = math.sqrt(0.5)  # unbiased, of (1, 0)
    third = math.sqrt(1 / 3)  # of (1, 0, 0, 1)
    close(
        grpo(two_groups(), True, "episodes"),
        [0.5 / std, -0.5 / std, 0.5 / third, -0.5 / third, -0.5 / third, 0.5 / third],
    )


def test_a_group_without_differences_has_no_advantages():
    close(grpo(batch(episode(0, (1.0,)), episode(0, (1.0,))), True, "episodes"), [0.0, 0.0])


def test_dr_grpo_does_not_divide():
    close(grpo(two_groups(), False, "episodes"), [0.5, -0.5, 0.5, -0.5, -0.5, 0.5])


def test_over_turns_long_episodes_weigh_more():
    found = grpo(two_groups(), False, "turns")
    close(found[:2], [1 - 0.25, -0.25])  # the mean of (1, 0, 0, 0)
    divided = grpo(two_groups(), True, "turns")
    close(divided[:2], [0.75 / 0.5, -0.25 / 0.5])  # its unbiased standard deviation is 0.5


def test_rloo_leaves_itself_out():
    close(rloo(two_groups()), [1.0, -1.0, 1 - 1 / 3, -2 / 3, -2 / 3, 1 - 1 / 3])
    close(rloo(batch(episode(0, (1.0,)))), [0.0])


def test_discounted():
    close(discounted(torch.tensor([[1.0, 0.0, 2.0]]), 0.5), [[1.5, 1.0, 2.0]])


def test_gigpo_compares_turns_in_equal_states():
    # Both begin in state 0; then one goes to 1 and wins, the other to 2, and back to 0, and fails.
    made = batch(
        episode(0, (0.0, 1.0), anchors=[0, 1]),
        episode(0, (0.0, 0.0, 0.0), anchors=[0, 2, 0]),
    )
    # Returns with gamma 0.5: (0.5, 1), (0, 0, 0). State 0: (0.5, 0, 0), mean 1/6. States 1 and 2: alone.
    found = gigpo(made, divide=False, gamma=0.5, weight=2.0, over="episodes")
    sixth = 1 / 6
    close(found[0, :2], [0.5 + 2 * (0.5 - sixth), 0.5])
    close(found[1], [-0.5 - 2 * sixth, -0.5, -0.5 - 2 * sixth])


def test_gigpo_keeps_groups_apart():
    made = batch(episode(0, (1.0,), anchors=[0]), episode(1, (0.0,), anchors=[0]))
    close(gigpo(made, divide=True, gamma=0.95, weight=1.0, over="episodes"), [[0.0], [0.0]])


def test_every_estimator_gives_a_value_for_each_turn():
    made = two_groups()
    for name, estimate in ESTIMATORS.items():
        assert estimate(made, "episodes", 0.95, 1.0).shape == made.rewards.shape, name
