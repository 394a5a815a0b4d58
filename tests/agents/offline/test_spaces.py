"""Which spaces offline agents take, how they are played, and that others are refused before anything is made."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentgym import catalog
from agentgym.agents.common.saving import load_agent
from agentgym.data.dataset import Description, OfflineDataset
from agentgym.errors import AskError, EpisodeTooLong, InvalidParameter, NonFinite, SpaceMismatch

QUICK = {"batch_size": 8, "log_every": 5, "evaluate_every": 5, "evaluation_episodes": 1}
SMALL: dict[str, dict] = {
    "bc": {"layers": (8,)},
    "iql": {"layers": (8,), "return_range": 0.0},
    "odice": {"value_layers": (8,), "policy_layers": (8,), "return_range": 0.0},
    "td3bc": {"layers": (8,)},
    "prdc": {"layers": (8,)},
    "dt": {"width": 8, "layers": 1, "context": 3},
    "doc": {"width": 8, "layers": 1, "context": 3, "future": 3, "latent": 2, "hidden": (8,), "samples": 4},
}
OBSERVATIONS = {
    "box": spaces.Box(-1, 1, (2,), np.float32),
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "table": spaces.Box(-1, 1, (2, 3), np.float64),
    "whole": spaces.Box(-3, 3, (2,), np.int32),
    "discrete": spaces.Discrete(4, start=-2),
    "multidiscrete": spaces.MultiDiscrete([3, 4], start=[5, -1]),
    "two axes": spaces.MultiDiscrete([[2, 3], [4, 2]]),
    "multibinary": spaces.MultiBinary(3),
}
ACTIONS = {
    "box": spaces.Box(-2, 3, (2,), np.float32),
    "scalar": spaces.Box(-2, 3, (), np.float32),
    "table": spaces.Box(0, 1, (2, 2), np.float64),
    "whole": spaces.Box(-1, 1, (2,), np.int64),
    "unsigned": spaces.Box(2, 9, (1,), np.uint8),
    "discrete": spaces.Discrete(3, start=10),
    "below zero": spaces.Discrete(2, start=-5),
}
OF_DISCRETE = {"bc", "iql", "odice", "dt", "doc"}


def data(observation_space: spaces.Space, action_space: spaces.Space, episodes: int = 3, steps: int = 4):
    """Samples of the spaces."""
    observation_space.seed(1)
    action_space.seed(2)
    total = episodes * steps
    ends = np.arange(1, total + 1) % steps == 0

    def drawn(space: spaces.Space, count: int) -> np.ndarray:
        found = np.array([space.sample() for _ in range(count)])
        return found.astype(np.float32) if found.dtype.kind == "f" else found

    return OfflineDataset(
        drawn(observation_space, total + episodes), drawn(action_space, total),
        np.arange(total, dtype=np.float32), ends, np.zeros(total, bool), np.arange(0, total + 1, steps),
        observation_space, action_space, Description("samples-v0"),
    )  # fmt: skip


class Samples(gymnasium.Env):
    """Answers with samples of its space, and takes nothing that is not in the other one."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert np.asarray(action, self.action_space.dtype) in self.action_space, action
        assert np.asarray(action).dtype == self.action_space.dtype
        self.time += 1
        return self.observation_space.sample(), 1.0, self.time == 3, False, {}


def make(name: str, dataset: OfflineDataset, **more):
    return catalog.load(catalog.find("agent", name))(dataset=dataset, seed=0, **{**QUICK, **SMALL[name], **more})


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("seen", OBSERVATIONS)
def test_observations(name, seen, tmp_path):
    dataset = data(OBSERVATIONS[seen], ACTIONS["box"])
    agent = make(name, dataset, env=Samples(OBSERVATIONS[seen], ACTIONS["box"])).learn(5)
    agent.save(tmp_path / "agent")
    loaded = load_agent(tmp_path / "agent")
    batch = [learner.predict(dataset.observations[:5], deterministic=True)[0] for learner in (agent, loaded)]
    np.testing.assert_array_equal(*batch)
    single, _ = agent.predict(dataset.observations[2], deterministic=True)
    assert single in ACTIONS["box"]
    if not SMALL[name].get("samples"):  # whose draws differ by lane
        np.testing.assert_allclose(single, batch[0][2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("done", ACTIONS)
def test_actions(name, done):
    space = ACTIONS[done]
    dataset = data(OBSERVATIONS["box"], space)
    if isinstance(space, spaces.Discrete) and name not in OF_DISCRETE:
        with pytest.raises(SpaceMismatch, match="supports Box"):
            make(name, dataset)
        return
    agent = make(name, dataset, env=Samples(OBSERVATIONS["box"], space)).learn(5)
    for deterministic in (True, False):
        actions, _ = agent.predict(dataset.observations[:7], deterministic=deterministic)
        assert actions.dtype == space.dtype
        assert all(np.asarray(action) in space for action in actions)


@pytest.mark.parametrize("done", ["whole", "unsigned", "box", "scalar", "table", "discrete", "below zero"])
def test_what_is_in_the_data_is_what_is_played(done):
    """The network's numbers for the data's actions lead back to them: nearest whole numbers, not those below."""
    dataset = data(OBSERVATIONS["box"], ACTIONS[done])
    agent = make("bc", dataset)
    back = agent._to_space(agent._from_space(dataset.actions).numpy())
    np.testing.assert_allclose(back, dataset.actions, atol=1e-5)
    if ACTIONS[done].dtype.kind in "iu" and isinstance(ACTIONS[done], spaces.Box):
        np.testing.assert_array_equal(
            agent._to_space(agent._from_space(dataset.actions).numpy() * 0.999), dataset.actions
        )


REFUSED = {
    "dict": spaces.Dict({"a": spaces.Discrete(2)}),
    "tuple": spaces.Tuple([spaces.Discrete(2)]),
    "sequence": spaces.Sequence(spaces.Discrete(2)),
    "image": spaces.Box(0, 255, (84, 84, 3), np.uint8),
    "nothing": spaces.Box(0, 1, (0,), np.float32),
    "text": spaces.Text(4),
}


@pytest.mark.parametrize("seen", REFUSED)
def test_other_observations_are_one_mismatch(seen):
    dataset = data(OBSERVATIONS["box"], ACTIONS["box"])
    with pytest.raises(SpaceMismatch):
        make("bc", dataclasses.replace(dataset, observation_space=REFUSED[seen]))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.array([0, -1]), np.array([0, 1]), dtype=np.float32), spaces.Box(-np.inf, np.inf, (1,)),
        spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2), spaces.Box(0, 2**62, (1,), np.int64),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["bc", "td3bc", "dt"])
