"""What the suites ask, on real environments."""

import gymnasium
import numpy as np
import pytest

from agentgym.data.recipe import find_recipe
from agentgym.errors import AskError, UnknownId
from agentgym.evaluation.conditions import Subject
from agentgym.evaluation.evaluate import evaluate, load_suite
from agentgym.evaluation.rollout import Job, play_episodes
from agentgym.make import make_env

PENDULUM = "agentgym/RobustInvertedPendulum-v0"


def subject(env, scale=True, trained_in=None):
    probe = make_env(env)
    size = np.ones(probe.observation_space.shape) if scale else None
    return Subject(env, {}, probe, size, trained_in or {})


def balance(env=PENDULUM):
    """State feedback that keeps the pole up: enough of an agent to tell worlds apart."""

    class Policy:
        def __init__(self):
            world = make_env(env)
            self.observation_space, self.action_space = world.observation_space, world.action_space

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            force = observation @ np.array([0.1, 3.0, 0.3, 0.6])
            return np.clip(force[..., None], -3.0, 3.0).astype(np.float32), state

    return Policy()


def test_grid_conventions():
    with_end = load_suite("parameter-grid:points=4").conditions(subject(PENDULUM))
    without = load_suite("parameter-grid:points=4,endpoint=false").conditions(subject(PENDULUM))
    assert len(with_end) == len(without) == 16
    pole = sorted({condition.scene.coordinates["pole_mass"] for condition in with_end})
    assert pole == [1.0, 11.0, 21.0, 31.0]  # M2TD3: both ends of 1 to 31 kg
    pole = sorted({condition.scene.coordinates["pole_mass"] for condition in without})
    assert pole == [1.0, 8.5, 16.0, 23.5]  # RRLS: lo + k (hi - lo) / n


def test_robust_mdp_has_both_grids_and_the_fixed_adversaries():
    conditions = load_suite("robust-mdp:points=3").conditions(subject(PENDULUM))
    panels = [condition.scene.panel for condition in conditions]
    assert [panels.count(name) for name in ("grid: ends", "grid: rrls")] == [9, 9]
    most = {
        name: max(c.scene.coordinates["pole_mass"] for c in conditions if c.scene.panel == f"grid: {name}")
        for name in ("ends", "rrls")
    }
    assert most == {"ends": 31.0, "rrls": 21.0}
    adversaries = [condition.env_kwargs["schedule"] for condition in conditions[18:]]
    assert adversaries == ["linear", "exponential", "logarithmic", "cosine", "random_walk"]
    found = evaluate({"balance": balance()}, "robust-mdp:points=2,adversaries=cosine", PENDULUM, episodes=1)
    assert len(found.rows) == 1 + 4 + 4 + 1
    assert not any(row.error for row in found.rows)
    suite, walk = load_suite("robust-mdp:points=2"), subject("agentgym/WindyWalk-v0", scale=False)
    assert suite.left_out(walk)
    assert len(suite.conditions(walk)) == 4
    with pytest.raises(AskError, match="uncertainty set"):
        load_suite("robust-mdp").conditions(subject("Pendulum-v1"))
    for settings in ("conventions=both", "adversaries=sine", "points=1", "conventions=ends+ends"):
        with pytest.raises(AskError):
            load_suite(f"robust-mdp:{settings}")


def test_a_grid_of_chosen_parameters():
    conditions = load_suite("parameter-grid:points=3,parameters=torso_mass").conditions(
        subject("agentgym/RobustHopper-v0")
    )
    assert [list(condition.options["parameters"]) for condition in conditions] == [["torso_mass"]] * 3
    with pytest.raises(UnknownId, match="torso_mass"):
        load_suite("parameter-grid:parameters=torsomass").conditions(subject("agentgym/RobustHopper-v0"))
    with pytest.raises(AskError, match="at least 2"):
        load_suite("parameter-grid:points=1")


def test_perturbations_leave_out_what_does_not_apply():
    suite = load_suite("perturbations")
    names = {condition.scene.panel for condition in suite.conditions(subject("CartPole-v1"))}
    assert "noise (std, in half ranges)" not in names  # discrete actions
    assert "sticky (probability)" in names
    assert any("no attribute 'model'" in reason for reason in suite.left_out(subject("CartPole-v1")).values())
    hopper = suite.conditions(subject("Hopper-v5"))
    assert "contact friction (scale)" in {condition.scene.panel for condition in hopper}
    pendulum = subject("InvertedPendulum-v5")
    assert "contact friction (scale)" not in {condition.scene.panel for condition in suite.conditions(pendulum)}
    assert "dynamics: contact friction (scale)" in suite.left_out(pendulum)


