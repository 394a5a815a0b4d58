"""What agents that condition on returns are told, and what they promise, in every way that episodes are played."""

from typing import ClassVar, NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agentgym.agents.offline.scores import EvaluationEnvs
from agentgym.contracts.agent import PROMISED, Traits
from agentgym.evaluation.conditions import Condition
from agentgym.evaluation.film import played_by
from agentgym.evaluation.rollout import Job, play_batches, play_episodes
from agentgym.evaluation.table import Scene

OBSERVATIONS = spaces.Box(0.0, 1.0, (1,))
ACTIONS = spaces.Box(-100.0, 100.0, (1,))
SEEDS = range(7)


def first_seen(seed: int) -> float:
    return 0.01 * (seed + 1)


def steps_of(seed: int) -> int:
    return 2 + seed % 3


class Pays(gymnasium.Env):
    """Pays the action; an episode has two to four steps, by its seed."""

    observation_space, action_space = OBSERVATIONS, ACTIONS
    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        self.left = steps_of(seed)
        return np.array([first_seen(seed)], np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.full(1, 0.5, np.float32), float(action[0]), self.left == 0, False, {}

    def render(self):
        return np.zeros((16, 16, 3), np.uint8)


class PaysBatch(VectorEnv):
    """The same, all worlds at once."""

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int, autoreset_mode: AutoresetMode) -> None:
        assert autoreset_mode == AutoresetMode.SAME_STEP
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = OBSERVATIONS, ACTIONS
        self.observation_space, self.action_space = (batch_space(one, num_envs) for one in (OBSERVATIONS, ACTIONS))

    def get_state(self):
        raise NotImplementedError

    def set_state(self, state):
        raise NotImplementedError

    def reset(self, *, seed=None, options=None):
        self.left = np.array([steps_of(one) for one in seed])
        return np.array([[first_seen(one)] for one in seed], np.float32), {}

    def step(self, actions):
        self.left -= 1
        over = self.left == 0
        self.left[over] = 3
        seen = np.full((self.num_envs, 1), 0.5, np.float32)
        infos = {"final_obs": seen, "final_info": {}, "_final_info": over} if over.any() else {}
        return seen, actions[:, 0].astype(float), over, np.zeros_like(over), infos


gymnasium.register("PaysForTest-v0", Pays)
gymnasium.register("PaysBatchForTest-v0", Pays, vector_entry_point=PaysBatch)


class Memory(NamedTuple):
    promises: np.ndarray


class Listener:
    """Gives one more than it was last paid, and promises a thousand times what it saw first."""

    observation_space, action_space = OBSERVATIONS, ACTIONS
    traits = Traits(hears_rewards=True, promises=True)

    def predict(self, observation, state=None, episode_start=None, deterministic=False, *, reward):
        single = np.ndim(observation) == 1
        seen = np.atleast_2d(observation)
        assert reward.shape == episode_start.shape == (len(seen),)
        assert reward.dtype == np.float32
        assert not reward[episode_start].any()
        before = np.zeros(len(seen)) if state is None else state.promises
        actions = (reward[:, None] + 1).astype(np.float32)
        memory = Memory(np.where(episode_start, 1000.0 * seen[:, 0], before))
        return actions[0] if single else actions, memory

    def promised(self, state, count):
        assert len(state.promises) == count
        return state.promises


def condition(env: str, *perturbations: dict) -> Condition:
    return Condition(f"{env} {perturbations}", Scene("t", "p", "nominal"), env, perturbations=perturbations)


def check(rows, told=lambda steps: steps * (steps + 1) / 2) -> None:
    """1, 2, 3, ... is what hearing the last reward, and nothing of another episode, leads to."""
    assert sorted(row.seed for row in rows) == list(SEEDS)
    for row in rows:
        assert row.error == ""
        assert row.length == steps_of(row.seed)
        assert row.episode_return == told(row.length)
        assert row.measures[PROMISED] == pytest.approx(1000 * first_seen(row.seed))


@pytest.mark.parametrize("lanes", [1, 3, 10])
def test_side_by_side(lanes: int) -> None:
    jobs = [Job(condition("PaysForTest-v0"), seed, seed) for seed in SEEDS]
    check(list(play_episodes(Listener(), "a", jobs, num_envs=lanes)))


def test_in_a_batch() -> None:
    check(list(play_batches(Listener(), "a", [Job(condition("PaysBatchForTest-v0"), seed, seed) for seed in SEEDS])))


@pytest.mark.parametrize(("env", "play"), [("PaysForTest-v0", play_episodes), ("PaysBatchForTest-v0", play_batches)])
def test_rewards_are_heard_as_the_agent_is_told_them(env: str, play) -> None:
    """Told the opposite: 1 is paid and -1 heard, 0 is paid, 1, 0; the return is of what was paid."""
    flipped = condition(env, {"type": "RewardSignFlip", "probability": 1.0})
    check(list(play(Listener(), "a", [Job(flipped, seed, seed) for seed in SEEDS])), lambda steps: (steps + 1) // 2)


def test_while_learning_and_in_a_film() -> None:
    played = EvaluationEnvs("PaysForTest-v0").play(Listener(), list(SEEDS))
    for seed, episode in zip(SEEDS, played, strict=True):
        steps = steps_of(seed)
        assert episode[:2] == (steps * (steps + 1) / 2, steps)
        assert episode.promised == pytest.approx(1000 * first_seen(seed))
    world = gymnasium.make("PaysForTest-v0", render_mode="rgb_array")
    _, score = played_by(world, Listener(), 100, 2, lambda world: world.render())
    assert score == 10.0


def test_who_does_neither_is_asked_as_before() -> None:
    class Deaf(Listener):
        traits = Traits()

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.ones((len(observation), 1), np.float32), state

    jobs = [Job(condition("PaysForTest-v0"), seed, seed) for seed in SEEDS]
    rows = [
        *play_episodes(Deaf(), "a", jobs),
        *play_batches(Deaf(), "a", [Job(condition("PaysBatchForTest-v0"), 0, 0)]),
    ]
    assert all(row.measures == {} and not row.error for row in rows)
    assert EvaluationEnvs("PaysForTest-v0").play(Deaf(), [0]) == [(2.0, 2, None)]
