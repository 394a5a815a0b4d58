"""A native batch of one as a Gymnasium and as a PettingZoo environment, with agents that are not alike and leave."""

from typing import ClassVar

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pettingzoo.test import parallel_api_test, parallel_seed_test

from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded, UnknownId
from agentgym.multi_agent import ParallelEnvBatch
from agentgym.seeding import restore, state_of
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import infos_of
from agentgym.vector.views import NativeEnv, NativeParallelEnv

AGENTS = ["chaser_0", "chaser_1", "runner"]
WINDOWS = [np.array([0, 1, 2]), np.array([1, 0, 2]), np.array([2])]


class Chase(NativeVectorEnv):
    """Three points on a line. The runner's part is over when a chaser is near, the world's at the time limit."""

    metadata: ClassVar = {"render_modes": ["ansi"]}
    reset_options = ("start",)

    def __init__(self, worlds=1, mode=AutoresetMode.DISABLED, whole=False, render_mode=None):
        done = MultiDiscrete([3, 3, 3], start=[-1, -1, -1]) if whole else Box(-1, 1, (3, 1))
        super().__init__(worlds, Box(-np.inf, np.inf, (3, 1)), done, mode, 12, render_mode=render_mode)
        self.x, self.runs = np.zeros((worlds, 3)), np.ones(worlds, bool)
        self.generators = [np.random.default_rng() for _ in range(worlds)]
        self.given = []

    def _start(self, chosen, seeds, options):
        for world in np.flatnonzero(chosen):
            if seeds[world] is not None:
                self.generators[world] = np.random.default_rng(seeds[world])
            self.x[world] = self.generators[world].normal(0, 2, 3) if "start" not in options else options["start"]
        self.runs[chosen] = True
        return infos_of(chosen, begun=np.arange(self.num_envs))

    def _advance(self, actions, active):
        self.given.append(np.array(actions))
        moved = np.asarray(actions, float).reshape(self.num_envs, 3)
        self.x[active] += moved[active]
        self.x[active] += np.stack([each.normal(0, 0.01, 3) for each in self.generators])[active]
        gaps = abs(self.x[:, :2] - self.x[:, 2:])
        caught = self.runs & (gaps.min(1) < 0.3)
        self.runs &= ~caught
        rewards = np.concatenate([-gaps, gaps.min(1)[:, None]], axis=1)
        left = np.outer(caught, [False, False, True])
        infos = infos_of(active, agent_rewards=rewards, agent_terminated=left, agent_x=self.x.copy(), caught=caught)
        return Step(rewards.sum(1), np.zeros(self.num_envs, bool), None, infos)

    def _observe(self):
        return self.x[:, :, None].astype(np.float32)

    def _state(self):
        return {"x": self.x.copy(), "runs": self.runs.copy(), "random": [state_of(each) for each in self.generators]}

    def _set_state(self, state):
        self.x, self.runs = state["x"].copy(), state["runs"].copy()
        for generator, taken in zip(self.generators, state["random"], strict=True):
            restore(generator, taken)

    def _frame(self, world):
        return f"world {world}: {self.x[world].round(1)}"


def parallel(**settings):
    return NativeParallelEnv(Chase(**settings), AGENTS, WINDOWS)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.filterwarnings("ignore:There is no reset option")
def test_pettingzoo_accepts_it(whole):
    parallel_api_test(parallel(whole=whole), num_cycles=60)
    parallel_seed_test(lambda: parallel(whole=whole), num_cycles=30)


def test_gymnasium_accepts_it():
    check_env(NativeEnv(Chase()), skip_render_check=True)


def test_the_views_show_what_the_batch_does():
    batch, single, agents = Chase(2), NativeEnv(Chase()), parallel()
    observations, _ = batch.reset(seed=[7, 8])
    assert np.array_equal(single.reset(seed=8)[0], observations[1])
    seen, told = agents.reset(seed=8)
    assert told == {agent: {"begun": 0} for agent in AGENTS}
    generator = np.random.default_rng(0)
    for step in range(1, 13):
        actions = generator.uniform(-1, 1, (2, 3, 1)).astype(np.float32)
        actions[:, 2] *= batch.runs[:, None]  # the action of who left is zero
        assert all(
            np.array_equal(seen[agent], observations[1].reshape(-1)[WINDOWS[AGENTS.index(agent)]]) for agent in seen
        )
        observations, rewards, _, truncated, infos = batch.step(actions)
        view = single.step(actions[1])
        assert np.array_equal(view[0], observations[1])
        assert view[1:4] == (rewards[1], False, step == 12)
        assert truncated[1] == (step == 12)
        acting = list(agents.agents)
        seen, paid, terminations, truncations, told = agents.step(dict(zip(AGENTS, actions[1], strict=True)))
        assert list(seen) == list(paid) == list(told) == acting
        for agent in acting:
            k = AGENTS.index(agent)
            assert paid[agent] == infos["agent_rewards"][1, k]
            assert terminations[agent] == infos["agent_terminated"][1, k]
            assert truncations[agent] == (step == 12)
            assert told[agent] == {"caught": infos["caught"][1], "x": infos["agent_x"][1, k]}
        assert np.array_equal(agents.state(), observations[1].reshape(-1))
    assert agents.agents == []
    with pytest.raises(ResetNeeded):
        agents.step({})


