"""The doors: spaces, seeds, symmetry, batch against single, episodes, faults, bad input."""

from typing import get_args

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import RecordEpisodeStatistics, TimeAwareObservation
from pettingzoo.test import parallel_api_test, parallel_seed_test
from stable_baselines3.common.env_checker import check_env as check_for_stable_baselines

from agentgym.envs.convection.controllers import controllers
from agentgym.envs.convection.env import ConvectionEnv
from agentgym.envs.convection.parallel import ConvectionParallelEnv
from agentgym.envs.convection.presets import PRESETS, ResidualBase, cell
from agentgym.envs.convection.sensors import mirrored_window, windows
from agentgym.envs.convection.vector import ConvectionVectorEnv
from agentgym.envs.convection.world import Diverged
from agentgym.errors import InvalidAction, InvalidParameter, NonFinite, UnknownId

HEATERS = 10
RESIDUAL = {"residual_on": "proportional-low-T"}
BROKEN = {"dead": 2, "stuck": 1, "lag": 0.5}


def commands(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("settings", [{}, RESIDUAL])
def test_gymnasium_and_stable_baselines_accept_it(preset, settings):
    env = gymnasium.make("agentgym/Convection-v0", preset=preset, render_mode="rgb_array", **settings)
    check_env(env.unwrapped)
    check_for_stable_baselines(env.unwrapped, skip_render_check=True)


def test_pettingzoo_accepts_it():
    parallel_api_test(ConvectionParallelEnv(actions=6), num_cycles=20)
    parallel_api_test(ConvectionParallelEnv(actions=6, **RESIDUAL), num_cycles=20)
    parallel_seed_test(lambda: ConvectionParallelEnv(actions=6, **BROKEN), num_cycles=10)


@pytest.mark.parametrize("settings", [{}, BROKEN, {"start": "mixed", "carry_on": 0.5}, {"start": "random"}])
def test_equal_seeds_are_bit_equal_and_others_are_not(settings):
    def play(seed):
        env = ConvectionVectorEnv(3, actions=3, autoreset_mode="SameStep", **settings)
        seen = [env.reset(seed=seed)[0]]
        for step in range(7):
            observation, reward, *_ = env.step(commands(step, 3, HEATERS))
            seen += [observation, reward]
        return [part.tobytes() for part in seen]

    five = play(5)
    assert play(5) == five
    assert len({five[0], play(6)[0], play(7)[0]}) == 3


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_batch_equals_single_environments_over_ends_of_episodes(mode):
    settings = {"actions": 3, "precision": "float64", "start": "mixed", "carry_on": 0.3, **BROKEN}
    batch = ConvectionVectorEnv(3, autoreset_mode=mode, **settings)
    singles = [ConvectionEnv(**settings) for _ in range(3)]
    together, _ = batch.reset(seed=11)
    alone = [env.reset(seed=11 + index)[0] for index, env in enumerate(singles)]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    over = np.zeros(3, bool)
    for step in range(8):
        told = commands(step, 3, HEATERS)
        if mode == AutoresetMode.DISABLED and over.any():
            together, _ = batch.reset(options={"reset_mask": over})
            alone = [env.reset()[0] if over[i] else alone[i] for i, env in enumerate(singles)]
            np.testing.assert_allclose(together, alone, atol=1e-6)
        together, rewards, _, truncated, infos = batch.step(told)
        for index, env in enumerate(singles):
            if mode == AutoresetMode.NEXT_STEP and over[index]:
                expected = (env.reset()[0], 0.0, False, False)
            else:
                *expected, info = env.step(told[index])
                shown = infos["final_info"] if "final_info" in infos and infos["_final_info"][index] else infos
                assert shown["nusselt"][index] == pytest.approx(info["nusselt"], abs=1e-9)
                np.testing.assert_allclose(shown["agent_rewards"][index], info["agent_rewards"], atol=1e-9)
            if mode == AutoresetMode.SAME_STEP and expected[3]:
                np.testing.assert_allclose(infos["final_obs"][index], expected[0], atol=1e-6)
                expected[0] = env.reset()[0]
            np.testing.assert_allclose(together[index], expected[0], atol=1e-6)
            assert rewards[index] == pytest.approx(expected[1], abs=1e-9)
            assert truncated[index] == expected[3]
        over = truncated


def _rolled_and_mirrored(observation, heaters, mirror, per):
    rolled = np.roll(observation, heaters * per, axis=-1)
    if mirror:
        rolled = rolled[..., ::-1] * np.array([-1.0, 1.0, 1.0])[:, None, None]
    return rolled


@pytest.mark.parametrize(("heaters", "mirror"), [(1, False), (3, False), (0, True), (4, True)])
@pytest.mark.parametrize(
    "changes", [{}, {"columns_per_heater": 3, "local_weight": 0.3, "nusselt": "vignon2023"}, RESIDUAL]
)
def test_moved_and_mirrored_worlds_give_moved_and_mirrored_numbers(heaters, mirror, changes):
    """States, observations and rewards, in double precision, over three actions from a developing flow."""
    from agentgym.envs.convection.solver import State
    from agentgym.envs.convection.topology import mirrored, shifted

    first, second = (ConvectionVectorEnv(1, precision="float64", start="random", **changes) for _ in range(2))
    first.reset(seed=2)
    second.reset(seed=2)
    settings, solver = first.cell, first.world.solver

    def moved(state):
        state = shifted(solver, state, np.array([heaters * settings.length / settings.heaters]))
        return State(*mirrored(state, np.array([mirror])))

    second.world.state = moved(first.world.state)
    # A residual's controller looks at the last observation, which is in single precision.
    second._shown = _rolled_and_mirrored(first._shown, heaters, mirror, settings.columns_per_heater).copy()
    tolerance = 1e-5 if changes == RESIDUAL else 1e-10
    for step in range(3):
        told = commands(step, 1, HEATERS).astype(float)
        turned = np.roll(told, heaters, axis=1)
        one = first.step(told)
        other = second.step(turned[:, ::-1] if mirror else turned)
        expected = _rolled_and_mirrored(one[0], heaters, mirror, settings.columns_per_heater)
        np.testing.assert_allclose(other[0], expected, atol=1e-6)  # observations are float32
        np.testing.assert_allclose(other[1], one[1], atol=tolerance)
        agents = np.roll(one[4]["agent_rewards"], heaters, axis=1)
        np.testing.assert_allclose(other[4]["agent_rewards"], agents[:, ::-1] if mirror else agents, atol=tolerance)
        for part, same in zip(second.world.state, moved(first.world.state), strict=True):
            torch.testing.assert_close(part, same, atol=tolerance, rtol=0)


@pytest.mark.parametrize("settings", [{}, {"columns_per_heater": 3}, {"window": 5}, {"window": 9, "heaters": 12}])
def test_an_agent_sees_the_same_wherever_its_heater_stands(settings):
    chosen = cell("compact", **settings)
    per, count = chosen.columns_per_heater, chosen.heaters
    observation = commands(0, 3, len(chosen.heights), count * per)
    views = windows(chosen)
    for heater in range(count):
        seen = np.roll(observation, -heater * per, axis=-1).reshape(-1)[views[0]]
        np.testing.assert_array_equal(observation.reshape(-1)[views[heater]], seen)
    indices, signs = mirrored_window(chosen)
    in_mirror = observation[..., ::-1] * np.array([-1.0, 1.0, 1.0], np.float32)[:, None, None]
    for heater in range(count):
        own = observation.reshape(-1)[views[heater]]
        np.testing.assert_array_equal(in_mirror.reshape(-1)[views[count - 1 - heater]], own[indices] * signs)


def test_heaters_keep_the_plate_s_mean_and_their_bound():
    env = ConvectionVectorEnv(4, precision="float64")
    env.reset(seed=0)
    told = np.array([np.ones(HEATERS), np.eye(HEATERS)[0], np.linspace(-1, 1, HEATERS), commands(1, HEATERS)])
    env.step(told)
    warmth = env.world.warmth.numpy()
    np.testing.assert_allclose(warmth.mean(1), 0.0, atol=1e-15)
    assert np.abs(warmth).max() <= 1.0
    np.testing.assert_array_equal(warmth[0], 0.0)
    np.testing.assert_allclose(warmth[2], told[2])
    plate = env.world.state.temperature[:, :, :, 0].numpy()
    np.testing.assert_allclose(plate[0, 0], 0.5, atol=1e-15)


def test_the_plate_s_profile_is_what_the_blends_say():
    """The Fourier series, taken to many modes, against the piecewise profile itself."""
    from agentgym.envs.convection.heaters import profile_coefficients, segment_means
    from agentgym.envs.convection.solver import Fluid, Resolution, Solver

    solver = Solver(Fluid(), Resolution(columns=1500, points=8))
    values, joint = commands(3, HEATERS).astype(float), 0.1
    x = np.linspace(0, 2 * np.pi, 997, endpoint=False)
    series = solver.synthesis(x) @ profile_coefficients(solver, HEATERS, joint) @ values
    width = 2 * np.pi / HEATERS
    own = (x // width).astype(int)
    offset = x - own * width
    exact = values[own]
    for edge, neighbour in ((0.0, -1), (width, 1)):
        near = np.abs(offset - edge) < joint
        s = (offset - edge + joint) / (2 * joint)
        blend = 3 * s**2 - 2 * s**3
        left, right = (values[(own + neighbour) % HEATERS], values[own])[::-neighbour]
        exact = np.where(near, left + (right - left) * blend, exact)
    np.testing.assert_allclose(series, exact, atol=2e-4)  # 500 of its modes
    box = profile_coefficients(solver, HEATERS, 0.0) @ values
    np.testing.assert_allclose(
        segment_means(solver, HEATERS) @ box, values, atol=2e-2
    )  # a box's series converges slowly


def test_broken_heaters_do_not_obey_and_slow_ones_follow_late():
    dead = ConvectionVectorEnv(1, dead=3)
    dead.reset(seed=0)
    dead.step(np.ones((1, HEATERS)))
    assert len(np.unique(dead.world.warmth.numpy().round(5))) == 2  # three heaters count as 0 among ones
    stuck = ConvectionVectorEnv(1, stuck=HEATERS)
    stuck.reset(seed=0)
    stuck.step(np.zeros((1, HEATERS)))
    before = stuck.world.warmth.clone()
    stuck.step(np.ones((1, HEATERS)))
    assert torch.equal(before, stuck.world.warmth)
    slow = ConvectionVectorEnv(1, lag=1.5, precision="float64")
    slow.reset(seed=0)
    told = np.where(np.arange(HEATERS) < 5, 1.0, -1.0)
    slow.step(told[None])
    np.testing.assert_allclose(slow.world.warmth.numpy()[0], told * (1 - np.exp(-1.0)), rtol=1e-12)


@pytest.mark.parametrize("base", get_args(ResidualBase))
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_corrections_are_added_to_the_controller_s_commands(base, mode):
    """Also over ends of episodes: zeros are the controller bit for bit, others are added and cut."""
    settings = {"actions": 3, "start": "mixed", "autoreset_mode": mode, "averaged_steps": 4}
    plain, residual = ConvectionVectorEnv(2, **settings), ConvectionVectorEnv(2, **settings, residual_on=base)
    controller = controllers(plain.cell)[base]
    seen, other = plain.reset(seed=4)[0], residual.reset(seed=4)[0]
    for step in range(8):
        correction = commands(step, 2, HEATERS) * (step % 2)
        told = np.clip(controller.predict(seen)[0] + correction.astype(float), -1, 1)
        seen, reward, _, truncated, _ = plain.step(told)
        other, same, *_ = residual.step(correction)
        assert seen.tobytes() == other.tobytes()
        assert reward.tobytes() == same.tobytes()
        other[:] = np.nan  # the caller's own copy
        if mode == AutoresetMode.DISABLED and truncated.any():
            seen = plain.reset(options={"reset_mask": truncated})[0]
            residual.reset(options={"reset_mask": truncated})


def test_the_published_nusselt_formula_gives_the_published_numbers():
    """Its two offsets were 2.6726 and 2.6788 for the two-pair state; one pair gives 2.05 for a true 4.136."""
    for start, published, true in (("two-pair", 2.678, 4.935), ("one-pair", 2.054, 4.136)):
        env = ConvectionEnv("vignon2023", start=start, noise=0.0)
        env.reset(seed=0)
        for _ in range(3):
            _, reward, _, _, info = env.step(np.zeros(HEATERS))
        assert 2.6726 - reward == pytest.approx(published, rel=0.01)
        assert info["nusselt"] == pytest.approx(true, rel=2e-3)


def test_volume_and_plates_agree_when_nothing_changes_and_segments_average_to_the_whole():
    rewards = {}
    for measure in ("volume", "plates"):
        env = ConvectionEnv(nusselt=measure, noise=0.0, local_weight=1.0)
        env.reset(seed=0)
        for _ in range(4):
            _, rewards[measure], _, _, info = env.step(np.zeros(HEATERS))
        assert np.mean(info["agent_rewards"]) == pytest.approx(rewards["volume"], abs=1e-5)
    assert rewards["plates"] == pytest.approx(rewards["volume"], abs=5e-4)


def test_episodes_are_cut_and_scored():
    env = ConvectionEnv(actions=4, start="one-pair", noise=0.0)
    env.reset(seed=0)
    *_, info = [env.step(np.zeros(HEATERS)) for _ in range(4)][-1]
    assert info["measures"]["one_pair"] == 1.0
    assert info["measures"]["actions_to_one_pair"] == 0.0
    assert info["measures"]["nusselt"] == pytest.approx(4.137, abs=0.002)
    env = ConvectionEnv(actions=4)
    env.reset(seed=0)
    *_, truncated, info = [env.step(np.zeros(HEATERS)) for _ in range(4)][-1]
    assert truncated
    assert info["measures"]["one_pair"] == 0.0
    assert "actions_to_one_pair" not in info["measures"]  # never: no value


@pytest.mark.parametrize("residual", [{}, RESIDUAL, {**RESIDUAL, "averaged_steps": 4}])
def test_a_state_put_back_goes_on_bit_for_bit(residual):
    settings = {"actions": 4, "autoreset_mode": "SameStep", "start": "mixed", "carry_on": 0.5, **BROKEN, **residual}
    first, second = ConvectionVectorEnv(2, **settings), ConvectionVectorEnv(2, **settings)
    first.reset(seed=3)
    for step in range(3):
        first.step(commands(step, 2, HEATERS))
    saved = first.get_state()
    steps = [first.step(commands(step, 2, HEATERS)) for step in range(3, 10)]
    second.reset(seed=99)
    second.set_state(saved)
    for step, expected in zip(range(3, 10), steps, strict=True):
        observation, reward, *_ = second.step(commands(step, 2, HEATERS))
        assert observation.tobytes() == expected[0].tobytes()
        assert reward.tobytes() == expected[1].tobytes()
    with pytest.raises(InvalidParameter, match="does not have 3 sub-environments"):
        ConvectionVectorEnv(3).set_state(saved)


@pytest.mark.slow
def test_longer_boxes_and_other_fluids_settle_first():
    env = ConvectionEnv(length=4 * np.pi, heaters=20, columns=96, rayleigh=6e4)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (3, 5, 20)
    nusselt = [env.step(np.zeros(20))[4] for _ in range(3)]
    assert nusselt[-1]["roll_pairs"] == 4
    assert abs(nusselt[-1]["nusselt"] - nusselt[0]["nusselt"]) < 0.05


def test_a_world_that_outruns_its_time_step_is_named():
    env = ConvectionVectorEnv(3, time_step=0.25)
    env.reset(seed=0)
    hot_and_cold = np.tile(np.where(np.arange(HEATERS) < 5, 1.0, -1.0), (3, 1))

    def play():
        for _ in range(30):
            env.step(hot_and_cold)

    with pytest.raises(Diverged, match=r"world .*time_step than 0.25"):
        play()


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (np.full(HEATERS, np.nan), "nan"),
        (np.full(HEATERS, 1.5), "1.5"),
        (np.zeros(3), r"\(10,\)"),
        ("warm", "array of numbers"),
    ],
)
def test_bad_actions_change_nothing(action, says):
    env = ConvectionEnv()
    env.reset(seed=0)
    before = env.get_state()["world"]["vorticity"]
    with pytest.raises(InvalidAction, match=says):
        env.step(action)
    np.testing.assert_array_equal(before, env.get_state()["world"]["vorticity"])


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"preset": "compct"}, UnknownId, "compact"),
        ({"raleigh": 1e4}, UnknownId, "rayleigh"),
        ({"rayleigh": -1.0}, InvalidParameter, "positive"),
        ({"start": "three-pair"}, UnknownId, "two-pair"),
        ({"residual_on": "proportional-lo"}, UnknownId, "proportional-low"),
        ({"residual_on": "merge-then-low"}, UnknownId, "proportional-low"),
        ({"dead": 8, "stuck": 4}, InvalidParameter, "at most"),
        ({"time_step": 0.07}, InvalidParameter, "multiple"),
        ({"heights": (0.0, 1.0)}, InvalidParameter, "between -1 and 1"),
        ({"carry_on": 2.0}, InvalidParameter, "carry_on"),
        ({"device": "tpu"}, InvalidParameter, "tpu"),
        ({"num_envs": 0}, InvalidParameter, "num_envs"),
        ({"window": 2.5}, InvalidParameter, "window .*2.5.*whole number"),
        ({"actions": 1.5}, InvalidParameter, "actions .*whole number"),
        ({"dead": True}, InvalidParameter, "dead .*whole number"),
        ({"reward_scale": float("nan")}, NonFinite, "reward_scale"),
        ({"temperature_offset": np.float32("inf")}, NonFinite, "temperature_offset"),
        ({"heights": (0.0, float("nan"))}, NonFinite, "heights"),
        ({"heights": "middle"}, InvalidParameter, "heights"),
        ({"noise": "much"}, InvalidParameter, "noise .*number"),
        ({"action_time": 0.0}, InvalidParameter, "action_time"),
        ({"precision": "float16"}, UnknownId, "float32"),
        ({"device": None}, InvalidParameter, "device"),
        ({"render_mode": "human"}, UnknownId, "rgb_array"),
        ({"prandtl": 0.1}, InvalidParameter, "diverges.*prandtl 0.1.*smaller time_step"),
    ],
)
def test_impossible_settings_are_refused(settings, error, says):
    with pytest.raises(error, match=says):
        ConvectionVectorEnv(**settings)


