"""PettingZoo environments side by side: who acts, who left, what they saw last; exact state."""

import itertools

import numpy as np
import pytest

from agentgym.errors import InvalidAction, InvalidParameter, NonFinite, ResetNeeded, SpaceMismatch
from agentgym.multi_agent import ParallelEnvBatch
from agentgym.runs import state_files
from agentgym.runs.state import pack, unpack
from agentgym.seeding import episode_seed
from tests.multi_agent.worlds import SPACES, LeavingEnv, equal, random_actions

AGENTS = list(SPACES)
TOGETHER = {"red_0": (4, "terminated"), "blue_0": (2, "terminated"), "red_1": (2, "truncated"), "scout": (6, "both")}
ORDERS = [
    {agent: (2 * place + 2, "terminated") for place, agent in enumerate(order)}
    for order in itertools.permutations(AGENTS)
]


def played(batch, steps, seed=0):
    generator = np.random.default_rng(seed)
    return [batch.step(random_actions(batch, generator)) for _ in range(steps)]


def places(batch):
    """Group and place in it of every agent."""
    return [(name, group.agents.index(agent)) for agent in AGENTS for name, group in batch.groups.items()
            if agent in group.agents]  # fmt: skip


@pytest.mark.parametrize("leaves", [*ORDERS, TOGETHER])
def test_a_world_goes_on_until_its_last_agent_left(leaves):
    batch, alone = ParallelEnvBatch(LeavingEnv(leaves)), LeavingEnv(leaves)
    current = batch.reset(seed=5)
    observations, _ = alone.reset(seed=episode_seed(5, 0, 0))
    generator, last = np.random.default_rng(1), max(step for step, _ in leaves.values())
    for t in range(1, last + 1):
        living = [agent in alone.agents for agent in AGENTS]
        for k, (name, place) in enumerate(places(batch)):
            assert np.all(current.observations[name][0, place] == (observations[AGENTS[k]] if living[k] else 0))
        actions = random_actions(batch, generator)
        told = {agent: actions[name][0, place] for agent, (name, place) in zip(AGENTS, places(batch), strict=True)}
        told = {agent: told[agent] for agent in alone.agents}
        observations, rewards, terminations, truncations, infos = alone.step(told)
        step = batch.step(actions)
        assert step.acted[0].tolist() == living
        for k, (agent, (name, place)) in enumerate(zip(AGENTS, places(batch), strict=True)):
            assert step.rewards[0, k] == rewards.get(agent, 0)
            assert step.terminated[0, k] == terminations.get(agent, False)
            assert step.truncated[0, k] == truncations.get(agent, False)
            assert np.all(step.reached.observations[name][0, place] == (observations[agent] if living[k] else 0))
        assert step.reached.infos == [infos]
        assert step.reached.alive[0].tolist() == [agent in alone.agents for agent in AGENTS]
        assert step.over.tolist() == [t == last]
        assert batch.elapsed.tolist() == [0 if t == last else t]
        current = step.current
    assert current.alive.all()
    fresh, infos = alone.reset(seed=episode_seed(5, 0, 1))
    assert np.array_equal(current.observations["red"][0, 1], fresh["red_1"])
    assert current.infos == [infos]


def test_world_i_does_not_depend_on_the_others():
    leaves = [ORDERS[3], TOGETHER, ORDERS[17]]
    batch = ParallelEnvBatch([LeavingEnv(each) for each in leaves])
    batch.reset(seed=3)
    steps = played(batch, 25)
    assert all(sum(step.over[world] for step in steps) >= 2 for world in range(3))
    others = ParallelEnvBatch([LeavingEnv(ORDERS[0]), LeavingEnv(TOGETHER), LeavingEnv(ORDERS[1])])
    others.reset(seed=3)
    for step, other in zip(steps, played(others, 25), strict=True):
        for name in batch.groups:
            assert np.array_equal(step.reached.observations[name][1], other.reached.observations[name][1])
        assert np.array_equal(step.rewards[1], other.rewards[1])
        assert np.array_equal(step.current.states[1], other.current.states[1])


def test_a_time_limit_truncates_who_is_alive_and_nobody_else():
    batch = ParallelEnvBatch([LeavingEnv({**TOGETHER, "red_0": (5, "terminated")}), LeavingEnv()], max_episode_steps=5)
    batch.reset(seed=0)
    step = played(batch, 5)[-1]
    assert step.terminated[0].tolist() == [True, False, False, False]
    assert step.truncated[0].tolist() == [False, False, False, True]
    assert step.over.tolist() == [True, False]
    assert step.reached.observations["red"][0, 0].any()
    assert np.array_equal(step.reached.observations["red"][0, 1], np.zeros(3))
    with pytest.raises(InvalidParameter, match="max_episode_steps"):
        ParallelEnvBatch(LeavingEnv(), max_episode_steps=0)


