"""One update against Stable-Baselines3's own, from identical weights, batches and noise."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import configure
from torch import nn

from agentgym.agents.sac.sac import SAC
from agentgym.errors import InvalidParameter


class Blank(gymnasium.Env):
    """Spaces only: asymmetric action bounds and float64 observations, as MuJoCo's."""

    observation_space = spaces.Box(-np.inf, np.inf, (11,), np.float64)
    action_space = spaces.Box(np.array([-1, -0.5, 0], np.float32), np.array([1, 2, 3], np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.zeros(11), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(11), 0.0, False, False, {}


CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "fixed temperature": {"ent_coef": 0.2},
    "learned from 0.1, own target": {"ent_coef": "auto_0.1", "target_entropy": -1.5},
    "one critic": {"policy_kwargs": {"n_critics": 1}},
    "three critics": {"policy_kwargs": {"n_critics": 3}},
    "two shapes, tanh": {"policy_kwargs": {"net_arch": {"pi": [48, 32], "qf": [64, 40, 16]}, "activation_fn": nn.Tanh}},
    "five critics, two shapes": {"policy_kwargs": {"net_arch": {"pi": [128], "qf": [64, 48, 32]}, "n_critics": 5}},
    "no hidden layer": {"policy_kwargs": {"net_arch": []}},
    "n-step returns": {"n_steps": 3},
    "odd batch": {"batch_size": 37},
    "slow targets": {"tau": 0.3, "gamma": 0.9, "target_update_interval": 2},
    "linear learning rate": {"learning_rate": lambda progress: 1e-3 * progress},
}

# Without a hidden layer many actions saturate: 1 - tanh^2 near 1e-6 keeps few digits in either implementation
TOLERANCES = {"no hidden layer": 1e-4}


def _agent(cls: Callable[..., Any], options: dict[str, Any]) -> Any:
    """An agent with 300 transitions in its buffer, the same for both classes."""
    agent = cls("MlpPolicy", Blank(), seed=3, buffer_size=250, device="cpu", **options)
    agent.set_logger(configure(None, []))
    agent._current_progress_remaining = 0.75
    generator = np.random.default_rng(0)
    for _ in range(300):  # more than it holds: the ring wraps
        ends = generator.random() < 0.1
        agent.replay_buffer.add(
            generator.normal(size=(1, 11)),
            generator.normal(size=(1, 11)),
            generator.uniform(-1, 1, (1, 3)).astype(np.float32),
            generator.normal(size=1) * 3,
            np.array([ends]),
            [{"TimeLimit.truncated": bool(ends and generator.random() < 0.5)}],
        )
    return agent


def _train(agent: Any, steps: int, batch_size: int) -> list[dict[str, torch.Tensor]]:
    """Run ``train`` and return the gradients that each optimiser step saw, under Stable-Baselines3's names."""
    seen: list[dict[str, torch.Tensor]] = []
    optimizers = {"actor": agent.actor.optimizer, "critic": agent.critic.optimizer}
    if agent.ent_coef_optimizer is not None:
        optimizers["temperature"] = agent.ent_coef_optimizer

    def watch(name: str, owner: Any, method: str) -> None:
        step = getattr(owner, method)

        def watched(*arguments: Any) -> None:
            if name == "temperature":
                seen.append({"log_ent_coef": agent.log_ent_coef.grad.clone()})
            elif name == "critic" and isinstance(agent, SAC):
                parts = agent.critic.member_names()
                gradients = {n: agent.critic.get_parameter(n).grad for n, _ in parts}
                split = [(m, agent.critic.split(n, gradients[n])) for n, m in parts]
                seen.append({name: g.clone() for m, gs in split for name, g in zip(m, gs, strict=True)})
            else:
                seen.append({n: p.grad.clone() for n, p in getattr(agent, name).named_parameters()})
            step(*arguments)

        setattr(owner, method, watched)

    stacks = dict(zip(("actor", "critic"), getattr(agent, "_stacks", None) or (), strict=False))
    for name, optimizer in optimizers.items():
        watch(name, stacks.get(name, optimizer), "adam" if name in stacks else "step")
    np.random.seed(11)  # noqa: NPY002  the generators that Stable-Baselines3 draws batches and noise from
    torch.manual_seed(11)
    agent.train(gradient_steps=steps, batch_size=batch_size)
    return seen


def _assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, what
    worst = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)
    assert worst <= tolerance, f"{what}: {worst:.2g} of the largest entry"


@pytest.mark.parametrize(("case", "update_by"), [(case, by) for case in CASES for by in ("stack", "autograd")])
def test_one_update_is_stable_baselines3s(case, update_by):
    if (case, update_by) in {("two shapes, tanh", "stack"), ("no hidden layer", "stack")}:
        pytest.skip("stacks are of ReLU networks with hidden layers")
    options = dict(CASES[case])
    batch_size = options.pop("batch_size", 256)
    ours, theirs = _agent(SAC, {**options, "update_by": update_by}), _agent(stable_baselines3.SAC, dict(options))
    assert (ours._stacks is not None) == (update_by == "stack")
    start = theirs.policy.state_dict()
    assert set(ours.policy.state_dict()) == set(start)
    for name, tensor in ours.policy.state_dict().items():
        assert torch.equal(tensor, start[name]), f"{name} starts elsewhere"

    seen, wanted = _train(ours, 1, batch_size), _train(theirs, 1, batch_size)
    assert [set(part) for part in seen] == [set(part) for part in wanted]  # the same order of steps
    for part, expected in zip(seen, wanted, strict=True):
        for name, gradient in part.items():
            _assert_close(gradient, expected[name], TOLERANCES.get(case, 1e-5), f"gradient of {name}")
    values, expected_values = ours.logger.name_to_value, theirs.logger.name_to_value
    assert set(values) == set(expected_values)
    for name, value in values.items():
        assert value == pytest.approx(expected_values[name], rel=1e-5, abs=1e-7), name
    after = theirs.policy.state_dict()
    for name, tensor in ours.policy.state_dict().items():
        _assert_close(tensor, after[name], 2e-4 if "target" not in name else 1e-5, f"{name} after the step")
    if ours.log_ent_coef is not None:
        _assert_close(ours.log_ent_coef, theirs.log_ent_coef, 1e-5, "log alpha")


