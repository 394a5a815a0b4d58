"""ODICE: the conjugate, the orthogonal gradient and its two ablations, terminal states, the cloned policy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from agentgym.agents.offline.odice.losses import conjugate, orthogonal_sum, policy_weights
from agentgym.agents.offline.odice.odice import ODICE, flat
from agentgym.agents.offline.transitions import Batch
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import AskError

TINY: dict[str, Any] = {
    "value_layers": (8, 8), "policy_layers": (8,), "batch_size": 16, "evaluate_every": 0, "return_range": 20.0,
}  # fmt: skip


def doubled(dataset: OfflineDataset, **settings: Any) -> tuple[ODICE, Batch]:
    """A tiny agent in float64 whose target is not its V, and a batch with terminal steps in it."""
    agent = ODICE(dataset=dataset, seed=2, **{**TINY, **settings})
    agent.policy.double()
    with torch.no_grad():
        for parameter in agent.value_target.parameters():
            parameter.mul_(1.3)
    batch = Batch(*(part.double() if part.is_floating_point() else part for part in agent._sample()))
    alive = (torch.arange(len(batch.rows)) % 3 > 0).double()
    return agent, batch._replace(alive=alive)


def finite_differences(loss: Callable[[], Tensor], parameters: list[Tensor]) -> Tensor:
    """The gradient, ``[P]``, by central differences."""
    found = []
    with torch.no_grad():
        for parameter in parameters:
            for index in range(parameter.numel()):
                entry = parameter.view(-1)[index]
                kept, sides = entry.item(), []
                for side in (1e-6, -1e-6):
                    entry.fill_(kept + side)
                    sides.append(float(loss()))
                entry.fill_(kept)
                found.append((sides[0] - sides[1]) / 2e-6)
    return torch.tensor(found, dtype=torch.float64)


def test_the_conjugate_is_the_greatest_value_over_ratios() -> None:
    residuals = torch.linspace(-6, 6, 25, dtype=torch.float64)
    ratios = torch.linspace(0, 10, 200_001, dtype=torch.float64)
    brute = torch.stack([(e * ratios - (ratios - 1) ** 2).max() for e in residuals])
    torch.testing.assert_close(conjugate(residuals), brute, atol=1e-8, rtol=0)


def test_weights_of_the_policy_by_hand() -> None:
    residuals = torch.tensor([-4.0, -1.0, 0.0, 1.0, 4.0, 500.0])
    assert policy_weights(residuals, "released", 100.0).tolist() == [0, 0, 0, 1, 4, 100]
    assert policy_weights(residuals, "chi2", 100.0).tolist() == [0, 0.5, 1, 1.5, 3, 100]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_added_to_the_forward_gradient_is_normal_to_it(pendulum: OfflineDataset, seed: int) -> None:
    agent, _ = doubled(pendulum)
    agent.generator.manual_seed(seed)
    batch = Batch(*(part.double() if part.is_floating_point() else part for part in agent._sample()))
    forward, backward, _ = gradients_apart(agent, batch)
    added = orthogonal_sum(forward, backward)[0] - forward
    assert abs(float(forward.dot(added) / (forward.norm() * added.norm()))) < 1e-10
    assert float(added.norm()) > 1e-3 * float(backward.norm())  # something is left
    removed = backward - added
    assert abs(float(forward.dot(removed) / (forward.norm() * removed.norm()))) > 1 - 1e-10


def test_no_forward_gradient_leaves_the_backward_one() -> None:
    backward = torch.tensor([1.0, -2.0])
    found, cosine = orthogonal_sum(torch.zeros(2), backward)
    assert found.tolist() == backward.tolist()
    assert float(cosine) == 0.0


def gradients_apart(agent: ODICE, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Forward, backward and linear gradient, ``[P]`` each, by autograd from the formulas."""
    settings, value = agent.settings, agent.value
    with torch.no_grad():
        target, next_target = (agent.value_target(states).amin(0) for states in (batch.states, batch.next_states))
    forward = batch.rewards + settings.gamma * batch.alive * next_target - value(batch.states)
    backward = batch.rewards + settings.gamma * batch.alive * value(batch.next_states) - target
    losses = (
        settings.lambda_f * conjugate(forward).mean(),
        settings.lambda_f * settings.eta * conjugate(backward).mean(),
        (1 - settings.lambda_f) * value(batch.states).mean(),
    )
    parameters = list(value.parameters())
    one, two, three = (flat(torch.autograd.grad(loss, parameters)) for loss in losses)
    return one, two, three


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradients_are_those_of_finite_differences(pendulum: OfflineDataset, members: int, layer_norm: bool) -> None:
    agent, batch = doubled(pendulum, value_members=members, layer_norm=layer_norm, lambda_f=0.7, eta=0.5)
    value, parameters = agent.value, list(agent.value.parameters())
    with torch.no_grad():
        target, next_target = (agent.value_target(states).amin(0) for states in (batch.states, batch.next_states))

    def residuals(next_values: Tensor, values: Tensor) -> Tensor:
        return batch.rewards + 0.99 * batch.alive * next_values - values

    def whole() -> Tensor:
        values = value(batch.states)
        return 0.3 * values.mean() + 0.7 * conjugate(residuals(value(batch.next_states), values)).mean()

    forward = finite_differences(
        lambda: 0.7 * conjugate(residuals(next_target, value(batch.states))).mean(), parameters
    )
    backward = finite_differences(
        lambda: 0.35 * conjugate(residuals(value(batch.next_states), target)).mean(), parameters
    )
    linear = finite_differences(lambda: 0.3 * value(batch.states).mean(), parameters)
    along = forward.dot(backward) / forward.dot(forward)

    close = {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(flat(agent._true(batch)[0]), finite_differences(whole, parameters), **close)
    torch.testing.assert_close(flat(agent._semi(batch)[0]), forward + linear, **close)
    torch.testing.assert_close(
        flat(agent._orthogonal(batch)[0]), forward + backward - along * forward + linear, **close
    )


def test_the_true_gradient_is_that_of_the_plain_sum_where_the_target_is_v_itself(pendulum: OfflineDataset) -> None:
    agent, batch = doubled(pendulum, value_members=1)
    agent.value_target.load_state_dict(agent.value.state_dict())
    torch.testing.assert_close(flat(agent._true(batch)[0]), sum(gradients_apart(agent, batch)), rtol=1e-9, atol=1e-12)


def test_without_backward_weight_it_is_the_semi_gradient(pendulum: OfflineDataset) -> None:
    agent, batch = doubled(pendulum, eta=0.0)
    torch.testing.assert_close(flat(agent._orthogonal(batch)[0]), flat(agent._semi(batch)[0]), rtol=1e-12, atol=1e-14)
    one, two = (
        ODICE(dataset=pendulum, seed=2, gradient=gradient, eta=0.0, **TINY).learn(20)
        for gradient in ("orthogonal", "semi")
    )
    for own, other in zip(one.policy.state_dict().values(), two.policy.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-5)


def test_the_three_gradients_differ(pendulum: OfflineDataset) -> None:
    agent, batch = doubled(pendulum)
    found = [flat(rule(batch)[0]) for rule in (agent._orthogonal, agent._true, agent._semi)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert float((found[one] - found[two]).norm()) > 0.01 * float(found[two].norm())


def bandit() -> OfflineDataset:
    """One step an episode, which ends the task: arms pay 0, 1 and 3 and were pulled 5, 3 and 2 times in ten."""
    actions = np.repeat([0, 1, 2], [500, 300, 200])
    rewards = np.array([0.0, 1.0, 3.0], np.float32)[actions]
    ends = np.ones(1000, bool)
    return OfflineDataset(
        np.tile([0, 1], 1000), actions, rewards, ends, ~ends, np.arange(1001), spaces.Discrete(2), spaces.Discrete(3),
        Description("agentgym/bandit/test-v0"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gradient", "weights"),
    [
        ("orthogonal", "released"), ("true", "chi2"), ("semi", "released"),
        *(pytest.param(*pair, marks=pytest.mark.slow)
          for pair in (("orthogonal", "chi2"), ("true", "released"), ("semi", "chi2"))),
    ],
)  # fmt: skip
def test_a_bandit_has_the_value_and_the_policy_of_the_program(gradient: str, weights: str) -> None:
    """The end of a task has no value: were V(s') not masked, V would be another."""
    agent = ODICE(
        dataset=bandit(), seed=0, gradient=gradient, weights=weights, value_layers=(), policy_layers=(),
        return_range=0.0, learning_rate=0.02, weight_decay=0.0, tau=0.05, lambda_f=0.6, evaluate_every=0,
    ).learn(800)  # fmt: skip
    grid = torch.linspace(-3, 6, 90_001, dtype=torch.float64)
    pays, share = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2])
    losses = 0.4 * grid + 0.6 * (conjugate(pays[:, None] - grid) * share[:, None]).sum(0)
    expected_value = float(grid[losses.argmin()])
    state = torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        values = agent.value(state).flatten()
        probabilities = agent.policy.actor(state)[0]
    torch.testing.assert_close(values, torch.full((2,), expected_value), atol=0.05, rtol=0)
    likelihood = share * policy_weights(pays - expected_value, weights, 100.0)  # type: ignore[arg-type]
    torch.testing.assert_close(probabilities, (likelihood / likelihood.sum()).float(), atol=0.03, rtol=0)


def test_presets_and_settings(pendulum: OfflineDataset) -> None:
    small = {"value_layers": (8,), "policy_layers": (8,)}
    agent = ODICE(dataset=pendulum, preset="antmaze-single", **small)
    np.testing.assert_allclose(agent.rewards.numpy(), 3 * pendulum.rewards - 3, rtol=1e-5)
    assert agent.value(torch.zeros(5, 3)).shape == (1, 5)
    for wrong in ({"gradient": "both"}, {"weights": "kl"}, {"lambda_f": 0.0}, {"eta": -1.0}, {"value_members": 0}):
        with pytest.raises(AskError, match=next(iter(wrong))):
            ODICE(dataset=pendulum, **wrong)


@pytest.mark.slow
def test_it_beats_the_best_episode_of_its_data(pendulum: OfflineDataset) -> None:
    agent = ODICE(
        dataset=pendulum, env="Pendulum-v1", seed=0, value_layers=(64, 64), policy_layers=(64, 64), learning_rate=1e-3,
        return_range=200.0, evaluate_every=0, evaluation_episodes=20,
    ).learn(3000)  # fmt: skip
    assert agent.evaluate() > pendulum.returns.max() + 100
