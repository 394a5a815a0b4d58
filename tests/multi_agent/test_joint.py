"""PettingZoo environments as joint Gymnasium environments, and by name."""

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import agentgym
from agentgym import catalog
from agentgym.errors import AskError, InvalidAction, InvalidParameter, ResetNeeded, UnknownId
from agentgym.multi_agent import JointEnv
from tests.agents.marl import ring


def test_gymnasiums_checker_passes():
    check_env(JointEnv(ring.RingParallelEnv()), skip_render_check=True)


def test_it_is_the_environment_agent_by_agent():
    parallel, joint = ring.RingParallelEnv(), JointEnv(ring.RingParallelEnv())
    expected, _ = parallel.reset(seed=3)
    found, _ = joint.reset(seed=3)
    assert (joint.observation_space.shape, joint.action_space.shape) == ((ring.AGENTS, 6), (ring.AGENTS, 1))
    generator = np.random.default_rng(0)
    over = False
    while not over:
        for k, agent in enumerate(parallel.possible_agents):
            np.testing.assert_array_equal(found[k], expected[agent])
            np.testing.assert_array_equal(found.flatten()[joint.agent_windows[k]], expected[agent])
        actions = generator.uniform(-1, 1, (ring.AGENTS, 1)).astype(np.float32)
        expected, rewards, terminations, truncations, _ = parallel.step(
            dict(zip(parallel.possible_agents, actions, strict=True))
        )
        found, reward, terminated, truncated, info = joint.step(actions)
        np.testing.assert_array_equal(info["agent_rewards"], list(rewards.values()))
        assert reward == pytest.approx(np.mean(list(rewards.values())))
        assert terminated == all(terminations.values())
        over = terminated or truncated
    assert over == (all(terminations.values()) or all(truncations.values()))


def test_a_time_limit_is_a_truncation():
    joint = JointEnv(ring.RingParallelEnv(limit=2))
    joint.reset(seed=0)
    still = np.zeros((ring.AGENTS, 1), np.float32)
    assert joint.step(still)[2:4] == (False, False)
    assert joint.step(still)[2:4] == (False, True)


def test_steps_without_an_episode_are_refused():
    joint = JointEnv(ring.RingParallelEnv(limit=1))
    still = np.zeros((ring.AGENTS, 1), np.float32)
    with pytest.raises(ResetNeeded):
        joint.step(still)
    joint.reset(seed=0)
    joint.step(still)
    with pytest.raises(ResetNeeded):
        joint.step(still)


def test_each_agents_info_is_kept():
    env = ring.RingParallelEnv()
    joint = JointEnv(env)
    assert joint.reset(seed=0)[1] == {}
    told = {"node 2": {"fell": True}, "node 0": {}}
    step = env.step
    env.step = lambda actions: (*step(actions)[:4], told)
    info = joint.step(np.zeros((ring.AGENTS, 1), np.float32))[4]
    assert set(info) == {"agent_rewards", "agent_infos"}
    assert info["agent_infos"] == {f"node {k}": {"fell": True} if k == 2 else {} for k in range(ring.AGENTS)}


def test_agents_that_leave_early_are_named():
    joint = JointEnv(ring.RingParallelEnv(leaves="node 2"))
    joint.reset(seed=0)
    with pytest.raises(InvalidParameter, match=r"\['node 2'\] left before the others"):
        joint.step(np.zeros((ring.AGENTS, 1), np.float32))
    late = ring.RingParallelEnv()
    late._each = lambda values: dict(list(zip(late.possible_agents, values, strict=True))[1:])
    with pytest.raises(InvalidParameter, match="node 0"):
        JointEnv(late).reset(seed=0)


@pytest.mark.parametrize("kind", [0, 1])
def test_unequal_or_unsuitable_spaces_are_named(kind):
    for space, said in ((spaces.Box(-2, 2, (3,)), r"\['node 3'\]"), (spaces.Discrete(2), r"\['node 3'\]")):
        env = ring.RingParallelEnv()
        env.spaces["node 3"] = tuple(space if which == kind else env.spaces["node 3"][which] for which in range(2))
        with pytest.raises(InvalidParameter, match=said):
            JointEnv(env)
    env = ring.RingParallelEnv()
    env.spaces = dict.fromkeys(env.spaces, (spaces.Discrete(2), spaces.Discrete(2)))
    with pytest.raises(InvalidParameter, match="only a Box"):
        JointEnv(env)
    with pytest.raises(InvalidParameter, match="no possible_agents"):
        JointEnv(SimpleNamespace(possible_agents=[]))


@pytest.mark.parametrize("action", [np.zeros(ring.AGENTS), np.full((ring.AGENTS, 1), np.nan)])
def test_actions_that_cannot_be_are_refused(action):
    joint = JointEnv(ring.RingParallelEnv())
    joint.reset(seed=0)
    with pytest.raises(InvalidAction, match="joint action"):
        joint.step(action)


def test_the_pettingzoo_form_by_name(monkeypatch):
    with pytest.raises(AskError, match="no PettingZoo version"):
        agentgym.parallel_env("agentgym/BernoulliBandit-v0")
    with pytest.raises(UnknownId, match="RobustHopper"):
        agentgym.parallel_env("agentgym/RobustHoper-v0")
    entry = catalog.Entry(
        "env", "tests/RingParallel-v0", "no:where", "", "", parallel_target="ring:RingParallelEnv", kwargs={"limit": 7}
    )
    monkeypatch.setattr(catalog, "_all", lambda: {("env", entry.id): entry})
    monkeypatch.setattr(catalog, "resolve", lambda target: {"ring:RingParallelEnv": ring.RingParallelEnv}[target])
    assert agentgym.parallel_env(entry.id).limit == 7
    assert agentgym.parallel_env(entry.id, limit=9).limit == 9
    with pytest.raises(UnknownId, match=r"named 'limits'.* Nearest: limit"):
        agentgym.parallel_env(entry.id, limits=5)