def test_numpy_s_numbers_are_numbers():
    made = cell(window=np.int64(5), rayleigh=np.float32(8e4), heights=np.array([-0.5, 0.5]), noise=np.float64(0.01))
    assert made == cell(window=5, heights=(-0.5, 0.5), noise=0.01)


@pytest.mark.parametrize("joint", [1e-200, 1e-8, 1e-4])
def test_joints_of_any_width_blend(joint):
    from agentgym.envs.convection.heaters import profile_coefficients
    from agentgym.envs.convection.solver import Fluid, Resolution, Solver

    solver = Solver(Fluid(), Resolution(columns=48, points=8))
    sharp = profile_coefficients(solver, HEATERS, 0.0)
    np.testing.assert_allclose(profile_coefficients(solver, HEATERS, joint), sharp, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("actions", [200, 3])
def test_the_time_limit_stands_in_the_spec(actions):
    """So Gymnasium's wrappers find it, and a limit that they put around cuts in the same step."""
    plain = gymnasium.make("agentgym/Convection-v0", actions=actions)
    assert plain.spec.max_episode_steps == plain.unwrapped.spec.max_episode_steps == actions
    for env in (plain, gymnasium.make(plain.spec)):
        seen = RecordEpisodeStatistics(TimeAwareObservation(env, flatten=False, normalize_time=True))
        seen.reset(seed=0)
        for step in range(min(actions, 3)):
            observation, _, terminated, truncated, info = seen.step(np.zeros(HEATERS, np.float32))
            assert observation["time"] == pytest.approx((step + 1) / actions)
            assert (terminated, truncated, "episode" in info) == (False, step + 1 == actions, step + 1 == actions)


@pytest.mark.parametrize("limit", [2, 500])
def test_a_time_limit_from_outside_cuts_a_batch_as_a_single_environment(limit):
    batch = gymnasium.make_vec("agentgym/Convection-v0", 2, "vector_entry_point", actions=4, max_episode_steps=limit)
    single = gymnasium.make("agentgym/Convection-v0", actions=4, max_episode_steps=limit)
    batch.reset(seed=0)
    single.reset(seed=0)
    for step in range(min(limit, 4)):
        cut = batch.step(np.zeros((2, HEATERS)))[3]
        assert cut.tolist() == [single.step(np.zeros(HEATERS))[3]] * 2 == [step + 1 == min(limit, 4)] * 2
    with pytest.raises(InvalidParameter, match="max_episode_steps"):
        ConvectionVectorEnv(max_episode_steps=0)


def test_resets_that_cannot_be_are_refused():
    env = ConvectionVectorEnv(2)
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros((2, HEATERS)))
    with pytest.raises(UnknownId, match="one-pair"):
        env.reset(options={"start": "one"})
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": np.zeros(2, bool)})


def test_a_missing_agent_is_named():
    env = ConvectionParallelEnv(actions=2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="heater_9"):
        env.step({agent: np.zeros(1) for agent in env.agents[:-1]})


@pytest.mark.parametrize("command", [np.nan, -np.inf, 1.5])
def test_a_wrong_action_names_its_agent(command):
    env = ConvectionParallelEnv(actions=2)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="heater_3"):
        env.step({agent: np.full(1, command if agent == "heater_3" else 0.0) for agent in env.agents})
