"""An iteration's update: what is learned from, replay's own steps, measures."""

import pytest
import torch

from agentgym.agents.language.loop.diagnostics import UpdateMeasures, measure_rollout
from agentgym.agents.language.loop.schedules import learning_rate_factor
from agentgym.agents.language.loop.trajectory import collate
from agentgym.agents.language.methods.kl_to_reference import KLToReference
from agentgym.agents.language.methods.plugin import Plugin, Replay
from agentgym.agents.language.policies.policy import Sampler
from agentgym.errors import InvalidParameter, NonFinite
from tests.agents.language.batches import batch, close, episode
from tests.agents.language.worlds import small


def played(agent, seed=0):
    seeds = list(range(1, 1 + agent.settings.tasks))
    return collate(agent.rollout.play(seeds, Sampler(torch.Generator().manual_seed(seed))), agent.choosing)


def likelihood(agent, made):
    with torch.no_grad():
        logp, _ = agent.policy.evaluate_decisions(made)
    return (logp * made.mask).sum().item()


@pytest.mark.parametrize(("weight", "moves"), [(1.0, True), (0.0, False)])
def test_replay_has_steps_of_its_own(weight, moves):
    agent = small(methods=(), weight_decay=0.0, learning_rate=1e-3, warmup_iterations=0)
    made = played(agent)
    made.advantages = torch.ones_like(made.advantages) * made.mask
    before = likelihood(agent, made)
    agent.learner._learn_from_old(Replay(made, weight, None), iteration=0)
    assert (likelihood(agent, made) > before) is moves


class DropEverything(Plugin):
    def surrogate(self, terms):
        return torch.zeros_like(terms.loss) * terms.logp


def test_replay_has_a_surrogate_of_its_own():
    agent = small(methods=(), weight_decay=0.0, learning_rate=1e-3, warmup_iterations=0)
    made = played(agent)
    made.advantages = torch.ones_like(made.advantages) * made.mask
    before = likelihood(agent, made)
    agent.learner._learn_from_old(Replay(made, 1.0, DropEverything()), iteration=0)
    assert likelihood(agent, made) == before


def test_dead_groups_are_not_passed_through_the_model():
    agent = small(methods=())
    made = played(agent)
    made.rewards[:] = 0.0
    made.rewards[:4, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert agent.learner.update(made, 0)["train/episodes"] == 4
    everything = small(methods=(), skip_dead=False)
    assert everything.learner.update(played(everything), 0)["train/episodes"] == 8


def test_a_step_of_noise_is_not_taken():
    agent = small(methods=())
    made = played(agent)
    made.rewards = torch.zeros(8, 6)
    made.turns[:] = 6
    for row, (first, second) in enumerate([(0.1, 0.6), (0.7, 0.0), (0.6, 0.1), (0.0, 0.7)] * 2):
        made.rewards[row, 0], made.rewards[row, 1] = first, second
    assert len(set(made.returns().tolist())) > 1
    weights = [parameter.clone() for parameter in agent.policy.parameters()]
    assert agent.learner.update(made, 0)["train/episodes"] == 0
    assert agent.learner.steps == 0
    assert all(torch.equal(a, b) for a, b in zip(weights, agent.policy.parameters(), strict=True))


def gradient_of(rewards, minibatches, skip_dead, aggregation="fixed"):
    """The sum of an iteration's gradients at the initial weights: what is left of its steps without their order."""
    agent = small(
        methods=(), advantage="dr-grpo", aggregation=aggregation, skip_dead=skip_dead, minibatches=minibatches,
        tasks=4, group_size=2, max_grad_norm=1e30,
    )  # fmt: skip
    made = played(agent)
    made.group = torch.arange(8) // 2
    made.rewards[:] = 0.0
    made.rewards[:, 0] = torch.tensor(rewards)
    total = [torch.zeros_like(parameter) for parameter in agent.policy.parameters()]

    def note():
        for kept, parameter in zip(total, agent.policy.parameters(), strict=True):
            if parameter.grad is not None:
                kept += parameter.grad

    agent.learner.optimizer.step = note
    agent.learner.update(made, 0)
    return torch.cat([one.flatten() for one in total])


@pytest.mark.parametrize("minibatches", [1, 2, 3])
def test_the_step_of_fixed_does_not_grow_as_groups_die(minibatches):
    rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]  # one group of four can be learned from
    skipped, seen = (gradient_of(rewards, minibatches, skip_dead) for skip_dead in (True, False))
    assert seen.norm() > 0
    # Minibatches are drawn otherwise, but at the same weights and ratios of 1 all add up to the same.
    close(skipped / seen.norm(), seen / seen.norm(), 1e-4)
    twice = gradient_of([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0], minibatches, True)
    assert not torch.allclose(twice, skipped, rtol=0.1)  # the other group adds, and takes nothing from the first


