import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import LinearSchedule
from torch.distributions import Categorical

from agentgym.agents.mdpo.config import OnPolicyMDPOConfig
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO
from agentgym.errors import InvalidParameter, NonFinite

SMALL: dict[str, Any] = {"n_steps": 64, "value_batch_size": 32}
CONTINUOUS, DISCRETE = "Pendulum-v1", "CartPole-v1"

PLAIN = {"normalize": False, "clip_values": False, "anneal_learning_rate": False}


def _small(env: Any = CONTINUOUS, **options: Any) -> OnPolicyMDPO:
    agent = OnPolicyMDPO("MlpPolicy", env, **{**SMALL, **PLAIN, "device": "cpu", **options})
    agent.set_logger(configure(None, []))
    return agent


def _weights(agent: Any) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in agent.policy.state_dict().values()])


# The losses


class TwoStates(gymnasium.Env):
    """Observations (1, 0) and (0, 1), two actions; a linear policy gives each state its own logits."""

    observation_space = spaces.Box(0, 1, (2,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.array([1, 0], np.float32), {}


OLD = [[0.5, 0.5], [0.8, 0.2]]
NEW = [[0.75, 0.25], [0.5, 0.5]]
# action 0 with advantage 1 in the first state, action 1 with -1 in the second: (1.5 - 2.5) / 2
SURROGATE = -0.5
DIVERGENCES = {
    # (0.75 ln 1.5 + 0.25 ln 0.5 + 0.5 ln 0.625 + 0.5 ln 2.5) / 2
    ("new||old", 1.0): (0.130812 + 0.223144) / 2,
    # (0.5 ln 2/3 + 0.5 ln 2 + 0.8 ln 1.6 + 0.2 ln 0.4) / 2
    ("old||new", 1.0): (0.143841 + 0.192745) / 2,
    # squared distances: (2 * 0.25^2 + 2 * 0.3^2) / 2, either way
    ("new||old", 2.0): (0.125 + 0.18) / 2,
    ("old||new", 2.0): (0.125 + 0.18) / 2,
}


@pytest.mark.parametrize(("direction", "q"), DIVERGENCES)
def test_the_policy_loss_on_two_states_by_hand(direction, q):
    agent = _small(TwoStates(), divergence=direction, tsallis_q=q, policy_kwargs={"net_arch": {"pi": [], "vf": []}})
    with torch.no_grad():
        agent.policy.action_net.weight.copy_(torch.tensor(NEW).log().T)
        agent.policy.action_net.bias.zero_()
    states, old = torch.eye(2), Categorical(probs=torch.tensor(OLD))
    actions = torch.tensor([0, 1])
    terms = agent._policy_terms(states, actions, torch.tensor([1.0, -1.0]), old.log_prob(actions), [old])
    assert terms[0].item() == pytest.approx(SURROGATE, abs=1e-6)
    assert terms[1].item() == pytest.approx(DIVERGENCES[direction, q], abs=1e-6)


def test_the_value_loss_by_hand():
    agent = _small()
    values, before, returns = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])
    assert agent._value_loss(values, before, returns).item() == pytest.approx(0.5 * (1.0 + 0.25) / 2)
    agent.clip_range_vf, agent._current_progress_remaining = 0.2, 0.5  # new values within 0.1 of the old: 1.1 and 0.1
    assert agent._value_loss(values, before, returns).item() == pytest.approx(0.5 * (1.9**2 + 0.25) / 2)


def _collected(env: str, **options: Any) -> tuple[OnPolicyMDPO, Any, torch.Tensor]:
    """An agent with a fresh batch, the batch and its standardised advantages."""
    agent = _small(env, seed=0, max_grad_norm=1e9, **options)
    agent.train = lambda: None  # type: ignore[method-assign]
    agent.learn(64)
    batch = next(agent.rollout_buffer.get())
    advantages = batch.advantages
    return agent, batch, (advantages - advantages.mean()) / (advantages.std() + 1e-8)


