"""What fails is a row with its reason, and takes no other row with it."""

import warnings

import gymnasium
import numpy as np
import pytest
import sb3_contrib
import stable_baselines3 as sb3
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agentgym.errors import AskError, InvalidParameter, NonFinite, UnknownId
from agentgym.evaluation.conditions import Condition, Suite
from agentgym.evaluation.evaluate import evaluate, load_suite
from agentgym.evaluation.report import write_report
from agentgym.evaluation.suites.attacks import Attacks
from agentgym.evaluation.suites.parameter_grid import ParameterGrid
from agentgym.evaluation.suites.perturbations import Perturbations
from agentgym.evaluation.summary import summaries
from agentgym.evaluation.table import Evaluation, Scene

STEPS = 4
BREAKS = {
    "observation": "NonFinite: the observation is not finite at step 3: entry 1 is nan.",
    "reward": "NonFinite: the reward is not finite at step 3: entry 0 is inf.",
    "true_reward": "NonFinite: the reward is not finite at step 3: entry 1 is nan.",
    "measure": "NonFinite: the measure is not finite: entry 'speed' is inf.",
    "sum": "NonFinite: the return is not finite: it is inf.",
    "shape": "SpaceMismatch: the observation at step 3 has the shape (3,), but its space has (2,).",
    "text": "ValueError: could not convert string to float: 'fast'",
    "raises": "RuntimeError: the gearbox broke",
}


class Frail(gymnasium.Env):
    """Pays 1 a step; in episodes of an odd seed something is wrong from the third step on."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, wrong=""):
        self.wrong = wrong

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.odd, self.t = seed is not None and seed % 2 == 1, 0
        return np.array([0, self.odd], np.float32), {}

    def step(self, action):
        self.t += 1
        bad = self.wrong if self.odd and self.t >= 3 else ""
        seen = np.array([self.t, np.nan if bad == "observation" else self.odd], np.float32)
        seen = np.zeros(3, np.float32) if bad == "shape" else seen
        reward = {"reward": np.inf, "sum": 1e308}.get(bad, 1.0)
        info = {"true_reward": np.nan} if bad == "true_reward" else {}
        if bad == "raises":
            raise RuntimeError("the gearbox\nbroke")
        over = self.t >= STEPS
        info["measures"] = {"speed": {"measure": np.inf, "text": "fast"}.get(bad, 2.0)} if over else {}
        return seen, reward, over, False, info


class FrailBatch(VectorEnv):
    """The same, natively batched."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs=1, autoreset_mode=None, **kwargs):
        self.num_envs, self.envs = num_envs, [Frail(**kwargs) for _ in range(num_envs)]
        self.single_observation_space, self.single_action_space = Frail.observation_space, Frail.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def get_state(self):
        raise NotImplementedError

    def set_state(self, state):
        raise NotImplementedError

    def reset(self, *, seed=None, options=None):
        return np.stack([env.reset(seed=one)[0] for env, one in zip(self.envs, seed, strict=True)]), {}

    def step(self, actions):
        seen, rewards, over, _, infos = zip(
            *(env.step(a) for env, a in zip(self.envs, actions, strict=True)), strict=True
        )
        over = np.array(over)
        told = {"true_reward": np.array([info.get("true_reward", reward)
                                         for info, reward in zip(infos, rewards, strict=True)])}  # fmt: skip
        if over.all():
            told = {"final_info": {**told, "measures": {"speed": np.array([i["measures"]["speed"] for i in infos])}}}
            seen = [env.reset()[0] for env in self.envs]
        return np.stack(seen), np.array(rewards), over, np.zeros_like(over), told


def register(name, **vector):
    if name not in gymnasium.registry:
        gymnasium.register(name, Frail, **vector)


class Nothing(Suite):
    name = "nothing"

    def conditions(self, subject):
        return [Condition("again", Scene("Again", "again", "nominal"), subject.env, subject.env_kwargs)]


class Still:
    """An agent of one class with ``predict``; ``answer`` may change its actions, int64 [n]."""

    observation_space, action_space = Frail.observation_space, Frail.action_space

    def __init__(self, answer=None):
        self.answer = answer or (lambda seen, actions: actions)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.answer(observation, np.zeros(len(observation), np.int64)), state


