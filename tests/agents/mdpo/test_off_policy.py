import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.logger import configure

from agentgym.agents.mdpo.config import MDPOConfig
from agentgym.agents.mdpo.off_policy import MDPO, log_probabilities
from agentgym.agents.sac.sac import SAC
from agentgym.errors import InvalidParameter, NonFinite

SMALL: dict[str, Any] = {
    "policy_kwargs": {"net_arch": [16, 12]},
    "learning_starts": 20,
    "buffer_size": 500,
    "batch_size": 16,
}
BATCH = 64


def _small(env: Any = "Pendulum-v1", **options: Any) -> MDPO:
    return MDPO("MlpPolicy", env, **{**SMALL, "device": "cpu", **options})


def _weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in agent.policy.state_dict().values()])


def _batch(agent: Any) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    size, actions = agent.actor.features_dim, agent.action_space.shape[0]
    states, next_states = (torch.randn(BATCH, size, generator=generator) for _ in range(2))
    taken = torch.rand(BATCH, actions, generator=generator) * 2 - 1
    rewards = torch.randn(BATCH, generator=generator)
    discounts = 0.99 * (torch.rand(BATCH, generator=generator) > 0.1)
    return states, taken, rewards, next_states, discounts


# The losses


@pytest.mark.parametrize("temperature", [0.2, 0.5, 0.037])
def test_with_c_equal_to_lambda_the_actor_loss_is_sac_s(temperature):
    """With both critics equal, as SAC takes the least of them and MDPO the first; the critics stand still."""
    sac = SAC("MlpPolicy", "HalfCheetah-v5", seed=1, device="cpu", buffer_size=10, ent_coef=temperature)
    mdpo = MDPO(
        "MlpPolicy", "HalfCheetah-v5", seed=2, device="cpu", buffer_size=10,
        ent_coef=temperature, step_size=1 / temperature,
    )  # fmt: skip
    mdpo.actor.load_state_dict(sac.actor.state_dict())
    state = sac.critic.state_dict()
    state.update({key.replace("qf0", "qf1"): value for key, value in state.items() if "qf0" in key})
    for agent in (sac, mdpo):
        agent.set_logger(configure(None, []))
        agent.critic.load_state_dict(state)
        agent.critic.optimizer.param_groups[0]["lr"] = 0.0
    before = mdpo.policy.old_actor.state_dict()
    losses, gradients = [], []
    for agent in (sac, mdpo):
        torch.manual_seed(0)
        losses.append(agent._update(*_batch(agent))[2])
        gradients.append([parameter.grad.clone() for parameter in agent.actor.parameters()])
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-6)
    for name, mine, its in zip(dict(sac.actor.named_parameters()), gradients[1], gradients[0], strict=True):
        scale = its.abs().max().item()
        torch.testing.assert_close(mine, its, rtol=0, atol=2e-5 * scale, msg=lambda m, n=name: f"{n}: {m}")
    assert all(torch.equal(tensor, before[key]) for key, tensor in mdpo.policy.old_actor.state_dict().items())