def test_actions_that_cannot_be_chosen_are_refused(name, space):
    with pytest.raises(SpaceMismatch):
        make(name, data(OBSERVATIONS["box"], space))


@pytest.mark.parametrize("shape", [(12,), (15, 2, 1), (15, 1), (15, 3), ()])
def test_observations_of_another_shape_than_the_space_are_refused(shape):
    dataset = data(OBSERVATIONS["box"], ACTIONS["box"])
    agent = make("bc", dataset)
    with pytest.raises(AskError):
        make("bc", dataclasses.replace(dataset, observations=np.zeros(shape, np.float32)))
    with pytest.raises(SpaceMismatch):
        agent.predict(np.zeros(shape or (3,), np.float32))


@pytest.mark.parametrize("name", SMALL)
def test_numpy_scalars_are_taken_and_saved(name, tmp_path):
    settings = {"learning_rate": np.float32(1e-3), "batch_size": np.int64(8), "evaluate_every": np.uint8(0)}
    dataset = data(OBSERVATIONS["box"], ACTIONS["box"])
    kind = catalog.load(catalog.find("agent", name))
    agent = kind(dataset=dataset, seed=np.int64(3), **{**QUICK, **SMALL[name], **settings}).learn(np.int64(2))
    agent.save(tmp_path / "agent")
    assert load_agent(tmp_path / "agent").seed == 3
    twin = kind(dataset=dataset, seed=3, **{**QUICK, **SMALL[name], **settings}).learn(2)
    for own, other in zip(agent.policy.state_dict().values(), twin.policy.state_dict().values(), strict=True):
        assert own.equal(other)


@pytest.mark.parametrize("name", SMALL)
def test_settings_that_are_not_finite_or_out_of_range_are_refused(name):
    dataset = data(OBSERVATIONS["box"], ACTIONS["box"])
    config = catalog.load(catalog.find("agent", name)).Config()
    numbers = [key for key, value in config.to_kwargs().items() if type(value) in (int, float)]
    for key in numbers:
        for wrong in (np.nan, np.inf, -np.inf, np.float32("nan")):
            with pytest.raises(NonFinite, match=key):
                make(name, dataset, **{key: wrong})
        with pytest.raises(InvalidParameter, match=key):
            make(name, dataset, **{key: "high"})
    for wrong in ({"batch_size": 0}, {"batch_size": 2.5}, {"learning_rate": 0.0}, {"learning_rate": -1.0},
                  {"evaluation_episodes": 0}, {"log_every": -1}, {"evaluate_every": -1}, {"no_such": 1}):  # fmt: skip
        with pytest.raises(AskError, match=next(iter(wrong))):
            make(name, dataset, **wrong)


@pytest.mark.parametrize("seed", [-1, 1.5, "x", True, np.nan, 2**200])
def test_seeds_that_are_none(seed):
    with pytest.raises(InvalidParameter, match="seed"):
        catalog.load(catalog.find("agent", "bc"))(dataset=data(OBSERVATIONS["box"], ACTIONS["box"]), seed=seed)


@pytest.mark.parametrize("where", ["reset", "reward", "observation"])
@pytest.mark.parametrize("name", ["bc", "dt"])
def test_an_evaluation_that_is_not_finite_is_named(name, where):
    class Broken(Samples):
        def reset(self, **arguments):
            observation, info = super().reset(**arguments)
            return (observation * np.nan if where == "reset" else observation), info

        def step(self, action):
            observation, reward, *rest = super().step(action)
            bad = self.time == 2
            return (observation * np.nan if bad and where == "observation" else observation,
                    np.nan if bad and where == "reward" else reward, *rest)  # fmt: skip

    agent = make(name, data(OBSERVATIONS["box"], ACTIONS["box"]), env=Broken(OBSERVATIONS["box"], ACTIONS["box"]))
    with pytest.raises(NonFinite, match="at reset of the eval" if where == "reset" else "at step 2 of the eval"):
        agent.learn(5)


def test_an_environment_without_an_end_is_not_waited_for(monkeypatch):
    from agentgym.agents.offline import scores

    class Endless(Samples):
        def step(self, action):
            observation, reward, _, truncated, info = super().step(action)
            return observation, reward, False, truncated, info

    monkeypatch.setattr(scores, "LONGEST", 20)
    agent = make("bc", data(OBSERVATIONS["box"], ACTIONS["box"]), env=Endless(OBSERVATIONS["box"], ACTIONS["box"]))
    with pytest.raises(EpisodeTooLong, match="max_episode_steps"):
        agent.learn(5)