def test_an_agent_leaves_and_the_others_go_on():
    env = parallel()
    env.reset(seed=0, options={"start": [-3.0, 3.0, 3.1]})
    assert env.observation_space("runner") == Box(-np.inf, np.inf, (1,))
    still = {agent: np.zeros(1, np.float32) for agent in AGENTS}
    seen, _, terminations, _, _ = env.step(still)
    assert seen["runner"].shape == (1,)  # its last
    assert terminations == {"chaser_0": False, "chaser_1": False, "runner": True}
    assert env.agents == ["chaser_0", "chaser_1"]
    seen, paid, *_ = env.step({**still, "runner": np.ones(1)})
    assert list(seen) == list(paid) == ["chaser_0", "chaser_1"]
    assert env.batch.given[-1][0, 2] == 0
    env.reset(seed=1)
    assert env.agents == AGENTS


def test_groups_masks_and_states_of_a_batch_of_views():
    batch = ParallelEnvBatch([parallel(), parallel()])
    assert {name: group.agents for name, group in batch.groups.items()} == {
        "chaser": ("chaser_0", "chaser_1"), "runner": ("runner",),
    }  # fmt: skip
    current, gone = batch.reset(seed=3), False
    for _ in range(12):
        towards = np.sign(current.observations["chaser"][:, :, 2] - current.observations["chaser"][:, :, 0])
        actions = {"chaser": towards[..., None] * 0.5, "runner": np.zeros((2, 1, 1))}
        step = batch.step(actions)
        gone |= bool((step.acted & ~step.reached.alive)[:, 2].any() and not step.over.any())
        assert (step.rewards[~step.acted] == 0).all()
        assert np.array_equal(step.reached.states[0], batch.envs[0].state()) or step.over[0]
        current = step.current
    assert gone


@pytest.mark.parametrize("action", [np.nan, 1.5, np.inf, "a", [0.0, 0.0], None])
def test_a_wrong_action_names_its_agent(action):
    env = parallel()
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="chaser_1"):
        env.step({"chaser_0": [0.0], "chaser_1": action, "runner": [0.0]})
    with pytest.raises(InvalidAction, match="chaser_1"):
        env.step({"chaser_0": [0.0], "runner": [0.0]})
    assert env.batch.given == []


def test_a_wrong_whole_number_names_its_agent():
    env = parallel(whole=True)
    env.reset(seed=0)
    assert env.action_space("runner") == Discrete(3, start=-1)
    for action in (2, -2, 0.5):
        with pytest.raises(InvalidAction, match="runner"):
            env.step({"chaser_0": 0, "chaser_1": -1, "runner": action})
    env.step({"chaser_0": 0, "chaser_1": np.int64(-1), "runner": 1})
    assert env.batch.given[-1].tolist() == [[0, -1, 1]]


def test_states_come_back_exactly():
    env, again = NativeEnv(Chase()), NativeEnv(Chase())
    env.reset(seed=5)
    for _ in range(4):
        env.step(np.full((3, 1), 0.1))
    again.set_state(env.get_state())
    for _ in range(8):
        one, other = env.step(np.zeros((3, 1))), again.step(np.zeros((3, 1)))
        assert np.array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]


def test_chosen_worlds_are_drawn():
    batch = Chase(3, render_mode="ansi")
    batch.reset(seed=0)
    every = batch.render()
    assert [frame.split(":")[0] for frame in every] == ["world 0", "world 1", "world 2"]
    assert batch.render(worlds=[2, 0]) == (every[2], every[0])
    assert batch.render(worlds=[]) == ()
    assert Chase(3).render(worlds=[1]) is None
    with pytest.raises(InvalidParameter, match=r"\[3\]"):
        batch.render(worlds=[0, 3])
    assert NativeEnv(Chase(render_mode="ansi")).render().startswith("world 0")


def test_what_cannot_be_a_view_is_refused():
    with pytest.raises(InvalidParameter, match="batch of one"):
        NativeEnv(Chase(2))
    with pytest.raises(InvalidParameter, match="batch of one"):
        NativeParallelEnv(Chase(1, AutoresetMode.SAME_STEP), AGENTS, WINDOWS)
    with pytest.raises(InvalidParameter, match="2 agents"):
        NativeParallelEnv(Chase(), AGENTS[:2], WINDOWS)
    with pytest.raises(InvalidParameter, match="3 agents"):
        NativeParallelEnv(Chase(), AGENTS, WINDOWS[:2])
    strange = Chase()
    strange.single_observation_space = Dict({"x": Box(-1, 1, (3,))})
    with pytest.raises(InvalidParameter, match="3 windows"):
        NativeParallelEnv(strange, AGENTS, WINDOWS)
    with pytest.raises(UnknownId, match="start"):
        NativeEnv(Chase()).reset(options={"begin": 1})
    with pytest.warns(UserWarning, match="begin"):
        parallel().reset(options={"begin": 1})
