"""Updates on stacks are those of autograd in float64, gradient by gradient, and hide no NaN."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from agentgym.agents.common.stack.batches import Joined
from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.offline.bc.bc import BC
from agentgym.agents.offline.iql.iql import IQL
from agentgym.agents.offline.prdc.prdc import PRDC
from agentgym.agents.offline.td3bc.td3bc import TD3BC
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import InvalidParameter, NonFinite, UnknownId

OBSERVATIONS, ACTIONS = 11, 3
SHAPES = [((256, 256), 256), ((64, 48, 32), 37), ((128,), 1)]
BOX, DISCRETE = spaces.Box(-1, 1, (ACTIONS,), np.float32), spaces.Discrete(4)


def random_data(actions: spaces.Space) -> OfflineDataset:
    rng, steps, length = np.random.default_rng(0), 300, 50
    truncations, terminations = np.zeros((2, steps), bool)
    truncations[length - 1 :: 2 * length] = terminations[2 * length - 1 :: 2 * length] = True
    taken = rng.integers(4, size=steps) if actions is DISCRETE else rng.uniform(-1, 1, (steps, ACTIONS))
    return OfflineDataset(
        rng.normal(size=(steps + steps // length, OBSERVATIONS)).astype(np.float32), taken.astype(actions.dtype),
        rng.normal(size=steps).astype(np.float32), terminations, truncations,
        np.arange(0, steps + 1, length), spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float32), actions,
        Description("agentgym/random/paths-v0"),
    )  # fmt: skip


DATA = {id(space): random_data(space) for space in (BOX, DISCRETE)}
OFFLINE: dict[str, tuple[Any, spaces.Space, dict[str, Any]]] = {
    "td3bc": (TD3BC, BOX, {}),
    "td3bc, every time": (TD3BC, BOX, {"policy_delay": 1, "alpha": 0.3}),
    "prdc": (PRDC, BOX, {"mean_of": 3}),
    "iql": (IQL, BOX, {"expectile": 0.8}),
    "iql, discrete": (IQL, DISCRETE, {}),
    "bc": (BC, BOX, {}),
    "bc, discrete": (BC, DISCRETE, {}),
}


def error(found: Tensor, exact: Tensor) -> float:
    """The worst, in shares of the largest entry."""
    assert found.shape == exact.shape
    return float((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-30))


def assert_same_gradients(ours: Any, exact: Any, rounded: Any = None) -> None:
    """Within 1e-5, or what autograd itself loses in float32, where a network's head is ill-conditioned."""
    theirs, others = (dict(agent.policy.named_parameters()) for agent in (exact, rounded or exact))
    for name, parameter in ours.policy.named_parameters():
        gradient = theirs[name].grad
        assert (parameter.grad is None or not parameter.grad.any()) == (gradient is None or not gradient.any()), name
        if gradient is not None:
            worst, allowed = error(parameter.grad, gradient), max(1e-5, 1.5 * error(others[name].grad, gradient))
            assert worst <= allowed, f"gradient of {name}: {worst:.2g} of the largest entry, above {allowed:.2g}"


def assert_same_weights(ours: Any, exact: Any) -> None:
    theirs = exact.policy.state_dict()
    for name, tensor in ours.policy.state_dict().items():
        assert error(tensor, theirs[name]) <= 1e-5, name


def move(ours: Any, *others: Any, generator: torch.Generator) -> None:
    """Equal weights elsewhere."""
    with torch.no_grad():
        for parameter in ours.policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    for other in others:
        other.policy.load_state_dict(ours.policy.state_dict())


