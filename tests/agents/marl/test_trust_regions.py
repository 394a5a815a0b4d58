"""HATRPO and its variant: natural steps, the sequence of agents, masks, advantages by hand."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

import agentgym
from agentgym.agents import HATRPO, HATRPOQ, load_agent
from agentgym.agents.marl.teams.agent import TeamStep
from agentgym.agents.marl.teams.natural_step import natural_step
from agentgym.envs.particles.skirmish import SkirmishVectorEnv
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.errors import InvalidParameter

from .test_teams import Points, batch_of

TINY = {"actor_layers": (8,), "value_layers": (8,), "n_steps": 6, "seed": 0, "log_every": 24}
TINY_Q = {"actor_layers": (8,), "critic_layers": (8,), "set_units": 4, "n_steps": 6, "seed": 0, "log_every": 24,
          "buffer_size": 400, "batch_size": 16, "learning_starts": 12, "q_updates": 2}  # fmt: skip


# The natural step


def quadratic(start=(1.0, -2.0), curvature=(4.0, 1.0)):
    """Rise along (1, 1) within a KL of half a quadratic form about the start."""
    weights = [torch.tensor(start, requires_grad=True)]
    old, matrix = torch.tensor(start), torch.tensor(curvature)
    return weights, lambda: weights[0].sum(), lambda: 0.5 * (matrix * (weights[0] - old) ** 2).sum()


def test_a_natural_step_is_the_one_computed_by_hand():
    weights, rise, apart = quadratic()
    result = natural_step(weights, lambda: (rise(), apart()), apart, max_kl=0.02, cg_damping=0.0)
    direction = torch.tensor([1 / 4, 1.0])  # F^-1 g
    length = (2 * 0.02 / (direction.sum())) ** 0.5  # sqrt(2 delta / x'Fx)
    assert result.taken
    moved = weights[0].detach() - torch.tensor([1.0, -2.0])
    shares = [moved / (share * length * direction) for share in (1.0, 0.8)]  # rounding may ask for a step backwards
    assert any(torch.allclose(share, torch.ones(2), atol=1e-4) for share in shares)
    assert 0.6 * 0.02 < result.divergence <= 0.02
    assert result.improvement == pytest.approx(float(moved.sum()), abs=1e-6)


@pytest.mark.parametrize(
    "case", ["negative curvature", "NaN gradient", "zero gradient", "no improvement", "NaN objective", "KL of nothing"]
)
def test_a_step_that_cannot_be_taken_leaves_the_weights_bit_equal(case):
    weights, rise, apart = quadratic(curvature=(-4.0, -1.0) if case == "negative curvature" else (4.0, 1.0))
    calls = {"n": 0}

    def objective():
        calls["n"] += 1
        if case == "NaN gradient":
            return (weights[0] * float("nan")).sum()
        if case == "zero gradient":
            return 0 * weights[0].sum()
        if case == "no improvement":
            return rise() if calls["n"] == 1 else rise().detach() - 10.0
        if case == "NaN objective":
            return rise() if calls["n"] == 1 else rise() * float("nan")
        return rise()

    divergence = (lambda: float("nan") * apart()) if case == "KL of nothing" else apart
    before = weights[0].detach().clone()
    result = natural_step(weights, lambda: (objective(), divergence()), divergence, max_kl=0.02, cg_damping=0.0)
    assert not result.taken
    assert torch.equal(weights[0].detach(), before)


# HATRPO


def rollout(agents=3, worlds=4, steps=6, seed=0, width=3, gone=False):
    generator = np.random.default_rng(seed)
    found = []
    alive = np.ones((worlds, agents), bool)
    for _ in range(steps):
        acted = alive.copy()
        ended = acted & (generator.random(acted.shape) < 0.15) if gone else np.zeros_like(acted)
        windows, reached = generator.normal(size=(2, worlds, agents, width)).astype(np.float32)
        found.append(TeamStep(windows, generator.normal(size=acted.shape).astype(np.float32), acted, ended,
                              np.zeros_like(acted), reached))  # fmt: skip
        alive = acted & ~ended
        alive[~alive.any(-1)] = True
    return found


def test_the_teams_advantages_are_those_computed_by_hand():
    """Of one world of two steps that is truncated, and one whose team is terminated in its first."""
    agent = HATRPO(env=Points(), gamma=0.5, gae_lambda=0.5, **TINY)
    agent.policy.value.forward = lambda windows, alive: windows.sum((-1, -2))
    agent.policy.value.learn_scale = agent.policy.value.denormalised = lambda values: values
    one = lambda value: np.full((2, 2, 3), value / 6, np.float32)  # noqa: E731  (whose sum is value)
    none, all_ = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    rewards = np.array([[1.0, 2.0], [0.5, 0.5]], np.float32)
    second = np.array([[False, False], [True, True]])
    steps = [
        TeamStep(one(1.0), rewards, all_, second, none, one(4.0)),
        TeamStep(one(2.0), rewards, all_, none, ~second, one(8.0)),
    ]
    windows = torch.stack([torch.as_tensor(step.windows) for step in steps])
    advantages, returns = agent._advantages(steps, windows)
    last = 3.0 + 0.5 * 8.0 - 2.0  # truncated: bootstrapped from the true last observation
    assert advantages[1, 0].item() == pytest.approx(last)
    assert advantages[0, 0].item() == pytest.approx(3.0 + 0.5 * 4.0 - 1.0 + 0.25 * last)
    assert advantages[0, 1].item() == pytest.approx(1.0 - 1.0)  # terminated: neither future nor later steps
    assert torch.allclose(returns, advantages + torch.tensor([[1.0], [2.0]]))


@pytest.mark.parametrize("choices", [True, False])
def test_agents_go_one_after_another_and_stay_in_their_trust_regions(choices):
    space = spaces.MultiDiscrete([3, 3, 3]) if choices else spaces.Box(-1, 1, (3, 2), np.float32)
    agent = HATRPO(env=Points(3, space), max_kl=0.01, curvature_every=1, **TINY)
    windows = torch.randn(200, 3, 3)
    with torch.no_grad():
        actions = agent._choose(windows, deterministic=False)
        before = [agent.policy.scores([k], windows[:, k]) for k in range(3)]
    old_std, weights = agent.policy.log_std.detach().clone(), [w.clone() for w in agent.policy.network.parameters()]
    seen = []
    original = agent.policy.objective

    def watched(group, *arguments):
        seen.append((group[0], arguments[4].clone()))
        return original(group, *arguments)

    agent.policy.objective = watched
    alive = torch.ones(200, 3, dtype=torch.bool)
    advantages = torch.randn(200)
    agent._improve(windows, actions, alive, advantages)
    order = list(dict.fromkeys(group for group, _ in seen))
    assert sorted(order) == [0, 1, 2]
    assert any(not torch.equal(a, b) for a, b in zip(weights, agent.policy.network.parameters(), strict=True))
    expected = advantages
    for k in order:
        used = next(value for group, value in seen if group == k)
        assert torch.allclose(used, expected, atol=1e-5)  # the product of the ratios of those before
        with torch.no_grad():
            after = agent.policy.scores([k], windows[:, k])
            assert agent.policy.divergence([k], before[k], old_std, after).mean() <= 0.0101
            if choices:
                logs = [(torch.log_softmax(s, -1) * actions[:, k]).sum(-1) for s in (after, before[k])]
                expected = expected * (logs[0] - logs[1]).exp()
            else:
                return


@pytest.mark.parametrize("junk", [1e6, float("nan")])
@pytest.mark.parametrize("choices", [True, False])
def test_junk_in_dead_slots_leaves_the_update_bit_equal(junk, choices):
    space = spaces.MultiDiscrete([3, 3, 3]) if choices else spaces.Box(-1, 1, (3, 2), np.float32)
    states = []
    for dirty in (False, True):
        agent = HATRPO(env=Points(3, space), **TINY)
        agent._total_timesteps = 100
        steps = rollout(gone=True)
        actions = agent._choose(torch.as_tensor(np.stack([s.windows for s in steps])).flatten(0, 1), False)
        actions = actions.unflatten(0, (6, 4)).detach().clone()
        if dirty:
            for t, step in enumerate(steps):
                step.windows[~step.acted] = step.rewards[~step.acted] = junk
                step.reached[~(step.acted & ~step.terminated)] = junk
                actions[t][torch.as_tensor(~step.acted)] = junk
        agent._update(steps, actions)
        states.append([*agent.policy.state_dict().values(), agent._sums])
    assert not all(step.acted.all() for step in steps)
    assert all(torch.equal(one, two) for one, two in zip(*states, strict=True))
    assert all(torch.isfinite(each).all() for each in states[0])


@pytest.mark.parametrize("settings", [{}, {"shared": True}])
def test_teams_train_where_agents_fall_and_with_boxes(settings, tmp_path):
    for env in (
        SkirmishVectorEnv(4, autoreset_mode="Disabled"), agentgym.parallel_env("agentgym/Skirmish-v0"),
        SimpleSpreadVectorEnv(4, continuous_actions=True, autoreset_mode="Disabled"),
    ):  # fmt: skip
        agent = HATRPO(env=env, **TINY, **settings).learn(120)
        assert all(torch.isfinite(weight).all() for weight in agent.policy.parameters())
    agent.save(tmp_path / "team")
    seen = SimpleSpreadVectorEnv(5, continuous_actions=True).reset(seed=0)[0]
    again = load_agent(tmp_path / "team")
    assert np.array_equal(agent.predict(seen, deterministic=True)[0], again.predict(seen, deterministic=True)[0])
    assert all(agent.action_space.contains(action) for action in agent.predict(seen * 1e4)[0])


# The variant


def test_first_order_advantages_are_those_computed_by_hand():
    agent = HATRPOQ(env=Points(action_space=spaces.MultiDiscrete([3, 3])), actor="mlp", critic="mlp", **TINY_Q)
    slope = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 5.0, 1.0]], [[0.5, 0.0, 0.0], [1.0, 1.0, 4.0]]])  # dQ_k/da_i: [k, i]
    agent.policy.q.forward = lambda windows, actions, alive: torch.einsum("kic,bic->bk", slope, actions)
    windows, alive = torch.randn(7, 2, 3), torch.ones(7, 2, dtype=torch.bool)
    actions = torch.nn.functional.one_hot(torch.randint(3, (7, 2)), 3).float()
    chances = torch.softmax(agent.policy.network(windows), -1).detach()
    total = slope.sum(0)
    wanted = total - (total * chances).sum(-1, keepdim=True)
    assert torch.allclose(agent.advantages(windows, actions, alive), wanted, atol=1e-6)
    alive[:, 1] = False
    actions[:, 1] = windows[:, 1] = float("nan")
    found = agent.advantages(windows, actions, alive)
    assert (found[:, 1] == 0).all()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("critic", ["mlp", "set"])
def test_junk_in_dead_slots_leaves_the_variants_update_bit_equal(critic):
    acted = torch.rand(16, 3, generator=torch.Generator().manual_seed(1)) < 0.6
    acted[:, 0] = True
    states = []
    for dirty in (False, True):
        agent = HATRPOQ(env=Points(3, spaces.MultiDiscrete([3, 3, 3])), **{**TINY_Q, "critic": critic})
        agent._total_timesteps = 100
        batch = batch_of(agent, acted=acted)
        if dirty:
            for part in (batch.windows, batch.actions, batch.rewards):
                part[~acted] = float("nan")
            batch.reached[~(acted & ~batch.terminated)] = float("nan")
        losses = [agent._learn_q(batch) for _ in range(2)]
        told = agent._improve(batch.windows, batch.actions, acted)
        assert not told[2]  # the step was taken
        states.append([*agent.policy.state_dict().values(), *losses, *told])
    assert all(torch.equal(one, two) for one, two in zip(*states, strict=True))
    assert all(torch.isfinite(each).all() for each in states[0])


def test_the_variants_critic_is_bootstrapped_where_agents_go_on_and_not_where_they_end():
    agent = HATRPOQ(env=Points(action_space=spaces.MultiDiscrete([3, 3])), **{**TINY_Q, "critic": "mlp"})
    batch = batch_of(agent)
    asked = []
    weights = list(agent.policy.q.parameters())
    agent.policy.target_q.forward = lambda seen, actions, alive: asked.append(seen) or torch.full(alive.shape, 9.0)
    agent.policy.q.forward = lambda seen, actions, alive: sum(0 * w.sum() for w in weights) + torch.zeros(alive.shape)
    loss = agent._learn_q(batch)
    targets = batch.rewards + 0.8 * 9.0 * ~batch.terminated
    assert loss.item() == pytest.approx(targets.square().mean().item(), rel=1e-5)
    assert torch.equal(asked[0][~batch.terminated], batch.reached[~batch.terminated])


@pytest.mark.parametrize("settings", [{"actor": "set"}, {"actor": "mlp", "critic": "mlp", "shared": False}])
def test_the_variant_trains(settings):
    agent = HATRPOQ(env=SimpleSpreadVectorEnv(4, autoreset_mode="Disabled"), **TINY_Q, **settings).learn(120)
    assert agent._n_updates == 5  # rollouts of 24 steps, the first of them at learning_starts
    with pytest.raises(InvalidParameter, match="choices"):
        HATRPOQ(env=SimpleSpreadEnv(continuous_actions=True), **TINY_Q)
    with pytest.raises(InvalidParameter, match="agent_sets"):
        HATRPOQ(env=SkirmishVectorEnv(2), actor="set", **TINY_Q)
    HATRPOQ(env=SkirmishVectorEnv(4, autoreset_mode="Disabled"), **TINY_Q).learn(240)
