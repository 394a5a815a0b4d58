"""Windows against a loop that cuts them a row at a time, histories against windows, and the transformer's mask."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agentgym.agents.offline.doc.doc import DoC
from agentgym.agents.offline.dt.dt import DecisionTransformer
from agentgym.agents.offline.history import History
from agentgym.agents.offline.sequences import Sequences
from agentgym.agents.offline.trunk import Trunk
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter

LENGTHS = (1, 7, 3, 12, 1, 2)


def uneven(discrete: bool) -> OfflineDataset:
    """Episodes of different lengths in which every entry is recognisable."""
    steps, episodes = sum(LENGTHS), len(LENGTHS)
    rng = np.random.default_rng(0)
    starts = np.concatenate([[0], np.cumsum(LENGTHS)])
    if discrete:
        observations, actions = np.arange(1, steps + episodes + 1), rng.integers(3, size=steps)
        spaces_of = spaces.Discrete(steps + episodes + 1), spaces.Discrete(3)
    else:
        observations = rng.normal(size=(steps + episodes, 4)).astype(np.float32)
        actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
        spaces_of = spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (2,))
    return OfflineDataset(
        observations, actions, rng.normal(size=steps).astype(np.float32), np.zeros(steps, bool), np.zeros(steps, bool),
        starts, *spaces_of, Description("agentgym/uneven/test-v0"),
    )  # fmt: skip


def cut_slowly(data: OfflineDataset, first: int, last: int, length: int) -> dict[str, np.ndarray]:
    """Steps ``first`` to ``last`` of one episode, padded on the left, one after the other."""
    episode = int(data.episode_of[first])
    begin, end = data.starts[episode], data.starts[episode + 1]
    found: dict[str, list] = {}
    for place in range(length):
        step = last - (length - 1 - place)
        inside = step >= first
        for name, value in {
            "mask": inside,
            "times": step - begin,
            "observations": data.observations[step + episode] if inside else None,
            "next_observations": data.observations[step + episode + 1] if inside else None,
            "actions": data.actions[step] if inside else None,
            "rewards": data.rewards[step] if inside else None,
            "returns_to_go": data.rewards[step:end].astype(np.float64).sum() if inside else None,
        }.items():
            nothing = np.zeros_like(data.actions[0] if name == "actions" else data.observations[0])
            scalar = name in ("rewards", "returns_to_go", "times")
            found.setdefault(name, []).append(value if inside or name == "mask" else 0 if scalar else nothing)
    return {name: np.stack(values) for name, values in found.items()}


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("length", [1, 4, 20])
def test_windows_are_those_of_a_loop(discrete: bool, length: int) -> None:
    data = uneven(discrete)
    sequences = Sequences(data, torch.as_tensor(data.observations), torch.as_tensor(data.actions))
    steps = torch.arange(len(data))
    begin = data.starts[data.episode_of]
    end = data.starts[data.episode_of + 1]
    for windows, bounds in (
        (sequences.ending_at(steps, length), lambda t: (max(begin[t], t - length + 1), t)),
        (sequences.beginning_at(steps, length), lambda t: (t, min(end[t] - 1, t + length - 1))),
    ):
        for t in range(len(data)):
            for name, value in cut_slowly(data, *bounds(t), length).items():
                np.testing.assert_allclose(getattr(windows, name)[t].numpy(), value, rtol=1e-5, atol=1e-6)


def test_all_steps_are_drawn_alike() -> None:
    data = uneven(True)
    sequences = Sequences(data, torch.as_tensor(data.observations), torch.as_tensor(data.actions))
    drawn = sequences.draw(26_000, torch.Generator().manual_seed(0))
    share = np.bincount(drawn.numpy(), minlength=len(data)) / 26_000
    assert np.abs(share - 1 / len(data)).max() < 0.006  # five standard deviations
    again = sequences.draw(26_000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_lanes_with_starts_of_their_own_remember_what_windows_hold() -> None:
    """Two lanes play the data's episodes, one after the other and not in step; what they remember is the window."""
    data, steps = uneven(False), 4
    sequences = Sequences(data, torch.as_tensor(data.observations), torch.as_tensor(data.actions))
    order = [[1, 0, 3], [4, 2, 5]]
    lanes = [[step for e in chosen for step in range(data.starts[e], data.starts[e + 1])] for chosen in order]
    history = History.blank(2, steps, 4, 2, torch.device("cpu"))
    previous = [0, 0]
    for now in zip(*lanes, strict=False):
        rows = [step + data.episode_of[step] for step in now]
        begins = torch.tensor([step in data.starts for step in now])
        heard = torch.as_tensor(data.rewards[previous])
        before = history
        history = history.after(heard, torch.as_tensor(data.observations[rows]), begins)
        expected = sequences.ending_at(torch.as_tensor(now), steps)
        torch.testing.assert_close(history.observations, expected.observations)
        torch.testing.assert_close(history.mask, expected.mask)
        torch.testing.assert_close(history.actions[:, :-1], expected.actions[:, :-1])
        torch.testing.assert_close(history.rewards[:, :-1], expected.rewards[:, :-1])
        torch.testing.assert_close(history.times * history.mask, expected.times)
        assert not torch.equal(before.mask, history.mask) or bool(before.mask.all())  # the old one is as it was
        assert not history.actions[:, -1].any()
        history = history.with_actions(torch.as_tensor(data.actions[list(now)]))
        previous = list(now)


@pytest.mark.parametrize("causal", [True, False])
def test_padding_is_not_seen_and_the_triangle_holds(causal: bool) -> None:
    torch.manual_seed(0)
    trunk = Trunk(16, 2, 2, 0.3, causal).eval()
    tokens, mask = torch.randn(3, 7, 16), torch.ones(3, 7, dtype=torch.bool)
    mask[1, :4] = False
    found = trunk(tokens, mask)
    torch.testing.assert_close(found[1:2, 4:], trunk(tokens[1:2, 4:], mask[1:2, 4:]))  # positions are relative
    other = tokens.clone()
    other[1, :4] = torch.randn(4, 16)
    torch.testing.assert_close(trunk(other, mask)[1, 4:], found[1, 4:])
    other = tokens.clone()
    other[0, 5] = torch.randn(16)
    changed = (trunk(other, mask)[0] - found[0]).abs().amax(1) > 1e-6
    assert changed.tolist() == ([False] * 5 + [True] * 2 if causal else [True] * 7)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(trunk(tokens, mask, slice(1, None, 3)), found[:, 1::3])


def test_an_episode_longer_than_the_embeddings_is_refused(pendulum: OfflineDataset) -> None:
    with pytest.raises(InvalidParameter, match="longest-episode 200"):
        DecisionTransformer(dataset=pendulum, longest_episode=100)
    for wrong in ({"context": 0}, {"width": 10, "heads": 3}, {"dropout": 1.0}):
        with pytest.raises(InvalidParameter):
            DecisionTransformer(dataset=pendulum, **wrong)


@pytest.mark.parametrize("agent_class", [DecisionTransformer, DoC])
def test_an_episode_depends_neither_on_its_neighbours_nor_on_what_was_before_it(agent_class: type) -> None:
    settings = {"width": 16, "layers": 1, "context": 4, "batch_size": 16}
    agent = agent_class(dataset=uneven(True), seed=0, **settings).learn(3)
    rng = np.random.default_rng(1)
    seen, paid = rng.integers(32, size=(12, 3)), rng.random((12, 3)).astype(np.float32)
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
    seen[:5, 1] = 0  # another first episode changes nothing in the second
    np.testing.assert_array_equal(together[5:, [1]], played([1])[5:])
