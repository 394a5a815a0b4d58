"""Any value for any hyperparameter of any agent is used, or refused with one of our errors before work is done."""

import dataclasses
import math
import warnings

import gymnasium as gym
import minari
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from minari.data_collector import EpisodeBuffer

from agentgym import catalog
from agentgym.errors import AskError
from agentgym.runs.build import build
from agentgym.runs.run import RunConfig

pytestmark = pytest.mark.filterwarnings("ignore")
AGENTS = [entry.id for entry in catalog.OURS if entry.kind == "agent"]
EXAMPLES = 25  # an agent
DISCRETE = ("rcbc", "doc-tabular")  # tables
JOINT = ("shared-ppo", "shared-mdpo", "shared-gradient")
CHOOSING = ("dqn", "qrdqn")
TEAMS = ("maddpg", "hatrpo", "hatrpo-q")

# Sizes stay small where they are right: a network of 10^9 units is nobody's mistake that a test can wait for.
numbers = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1, 0, 1, 2, 3, 64, 0.5, 1.5, -0.1, 1e-8]),
    st.sampled_from([np.int64(4), np.float32(0.25), np.float64("nan"), np.int32(-2), np.bool_(True)]),
    st.floats(-2, 2),
)
anything = st.one_of(
    numbers, st.none(), st.booleans(), st.text(max_size=5), st.lists(numbers, max_size=2),
    st.dictionaries(st.text(max_size=2), numbers, max_size=1),
)  # fmt: skip


class Line(gym.Env):
    """Two numbers are seen; the reward is the action."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float(np.sum(action)), False, self.steps >= 5, {}


class Choice(Line):
    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, float(action), True, False, {}


gym.register("HyperparameterLine-v0", entry_point=Line)
gym.register("HyperparameterChoice-v0", entry_point=Choice)


@pytest.fixture(scope="module", autouse=True)
def datasets(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        for name, env in (("line", Line()), ("choice", Choice())):
            _record(f"hyperparameters/{name}-v0", env)
        yield


def _record(name, env, episodes=6):
    recorded = []
    env.action_space.seed(0)
    for number in range(episodes):
        seen, actions, rewards, ends, cuts, over = [env.reset(seed=number)[0]], [], [], [], [], False
        while not over:
            actions.append(env.action_space.sample())
            observation, reward, end, cut, _ = env.step(actions[-1])
            over = end or cut
            for values, value in ((seen, observation), (rewards, reward), (ends, end), (cuts, cut)):
                values.append(value)
        recorded.append(EpisodeBuffer(number, number, None, *map(np.array, (seen, actions, rewards, ends, cuts))))
    minari.create_dataset_from_buffers(
        name, buffer=recorded, observation_space=env.observation_space, action_space=env.action_space
    )


def run_config(agent, config):
    """A run of the agent where it is cheap to make."""
    entry = catalog.find("agent", agent)
    where = {"env": "HyperparameterLine-v0"}
    if agent in CHOOSING:
        where = {"env": "HyperparameterChoice-v0"}
    elif entry.target.startswith("agentgym.agents.offline"):
        where = {"dataset": f"hyperparameters/{'choice' if agent in DISCRETE else 'line'}-v0"}
    elif entry.target.startswith("agentgym.agents.language"):
        where = {"env": "agentgym/Household-v0", "env_kwargs": {"size": "tiny"}}
    elif agent in (*JOINT, *TEAMS):
        where = {"env": "agentgym/Convection-v0", "num_envs": 2}
    small = {"buffer_size": 100, "learning_starts": 1, "width": 8, "layers": 1}
    known = {field.name for field in dataclasses.fields(catalog.load(entry).Config)}
    return RunConfig(agent, **where, steps=10, config={**{k: v for k, v in small.items() if k in known}, **config})


@pytest.mark.parametrize("agent", AGENTS)
def test_any_value_is_used_or_refused(agent):
    names = sorted(field.name for field in dataclasses.fields(catalog.load(catalog.find("agent", agent)).Config))
    counts = {"made": 0, "refused": 0}

    @seed(0)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(names), anything)
    def check(name, value):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                made = build(run_config(agent, {name: value}))
            except (AskError, FileNotFoundError):
                counts["refused"] += 1
                return
            policy = made.learner.policy if agent in JOINT else made.policy
            assert all(torch.isfinite(weights).all() for weights in policy.parameters()), (name, value)
            counts["made"] += 1
            if env := made.get_env():
                env.close()

    check()
    assert counts["refused"] >= 3
    assert counts["made"] + counts["refused"] >= EXAMPLES - 1