def played(agent, wrong="", name="Frail-v0", episodes=8):
    register("Frail-v0")
    register("FrailBatch-v0", vector_entry_point=FrailBatch)
    return evaluate({"a": agent}, Nothing(), name, {"wrong": wrong}, episodes, progress=False)


def odd_rows(result):
    assert {row.seed % 2 for row in result.rows} == {0, 1}
    for row in result.rows:
        assert bool(row.error) == (row.seed % 2 == 1), row
        assert row.error or (row.episode_return == STEPS and row.measures == {"speed": 2.0})
    return {row.error for row in result.rows if row.error}


@pytest.mark.parametrize("wrong", BREAKS)
def test_a_broken_episode_is_one_row_and_the_others_are_summarised(wrong, tmp_path):
    result = played(Still(), wrong)
    assert odd_rows(result) == {BREAKS[wrong]}
    good = sum(row.finished for row in result.rows) // 2
    assert all(one.scores.mean.value == STEPS and one.episodes == good for one in summaries(result))
    assert "failed episodes" in write_report(result, tmp_path / "report.html").read_text()


@pytest.mark.parametrize("wrong", ["observation", "reward", "true_reward", "measure", "sum", "raises", "shape"])
def test_in_a_native_batch_too(wrong):
    (error,) = odd_rows(played(Still(), wrong, "FrailBatch-v0"))
    assert error.split(":")[0] == BREAKS[wrong].split(":")[0]
    assert wrong == "raises" or "step 3" in error or "the return" in error or "'speed'" in error


ANSWERS = {
    "nan": lambda seen, actions: np.where(seen[:, 1] == 1, np.nan, actions),
    "not to choose": lambda seen, actions: np.where(seen[:, 1] == 1, -1, actions),
    "raises": lambda seen, actions: 1 // 0 if (seen[:, 1] == 1).any() else actions,
    "too few": lambda seen, actions: actions[1:] if (seen[:, 1] == 1).any() else actions,
    "a scalar": lambda seen, actions: np.int64(0) if (seen[:, 1] == 1).any() else actions,
}


@pytest.mark.parametrize("answer", ["not to choose", "raises", "too few", "a scalar"])
def test_an_agent_that_fails_at_some_observations_loses_their_episodes(answer):
    (error,) = odd_rows(played(Still(ANSWERS[answer])))
    expected = {"not to choose": "not in Discrete(2)", "raises": "ZeroDivisionError"}
    assert expected.get(answer, "must return one each") in error


def test_a_prediction_that_is_not_finite_is_named():
    agent = Still(lambda seen, actions: [np.nan if one else 0 for one in seen[:, 1]])
    assert odd_rows(played(agent)) == {"NonFinite: the action is not finite at step 1: it is nan."}


def test_box_actions_of_another_shape_are_refused_row_by_row():
    class Torque:
        world = gymnasium.make("Pendulum-v1")
        observation_space, action_space = world.observation_space, world.action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(observation), 2), np.float32), state

    result = evaluate({"a": Torque()}, Nothing(), "Pendulum-v1", episodes=2, progress=False)
    assert {row.error for row in result.rows} == {"InvalidAction: the action at step 1 has the shape (2,), not (1,)."}


def test_one_agent_that_cannot_play_costs_another_nothing():
    """The scale of observations is measured on those that can."""
    register("Frail-v0")
    agents = {"good": Still(), "bad": Still(lambda seen, actions: actions + 7)}
    alone, both = (
        evaluate(who, "perturbations:axes=observation,levels=1", "Frail-v0", {}, 4, progress=False)
        for who in ({"good": Still()}, agents)
    )
    assert [row for row in both.rows if row.agent == "good"] == alone.rows
    assert not any(row.error for row in alone.rows)
    assert all(row.error for row in both.rows if row.agent == "bad")
    with pytest.raises(AskError, match="No nominal episode could be played"):
        evaluate(agents["bad"], "perturbations:axes=observation", "Frail-v0", {}, 4, progress=False)


