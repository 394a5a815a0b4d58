"""Dichotomy of Control, sequence form: a real choice among futures, kept promises, and luck kept out of z."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from agentgym.agents.common.workspace import WORKSPACE
from agentgym.agents.offline.doc.doc import DoC, sampled
from agentgym.agents.offline.doc.losses import best_of, contrast
from agentgym.agents.offline.doc.networks import Gaussians
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.rollout import Job, play_episodes
from agentgym.evaluation.table import Scene
from agentgym.recipes.bandit import BernoulliBandit
from agentgym.recipes.frozenlake import FrozenLake
from agentgym.seeding import episode_seed

TINY = {
    "width": 16, "layers": 1, "context": 5, "future": 7, "latent": 4, "hidden": (16,), "batch_size": 16, "warmup": 10,
    "energy_steps": 1, "contrasted": 32, "longest_episode": 200, "evaluate_every": 0,
}  # fmt: skip
BANDIT = {
    "context": 1, "future": 1, "width": 32, "layers": 1, "hidden": (64, 64), "latent": 4, "components": 4,
    "batch_size": 128, "learning_rate": 1e-3, "weight_decay": 0.1, "dropout": 0.0, "warmup": 100, "energy_steps": 2,
    "contrasted": 128, "longest_episode": 1, "log_every": 100, "evaluate_every": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def agent(pendulum: OfflineDataset) -> DoC:
    return DoC(dataset=pendulum, seed=1, **TINY).learn(20)


def pulled(p: float, **settings) -> tuple[float, float, DoC]:
    """Expected return of the policy in the bandit, what it promises, and the agent."""
    agent = DoC(dataset=BernoulliBandit(p=p).make(Path(), progress=False), seed=0, **{**BANDIT, **settings}).learn(1000)
    arms, state = agent.predict(np.zeros(2000, np.int64))
    return float(np.where(arms == 0, 1 - p, p).mean()), float(agent.promised(state, 2000).mean()), agent


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.1, 0.3])
def test_in_the_bandit_it_pulls_the_better_arm_and_keeps_its_promise(p: float) -> None:
    achieved, promised, agent = pulled(p)
    assert achieved == pytest.approx(1 - p, abs=0.02)
    assert promised == pytest.approx(achieved, abs=0.1)
    assert information(agent) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("p", [0.1, 0.3])
def test_without_the_constraint_it_promises_luck(p: float) -> None:
    achieved, promised, agent = pulled(p, method="future-vae")
    assert promised > 0.95  # it pays, and more: V goes on rising outside the data
    assert promised - achieved > 0.3
    assert information(agent) > 0.1


ICE = {
    "width": 64, "layers": 2, "hidden": (128, 128), "batch_size": 32, "learning_rate": 5e-4, "warmup": 100,
    "energy_steps": 2, "longest_episode": 100, "evaluate_every": 0,
}  # fmt: skip


@pytest.mark.slow
def test_on_slippery_ice_it_promises_little_luck() -> None:
    """Behaviour returns 0.11, the best policy 0.75, which the mode comes near; future-VAE promises luck, doc little."""
    data = FrozenLake(slip=0.6, alpha=-1, trajectories=600).make(Path(), progress=False)
    doc, vae = (DoC(dataset=data, seed=0, **ICE, method=name).learn(600) for name in ("doc", "future-vae"))
    assert slid(doc, data, deterministic=True)[0] > 0.6
    kept, broken = (slid(agent, data, deterministic=False) for agent in (doc, vae))
    assert 0.0 < kept[1] - kept[0] < 0.3
    assert broken[1] - broken[0] > 0.5


def slid(agent: DoC, data: OfflineDataset, deterministic: bool) -> tuple[float, float]:
    """Mean return and promise of 200 episodes in the world of the data."""
    about = data.description
    world = Condition("own", Scene("Own", "own", "nominal"), about.env, about.env_kwargs)
    jobs = [Job(world, e, episode_seed(1, e)) for e in range(200)]
    rows = list(play_episodes(agent, "agent", jobs, deterministic=deterministic))
    assert not any(row.error for row in rows)
    promised = np.mean([row.measures["promised_return"] for row in rows])
    return float(np.mean([row.episode_return for row in rows])), float(promised)


@torch.no_grad()
def information(agent: DoC, draws: int = 20_000) -> float:
    """MI(r; z | a) of the data and q in nats, by drawing z from it: it is one Gaussian for each (a, r)."""
    data = agent.dataset
    assert data is not None
    agent.policy.eval()
    total = 0.0
    for arm in (0, 1):
        rewards = torch.tensor([0.0, 1.0])
        share = torch.tensor([float(((data.actions == arm) & (data.rewards == r)).mean()) for r in (0, 1)])
        action = torch.nn.functional.one_hot(torch.tensor([[arm], [arm]]), 2).float()
        q = agent.policy.posterior(torch.ones(2, 1, 1), action, rewards[:, None], torch.ones(2, 1, dtype=torch.bool))
        given = share / share.sum()
        for r in (0, 1):
            z = q.mean[r] + q.std[r] * torch.randn(draws, agent.settings.latent)
            own, other = (
                Gaussians(q.logits[i : i + 1], q.mean[i : i + 1], q.std[i : i + 1]).log_density(z) for i in (r, 1 - r)
            )
            mixed = torch.logaddexp(own + given[r].log(), other + given[1 - r].log())
            total += float(share[r] * (own - mixed).mean())
    return total


def test_the_best_of_candidates_is_a_choice(agent: DoC, pendulum: OfflineDataset, monkeypatch) -> None:
    """K different z's of K different values at each first state; one z repeated K times is an error, not a choice."""
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def watched(z: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append((z, values))
        return best_of(z, values)

    monkeypatch.setattr("agentgym.agents.offline.doc.doc.best_of", watched)
    for deterministic in (True, False):
        _, state = agent.predict(pendulum.observations[:6], deterministic=deterministic)
        z, (values, judging) = asked.pop()
        assert z.shape == (6, agent.settings.samples, agent.settings.latent)
        assert all(len(row.unique(dim=0)) == agent.settings.samples for row in z)
        assert all(len(row.unique()) > agent.settings.samples // 2 for row in values)
        rows = torch.arange(6)
        assert torch.equal(state.memory.z, z[rows, values.argmax(1)])
        mean, std = agent.policy.return_scale
        promise = (mean + std * judging[rows, values.argmax(1)]).clamp(*agent.policy.return_range)
        torch.testing.assert_close(state.memory.promise, promise)
        assert (state.memory.spread > 0).all()

    def collapsed(self: Gaussians, uniform: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
        return self.mean[:, :1].expand(-1, normal.shape[-2], -1)

    monkeypatch.setattr(Gaussians, "samples", collapsed)
    with pytest.raises(RuntimeError, match="the same z"):
        agent.predict(pendulum.observations[:6])


def test_who_chooses_does_not_say_what_the_choice_is_worth() -> None:
    """Of values that are noise alone the best of 100 is 2.5 deviations up; the other estimate of it is not."""
    torch.manual_seed(0)
    _, judged = best_of(torch.randn(2000, 100, 1), torch.randn(2, 2000, 100))
    assert float(judged.mean()) == pytest.approx(0.0, abs=0.1)


def test_no_promise_is_beyond_the_data(agent: DoC, pendulum: OfflineDataset) -> None:
    other = DoC(dataset=pendulum, seed=1, **TINY)
    other.policy.load_state_dict(agent.policy.state_dict())
    with torch.no_grad():
        other.policy.average_critic.biases[-1].fill_(100.0)
    _, state = other.predict(pendulum.observations[:6])
    assert (state.memory.promise == float(pendulum.returns_to_go().max())).all()


def test_the_divergence_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    q = Gaussians(torch.zeros(5, 1), torch.randn(5, 1, 3), torch.rand(5, 1, 3) + 0.05)
    ours, standard = torch.distributions.Normal(q.mean[:, 0], q.std[:, 0]), torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(q.divergence(), torch.distributions.kl_divergence(ours, standard).sum(1))


def test_no_gaussian_can_collapse_and_samples_follow_the_density() -> None:
    torch.manual_seed(0)
    narrow = Gaussians.of(torch.full((1, 2 * (1 + 2 * 3)), -100.0), 2)
    assert (narrow.std >= 0.05).all()
    mixture = Gaussians(torch.tensor([[0.0, 1.0]]), torch.tensor([[[-4.0], [3.0]]]), torch.tensor([[[0.5], [1.0]]]))
    z = mixture.samples(torch.rand(1, 50_000), torch.randn(1, 50_000, 1))[0, :, 0]
    share = float(torch.tensor([0.0, 1.0]).softmax(0)[0])
    assert float((z < -1).float().mean()) == pytest.approx(share, abs=0.01)
    assert float(z[z < -1].std()) == pytest.approx(0.5, abs=0.02)
    grid = torch.linspace(-12, 12, 4001)[:, None]
    repeated = Gaussians(*(part.expand(4001, *part.shape[1:]) for part in mixture))
    density = repeated.log_density(grid).exp()
    assert float(density.sum() * 24 / 4000) == pytest.approx(1.0, abs=1e-3)
    assert float((density * grid[:, 0]).sum() * 24 / 4000) == pytest.approx(float(z.mean()), abs=0.05)


def test_the_contrast_is_the_information_that_f_can_tell_of() -> None:
    """With the best f, log omega / rho, it is the mutual information; with an f that knows nothing it is zero."""
    torch.manual_seed(0)
    assert float(contrast(torch.zeros(8, 8))) == pytest.approx(0.0, abs=1e-6)
    z = torch.randint(2, (2000,))
    chance = torch.where(z == 1, 0.9, 0.2)
    paid = (torch.rand(2000) < chance).float()
    f = torch.where(paid[None] == 1, chance[:, None], 1 - chance[:, None]).log()
    marginal = torch.tensor([1 - 0.55, 0.55])
    f = f - marginal[paid.long()].log()[None]
    known = sum(0.5 * c * np.log(c / m) for chances in (0.9, 0.2) for c, m in ((chances, 0.55), (1 - chances, 0.45)))
    assert float(contrast(f)) == pytest.approx(known, abs=0.03)


def test_what_may_shape_the_posterior(pendulum: OfflineDataset) -> None:
    """V's error reaches q where asked, KL(stopgrad q || p) trains p alone, f's steps train f alone."""
    doc = DoC(dataset=pendulum, seed=1, **TINY)
    batch = doc._draw()
    z = sampled(batch.posterior)
    to_p, to_q = doc._prior_losses(batch, z)  # KL(q || p) and KL(q || N(0, 1))
    of_q, of_p = list(doc.policy.future_head.parameters()), list(doc.policy.prior_network.parameters())
    for loss, trained, left in ((to_p, of_p, of_q), (to_q, of_q, of_p)):
        assert all(g is not None and g.abs().sum() > 0 for g in torch.autograd.grad(loss, trained, retain_graph=True))
        assert all(
            g is None for g in torch.autograd.grad(loss, left, retain_graph=True, allow_unused=True)
        )  # fmt: skip
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(doc._value_loss(batch, z), of_q, retain_graph=True))
    doc.settings.value_gradient = False
    unseen = torch.autograd.grad(doc._value_loss(batch, z), of_q, retain_graph=True, allow_unused=True)
    assert all(g is None for g in unseen)
    luck, _ = doc._luck(batch, z)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(luck, of_q, retain_graph=True))
    of_f = torch.autograd.grad(luck, doc._energy_parameters, retain_graph=True, allow_unused=True)
    assert all(g is None for g in of_f)
    before = {name: value.clone() for name, value in doc.policy.state_dict().items()}
    doc._energy_step(batch)
    after = doc.policy.state_dict()
    assert {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])} == {"energy"}


