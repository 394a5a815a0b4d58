"""A policy a group and a centralised critic learn over agents that differ, die and are cut off."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Categorical, Independent, Normal

from agentgym.multi_agent import ParallelEnvBatch, groups_from_json, groups_to_json
from tests.multi_agent.worlds import LeavingEnv

LEAVES = {"red_0": (4, "terminated"), "blue_0": (2, "terminated"), "red_1": (2, "truncated"), "scout": (6, "both")}
DISCOUNT = 0.9


class GroupPolicy(torch.nn.Module):
    """One linear policy for all agents of a group; actions are Discrete, MultiDiscrete or a Box."""

    def __init__(self, group):
        super().__init__()
        self.seen, self.done = group.observation_space, group.action_space
        sizes = {spaces.Discrete: lambda s: int(s.n), spaces.MultiDiscrete: lambda s: int(s.nvec.sum())}
        outputs = sizes.get(type(self.done), lambda s: s.shape[0])(self.done)
        self.net = torch.nn.Linear(spaces.flatdim(self.seen), outputs)

    def distributions(self, observations):
        if isinstance(self.seen, spaces.Discrete):
            observations = torch.nn.functional.one_hot(torch.as_tensor(observations).long(), int(self.seen.n))
        outputs = self.net(torch.as_tensor(observations).flatten(-max(1, len(self.seen.shape))).float())
        match self.done:
            case spaces.Discrete():
                return [Categorical(logits=outputs)]
            case spaces.MultiDiscrete():
                return [Categorical(logits=part) for part in outputs.split(self.done.nvec.tolist(), -1)]
        return [Independent(Normal(outputs, 0.5), 1)]

    def act(self, observations):
        parts = [distribution.sample() for distribution in self.distributions(observations)]
        if isinstance(self.done, spaces.MultiDiscrete):
            return torch.stack(parts, -1).numpy()
        return (
            parts[0].clamp(-1, 1).numpy() if isinstance(self.done, spaces.Box) else parts[0].numpy() + self.done.start
        )

    def log_prob(self, observations, actions):
        actions = torch.as_tensor(actions) - int(getattr(self.done, "start", 0) if self.done.shape == () else 0)
        parts = [actions] if self.done.shape == () or isinstance(self.done, spaces.Box) else actions.unbind(-1)
        found = self.distributions(observations)
        return sum(distribution.log_prob(part) for distribution, part in zip(found, parts, strict=True))


def learned(junk, iterations=1, steps=14):
    """Weights after some iterations of actor-critic, and the mean reward of each. ``junk``: what dead slots hold."""
    batch = ParallelEnvBatch([LeavingEnv(LEAVES, junk=junk, gives_state=False) for _ in range(4)])
    torch.manual_seed(0)
    known = groups_from_json(groups_to_json(batch.groups))  # as a saved agent has them
    policies = {name: GroupPolicy(group) for name, group in known.items()}
    critic = torch.nn.Sequential(torch.nn.Linear(batch.state_size, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    networks = torch.nn.ModuleList([*policies.values(), critic])
    optimizer = torch.optim.Adam(networks.parameters(), 0.03)
    current, means = batch.reset(seed=0), []
    for _ in range(iterations):
        log_probs, values, targets, acted, rewards = [], [], [], [], []
        for _ in range(steps):
            actions = {name: policy.act(current.observations[name]) for name, policy in policies.items()}
            step = batch.step(actions)
            if junk:
                for name, group in batch.groups.items():
                    actions[name] = actions[name].copy()
                    actions[name][~step.acted[:, group.index]] = 1 if name == "scout" else 2
                step.rewards[~step.acted] = np.nan
            own = torch.zeros(4, 4)
            for name, group in batch.groups.items():
                own[:, group.index] = policies[name].log_prob(current.observations[name], actions[name])
            log_probs.append(own)
            values.append(critic(torch.as_tensor(current.states)))
            with torch.no_grad():
                after = critic(torch.as_tensor(step.reached.states)) * ~torch.as_tensor(step.terminated)
                targets.append(torch.as_tensor(step.rewards).float() + DISCOUNT * after)
            acted.append(torch.as_tensor(step.acted))
            rewards.append(step.rewards[step.acted])
            current = step.current
        mask = torch.stack(acted)
        advantage = torch.stack(targets)[mask] - torch.stack(values)[mask]
        loss = advantage.square().mean() - (advantage.detach() * torch.stack(log_probs)[mask]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(np.concatenate(rewards).mean())
    return torch.nn.utils.parameters_to_vector(networks.parameters()).detach(), means


@pytest.mark.parametrize("iterations", [1, 5])
def test_junk_in_dead_slots_leaves_the_update_bit_equal(iterations):
    clean, junk = (learned(junk, iterations)[0] for junk in (False, True))
    assert torch.isfinite(clean).all()
    assert torch.equal(clean, junk)


def test_every_group_learns():
    means = learned(False, iterations=80)[1]
    assert np.mean(means[-10:]) > np.mean(means[:10]) + 0.1