@pytest.fixture
def equal_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw float64 noise as float32."""
    drawn = torch.Tensor.normal_

    def normal(tensor: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return tensor.copy_(drawn(torch.empty(tensor.shape), *arguments, **keywords))

    monkeypatch.setattr(torch.Tensor, "normal_", normal)


def offline(case: str, update_by: str, **options: Any) -> Any:
    kind, actions, own = OFFLINE[case]
    return kind(dataset=DATA[id(actions)], seed=0, device="cpu", update_by=update_by, **{**own, **options})


@pytest.mark.parametrize("case", OFFLINE)
@pytest.mark.parametrize(("layers", "batch_size"), SHAPES)
@pytest.mark.usefixtures("equal_noise")
def test_offline_updates(case, layers, batch_size):
    """Steps of next to no length: Adam divides by gradients, and a last bit of a small one would be a whole step."""
    ours, exact = (
        offline(case, by, layers=layers, batch_size=batch_size, learning_rate=1e-12) for by in ("stack", "autograd")
    )
    exact.policy.double()
    for name in ("states", "next_states", "actions", "rewards", "alive"):
        tensor = getattr(exact, name)
        setattr(exact, name, tensor.double() if tensor.is_floating_point() else tensor)
    generator = torch.Generator().manual_seed(2)  # with no unit so near 0 that rounding decides on its side
    for _ in range(4):
        move(ours, exact, generator=generator)
        found, expected = ours._update(), exact._update()
        assert [tensor.item() for tensor in found] == pytest.approx([t.item() for t in expected], rel=1e-4, abs=1e-6)
        assert_same_gradients(ours, exact)
        assert_same_weights(ours, exact)
        for agent in (ours, exact):
            agent._n_updates += 1


class Blank(gymnasium.Env):
    """Spaces only."""

    observation_space = spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float64)
    action_space = BOX


def mdpo(update_by: str, layers: tuple[int, ...] = (32, 16), **options: Any) -> MDPO:
    return MDPO(
        "MlpPolicy", Blank(), seed=0, device="cpu", buffer_size=10, actor_layers=layers, critic_layers=layers,
        update_by=update_by, **options,
    )  # fmt: skip


def transitions(batch: int, generator: torch.Generator) -> list[Tensor]:
    states, next_states = torch.randn(2, batch, OBSERVATIONS, generator=generator)
    actions = 2 * torch.rand(batch, ACTIONS, generator=generator) - 1
    rewards, discounts = torch.randn(batch, generator=generator), 0.99 * (torch.rand(batch, generator=generator) > 0.1)
    return [states, actions, rewards, next_states, discounts]


@pytest.mark.parametrize(
    "options",
    [{}, {"tsallis_q": 1.5}, {"step_size": 5.0}, {"regularization": 1e-3, "step_size": 0.4, "tsallis_q": 2.0}],
    ids=str,
)
@pytest.mark.parametrize(("layers", "batch_size"), SHAPES)
def test_mdpo_updates(options, layers, batch_size, monkeypatch):
    ways = ("stack", "autograd", "autograd")
    ours, exact, rounded = (mdpo(by, layers, learning_rate=1e-12, **options) for by in ways)
    exact.policy.double()
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        move(ours, exact, rounded, generator=generator)
        batch, noise = transitions(batch_size, generator), torch.randn(batch_size, ACTIONS, generator=generator)
        for agent in (ours, rounded):
            monkeypatch.setattr(agent.actor, "noise", lambda _, noise=noise: noise)
        monkeypatch.setattr(exact.actor, "noise", lambda _, noise=noise: noise.double())
        for stack in ours._stacks:
            stack.bind()
        before = ours._stacks[-1].parameters.clone()
        found = ours._update_on_stacks(*ours._stacks, Joined.of(*batch))
        expected = exact._update(*(tensor.double() for tensor in batch))
        rounded._update(*batch)
        assert [tensor.item() for tensor in found] == pytest.approx([t.item() for t in expected], rel=1e-4)
        assert_same_gradients(ours, exact, rounded)
        wanted = torch.lerp(before, torch.cat([p.detach().flatten() for p in ours.value_net.parameters()]), ours.tau)
        torch.testing.assert_close(ours._stacks[-1].parameters, wanted)


@pytest.mark.parametrize("case", OFFLINE)
def test_a_diverging_offline_agent_stops(case):
    agent = offline(case, "stack", layers=(32, 16), log_every=5)
    agent.rewards[:] = torch.nan
    agent.states[:] = torch.nan if case.startswith("bc") else agent.states
    with pytest.raises(NonFinite):
        agent.learn(10)


def test_nan_reaches_all_of_mdpo():
    agent = mdpo("stack")
    batch = transitions(8, torch.Generator().manual_seed(0))
    batch[2][3] = torch.nan
    for _ in range(2):  # Q's targets, then through Q the rest
        losses = agent._update_on_stacks(*agent._stacks, Joined.of(*batch))
    assert all(loss.isnan() for loss in losses)
    assert all(stack.parameters.isnan().any() for stack in agent._stacks if stack.optimizer)


def test_agents_name_their_way_and_are_refused_what_cannot_be(caplog):
    with caplog.at_level("INFO", "agentgym"):
        assert offline("td3bc", "auto")._stacks is not None
        assert offline("iql", "autograd")._stacks is None
        assert offline("bc", "auto", layers=())._stack is None
    assert "td3bc updates on stacks" in caplog.text
    assert "iql updates by autograd: as asked for" in caplog.text
    assert "bc updates by autograd: a network has no hidden layer" in caplog.text
    with pytest.raises(InvalidParameter, match="no hidden layer"):
        offline("bc", "stack", layers=())
    with pytest.raises(UnknownId, match="update_by"):
        offline("bc", "else")
    with pytest.raises(InvalidParameter, match="ReLU"):
        mdpo("stack", activation="tanh")


@pytest.mark.parametrize("case", ["td3bc", "iql", "bc"])
def test_how_updates_are_made_is_not_saved(case, tmp_path):
    """A saved agent goes on either way, and one that knows nothing of the setting loads."""
    agent = offline(case, "autograd", layers=(16,)).learn(3)
    agent.save(tmp_path / "agent")
    assert "update_by" not in str(agent.about())
    again = type(agent).load(tmp_path / "agent", dataset=DATA[id(OFFLINE[case][1])])
    assert again.settings.update_by == "auto"
    again.learn(3)
    for name, tensor in type(agent).load(tmp_path / "agent").policy.state_dict().items():
        assert torch.equal(tensor, agent.policy.state_dict()[name]), name
