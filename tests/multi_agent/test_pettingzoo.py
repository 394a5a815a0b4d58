"""PettingZoo's own environments and ours, as a batch: the same numbers as from the environment itself."""

import numpy as np
import pytest
from pettingzoo.test.example_envs import generated_agents_parallel_v0

from agentgym.envs.convection.parallel import ConvectionParallelEnv
from agentgym.errors import InvalidParameter
from agentgym.multi_agent import ParallelEnvBatch
from agentgym.seeding import episode_seed
from tests.multi_agent.worlds import equal, random_actions


def mpe(name, **kwargs):
    return pytest.importorskip(f"mpe2.{name}").parallel_env(**kwargs)


WORLDS = {
    "convection": lambda: ConvectionParallelEnv(actions=5),
    "simple spread": lambda: mpe("simple_spread_v3", max_cycles=6),
    "simple spread in boxes": lambda: mpe("simple_spread_v3", max_cycles=6, continuous_actions=True),
    "tag": lambda: mpe("simple_tag_v3", max_cycles=6),
    "speaker and listener": lambda: mpe("simple_speaker_listener_v4", max_cycles=6),
    "world communication": lambda: mpe("simple_world_comm_v3", max_cycles=6),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_batch_gives_what_the_environments_give(name):
    batch, alone = ParallelEnvBatch([WORLDS[name](), WORLDS[name]()]), WORLDS[name]()
    batch.reset(seed=4)
    observations, _ = alone.reset(seed=episode_seed(4, 1, 0))
    generator, group_of = np.random.default_rng(0), {}
    for group in batch.groups.values():
        group_of |= {agent: (group.name, place) for place, agent in enumerate(group.agents)}
    for _ in range(200):
        actions = random_actions(batch, generator)
        told = {agent: actions[group_of[agent][0]][1, group_of[agent][1]] for agent in alone.agents}
        observations, rewards, terminations, truncations, _ = alone.step(told)
        step = batch.step(actions)
        for k, agent in enumerate(batch.agents):
            group, place = group_of[agent]
            assert step.acted[1, k] == (agent in told)
            if agent in told:
                assert np.array_equal(step.reached.observations[group][1, place], observations[agent])
                assert step.rewards[1, k] == rewards[agent]
                assert (step.terminated[1, k], step.truncated[1, k]) == (terminations[agent], truncations[agent])
        if step.over[1]:
            assert not alone.agents
            return
        observations = {agent: observations[agent] for agent in alone.agents}
    pytest.fail("no episode ended")


@pytest.mark.parametrize("name", WORLDS)
def test_they_come_back_exactly(name):
    batch, again = (ParallelEnvBatch([WORLDS[name](), WORLDS[name]()]) for _ in range(2))
    batch.reset(seed=4)
    generator = np.random.default_rng(0)
    for _ in range(8):
        batch.step(random_actions(batch, generator))
    again.set_state(batch.get_state())
    assert again.replayed_exactly
    for _ in range(8):
        actions = random_actions(batch, generator)
        assert equal(batch.step(actions), again.step(actions))


def test_roles_are_groups():
    groups = ParallelEnvBatch(mpe("simple_tag_v3")).groups
    assert {name: len(group.agents) for name, group in groups.items()} == {"adversary": 3, "agent": 1}


def test_an_environment_without_possible_agents_is_refused():
    with pytest.raises(InvalidParameter, match="possible_agents"):
        ParallelEnvBatch(generated_agents_parallel_v0.parallel_env())