def test_f_goes_up_and_q_goes_down(pendulum: OfflineDataset) -> None:
    """On one batch: f's steps raise the contrast, a step of q along its gradient lowers it."""
    agent = DoC(dataset=pendulum, seed=1, **TINY)
    batch = agent._draw()

    def seen() -> float:
        torch.manual_seed(0)
        return float(contrast(agent._energies(batch, sampled(batch.posterior), frozen=True)[0].detach()))

    begin = seen()
    for _ in range(50):
        agent._energy_step(batch)
    assert seen() > begin + 0.1
    torch.manual_seed(0)
    energies, _ = agent._energies(batch, sampled(batch.posterior), frozen=True)
    high = float(contrast(energies.detach()))
    slope = torch.autograd.grad(contrast(energies), [batch.posterior.mean])[0]
    lower = batch._replace(posterior=batch.posterior._replace(mean=batch.posterior.mean - 0.1 * slope / slope.norm()))
    torch.manual_seed(0)
    assert float(contrast(agent._energies(lower, sampled(lower.posterior), frozen=True)[0].detach())) < high


def test_f_sees_reward_and_next_state_and_z(agent: DoC) -> None:
    batch = agent._draw()
    torch.manual_seed(0)
    z = batch.of_steps(torch.randn(16, 4))
    known, outcome = (batch.history, batch.states, batch.actions), (batch.rewards, batch.next_states)
    with torch.no_grad():
        energies, blind = agent.energy(known, z, outcome)
        for position, moved in enumerate(outcome):
            other = [*outcome]
            other[position] = moved + 1.0
            assert not torch.allclose(agent.energy(known, z, other)[0], energies)
        with_other_z, blind_to_z = agent.energy(known, z + 1.0, outcome)
    assert not torch.allclose(with_other_z, energies)
    torch.testing.assert_close(blind_to_z, blind)