class TwoStates(gymnasium.Env):
    """Observations (1, 0) and (0, 1), one action; a linear actor gives each state its own Gaussian."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.array([1, 0], np.float32), {}


# For each state: mean and log std of pi, of pi_old, and the noise
POLICY = ((0.5, -0.7), (-0.3, 0.2))
OLD = ((0.1, -0.2), (-0.9, 0.4))
NOISE = (0.8, -1.1)


def _two_state_agent(**options: Any) -> MDPO:
    agent = MDPO("MlpPolicy", TwoStates(), buffer_size=10, policy_kwargs={"net_arch": []}, device="cpu", **options)
    with torch.no_grad():
        for actor, values in ((agent.actor, POLICY), (agent.policy.old_actor, OLD)):
            for layer, column in ((actor.mu, 0), (actor.log_std, 1)):
                layer.weight.copy_(torch.tensor([[values[0][column], values[1][column]]]))
                layer.bias.zero_()
        agent.critic.weights[0].copy_(torch.tensor([[[2.0, -1.0, 1.5]], [[100.0, 100.0, 100.0]]]))
        agent.critic.biases[0].zero_()
    return agent


def _expected_loss(c: float, entropy: float, q: float, regularization: float) -> float:
    """The same in plain arithmetic: Q_1 is 2 + 1.5 a in the first state and -1 + 1.5 a in the second."""

    def logarithm(log_density: float) -> float:
        return log_density if q == 1 else (math.exp((q - 1) * log_density) - 1) / (q - 1)

    total = 0.0
    for (mean, log_std), (old_mean, old_log_std), noise, offset in zip(POLICY, OLD, NOISE, (2.0, -1.0), strict=True):
        u = mean + math.exp(log_std) * noise
        a = math.tanh(u)
        squash = math.log(1 - a * a + 1e-6) + 0.5 * math.log(2 * math.pi)
        log_pi = -0.5 * noise**2 - log_std - squash
        log_old = -0.5 * ((u - old_mean) / math.exp(old_log_std)) ** 2 - old_log_std - squash
        total += c * logarithm(log_pi) + (entropy - c) * q * logarithm(log_old) - (offset + 1.5 * a)
    squares = [sum(values[k] ** 2 for values in POLICY) / 2 for k in (0, 1)]
    return total / 2 + regularization * sum(squares)


@pytest.mark.parametrize(
    ("step_size", "ent_coef", "q", "regularization"),
    [(1.0, 0.2, 1.0, 0.0), (0.5, 0.0, 1.0, 0.0), (2.0, 0.2, 1.4, 0.0), (1.0, 0.2, 2.0, 1e-3), (1.0, 1.0, 1.0, 0.3)],
)
def test_the_actor_loss_on_two_states_by_hand(step_size, ent_coef, q, regularization):
    agent = _two_state_agent(step_size=step_size, ent_coef=ent_coef, tsallis_q=q, regularization=regularization)
    states, noise = torch.eye(2), torch.tensor(NOISE).unsqueeze(1)
    loss, actions, log_q, values = agent._actor_loss(states, agent.actor.gaussian(states), noise)
    assert loss.item() == pytest.approx(_expected_loss(1 / step_size, ent_coef, q, regularization), abs=1e-5)
    assert actions[0].item() == pytest.approx(math.tanh(0.5 + math.exp(-0.7) * 0.8), rel=1e-6)
    assert not actions.requires_grad
    assert not log_q.requires_grad
    assert values[0, 1].item() == pytest.approx(-1 + 1.5 * actions[1].item(), rel=1e-5)


def test_one_action_s_log_densities_in_numbers():
    """u = 0.5 + 0.49659 * 0.8 = 0.89727, a = tanh(u) = 0.71497, log(1 - a^2) = -0.71575, (u - 0.1) / 0.81873 = 0.97379.

    log pi = -0.32 + 0.7 - 0.91894 + 0.71575 = 0.17681, log pi_old = -0.47413 + 0.2 - 0.91894 + 0.71575 = -0.47732.
    """
    gaussian, old = torch.tensor([[0.5, -0.7]]), torch.tensor([[0.1, -0.2]])
    terms = log_probabilities(gaussian, torch.tensor([[0.8]]), old)
    assert [term.item() for term in terms] == pytest.approx([0.71497, 0.17681, -0.47732], abs=1e-5)


def test_the_loss_is_continuous_in_q():
    losses = []
    for q in (1.0, 1.0001, 1.01):
        agent = _two_state_agent(tsallis_q=q)
        states = torch.eye(2)
        losses.append(agent._actor_loss(states, agent.actor.gaussian(states), torch.tensor([[0.8], [-1.1]]))[0].item())
    assert abs(losses[1] - losses[0]) < 1e-3 < abs(losses[2] - losses[0])


@pytest.mark.parametrize("q", [1.0, 1.5])
def test_critics_and_value_learn_towards_their_targets(q):
    """Q -> r + discount V'(s') and V -> min(Q1, Q2)(s, a) - lambda ln_q pi(a|s), written out plainly."""
    agent = _small(seed=0, tsallis_q=q, policy_kwargs={"net_arch": [8, 8]})
    with torch.no_grad():  # else V' = V and Q1 is close to Q2
        for parameter in (*agent.value_target.parameters(), *agent.critic.parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape))
    states, taken, rewards, next_states, discounts = batch = _batch(agent)
    torch.manual_seed(9)
    noise = torch.randn(BATCH, 1)
    with torch.no_grad():
        mean, log_std, _ = agent.actor.get_action_dist_params(states)
        u = mean + log_std.exp() * noise
        gaussian = torch.distributions.Normal(mean, log_std.exp()).log_prob(u).sum(1)
        log_pi = gaussian - torch.log(1 - torch.tanh(u).square() + 1e-6).sum(1)
        log_q = log_pi if q == 1 else (torch.exp((q - 1) * log_pi) - 1) / (q - 1)
        values = torch.cat(agent.critic(states, torch.tanh(u)), 1).min(1).values - 0.2 * log_q
        q_targets = rewards + discounts * agent.value_target.network(next_states).squeeze(1)
        expected_value = 0.5 * (agent.value_net.network(states).squeeze(1) - values).square().mean()
        expected_critic = sum(0.5 * (one.squeeze(1) - q_targets).square().mean() for one in agent.critic(states, taken))
    torch.manual_seed(9)
    critic_loss, value_loss, _ = agent._update(*batch)
    assert critic_loss.item() == pytest.approx(float(expected_critic), rel=1e-5)
    assert value_loss.item() == pytest.approx(expected_value.item(), rel=1e-5)


# The loop


def test_the_old_policy_is_a_snapshot_of_every_so_many_steps():
    agent = _small(seed=0, snapshot_interval=40)
    snapshots: list[torch.Tensor] = []
    current: list[torch.Tensor] = []

    def note(local: dict[str, Any], _: dict[str, Any]) -> bool:
        for actor, seen in ((agent.policy.old_actor, snapshots), (agent.actor, current)):
            seen.append(torch.cat([tensor.detach().flatten() for tensor in actor.parameters()]))
        return True

    agent.learn(125, callback=note)  # called at step n before the snapshot of step n
    for step in range(1, 126):
        taken_at = 40 * ((step - 1) // 40)
        assert torch.equal(snapshots[step - 1], current[max(taken_at - 1, 0)]), step
    assert not torch.equal(current[-1], snapshots[-1])


def test_the_snapshot_is_not_missed_with_several_environments():
    agent = _small(SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")] * 3), seed=0, snapshot_interval=40)
    agent.learn(42)  # steps 3, 6, ..., 42: the one over 40 takes it, before its update
    old, new = (list(actor.parameters()) for actor in (agent.policy.old_actor, agent.actor))
    moved = max((a - b).abs().max().item() for a, b in zip(old, new, strict=True))
    assert 0 < moved < 1e-3  # one step of Adam


def test_the_target_value_follows_slowly():
    agent = _small(seed=0, tau=0.25)
    agent.learn(21)
    fresh = _small(seed=0)
    for target, now, start in zip(
        agent.value_target.parameters(), agent.value_net.parameters(), fresh.value_net.parameters(), strict=True
    ):
        torch.testing.assert_close(target, 0.75 * start.detach() + 0.25 * now.detach())


def test_collection_is_stochastic_or_as_released():
    stochastic, released = _small(seed=0), _small(seed=0, deterministic_collection=True)
    for agent in (stochastic, released):
        agent.gradient_steps = 0
        agent.learn(60)
    observations = released.replay_buffer.observations[20:60, 0]
    mode = released.policy.scale_action(released.predict(observations, deterministic=True)[0])
    np.testing.assert_allclose(released.replay_buffer.actions[20:60, 0], mode, atol=1e-6)
    assert np.std(released.replay_buffer.actions[:20]) > 0.3  # warm-up is random all the same
    observations = stochastic.replay_buffer.observations[20:60, 0]
    mode = stochastic.policy.scale_action(stochastic.predict(observations, deterministic=True)[0])
    assert np.abs(stochastic.replay_buffer.actions[20:60, 0] - mode).max() > 0.1


def test_equal_seeds_give_bit_equal_weights_and_others_do_not():
    weights = [_weights(_small(seed=seed).learn(120)) for seed in (4, 4, 5)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_saved_and_loaded_it_predicts_and_goes_on_alike(tmp_path):
    agent = _small(seed=0, tsallis_q=1.3).learn(120)
    agent.save(tmp_path / "agent")
    loaded = MDPO.load(tmp_path / "agent", env="Pendulum-v1", device="cpu")
    assert (loaded.tsallis_q, loaded.num_timesteps, loaded._n_updates) == (1.3, 120, 100)
    assert torch.equal(_weights(loaded), _weights(agent))  # with V, its target and the old policy
    observations = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    for deterministic in (True, False):
        actions = []
        for one in (agent, loaded):
            torch.manual_seed(1)
            actions.append(one.predict(observations, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)
    batch = _batch(agent)
    for one in (agent, loaded):
        torch.manual_seed(2)
        one._update(*batch)
    assert torch.equal(_weights(loaded), _weights(agent))  # with the optimisers


# Configuration


def test_every_field_reaches_the_agent():
    config = MDPOConfig(
        learning_rate=1e-3, batch_size=7, gamma=0.9, tau=0.1, learning_starts=3, train_freq=2, gradient_steps=4,
        buffer_size=11, deterministic_collection=True, step_size=0.7, ent_coef=0.1, snapshot_interval=5,
        tsallis_q=1.5, regularization=0.01, actor_layers=(6,), critic_layers=(5, 4), activation="elu",
    )  # fmt: skip
    agent = MDPO("MlpPolicy", "Pendulum-v1", **config.to_kwargs())
    for name in ("learning_rate", "batch_size", "gamma", "tau", "learning_starts", "gradient_steps", "buffer_size",
                 "deterministic_collection", "step_size", "ent_coef", "snapshot_interval", "tsallis_q",
                 "regularization"):  # fmt: skip
        assert getattr(agent, name) == getattr(config, name), name
    assert agent.train_freq.frequency == 2
    state = agent.policy.state_dict()
    assert state["actor.latent_pi.0.weight"].shape == (6, 3)
    assert state["critic.qf1.2.weight"].shape == (4, 5)
    assert state["value_target.network.2.weight"].shape == (4, 5)
    assert agent.actor.activation_fn is torch.nn.ELU


def test_the_presets():
    released = MDPOConfig.preset("as-released")
    assert (released.deterministic_collection, released.regularization) == (True, 1e-3)
    assert MDPOConfig.preset("minimal").batch_size == 64
    assert MDPOConfig.preset("minimal").actor_layers == (64, 64)


@pytest.mark.parametrize(
    "options",
    [{"step_size": 0.0}, {"tsallis_q": 0.5}, {"tsallis_q": 2.5}, {"snapshot_interval": 0}, {"regularization": -1.0},
     {"cuda_graphs": True}, {"step_size": float("nan")}],
)  # fmt: skip
def test_what_cannot_be_is_refused(options):
    with pytest.raises((InvalidParameter, NonFinite), match=next(iter(options))):
        _small(**options)


def test_discrete_actions_are_refused():
    with pytest.raises((InvalidParameter, AssertionError, ValueError), match=r"Box|Discrete"):
        _small("CartPole-v1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("options", [{"cuda_graphs": True}, {"compile": True}])
def test_gpu_options_give_the_same_weights(options):
    agents = []
    for extra in ({}, options):
        agent = _small(seed=3, device="cuda", **extra)
        batch = [tensor.cuda() for tensor in _batch(agent)]
        for step in range(8):  # warm-up, recording and replay
            torch.manual_seed(step)
            if extra:
                agent._fast_update(*batch)
            else:
                agent._update(*batch)
        agents.append(agent)
    expected = agents[0].policy.state_dict()
    for name, tensor in agents[1].policy.state_dict().items():
        if not options.get("compile"):  # compiled kernels draw their own noise
            torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4)
        assert tensor.isfinite().all()