@pytest.mark.parametrize("direction", ["new||old", "old||new"])
@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE])
@pytest.mark.parametrize("q", [1.0, 1.5])
def test_one_step_is_the_plain_policy_gradient(env, direction, q):
    """The ratio is 1 and the divergence's gradient is zero at the old policy."""
    agent, batch, advantages = _collected(env, policy_steps=1, divergence=direction, tsallis_q=q)
    parameters = agent.policy.actor_parameters()
    actions = batch.actions.long().flatten() if env == DISCRETE else batch.actions
    log_prob = agent.policy.get_distribution(batch.observations).log_prob(actions)
    plain = torch.autograd.grad(-(advantages * log_prob).mean(), parameters)
    agent._improve_policy(batch, batch.observations)
    for parameter, expected in zip(parameters, plain, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE])
def test_later_steps_are_held_back_by_the_divergence(env):
    """The smaller t, the nearer to the old policy; without the divergence, farther than either."""
    moved = []
    for step_size in (1.0, 0.01):
        agent, batch, _ = _collected(env, policy_steps=60, learning_rate=3e-3)
        agent._current_progress_remaining = step_size
        moved.append(agent._improve_policy(batch, batch.observations)[1].item())
    assert 0 < moved[1] < 0.2 * moved[0]


def test_the_losses_are_continuous_in_q():
    terms = []
    for q in (1.0, 1.0001, 1.1):
        agent, batch, advantages = _collected(CONTINUOUS, tsallis_q=q)
        with torch.no_grad():
            _, old = agent.policy.factors(batch.observations)
            for parameter in agent.policy.actor_parameters():
                parameter.add_(0.05)
        found = agent._policy_terms(batch.observations, batch.actions, advantages, batch.old_log_prob, old)
        terms.append(found[1].item())
    assert abs(terms[1] - terms[0]) < 1e-3 * terms[0] < abs(terms[2] - terms[0])


# The schedule


def _schedule(agent: OnPolicyMDPO, *calls: int) -> list[tuple[float, float]]:
    """t_k and the learning rate of every update in consecutive calls of ``learn``."""
    seen = []
    original = agent.train

    def train() -> None:
        original()
        seen.append((agent.mirror_step_size, agent.policy.actor_optimizer.param_groups[0]["lr"]))

    agent.train = train  # type: ignore[method-assign]
    for number, steps in enumerate(calls):
        agent.learn(steps, reset_num_timesteps=number == 0)
    return seen


def test_the_step_size_falls_from_one_by_one_over_k():
    agent = _small(learning_rate=LinearSchedule(1e-3, 0.0, 1.0))
    seen = _schedule(agent, 5 * 64)
    assert seen == [pytest.approx((t, 1e-3 * t)) for t in (1.0, 0.8, 0.6, 0.4, 0.2)]


def test_the_step_size_stays_positive_in_a_last_iteration_that_overshoots():
    seen = _schedule(_small(), 65)
    assert [t for t, _ in seen] == pytest.approx([1.0, 1 / 65])


def test_the_schedule_goes_by_absolute_steps():
    """The second call of two goes on where the first ended: 128 of 256 steps are done."""
    seen = _schedule(_small(), 128, 128)
    assert [t for t, _ in seen] == pytest.approx([1.0, 0.5, 0.5, 0.25])


# The loop