def test_levels_keep_the_most_severe():
    def intensities(levels):
        conditions = load_suite(f"perturbations:levels={levels},axes=action").conditions(subject("Pendulum-v1"))
        return [c.scene.coordinates["intensity"] for c in conditions if c.scene.panel == "delay (steps)"]

    assert intensities(0) == [1, 2, 4, 8]
    assert intensities(1) == [8]
    assert intensities(2) == [1, 8]


def test_every_condition_of_a_lane_is_as_if_played_alone():
    """One environment is re-dressed from job to job: nothing may leak from one condition into the next."""
    everything = [
        *load_suite("parameter-grid:points=2").conditions(subject(PENDULUM)),
        *load_suite("perturbations:levels=1").conditions(subject(PENDULUM)),
        subject(PENDULUM).nominal("x"),
    ]
    generator = np.random.default_rng(0)
    order = generator.permutation(len(everything))
    jobs = [Job(everything[i], 0, 5) for i in order]
    together = {row.condition: row for row in play_episodes(balance(), "p", jobs, num_envs=1)}
    for job in jobs:
        (alone,) = play_episodes(balance(), "p", [job], num_envs=1)
        assert alone.error == ""
        assert together[job.condition.name] == alone
    assert len({row.episode_return for row in together.values()}) > 5


def test_the_grid_finds_the_world_that_differs():
    result = evaluate({"p": balance()}, "parameter-grid:points=3", env=PENDULUM, episodes=2, progress=False)
    assert len(result.rows) == 2 * 10
    assert not any(row.error for row in result.rows)
    scores = [np.mean(result.returns("p", condition)) for condition in result.scenes]
    assert len(set(scores)) > 3


def test_transfer_names_each_training_world_once():
    worlds = {"a": (PENDULUM, {}), "b": (PENDULUM, {"randomize": "uniform"}), "c": (PENDULUM, {})}
    conditions = load_suite("transfer").conditions(subject(PENDULUM, trained_in=worlds))
    assert [condition.scene.coordinates["test"] for condition in conditions] == ["a = c", "b"]
    assert conditions[1].env_kwargs == {"randomize": "uniform"}
    with pytest.raises(AskError, match="needs runs"):
        load_suite("transfer").conditions(subject(PENDULUM))


def test_stochasticity_is_the_dial_that_data_are_recorded_at():
    suite = load_suite("stochasticity")
    hopper = suite.conditions(subject("Hopper-v5"))
    assert {condition.scene.panel.split(" (")[0] for condition in hopper} == {
        "time-correlated action noise", "reward noise"}  # fmt: skip
    assert "has no slip" in next(iter(suite.left_out(subject("Hopper-v5")).values()))
    half = next(condition for condition in hopper if condition.name == "noise: 0.5")
    assert half.perturbations == tuple(find_recipe("hopper-medium:noise=0.5").dial.perturbations())
    lake = load_suite("stochasticity:dials=slip,intensities=0.5+0").conditions(subject("FrozenLake-v1"))
    assert [dict(condition.env_kwargs) for condition in lake] == [{"success_rate": 1.0}, {"success_rate": 0.5}]
    assert lake[1].env_kwargs == find_recipe("frozenlake:slip=0.5").dial.env_kwargs("FrozenLake-v1")
    for wrong, said in (("dials=luck", "noise"), ("intensities=-1", "at least 0"), ("intensities=1+1", "twice")):
        with pytest.raises(AskError, match=said):
            load_suite(f"stochasticity:{wrong}")


def test_slippery_ice_costs_who_walks_as_if_it_were_not():
    class Walk:
        """The short way over ice that does not slip: down, down, right, down, right, right."""

        observation_space, action_space = gymnasium.spaces.Discrete(16), gymnasium.spaces.Discrete(4)

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            way = np.zeros(16, int)
            way[[0, 4, 8, 9, 13, 14]] = 1, 1, 2, 1, 2, 2
            return way[observation], state

    found = evaluate({"w": Walk()}, "stochasticity:dials=slip", env="FrozenLake-v1", episodes=40, progress=False)
    assert not any(row.error for row in found.rows)
    means = [np.mean(found.returns("w", f"slip: {slip:g}")) for slip in (0.0, 0.2, 0.6)]
    assert means[0] == 1.0
    assert means[0] > means[1] > means[2]


def test_attacks_need_numbers():
    with pytest.raises(AskError, match="Discrete"):
        load_suite("attacks").conditions(subject("FrozenLake-v1", scale=False))
    assert len(load_suite("attacks").conditions(subject("Pendulum-v1"))) == 12


def test_observation_noise_is_in_units_of_what_agents_see():
    result = evaluate(
        {"p": balance()}, "perturbations:axes=observation,levels=1", env=PENDULUM, episodes=2, progress=False
    )
    scale = np.array(result.meta["observation_scale"])
    env = gymnasium.make(PENDULUM)
    assert scale.shape == env.observation_space.shape
    assert (scale > 0).all()