def test_an_episode_alone_in_its_group_is_refused():
    agent = small(methods=())
    made = played(agent)
    made.group[-1] = 7
    with pytest.raises(InvalidParameter, match="Group 7 has one episode"):
        agent.learner.update(made, 0)


def test_updates_are_counted_as_they_are_made():
    agent = small(methods=(), epochs=3)
    made = played(agent)
    made.rewards[:] = 0.0
    agent.learner.update(made, 0)
    assert agent.learner.steps == 0
    made = played(agent)
    made.rewards[:] = 0.0
    made.rewards[:4, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    agent.learner.update(made, 0)
    assert agent.learner.steps == 6


def test_a_loss_that_is_not_finite_stops_before_the_step():
    agent = small(methods=())
    made = played(agent)
    made.rewards[0, 0] = float("nan")
    weights = [parameter.clone() for parameter in agent.policy.parameters()]
    with pytest.raises(NonFinite, match="learning_rate"):
        agent.learner.update(made, 0)
    assert all(torch.equal(a, b) for a, b in zip(weights, agent.policy.parameters(), strict=True))


def test_the_reference_is_the_policy_before_the_first_iteration():
    agent = small(methods=("kl",))
    (method,) = agent.learner.plugins.values()
    assert isinstance(method, KLToReference)
    made = played(agent)
    logp, entropy = agent.policy.evaluate_decisions(made)
    close(method.loss(made, logp, entropy, 0), 0.0)
    shifted = logp - 1.0 * made.mask
    close(method.loss(made, shifted, entropy, 0), 0.01 * (2.7182818 - 1 - 1))


def test_learning_rate_factor():
    factors = [learning_rate_factor(t, warmup=2, decay=12, final=0.2) for t in (0, 1, 2, 7, 12, 99)]
    assert factors == pytest.approx([1 / 3, 2 / 3, 1.0, 0.6, 0.2, 0.2])
    assert learning_rate_factor(1000, 0, 0, 0.2) == 1.0


def test_rollouts_are_measured():
    episodes = [
        episode(0, (0.0, 1.0), entropies=[1.0, 2.0]), episode(0, (1.0,), entropies=[3.0]),
        episode(1, (0.0, 0.0), problems=["unparsable", "impossible"]), episode(1, (0.0,), ended="overlong"),
    ]  # fmt: skip
    for one in episodes:
        for turn in one.turns:
            turn.command = "look"
    found = measure_rollout(episodes, batch(*episodes))
    wanted = {
        "rollout/success": 0.5, "rollout/dead_groups_failed": 0.5, "rollout/dead_groups_solved": 0.5,
        "rollout/invalid_turns": 2 / 6, "rollout/void_episodes": 0.25, "rollout/overlong_episodes": 0.25,
        "rollout/repeated_commands": 1.0, "entropy/mean": 9 / 6, "entropy/turn_0": 6 / 4, "entropy/turn_1": 1.5,
    }  # fmt: skip
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value), name


def test_updates_are_measured():
    made = batch(episode(0, (0.0, 0.0), logps=[-1.0, -2.0]), episode(0, (0.0, 0.0), logps=[-1.0, -1.0]))
    made.advantages = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    measures = UpdateMeasures()
    clipped = torch.tensor([[True, False], [False, False]])
    measures.add(made, torch.tensor([[-1.5, -2.0], [-2.0, -1.0]]), clipped, last_epoch=True)
    found = measures.metrics()
    assert found["train/logp_gap"] == pytest.approx(1.0)
    assert found["train/clip_fraction"] == pytest.approx(0.25)
    assert found["clip_fraction/turn_0"] == pytest.approx(0.5)
    assert found["clip_fraction/turn_1"] == 0.0
    assert found["train/displacement_positive"] == pytest.approx(-0.25)
    assert found["train/displacement_negative"] == pytest.approx(-0.5)