ATTACKED = {
    "ppo": (lambda: sb3.PPO("MlpPolicy", "CartPole-v1"), {"critic"}),
    "a2c": (lambda: sb3.A2C("MlpPolicy", "CartPole-v1"), {"critic"}),
    "trpo": (lambda: sb3_contrib.TRPO("MlpPolicy", "CartPole-v1"), {"critic"}),
    "dqn": (lambda: sb3.DQN("MlpPolicy", "CartPole-v1", buffer_size=10), {"critic"}),
    "recurrent": (
        lambda: sb3_contrib.RecurrentPPO("MlpLstmPolicy", "CartPole-v1"), {"critic", "maximal_action_difference"}),
    "bare": (Still, {"critic", "maximal_action_difference"}),
    "tqc": (lambda: sb3_contrib.TQC("MlpPolicy", "Pendulum-v1", buffer_size=10), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKED)
def test_an_attack_that_cannot_be_played_loses_its_own_condition_only(name):
    make, impossible = ATTACKED[name]
    register("Frail-v0")
    if "BriefPendulum-v0" not in gymnasium.registry:
        gymnasium.register("BriefPendulum-v0", PendulumEnv, max_episode_steps=20)
    env = {"bare": "Frail-v0", "tqc": "BriefPendulum-v0"}.get(name, "CartPole-v1")
    result = evaluate({name: make()}, ["attacks:epsilons=0.1", "perturbations:axes=reward,levels=1"], env, episodes=2,
                      progress=False)  # fmt: skip
    failed = {row.condition for row in result.rows if row.error}
    assert failed == {f"attack: {kind} 0.1" for kind in impossible}
    assert all("Use " in row.error for row in result.rows if row.error)  # the way out
    assert len(result.rows) == 2 * len(result.scenes)


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("attacks:kinds=foo", "maximal_action_difference"),
        ("attacks:kinds=[]", "empty"),
        ("attacks:epsilons=-1", "at least 0"),
        ("attacks:epsilons=NaN", "finite"),
        ("attacks:epsilons=0.1+0.1", "twice"),
        ("attacks:epsilon=0.1", "epsilons"),
        ("perturbations:levels=x", "whole number"),
        ("perturbations:levels=1.5", "whole number"),
        ("perturbations:levels=true", "whole number"),
        ("perturbations:levels=-1", "0 (all) or more"),
        ("perturbations:axes=", "axis"),
        ("perturbations:axes=rewards", "reward"),
        ("perturbations:axes=reward+reward", "twice"),
        ("parameter-grid:points=Infinity", "finite"),
        ("parameter-grid:endpoint=3", "true or false"),
        ("convection:parts=[]", "empty"),
        ("text:parts=word", "words"),
        ("stochasticity:intensities=x", "a number"),
    ],
)
def test_settings_are_refused_before_anything_is_played(suite, said):
    with pytest.raises(AskError) as refusal:
        load_suite(suite)
    assert said in str(refusal.value)


def test_settings_given_in_python_are_held_to_the_same():
    with pytest.raises(InvalidParameter, match="whole number"):
        Perturbations(levels="x")
    with pytest.raises(NonFinite):
        Attacks(epsilons=(0.1, float("inf")))
    with pytest.raises(UnknownId):
        Attacks(kinds=("foo",))
    assert Attacks(epsilons=np.array([0.1, 0.2])).epsilons == (0.1, 0.2)
    with pytest.raises(AskError, match="cells"):
        evaluate({"a": still_pendulum()}, ParameterGrid(points=100_000), "agentgym/RobustInvertedPendulum-v0")


def still_pendulum():
    class Agent:
        world = gymnasium.make("agentgym/RobustInvertedPendulum-v0")
        observation_space, action_space = world.observation_space, world.action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.zeros((len(observation), 1), np.float32), state

    return Agent()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"episodes": 0}, "episodes"), ({"episodes": 2.5}, "episodes"), ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"), ({"workers": 0}, "workers"), ({"suites": [3]}, "suite"),
        ({"agents": {"x": 3}}, "predict"), ({"agents": 3}, "agents"), ({"env": ""}, "training environment is unknown"),
    ],
)  # fmt: skip
def test_arguments_are_refused_before_anything_is_played(wrong, said):
    register("Frail-v0")
    with pytest.raises(AskError, match=said):
        evaluate(**{"agents": Still(), "suites": [Nothing()], "env": "Frail-v0", "progress": False, **wrong})


