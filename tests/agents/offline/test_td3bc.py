"""TD3+BC's update against its pseudo-code, written out with autograd; and that it learns."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agentgym.agents.offline.td3bc.td3bc import TD3BC
from agentgym.data.dataset import OfflineDataset
from agentgym.errors import InvalidParameter
from agentgym.evaluation.evaluate import evaluate


def plain(network, *inputs: torch.Tensor) -> torch.Tensor:
    """The stacked networks, one matrix product after the other, ``[members, B, out]``."""
    hidden = torch.cat(inputs, 1).expand(len(network.weights[0]), -1, -1)
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        hidden = hidden @ weight.mT + bias
        hidden = hidden.relu() if layer < len(network.weights) - 1 else hidden
    return hidden


def test_two_updates_are_those_of_the_pseudo_code(pendulum: OfflineDataset) -> None:
    agent = TD3BC(dataset=pendulum, seed=1, layers=(16, 16), batch_size=64)
    own = copy.deepcopy(agent.policy)
    actor, critic = own.actor.network, own.critic.network
    targets = copy.deepcopy((actor, critic))
    optimizers = [torch.optim.Adam(network.parameters(), lr=3e-4) for network in (actor, critic)]
    generator = torch.Generator().set_state(agent.generator.get_state())
    for step in (1, 2):
        rows = torch.randint(len(pendulum), (64,), generator=generator)
        s, a, following = agent.states[rows], agent.actions[rows], agent.next_states[rows]
        noise = (torch.randn(64, 1, generator=generator) * 0.2).clamp(-0.5, 0.5)
        with torch.no_grad():
            next_a = (torch.tanh(plain(targets[0], following)[0]) + noise).clamp(-1, 1)
            q1, q2 = plain(targets[1], following, next_a).squeeze(2)
            y = agent.rewards[rows] + 0.99 * agent.alive[rows] * torch.minimum(q1, q2)
        q1, q2 = plain(critic, s, a).squeeze(2)
        optimizers[1].zero_grad()
        (F.mse_loss(q1, y) + F.mse_loss(q2, y)).backward()
        optimizers[1].step()
        if step == 2:
            pi = torch.tanh(plain(actor, s)[0])
            q = plain(critic, s, pi)[0]
            optimizers[0].zero_grad()
            (-2.5 / q.abs().mean().detach() * q.mean() + F.mse_loss(pi, a)).backward()
            optimizers[0].step()
            for network, target in zip((actor, critic), targets, strict=True):
                for new, old in zip(network.parameters(), target.parameters(), strict=True):
                    old.data.copy_(0.005 * new.data + 0.995 * old.data)
    agent.learn(2)
    networks = {"actor": actor, "critic": critic, "actor_target": targets[0], "critic_target": targets[1]}
    for name, network in networks.items():
        found = getattr(agent.policy, name).network
        for ours, theirs in zip(found.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6, msg=name)


def test_the_target_bootstraps_from_time_outs_and_not_from_ends(pendulum: OfflineDataset) -> None:
    assert pendulum.truncations.any()
    agent = TD3BC(dataset=pendulum, seed=0, layers=(8,))
    assert agent.alive.all()  # a Pendulum never ends, it only times out
    agent.alive[:] = 0
    batch = agent._sample()
    networks = agent.policy
    found = agent._targets(batch, networks.actor_target.of_states, networks.critic_target.of_states)
    torch.testing.assert_close(found, batch.rewards)


def test_attacks_reach_actor_and_critic(pendulum: OfflineDataset) -> None:
    agents = {"td3bc": TD3BC(dataset=pendulum, seed=0, layers=(16,)).learn(20)}
    short = {"max_episode_steps": 40}
    found = evaluate(agents, "attacks:epsilons=0.1", "Pendulum-v1", short, episodes=1, progress=False)
    assert len({row.condition for row in found.rows}) > 3
    assert not [row.error for row in found.rows if row.error]


@pytest.mark.parametrize(("setting", "value"), [("policy_delay", 0), ("alpha", -1.0)])
def test_settings_out_of_range_are_refused(pendulum: OfflineDataset, setting: str, value: float) -> None:
    with pytest.raises(InvalidParameter, match=setting):
        TD3BC(dataset=pendulum, **{setting: value})


@pytest.mark.slow
def test_it_does_better_than_its_data(pendulum: OfflineDataset) -> None:
    """With a greater weight of the value than published: the logged actions are mostly noise."""
    options = {"env": "Pendulum-v1", "layers": (64, 64), "evaluate_every": 0, "evaluation_episodes": 20}
    agent = TD3BC(dataset=pendulum, seed=0, alpha=40.0, **options)
    assert agent.learn(8_000).evaluate() > np.mean(pendulum.returns) + 600
