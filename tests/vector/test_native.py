"""The base of native batches, with the smallest family there is: worlds that count to their limit."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode

from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded, UnknownId
from agentgym.vector import NativeVectorEnv, Step
from agentgym.vector.infos import combine_infos, infos_of, join_infos, only_infos, split_infos

WORLDS = 3


class Counting(NativeVectorEnv):
    """World i ends when its count is its goal, (seed mod 5) + 2; an action is added to the count."""

    reset_options = ("goal",)

    def __init__(self, mode=AutoresetMode.NEXT_STEP, count=WORLDS, limit=None):
        super().__init__(count, Box(-np.inf, np.inf, (1,)), Discrete(3), mode, limit)
        self.count, self.goal = np.zeros(count), np.zeros(count)
        self.stepped = np.zeros(count, int)

    def _checked(self, actions):
        if np.shape(actions) != (self.num_envs,):
            raise InvalidAction("one action a world")
        return np.asarray(actions)

    def _start(self, chosen, seeds, options):
        for world in np.flatnonzero(chosen):
            if seeds[world] is not None:
                self.goal[world] = seeds[world] % 5 + 2
        if "goal" in options:
            self.goal[chosen] = options["goal"]
        self.count[chosen] = 0
        return infos_of(chosen, goal=self.goal.copy())

    def _advance(self, actions, active):
        self.count[active] += actions[active]
        self.stepped += active
        return Step(actions + 0.5, self.count >= self.goal, None, infos_of(active, count=self.count.copy()))

    def _observe(self):
        return self.count[:, None].copy()

    def _state(self):
        return {"count": self.count.copy(), "goal": self.goal.copy()}

    def _set_state(self, state):
        self.count, self.goal = state["count"].copy(), state["goal"].copy()


ONES = np.ones(WORLDS, int)


def test_next_step_spends_a_step_on_the_reset():
    env = Counting()
    env.reset(seed=0)  # goals 2, 3, 4
    env.step(ONES)
    observations, rewards, terminated, _, infos = env.step(ONES)
    assert terminated.tolist() == [True, False, False]
    assert observations[:, 0].tolist() == [2, 2, 2]
    observations, rewards, terminated, _, infos = env.step(ONES)
    assert observations[:, 0].tolist() == [0, 3, 3]
    assert rewards.tolist() == [0.0, 1.5, 1.5]
    assert terminated.tolist() == [False, True, False]
    assert split_infos(infos, WORLDS) == [{"goal": 2.0}, {"count": 3.0}, {"count": 3.0}]
    assert env.elapsed.tolist() == [0, 3, 3]


def test_same_step_gives_the_last_of_the_old_and_the_first_of_the_new_episode():
    env = Counting(AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    env.step(ONES)
    observations, rewards, terminated, _, infos = env.step(ONES)
    assert observations[:, 0].tolist() == [0, 2, 2]
    assert rewards.tolist() == [1.5] * 3
    assert infos["final_obs"][0].tolist() == [2]
    assert infos["final_obs"][1] is None
    assert infos["_final_obs"].tolist() == terminated.tolist() == [True, False, False]
    assert split_infos(infos["final_info"], WORLDS) == [{"count": 2.0}, {}, {}]
    now = [{k: v for k, v in each.items() if not k.startswith("final")} for each in split_infos(infos, WORLDS)]
    assert now == [{"goal": 2.0}, {"count": 2.0}, {"count": 2.0}]


def test_without_autoreset_ended_worlds_have_to_be_reset_or_rest():
    env = Counting("Disabled")
    env.reset(seed=[0, 0, 2])
    env.step(ONES)
    env.step(ONES)
    with pytest.raises(ResetNeeded, match=r"\[0, 1\].*reset_mask"):
        env.step(ONES)
    env.reset(options={"reset_mask": np.array([True, False, False])})
    env.rest(np.array([False, True, False]))
    observations, rewards, *_ = env.step(ONES)
    assert observations[:, 0].tolist() == [1, 2, 3]
    assert rewards.tolist() == [1.5, 0.0, 1.5]
    assert env.stepped.tolist() == [3, 2, 3]
    env.reset(seed=0)
    assert env.step(ONES)[0][:, 0].tolist() == [1, 1, 1]


def test_the_time_limit_cuts():
    env = Counting("SameStep", limit=2)
    env.reset(seed=[0, 3, 4])
    env.step(ONES)
    *_, terminated, truncated, infos = env.step(ONES)
    assert terminated.tolist() == [True, False, False]
    assert truncated.all()
    assert infos["_final_info"].all()


@pytest.mark.parametrize("error", [ResetNeeded, gymnasium.error.ResetNeeded, RuntimeError])
def test_no_step_before_the_first_reset_of_every_world(error):
    env = Counting()
    with pytest.raises(error, match="call reset"):
        env.step(ONES)
    env.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(error, match=r"\[2\]"):
        env.step(ONES)
    with pytest.raises(InvalidAction):
        env.step([1])


def test_seeds_of_worlds():
    env = Counting()
    assert env.np_random_seed == (None,) * 3
    env.reset(seed=np.int32(7))
    assert env.np_random_seed == (7, 8, 9)
    env.reset(seed=[None, 1, None], options={"reset_mask": np.array([True, True, False])})
    assert env.np_random_seed == (7, 1, 9)
    env.reset()
    assert env.np_random_seed == (7, 1, 9)
    fresh = Counting()
    fresh.reset()
    assert len(set(fresh.np_random_seed)) == 3


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_state_goes_through_json_and_goes_on(mode):
    env, other = Counting(mode, limit=4), Counting(mode, limit=4)
    env.reset(seed=1)
    env.step(ONES)
    state = env.get_state()
    state["batch"] = json.loads(json.dumps(state["batch"]))
    other.set_state(state)
    for _ in range(9):
        one, two = env.step(ONES), other.step(ONES)
        for mine, theirs in zip(one[:4], two[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        if mode is AutoresetMode.DISABLED and (over := one[2] | one[3]).any():
            for each in (env, other):
                each.reset(options={"reset_mask": over})
    with pytest.raises(InvalidParameter, match="does not have 2"):
        Counting(count=2).set_state(state)
    with pytest.raises(InvalidParameter, match="not a state"):
        env.set_state({"count": 3})


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"count": 0}, InvalidParameter, "num_envs is 0; it must be a whole number of at least 1"),
        ({"count": 2.0}, InvalidParameter, "num_envs"),
        ({"count": True}, InvalidParameter, "num_envs"),
        ({"limit": 0}, InvalidParameter, "max_episode_steps"),
        ({"mode": "SameStp"}, UnknownId, "SameStep"),
    ],
)
def test_what_cannot_be_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        Counting(**arguments)


def test_infos_with_masks():
    shown = np.array([True, False, True])
    words = join_infos([{"word": "a", "at": {"x": 1}}, None, {"word": "c"}])
    infos = infos_of(shown, number=np.arange(3)) | words
    assert split_infos(infos, 3) == [{"number": 0, "word": "a", "at": {"x": 1}}, {}, {"number": 2, "word": "c"}]
    last = only_infos(infos, np.array([False, True, True]))
    assert split_infos(last, 3) == [{}, {}, {"number": 2, "word": "c"}]
    assert last["number"].tolist() == [0, 0, 2]
    assert last["word"].tolist() == [None, None, "c"]
    more = combine_infos(last, infos_of(np.array([False, True, True]), number=np.array([7, 8, 9])))
    assert split_infos(more, 3) == [{}, {"number": 8}, {"number": 9, "word": "c"}]
    assert infos_of(np.zeros(3, bool), number=np.arange(3)) == {}