def test_z_is_held_through_the_episode_or_as_long_as_asked(agent: DoC, pendulum: OfflineDataset) -> None:
    def z_of_steps(one: DoC, steps: int = 6, begins: int = 4) -> list[torch.Tensor]:
        state, found = None, []
        for t in range(steps):
            _, state = one.predict(
                pendulum.observations[t : t + 2], state, [t == 0, t in (0, begins)], True, reward=np.zeros(2)
            )
            found.append(state.memory)
        return found

    held = z_of_steps(agent)
    assert all(torch.equal(plan.z[0], held[0].z[0]) for plan in held)
    assert torch.equal(held[3].z[1], held[0].z[1])
    assert not torch.equal(held[4].z[1], held[0].z[1])  # its next episode
    short = DoC(dataset=pendulum, seed=1, **{**TINY, "hold": 2})
    short.policy.load_state_dict(agent.policy.state_dict())
    renewed = z_of_steps(short)
    assert torch.equal(renewed[1].z[0], renewed[0].z[0])
    assert not torch.equal(renewed[2].z[0], renewed[1].z[0])
    assert torch.equal(renewed[2].promise[0], renewed[0].promise[0])  # made when the episode began


def test_the_mode_depends_neither_on_neighbours_nor_on_what_was_drawn_before(
    agent: DoC, pendulum: OfflineDataset, tmp_path: Path
) -> None:
    agent.save(tmp_path / "agent")
    loaded = DoC.load(tmp_path / "agent")
    _, many = agent.predict(pendulum.observations[:5], deterministic=True)
    agent.predict(pendulum.observations[:5])
    _, few = loaded.predict(pendulum.observations[[9, 3]], deterministic=True)
    torch.testing.assert_close(few.memory.z[1], many.memory.z[3])
    torch.testing.assert_close(few.memory.promise[1], many.memory.promise[3])