@pytest.mark.parametrize("gives_state", [True, False])
def test_junk_in_dead_slots_changes_nothing(gives_state):
    clean, junk = (
        ParallelEnvBatch([LeavingEnv(TOGETHER, junk, gives_state), LeavingEnv(ORDERS[7], junk, gives_state)])
        for junk in (False, True)
    )
    assert equal(clean.reset(seed=2), junk.reset(seed=2))
    generator = np.random.default_rng(4)
    for _ in range(20):
        actions = random_actions(clean, generator)
        dead = {name: ~clean.current.alive[:, group.index] for name, group in clean.groups.items()}
        wild = {name: each.copy() for name, each in actions.items()}
        wild["blue"][dead["blue"]] = np.nan
        wild["red"][dead["red"]] = -99
        wild["scout"][dead["scout"]] = 99
        assert equal(clean.step(actions), junk.step(wild))
    assert str(clean.get_state()) == str(junk.get_state())


def test_nobody_left_so_nothing_is_copied():
    batch = ParallelEnvBatch([LeavingEnv(), LeavingEnv()])
    batch.reset(seed=0)
    steps = played(batch, 3)
    assert [step.current is step.reached for step in steps] == [True, True, False]


def test_agents_that_come_late_act_from_then_on():
    leaves = dict.fromkeys(AGENTS, (4, "terminated"))
    batch = ParallelEnvBatch(LeavingEnv(leaves, late=("scout",), gives_state=False))
    first = batch.reset(seed=0)
    assert first.alive.tolist() == [[True, True, True, False]]
    assert not first.states[0, -5:].any()
    steps = played(batch, 4)
    assert [step.acted[0, 3] for step in steps] == [False, True, True, True]
    assert steps[0].reached.alive.all()
    assert steps[0].reached.states[0, -5:].sum() == 1
    assert [bool(step.over[0]) for step in steps] == [False, False, False, True]


def test_a_global_state_or_all_observations():
    own, joined = ParallelEnvBatch(LeavingEnv(TOGETHER)), ParallelEnvBatch(LeavingEnv(TOGETHER, gives_state=False))
    assert (own.state_size, joined.state_size) == (5, 3 + 4 + 3 + 5)
    own.reset(seed=0)
    joined.reset(seed=0)
    steps, others = played(own, 3), played(joined, 3)
    assert [step.reached.states[0, 4] for step in steps] == [1, 2, 3]
    for step in others:
        for seen in (step.reached, step.current):
            assert np.array_equal(seen.states[0, :3], seen.observations["red"][0, 0])
            assert np.array_equal(seen.states[0, 3:7], seen.observations["blue"][0, 0].reshape(-1))
            assert seen.states[0, 10:].tolist() == np.eye(5)[seen.observations["scout"][0, 0]].tolist()
    assert others[1].reached.states[0, 3:10].all()
    assert not others[1].current.states[0, 3:10].any()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 6, 11])
def test_exact_state_by_replay(tmp_path, steps):
    def make():
        return ParallelEnvBatch([LeavingEnv(TOGETHER), LeavingEnv(ORDERS[9]), LeavingEnv()])

    batch, again = make(), make()
    batch.reset(seed=8)
    played(batch, steps)
    state_files.write(tmp_path / "state", pack({"worlds": batch.get_state()}))
    again.set_state(unpack(state_files.read(tmp_path / "state"))["worlds"])
    assert again.replayed_exactly
    assert equal(batch.current, again.current)
    for one, other in zip(played(batch, 30, seed=1), played(again, 30, seed=1), strict=True):
        assert equal(one, other)


def test_a_replay_that_differs_is_told():
    batch, other = ParallelEnvBatch(LeavingEnv(ORDERS[0])), ParallelEnvBatch(LeavingEnv(ORDERS[0]))
    batch.reset(seed=8)
    played(batch, 1)
    other.envs[0]._observed = lambda agents: dict(LeavingEnv._observed(other.envs[0], agents), blue_0=np.ones((2, 2)))
    other.set_state(batch.get_state())
    assert not other.replayed_exactly


@pytest.mark.parametrize(
    "state", [{}, {"seed": 0, "episodes": [0, 0], "worlds": []}, {"seed": 0, "episodes": [0], "worlds": [{}]},
              {"seed": 0, "episodes": [0], "worlds": [{"actions": {"red": []}, "digest": ""}]}]
)  # fmt: skip
def test_states_of_other_worlds_are_refused(state):
    batch = ParallelEnvBatch(LeavingEnv())
    batch.reset(seed=0)
    before = batch.get_state()
    with pytest.raises(InvalidParameter, match="state"):
        batch.set_state(state)
    assert str(batch.get_state()) == str(before)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("red", np.array([[1, 5], [1, 1]]), r"'red_1' in environment 0 is 5, which is not in Discrete"),
        ("red", np.array([[1, 1], [0, 1]]), r"'red_0' in environment 1 is 0"),
        ("red", np.ones((2, 2)), r"'red_0' in environment 0 is 1.0"),
        ("red", np.ones((2, 1), int), r"numbers of shape \[2, 2\], not int64 \[2, 1\]"),
        ("red", [[1, 2], [1]], "must be an array"),
        ("red", [["up", "up"]] * 2, "numbers"),
        ("blue", np.full((2, 1, 2), np.nan), "'blue_0' in environment 0 is .*nan"),
        ("scout", np.array([[[0, 0]], [[1, 3]]]), r"'scout' in environment 1 is \[1, 3\]"),
        ("green", np.zeros(2), "for each of the groups"),
    ],
)
def test_actions_that_cannot_be_are_refused_before_any_world_moves(name, value, said):
    batch = ParallelEnvBatch([LeavingEnv(), LeavingEnv()])
    batch.reset(seed=0)
    actions = random_actions(batch, np.random.default_rng(0))
    with pytest.raises(InvalidAction, match=said):
        batch.step({**actions, name: value})
    with pytest.raises(InvalidAction, match="the groups"):
        batch.step(actions["red"])
    assert batch.elapsed.tolist() == [0, 0]
    assert batch.envs[0].given == []