@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE])
def test_equal_seeds_give_bit_equal_weights_and_others_do_not(env):
    arguments = OnPolicyMDPOConfig(n_steps=64).to_kwargs()
    weights = [_weights(_small(env, seed=seed, **arguments).learn(192)) for seed in (4, 4, 5)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class Choices(gymnasium.Env):
    """Any action space."""

    observation_space = spaces.Box(-1, 1, (3,))

    def __init__(self, action_space: spaces.Space) -> None:
        self.action_space = action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        observation = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return observation, float(np.sum(action)), bool(self.np_random.random() < 0.1), False, {}


@pytest.mark.parametrize(
    ("space", "q"),
    [
        (spaces.Discrete(3), 1.0), (spaces.Discrete(3), 1.5), (spaces.MultiDiscrete([2, 3]), 1.0),
        (spaces.MultiBinary(4), 1.5), (spaces.Box(-1, 1, (2,)), 1.0), (spaces.Box(-1, 1, (2,)), 1.5),
    ],
    ids=str,
)  # fmt: skip
def test_every_action_space_learns_what_pays(space, q):
    agent = _small(Choices(space), seed=0, tsallis_q=q, learning_rate=3e-3, policy_steps=20, gamma=0.0)
    observations = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    before = agent.predict(observations)[0].reshape(200, -1).sum(1).mean()
    agent.learn(64 * 20)
    assert agent.predict(observations)[0].reshape(200, -1).sum(1).mean() > before + 0.5


@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE])
def test_saved_and_loaded_it_predicts_and_goes_on_alike(env, tmp_path):
    agent = _small(env, seed=0, **OnPolicyMDPOConfig(n_steps=64, tsallis_q=1.2).to_kwargs()).learn(192)
    agent.save(tmp_path / "agent")
    loaded = OnPolicyMDPO.load(tmp_path / "agent", env=env, device="cpu")
    assert (loaded.tsallis_q, loaded.num_timesteps, loaded.clip_range_vf) == (1.2, 192, 0.2)
    assert torch.equal(_weights(loaded), _weights(agent))  # with the observations' statistics
    assert torch.equal(loaded.return_moments.variance, agent.return_moments.variance)
    observations = np.stack([agent.observation_space.sample() for _ in range(9)]).clip(-10, 10)
    for deterministic in (True, False):
        actions = []
        for one in (agent, loaded):
            torch.manual_seed(1)
            actions.append(one.predict(observations, deterministic=deterministic)[0])
        np.testing.assert_array_equal(*actions)
    weights = []
    for one in (agent, loaded):
        one.set_random_seed(7)
        one._last_obs = None
        weights.append(_weights(one.learn(64, reset_num_timesteps=False)))
    assert torch.equal(*weights)  # with both optimisers


# Configuration


def test_every_field_reaches_the_agent():
    config = OnPolicyMDPOConfig(
        n_steps=32, bootstrap_time_limits=False, normalize=True, policy_steps=3, divergence="old||new", tsallis_q=1.5,
        max_grad_norm=0.7, value_epochs=2, value_batch_size=9, clip_values=False, gamma=0.9, gae_lambda=0.8,
        learning_rate=1e-3, anneal_learning_rate=False, actor_layers=(6,), value_layers=(5, 4), activation="relu",
        orthogonal=False,
    )  # fmt: skip
    agent = OnPolicyMDPO("MlpPolicy", CONTINUOUS, **config.to_kwargs())
    for name in ("n_steps", "bootstrap_time_limits", "policy_steps", "divergence", "tsallis_q", "max_grad_norm",
                 "value_epochs", "value_batch_size", "gamma", "gae_lambda", "learning_rate"):  # fmt: skip
        assert getattr(agent, name) == getattr(config, name), name
    assert agent.clip_range_vf is None
    assert agent.normalize_rewards
    assert not agent.policy.ortho_init
    state = agent.policy.state_dict()
    assert state["mlp_extractor.policy_net.0.weight"].shape == (6, 3)
    assert state["mlp_extractor.value_net.2.weight"].shape == (4, 5)
    assert state["features_extractor.moments.mean"].shape == (3,)
    assert agent.policy.activation_fn is torch.nn.ReLU


def test_the_presets():
    loaded, minimal = OnPolicyMDPOConfig().arguments(), OnPolicyMDPOConfig.preset("minimal").arguments()
    assert (loaded["clip_range_vf"], loaded["normalize_rewards"]) == (0.2, True)
    assert loaded["learning_rate"](0.5) == pytest.approx(1.5e-4)
    assert loaded["policy_kwargs"]["ortho_init"]
    assert loaded["policy_kwargs"]["normalize_observations"]
    assert (minimal["clip_range_vf"], minimal["normalize_rewards"], minimal["learning_rate"]) == (None, False, 3e-4)
    assert not minimal["policy_kwargs"]["ortho_init"]
    assert not minimal["policy_kwargs"]["normalize_observations"]
    assert not OnPolicyMDPOConfig.preset("as-released").arguments()["bootstrap_time_limits"]


@pytest.mark.parametrize(
    "options",
    [{"divergence": "both"}, {"tsallis_q": 0.5}, {"tsallis_q": math.nan}, {"policy_steps": 0}, {"n_steps": 1}],
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises((InvalidParameter, NonFinite), match=next(iter(options))):
        _small(**options)


def test_divergence_of_the_losses_stops_learning_with_advice():
    with pytest.raises(NonFinite, match=r"not finite by step .*learning_rate"):
        _small(seed=0, learning_rate=1e30).learn(64 * 4)
