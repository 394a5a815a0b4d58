"""The suite convection, batched evaluation, measures and hand-made controllers, on short episodes."""

import json
import math

import gymnasium
import numpy as np
import pytest

from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.envs.convection import topology
from agentgym.envs.convection.controllers import CONTROLLERS, controllers
from agentgym.envs.convection.env import ConvectionEnv
from agentgym.envs.convection.presets import cell
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.evaluation.conditions import Condition, Subject
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.film import film
from agentgym.evaluation.report.panels import gather
from agentgym.evaluation.report.tables import conditions_csv
from agentgym.evaluation.rollout import Job, play_batches, play_episodes
from agentgym.evaluation.suites.convection import Convection
from agentgym.evaluation.table import Evaluation, Scene

ENV = "agentgym/Convection-v0"
SHORT = {"actions": 3}


@pytest.fixture(scope="module")
def shared():
    """An untrained policy for all heaters."""
    env = ConvectionVectorEnv(1, autoreset_mode="SameStep", **SHORT)
    return SharedPPO("MlpPolicy", env, seed=0, **SharedPPO.Config(n_steps=4, batch_size=40).to_kwargs())


@pytest.fixture(scope="module")
def everything(shared):
    """The whole suite on a controller and a policy; other fluids have not quite settled, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topology, "SETTLING_TIME", 15.0)
        yield evaluate(
            {"shared": shared}, "convection", ENV, SHORT, episodes=1, progress=False, controllers=["merge-then-low"]
        )
    topology._initial_states.cache_clear()


def test_every_condition_is_played_by_policies_and_controllers(everything):
    assert {row.error for row in everything.rows} == {""}
    tabs = {scene.tab for scene in everything.scenes.values()}
    assert tabs == {"Overview", "Fluid", "Sensors", "Heaters", "Start", "Box"}
    assert len(everything.rows) == 2 * len(everything.scenes)
    assert all(row.length == 3 for row in everything.rows)


def test_rows_carry_what_the_environment_measured(everything, tmp_path):
    one_pair = [row for row in everything.rows if row.condition == "start: one-pair"]
    assert all(row.measures["one_pair"] == 1.0 for row in one_pair)
    again = Evaluation.read(everything.write(tmp_path / "report"))
    assert [json.dumps(row.measures) for row in again.rows] == [json.dumps(row.measures) for row in everything.rows]
    head, *lines = conditions_csv(gather(everything)).splitlines()
    assert "actions_to_one_pair" in head.split(",")
    assert len(lines) == len(everything.rows)


def test_conditions_change_what_they_say(everything):
    """More heat is carried at a higher Rayleigh number, less at a lower."""
    rows = [row for row in everything.rows if row.agent == "shared" and row.condition.startswith("Rayleigh")]
    numbers = [row.measures["nusselt"] for row in rows]
    assert numbers == sorted(numbers)
    assert numbers[-1] / numbers[0] > 1.5


def test_batches_play_what_single_environments_play():
    condition = Condition("c", Scene("t", "p", "nominal"), ENV, {**SHORT, "precision": "float64", "dead": 1})
    jobs = [Job(condition, episode, 100 + episode) for episode in range(3)]
    agent = controllers(cell(**SHORT))["proportional-low"]
    together = {row.episode: row for row in play_batches(agent, "p", jobs)}
    alone = {row.episode: row for row in play_episodes(agent, "p", jobs, num_envs=1)}
    for episode, row in together.items():
        assert row.episode_return == pytest.approx(alone[episode].episode_return, abs=1e-6)
        assert row.measures == pytest.approx(alone[episode].measures, abs=1e-6, nan_ok=True)


def test_only_the_guilty_episode_of_a_batch_is_lost():
    class Stumbling:
        """Fails where the flow at the start is that of one seed."""

        observation_space, action_space = ConvectionEnv(**SHORT).observation_space, ConvectionEnv().action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            if any(np.allclose(row, bad, atol=1e-4) for row in observation):
                raise RuntimeError("stumbled")
            return np.zeros((len(observation), 10), np.float32), state

    bad, _ = ConvectionEnv(**SHORT).reset(seed=101)
    condition = Condition("c", Scene("t", "p", "nominal"), ENV, SHORT)
    rows = list(play_batches(Stumbling(), "p", [Job(condition, episode, 100 + episode) for episode in range(3)]))
    assert [bool(row.error) for row in rows] == [False, True, False]
    assert "stumbled" in rows[1].error
    assert math.isnan(rows[1].episode_return)


def test_a_policy_for_one_box_fails_in_another_with_a_row_that_says_so():
    class Fixed:
        """All heaters at once, as a network of fixed size."""

        observation_space, action_space = ConvectionEnv(**SHORT).observation_space, ConvectionEnv().action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            assert observation.shape[1:] == self.observation_space.shape, "another observation space"
            return np.zeros((len(observation), 10), np.float32), state

    found = evaluate({"fixed": Fixed()}, "convection:parts=box", ENV, SHORT, episodes=1, progress=False)
    errors = {row.condition: row.error for row in found.rows}
    assert not errors["nominal"]
    assert all("another observation space" in error for name, error in errors.items() if name.startswith("box"))


def test_a_shared_policy_acts_in_longer_boxes_as_in_its_own(shared):
    longer = ConvectionVectorEnv(2, length=4 * np.pi, heaters=20, columns=96, window=10, **SHORT)
    observation, _ = longer.reset(seed=0)
    actions, _ = shared.acting_in(longer).predict(observation, deterministic=True)
    assert actions.shape == (2, 20)
    windows = observation.reshape(2, -1)[:, longer.agent_windows]
    own, _ = shared.learner.predict(windows.reshape(-1, windows.shape[-1]), deterministic=True)
    np.testing.assert_array_equal(actions.reshape(-1), own.reshape(-1))
    with pytest.raises(SpaceMismatch, match="observation"):
        shared.acting_in(ConvectionVectorEnv(1, window=5, **SHORT))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_controllers_answer_alike_alone_and_in_a_batch(name):
    controller = controllers(cell())[name]
    observation, _ = ConvectionVectorEnv(3, start="random").reset(seed=4)
    batch, state = controller.predict(observation, episode_start=np.ones(3, bool))
    assert state[0].tolist() == [1, 1, 1]
    for row, own in zip(batch, observation, strict=True):
        np.testing.assert_array_equal(controller.predict(own)[0], row)
    assert np.abs(batch).max() <= 1


def test_proportional_control_lowers_the_nusselt_number():
    """Feedback on w near the plate, inside the one-pair state: 3.63 against 4.14 without, in the long run."""
    numbers = {}
    for name in ("zero", "proportional-low"):
        env = ConvectionVectorEnv(2, start="one-pair", actions=60, autoreset_mode="Disabled")
        observation, _ = env.reset(seed=0)
        controller = controllers(env.cell)[name]
        for _ in range(60):
            observation, *_, infos = env.step(controller.predict(observation)[0])
        numbers[name] = infos["measures"]["nusselt"].mean()
    assert numbers["zero"] == pytest.approx(4.137, abs=0.01)
    assert numbers["proportional-low"] < 3.8


def test_films_show_controllers_above_each_other():
    frames, _, scores = film(None, ENV, SHORT, controllers=["zero", "cosine"])
    (single, *_), _, _ = film(None, ENV, SHORT, controllers=["zero"])
    assert len(frames) == 4
    assert frames[0].shape == (2 * single.shape[0], *single.shape[1:])
    assert list(scores) == ["zero", "cosine"]


def test_what_cannot_be_is_refused():
    subject = Subject("Pendulum-v1", {}, gymnasium.make("Pendulum-v1"), np.ones(3), {})
    with pytest.raises(AskError, match="convection cell"):
        Convection().conditions(subject)
    with pytest.raises(UnknownId, match="zero"):
        evaluate([], [], ENV, SHORT, episodes=1, progress=False, controllers=["zer"])
    with pytest.raises(AskError, match="no agent"):
        evaluate([], [], ENV, SHORT, episodes=1, progress=False)
    with pytest.raises(AskError, match="--controllers"):
        film(None, ENV)
    with pytest.raises(UnknownId, match="heaters"):
        evaluate([], "convection:parts=heater", ENV, SHORT, episodes=1, progress=False, controllers=["zero"])