class Broken(LeavingEnv):
    def __init__(self, change, at=2):
        super().__init__({**TOGETHER, "red_1": (9, "truncated")})
        self.change, self.at = change, at

    def step(self, actions):
        answer = super().step(actions)
        if self.t == self.at:
            self.change(self, *answer)
        return answer


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda env, o, r, *_: r.pop("red_0"), InvalidParameter, "Environment 1, step 2: agent 'red_0' got no reward"),
        (lambda env, o, r, *_: o.pop("red_0"), InvalidParameter, "'red_0' got no observation"),
        (lambda env, o, r, t, *_: t.pop("red_0"), InvalidParameter, "'red_0' got no termination"),
        (lambda env, o, r, *_: r.update(red_0=np.ones(2)), InvalidParameter, "'red_0' got the reward"),
        (lambda env, o, r, *_: r.update(red_0=np.nan), NonFinite, "step 2: the reward"),
        (lambda env, o, r, *_: o.update(red_0=np.full(3, np.inf)), NonFinite, "observation of agent 'red_0'"),
        (lambda env, o, r, *_: o.update(red_0=np.zeros(4)), SpaceMismatch, r"'red_0' observes float64 \[4\]"),
        (lambda env, o, r, *_: o.update(scout=5), SpaceMismatch, "'scout' observes 5"),
        (lambda env, o, r, *_: o.update(scout=0.5), SpaceMismatch, "'scout' observes float64"),
        (lambda env, *_: env.agents.remove("red_0"), InvalidParameter, r"\['red_0'\] left without being"),
        (lambda env, *_: env.agents.append("green"), InvalidParameter, r"\['green'\] are not in possible"),
        (lambda env, *_: setattr(env, "x", np.full(4, np.nan)), NonFinite, r"state\(\)"),
        (lambda env, *_: setattr(env, "x", np.zeros(9)), InvalidParameter, "10 entries instead of 5"),
    ],
)
def test_environments_that_break_the_rules_are_named(change, error, said):
    batch = ParallelEnvBatch([LeavingEnv(TOGETHER), Broken(change)])
    batch.reset(seed=0)
    played(batch, 1)
    with pytest.raises(error, match=said):
        played(batch, 1)


def test_who_died_needs_no_last_observation_but_who_was_cut_off_does():
    for agent, end in (("blue_0", "terminated"), ("red_1", "truncated")):
        leaves = {**dict.fromkeys(AGENTS, (9, "terminated")), agent: (2, end)}
        env = Broken(lambda env, o, *_, agent=agent: o.pop(agent))
        env.leaves = leaves
        batch = ParallelEnvBatch(env)
        batch.reset(seed=0)
        if end == "terminated":
            step = played(batch, 2)[-1]
            assert step.terminated[0, 1]
            assert not step.reached.observations["blue"].any()
        else:
            with pytest.raises(InvalidParameter, match="'red_1' got no observation"):
                played(batch, 2)


def test_rewards_may_be_arrays_of_one_entry():
    batch = ParallelEnvBatch(Broken(lambda env, o, r, *_: r.update(red_0=np.array([2.5]))))
    batch.reset(seed=0)
    assert played(batch, 2)[-1].rewards[0, 0] == 2.5


def test_batches_that_cannot_be_are_refused():
    env = LeavingEnv()
    with pytest.raises(ResetNeeded):
        ParallelEnvBatch(env).step({})
    for envs in ([], [env, env]):
        with pytest.raises(InvalidParameter, match="given twice"):
            ParallelEnvBatch(envs)
    fewer = LeavingEnv()
    fewer.possible_agents = fewer.possible_agents[:2]
    with pytest.raises(InvalidParameter, match="Environment 1 has the agents"):
        ParallelEnvBatch([env, fewer])
    other = LeavingEnv()
    other.action_space = lambda agent: LeavingEnv.action_space(other, "scout")
    with pytest.raises(InvalidParameter, match="spaces of agent"):
        ParallelEnvBatch([env, other])
    with pytest.raises(InvalidParameter, match="state size"):
        ParallelEnvBatch([env, LeavingEnv(gives_state=False)])
    with pytest.raises(InvalidParameter, match="no agent is alive"):
        ParallelEnvBatch(LeavingEnv(late=AGENTS)).reset(seed=0)
    with pytest.raises(InvalidParameter, match="seed"):
        ParallelEnvBatch(env).reset(seed=-1)