def test_numpys_numbers_are_numbers():
    register("Frail-v0")
    plain, numpys = (
        evaluate(Still(), Nothing(), "Frail-v0", episodes=kind(2), seed=kind(3), workers=kind(1), progress=False)
        for kind in (int, np.int64)
    )
    assert plain.rows == numpys.rows


def test_dictionaries_are_played_and_their_attacks_refused():
    class Pair(Frail):
        observation_space = gymnasium.spaces.Dict({"a": Frail.observation_space, "b": gymnasium.spaces.Discrete(3)})

        def reset(self, *, seed=None, options=None):
            return {"a": super().reset(seed=seed)[0], "b": np.int64(1)}, {}

        def step(self, action):
            seen, *rest = super().step(action)
            return {"a": seen, "b": np.int64(1)}, *rest

    if "FrailPair-v0" not in gymnasium.registry:
        gymnasium.register("FrailPair-v0", Pair)
    agent = sb3.PPO("MultiInputPolicy", Pair(), n_steps=8, batch_size=8)
    result = evaluate(
        {"a": agent}, "perturbations:axes=reward", "FrailPair-v0", {"wrong": "observation"}, 6, progress=False
    )
    odd = [row for row in result.rows if row.error]
    assert {row.seed % 2 for row in odd} == {1}
    assert {row.error for row in odd} == {"NonFinite: the observation is not finite at step 3: entry 'a', 1 is nan."}
    assert len(odd) < len(result.rows)
    with pytest.raises(AskError, match="attacks"):
        evaluate({"a": agent}, "attacks", "FrailPair-v0", progress=False)


def test_spaces_that_nobody_is_asked_about_are_refused():
    class Pair(Frail):
        observation_space = gymnasium.spaces.Tuple([Frail.observation_space] * 2)

    class Agent(Still):
        observation_space = Pair.observation_space

    if "FrailTuple-v0" not in gymnasium.registry:
        gymnasium.register("FrailTuple-v0", Pair)
    with pytest.raises(AskError, match="FlattenObservation"):
        evaluate(Agent(), Nothing(), "FrailTuple-v0", progress=False)


def test_numbers_in_arrays_of_one_entry_are_numbers():
    class Arrays(Frail):
        def step(self, action):
            seen, reward, over, _, info = super().step(action)
            return seen, np.array([reward]), np.array([over]), np.array([False]), info

    if "FrailArrays-v0" not in gymnasium.registry:
        gymnasium.register("FrailArrays-v0", Arrays)
    result = evaluate(Still(), Nothing(), "FrailArrays-v0", progress=False)
    assert {(row.error, row.episode_return) for row in result.rows} == {("", STEPS)}


def test_rows_of_others_that_are_not_finite_are_failures(tmp_path):
    result = played(Still())
    folder = result.write(tmp_path / "e")
    lines = (folder / "rows.csv").read_text().splitlines()
    for line, value in ((1, "nan"), (2, "inf")):
        lines[line] = lines[line].replace(",4.0,", f",{value},")
    lines[3] = lines[3].replace('""speed"": 2.0', '""speed"": NaN')
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    again = Evaluation.read(folder)
    assert [row.error for row in again.rows[:3]] == [
        "NonFinite: the return is nan.",
        "NonFinite: the return is inf.",
        "",
    ]
    assert [one.failed for one in summaries(again)] == [2, 0]
    assert all(one.scores.mean.value == STEPS for one in summaries(again))
    assert "2 failed episodes" in write_report(again, tmp_path / "report.html").read_text()


def test_an_environment_that_cannot_be_closed_takes_no_row_with_it():
    class Stuck(Frail):
        def close(self):
            raise OSError("the door is stuck")

    if "FrailStuck-v0" not in gymnasium.registry:
        gymnasium.register("FrailStuck-v0", Stuck)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result = evaluate(Still(), Nothing(), "FrailStuck-v0", progress=False)
    assert not any(row.error for row in result.rows)
    assert any("the door is stuck" in str(one.message) for one in heard)