@pytest.mark.parametrize(
    ("case", "update_by"),
    [
        ("defaults", "stack"), ("three critics", "stack"), ("fixed temperature", "stack"), ("slow targets", "stack"),
        ("defaults", "autograd"), pytest.param("three critics", "autograd", marks=pytest.mark.slow),
        pytest.param("fixed temperature", "autograd", marks=pytest.mark.slow),
        pytest.param("slow targets", "autograd", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_twenty_updates_stay_together(case, update_by):
    ours = _agent(SAC, {**CASES[case], "update_by": update_by})
    theirs = _agent(stable_baselines3.SAC, dict(CASES[case]))
    seen, wanted = _train(ours, 20, 256), _train(theirs, 20, 256)
    assert len(seen) == len(wanted)
    for part, expected in zip(seen, wanted, strict=True):
        for name, gradient in part.items():
            _assert_close(gradient, expected[name], 2e-3, f"gradient of {name}")
    for name, value in ours.logger.name_to_value.items():
        assert value == pytest.approx(theirs.logger.name_to_value[name], rel=1e-4), name


@pytest.mark.parametrize("update_by", ["stack", "autograd"])
def test_the_actors_step_leaves_the_critics_gradients_alone(update_by):
    agent = _agent(SAC, {"update_by": update_by})
    seen = _train(agent, 1, 256)
    critic = next(part for part in seen if "qf0.0.weight" in part)
    for name, members in agent.critic.member_names():
        left = agent.critic.split(name, agent.critic.get_parameter(name).grad)
        for member, gradient in zip(members, left, strict=True):
            assert torch.equal(gradient, critic[member])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"policy_kwargs": {"activation_fn": nn.Tanh}}, "ReLU"),
        ({"policy_kwargs": {"net_arch": {"pi": [], "qf": [8]}}}, "no hidden layer"),
        ({"policy_kwargs": {"optimizer_class": torch.optim.RMSprop}}, "Adam"),
        ({"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}}, "Adam"),
        ({"policy_kwargs": {"optimizer_kwargs": {"amsgrad": True}}}, "Adam"),
        ({"compile": True}, "compile"),
    ],
)
def test_what_stacks_cannot_do_goes_by_autograd_or_is_refused(options, reason, caplog):
    with caplog.at_level("INFO", "agentgym"):
        agent = _agent(SAC, dict(options))
    assert agent._stacks is None
    assert reason in caplog.text
    with pytest.raises(InvalidParameter, match=reason):
        _agent(SAC, {**options, "update_by": "stack"})


def test_the_log_names_stacks(caplog):
    with caplog.at_level("INFO", "agentgym"):
        assert _agent(SAC, {})._stacks is not None
        _agent(SAC, {"update_by": "autograd"})
    assert "sac updates on stacks" in caplog.text
    assert "by autograd: as asked for" in caplog.text


def test_compiled_losses_are_the_same(monkeypatch):
    import torch._inductor.config

    monkeypatch.setattr(torch._inductor.config, "fallback_random", True)  # the eager generator's noise
    options = {"policy_kwargs": {"net_arch": [16]}}
    eager = _agent(SAC, {**options, "update_by": "autograd"})
    compiled = _agent(SAC, {**options, "compile": True})
    seen, wanted = _train(compiled, 1, 64), _train(eager, 1, 64)
    for part, expected in zip(seen, wanted, strict=True):
        for name, gradient in part.items():
            _assert_close(gradient, expected[name], 1e-4, f"gradient of {name}")
    compiled.train(3, 64)
    assert all(tensor.isfinite().all() for tensor in compiled.policy.state_dict().values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("options", [{"cuda_graphs": True}, {"compile": True}, {"compile": True, "cuda_graphs": True}])
def test_gpu_updates_are_the_eager_ones(options, monkeypatch):
    import torch._inductor.config

    monkeypatch.setattr(torch._inductor.config, "fallback_random", True)
    agents = []
    for extra in ({}, options):
        agent = SAC("MlpPolicy", Blank(), seed=3, buffer_size=250, device="cuda", **extra)
        agent.set_logger(configure(None, []))
        source = _agent(SAC, {}).replay_buffer
        for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "pos", "full"):
            setattr(agent.replay_buffer, name, getattr(source, name))
        np.random.seed(11)  # noqa: NPY002
        torch.manual_seed(11)
        for _ in range(8):  # warm-up, recording and replay
            agent.train(1, 256)
        agents.append(agent)
    expected = agents[0].policy.state_dict()
    for name, tensor in agents[1].policy.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4)
