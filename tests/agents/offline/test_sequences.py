"""Windows against a slow loop; what sequence agents remember; the parts of Dichotomy of Control."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agentgym.agents.offline.doc.doc import DoC
from agentgym.agents.offline.doc.losses import best_of, contrast
from agentgym.agents.offline.dt.dt import DecisionTransformer
from agentgym.agents.offline.sequences import Sequences
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter

TINY = {"width": 16, "layers": 1, "context": 4, "batch_size": 16}


def walks(lengths: tuple[int, ...] = (3, 1, 7), seed: int = 0) -> OfflineDataset:
    """Episodes of these lengths over five states and three actions."""
    rng, steps = np.random.default_rng(seed), sum(lengths)
    ends = np.cumsum(lengths) - 1
    truncations = np.zeros(steps, bool)
    truncations[ends] = True
    return OfflineDataset(
        rng.integers(5, size=steps + len(lengths)), rng.integers(3, size=steps), rng.random(steps).astype(np.float32),
        np.zeros(steps, bool), truncations, np.concatenate([[0], np.cumsum(lengths)]), spaces.Discrete(5),
        spaces.Discrete(3), Description("agentgym/walks/test-v0"),
    )  # fmt: skip


def bandit(p: float) -> OfflineDataset:
    """Exact proportions: arm 0 pays with probability 1 - p and is pulled in a share p of 1000 pulls."""
    pulls = [(arm, pay) for arm, share in ((0, p), (1, 1 - p)) for pay, odds in ((1, 1 - p), (0, p)) for _ in range(
        round(1000 * share * (odds if arm == 0 else 1 - odds)))]  # fmt: skip
    arms, pays = np.array(pulls).T
    ones = np.ones(1000, bool)
    return OfflineDataset(
        np.zeros(2000, np.int64), arms, pays.astype(np.float32), ones, ~ones, np.arange(1001), spaces.Discrete(1),
        spaces.Discrete(2), Description("agentgym/bandit/test-v0"),
    )  # fmt: skip


@pytest.mark.parametrize("side", ["ending_at", "beginning_at"])
def test_windows_are_those_of_a_slow_loop(side: str) -> None:
    data, length = walks(), 4
    sequences = Sequences(data, torch.as_tensor(data.observations), torch.as_tensor(data.actions))
    window = getattr(sequences, side)(torch.arange(len(data)), length)
    for step in range(len(data)):
        e = int(data.episode_of[step])
        if side == "ending_at":
            inside = list(range(max(data.starts[e], step - length + 1), step + 1))
        else:
            inside = list(range(step, min(data.starts[e + 1], step + length)))
        pad = length - len(inside)
        assert window.mask[step].tolist() == [False] * pad + [True] * len(inside)
        np.testing.assert_array_equal(window.actions[step, pad:], data.actions[inside])
        np.testing.assert_array_equal(window.observations[step, pad:], data.observations[np.array(inside) + e])
        np.testing.assert_array_equal(window.next_observations[step, pad:], data.observations[np.array(inside) + e + 1])
        np.testing.assert_array_equal(window.times[step, pad:], np.array(inside) - data.starts[e])
        togo = [data.rewards[i : data.starts[e + 1]].sum() for i in inside]
        np.testing.assert_allclose(window.returns_to_go[step, pad:], togo, rtol=1e-6)
        assert not window.rewards[step, :pad].any()


def test_steps_are_drawn_alike_and_so_episodes_by_length() -> None:
    data = walks()
    sequences = Sequences(data, torch.as_tensor(data.observations), torch.as_tensor(data.actions))
    drawn = sequences.draw(40_000, torch.Generator().manual_seed(0))
    shares = np.bincount(data.episode_of[drawn.numpy()], minlength=3) / 40_000
    np.testing.assert_allclose(shares, data.lengths / len(data), atol=0.01)


@pytest.mark.parametrize("agent_class", [DecisionTransformer, DoC])
def test_an_episode_depends_neither_on_its_neighbours_nor_on_what_was_before_it(agent_class: type) -> None:
    agent = agent_class(dataset=walks((9, 12, 30)), seed=0, **TINY).learn(3)
    rng = np.random.default_rng(1)
    seen, paid = rng.integers(5, size=(12, 3)), rng.random((12, 3)).astype(np.float32)
    begins = np.zeros((12, 3), bool)
    begins[0] = begins[5, 1] = True

    def played(lanes: list[int]) -> np.ndarray:
        state, actions = None, []
        for t in range(12):
            action, state = agent.predict(seen[t, lanes], state, begins[t, lanes], True, reward=paid[t, lanes])
            actions.append(action)
        return np.array(actions)

    together = played([0, 1, 2])
    np.testing.assert_array_equal(together[:, [1]], played([1]))
    begins[:5, 1] = [True, False, False, False, False]
    seen[:5, 1] = 0  # another first episode changes nothing in the second
    np.testing.assert_array_equal(together[5:, [1]], played([1])[5:])


def test_a_decision_transformer_counts_down_what_it_was_paid() -> None:
    agent = DecisionTransformer(dataset=walks(), seed=0, target_return=5.0, **TINY)
    state = None
    for paid, left in ((0.0, 5.0), (1.5, 3.5), (2.0, 1.5)):
        _, state = agent.predict(np.array([1]), state, np.array([state is None]), reward=np.array([paid], np.float32))
        assert float(agent.returns_to_go(state)[0, -1]) == pytest.approx(left)
    assert agent.promised(state, 1) == pytest.approx(5.0)
    with pytest.raises(InvalidParameter, match="reward"):
        agent.predict(np.array([1]), state, np.array([False]))


def test_the_contrast_at_the_best_energy_is_the_mutual_information() -> None:
    joint = np.array([[0.4, 0.1], [0.2, 0.3]])  # of z (rows) and outcome
    counts = (100 * joint).round().astype(int)
    z, outcome = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices((2, 2)))
    best = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))
    energies = torch.tensor(best[z[:, None], outcome[None]])
    information = float((joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))).sum())
    assert float(contrast(energies)) == pytest.approx(information, abs=1e-9)
    assert float(contrast(torch.zeros(7, 7))) == pytest.approx(0.0, abs=1e-6)
    assert float(contrast(energies + torch.randn(len(z), len(z), dtype=torch.float64))) < information


def test_the_best_of_k_is_the_greatest_of_k_different_ones() -> None:
    z, values = torch.randn(3, 5, 2), torch.tensor([[0.0, 3, 1, 2, 0], [9, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    chosen, value = best_of(z, values)
    assert value.tolist() == [3, 9, 1]
    torch.testing.assert_close(chosen, z[torch.arange(3), torch.tensor([1, 0, 4])])
    with pytest.raises(RuntimeError, match="no choice"):
        best_of(z[:, :1].expand(-1, 5, -1), values)


def test_the_promise_rises_with_the_number_of_candidates_and_z_is_held() -> None:
    promises = []
    for samples in (1, 8, 64):
        agent = DoC(dataset=walks((9, 12, 30)), seed=0, samples=samples, latent=4, hidden=(16,), future=4, **TINY)
        _, state = agent.predict(np.array([2]), None, np.array([True]), True, reward=np.zeros(1, np.float32))
        promises.append(float(agent.promised(state, 1)[0]))
        held = state.memory.z
        _, state = agent.predict(np.array([4]), state, np.array([False]), True, reward=np.ones(1, np.float32))
        torch.testing.assert_close(state.memory.z, held)
    assert len({*promises}) == 3  # equal values for all candidates would leave the first one: no choice
    assert promises[2] > promises[0]


def test_the_released_codes_mode_warns_and_does_not_choose() -> None:
    with pytest.warns(UserWarning, match="not the method of the paper"):
        agent = DoC(dataset=walks(), seed=0, method="released-code", samples=8, latent=4, hidden=(16,), **TINY)
    _, state = agent.learn(2).predict(np.array([2]), None, np.array([True]), True, reward=np.zeros(1, np.float32))
    assert float(state.memory.spread[0]) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(InvalidParameter, match="method"):
        DoC(dataset=walks(), method="none", **TINY)


def test_only_the_posterior_is_spared_by_the_value_and_the_prior_losses() -> None:
    agent = DoC(dataset=walks((9, 12, 30)), seed=0, latent=4, hidden=(16,), future=4, **TINY)
    batch = agent._draw()
    z = batch.posterior.mean[:, 0]
    of_q = agent.policy.future_head.weight
    for loss in (agent._value_loss(batch, z), agent._prior_losses(batch, z)[0]):
        assert torch.autograd.grad(loss, of_q, retain_graph=True, allow_unused=True)[0] is None
    luck, _ = agent._luck(batch, z)
    found = torch.autograd.grad(luck, [of_q, *agent.energy.parameters()], allow_unused=True)
    assert found[0] is not None
    assert all(gradient is None for gradient in found[1:])  # f is not lowered with q
    assert math.isfinite(luck.item())