def test_the_released_code_warns_raises_information_and_chooses_nothing(pendulum: OfflineDataset) -> None:
    with pytest.warns(UserWarning, match="is not the method of the paper"):
        agent = DoC(dataset=pendulum, seed=1, **{**TINY, "method": "released-code"})
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    agent.learn(20)
    after = agent.policy.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("prior_network"))
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("energy"))
    assert "energy" not in agent.optimizers
    _, state = agent.predict(pendulum.observations[:4])
    assert (state.memory.spread == 0).all()  # all values are one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DoC(dataset=pendulum, seed=1, **TINY)


def test_settings_out_of_range_are_refused(pendulum: OfflineDataset) -> None:
    for wrong in ({"method": "dichotomy"}, {"samples": 0}, {"energy_steps": 0}, {"components": 0}):
        with pytest.raises(InvalidParameter):
            DoC(dataset=pendulum, **{**TINY, **wrong})


@pytest.mark.parametrize("method", ["doc", "future-vae"])
def test_it_learns_on_the_frozen_lake(method: str) -> None:
    """Discrete observations: the cloning loss falls well below that of uniform actions, and episodes can be played."""
    data = FrozenLake(slip=0.2, trajectories=40).make(Path(), progress=False)
    agent = DoC(
        env="FrozenLake-v1", dataset=data, seed=0,
        **{**TINY, "learning_rate": 3e-3, "method": method, "longest_episode": 100, "evaluation_episodes": 4},
    ).learn(120)  # fmt: skip
    agent.evaluate()
    assert agent.scores.final_promised is not None
    batch = agent._draw()
    with torch.no_grad():
        assert float(agent._cloning_loss(batch, sampled(batch.posterior))) < 0.7 * np.log(4)


def test_batches_of_uneven_episodes_keep_memory_bounded() -> None:
    """All batches have one size: networks keep buffers by size, and would keep some for each."""
    data = FrozenLake(trajectories=20).make(Path(), progress=False)
    agent = DoC(dataset=data, seed=0, **{**TINY, "longest_episode": 100}).learn(5)
    kept = len(WORKSPACE._free)
    agent.learn(25, reset_num_timesteps=False)
    assert len(WORKSPACE._free) == kept
