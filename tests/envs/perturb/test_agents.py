"""Faults of single agents: formulas, the truth in the infos, clean twins, batches against single environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import agentgym
from agentgym.envs.particles.spread import SimpleSpreadEnv, SimpleSpreadVectorEnv
from agentgym.envs.perturb import AgentActionFault, AgentObservationFault, from_config, perturb
from agentgym.errors import InvalidParameter

assert agentgym

OBSERVATION = ("gauss", "bias", "drift", "freeze", "zero")
ACTION = ("random", "stuck", "flip", "delay")


class Echo(gym.Env):
    """Shows its steps to every agent, and keeps the actions that reach it."""

    def __init__(self, action_space=None):
        self.observation_space = spaces.Box(-np.inf, np.inf, (3, 4), np.float32)
        self.action_space = action_space or spaces.MultiDiscrete([5, 5, 5])

    def _seen(self):
        return np.full((3, 4), len(self.taken) + 1.0, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.taken = []
        return self._seen(), {}

    def step(self, action):
        self.taken.append(np.array(action))
        return self._seen(), 0.0, False, len(self.taken) >= 20, {}


def played(fault, env=None, seed=0, actions=None):
    """Observations [21, 3, 4], executed actions [20, ...], and the truth."""
    env = perturb(env or Echo(), fault)
    observation, info = env.reset(seed=seed)
    seen, truth = [observation], info["faults"][type(fault).__name__]
    for t in range(20):
        action = env.action_space.sample() if actions is None else actions[t]
        observation, _, _, _, info = env.step(action)
        assert info["faults"][type(fault).__name__] == truth
        seen.append(observation)
    return np.array(seen), np.array(env.unwrapped.taken), truth


@pytest.mark.parametrize("kind", OBSERVATION)
def test_only_the_victim_sees_something_else_and_only_while_it_lasts(kind):
    clean = np.broadcast_to(np.arange(1.0, 22.0)[:, None, None], (21, 3, 4))
    for seed in range(6):
        seen, _, truth = played(AgentObservationFault(kind=kind, size=0.5, duration=4), seed=seed)
        assert 5 <= truth["onset"] <= 15
        assert truth["duration"] == 4
        during = slice(truth["onset"], truth["onset"] + 4)
        changed = seen != clean
        assert changed[during, truth["victim"]].all()
        changed[during, truth["victim"]] = False
        assert not changed.any()
        off = (seen - clean)[during, truth["victim"]]
        if kind == "bias":
            assert (np.abs(off) == 0.5).all()
            assert (off == off[0]).all()
        if kind == "drift":
            assert np.allclose(np.abs(off), 0.5 * np.arange(1, 5)[:, None])
        if kind == "freeze":
            assert (seen[during, truth["victim"]] == truth["onset"]).all()  # of the step before
        if kind == "zero":
            assert (seen[during, truth["victim"]] == 0).all()


def test_gauss_has_the_stated_size_and_columns_leave_dead_entries_alone():
    seen = np.concatenate(
        [
            played(AgentObservationFault(kind="gauss", size=2.0, victim=1, earliest=0, latest=0, columns=3), seed=s)[0]
            for s in range(40)
        ]
    )
    off = seen[:, 1] - np.tile(np.arange(1.0, 22.0), 40)[:, None]
    assert off[:, :3].std() == pytest.approx(2.0, rel=0.05)
    assert (off[:, 3] == 0).all()


def test_victims_and_onsets_are_uniform_and_fixed_by_the_seed():
    truths = [played(AgentObservationFault(), seed=seed)[2] for seed in range(150)]
    assert truths[3] == played(AgentObservationFault(), seed=3)[2]
    for name, values in (("victim", range(3)), ("onset", range(5, 16))):
        counts = np.bincount([truth[name] for truth in truths], minlength=max(values) + 1)[list(values)]
        assert counts.sum() == 150
        assert counts.min() > 0


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("kind", ACTION)
def test_only_the_victims_actions_are_exchanged(kind, boxes):
    space = spaces.Box(0, 1, (3, 5), np.float32) if boxes else spaces.MultiDiscrete([5] * 3)
    space.seed(0)
    actions = np.array([space.sample() for _ in range(20)])
    fault = AgentActionFault(kind=kind, size=2, duration=4)
    _, taken, truth = played(fault, Echo(space), 1, actions)
    onset, victim = truth["onset"], truth["victim"]
    during = slice(onset, onset + 4)
    rest = taken != actions
    rest[during, victim] = False
    assert not rest.any()
    mine, asked = taken[during, victim], actions[during, victim]
    assert all(space.contains(action) for action in taken)
    if kind == "stuck":
        assert (mine == mine[0]).all()
        assert boxes or mine[0] > 0
    if kind == "flip":
        order = [0, 2, 1, 4, 3]
        assert np.array_equal(mine, asked[:, order] if boxes else np.array(order)[asked])
    if kind == "delay":
        assert np.array_equal(mine, actions[onset - 2 : onset + 2, victim])
    if kind == "random":
        assert (mine != asked).any()


def test_mirrored_boxes_a_delay_from_the_start_and_everyone_as_control():
    space = spaces.Box(-2, 4, (3, 2), np.float32)
    actions = np.array([space.sample() for _ in range(20)])
    at_once = {"earliest": 0, "latest": 0}
    _, taken, truth = played(
        AgentActionFault(kind="flip", exchange=None, everyone=True, **at_once), Echo(space), 0, actions
    )
    assert np.allclose(taken, 2 - actions)
    assert truth["victim"] == -1
    _, taken, _ = played(AgentActionFault(kind="delay", size=3, victim=1, **at_once), Echo(space), 0, actions)
    assert np.array_equal(taken[:, 1], actions[[0, 0, 0, *range(17)], 1])
    seen, _, _ = played(AgentObservationFault(kind="zero", everyone=True, **at_once))
    assert (seen == 0).all()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize(
    "fault",
    [AgentObservationFault(kind=kind, earliest=1, latest=4) for kind in OBSERVATION]
    + [AgentActionFault(kind=kind, size=2, earliest=1, latest=4) for kind in ACTION],
)
def test_a_batch_equals_single_environments_and_its_state_is_restored(fault, mode):
    worlds, steps = 3, 14
    batch = perturb(SimpleSpreadVectorEnv(worlds, max_cycles=6, autoreset_mode=mode), fault)
    singles = [perturb(SimpleSpreadEnv(max_cycles=6), fault) for _ in range(worlds)]
    seen, infos = batch.reset(seed=4)
    own = [env.reset(seed=4 + k) for k, env in enumerate(singles)]
    name, over, generator, saved = type(fault).__name__, np.zeros(worlds, bool), np.random.default_rng(0), None
    for t in range(steps):
        for k, (observation, info) in enumerate(own):
            assert np.array_equal(seen[k], observation)
            assert {key: each[k] for key, each in infos["faults"][name].items()} == info["faults"][name]
        actions = generator.integers(0, 5, (worlds, 3))
        if mode == "Disabled" and over.all():
            seen, infos = batch.reset()
            own, over = [env.reset() for env in singles], np.zeros(worlds, bool)
            continue
        if t == 8:
            saved = batch.get_state()
        seen, _, _, cut, infos = batch.step(actions)
        if t == 8:
            after = seen.copy()
            batch.set_state(saved)
            assert np.array_equal(batch.step(actions)[0], after)
        if mode == "NextStep" and over.all():
            own, over = [env.reset() for env in singles], np.zeros(worlds, bool)
            continue
        own = [env.step(action)[::4] for env, action in zip(singles, actions, strict=True)]
        over = cut
        if mode == "SameStep" and cut.all():
            for k, (observation, info) in enumerate(own):
                assert np.array_equal(infos["final_obs"][k], observation)
                final = infos["final_info"]["faults"][name]
                assert {key: each[k] for key, each in final.items()} == info["faults"][name]
            own = [env.reset() for env in singles]


def test_the_clean_twin_is_the_same_until_the_onset():
    generator = np.random.default_rng(0)
    for fault in (AgentObservationFault(kind="gauss"), AgentActionFault(kind="random")):
        clean, faulty = SimpleSpreadEnv(), perturb(SimpleSpreadEnv(), fault)
        (seen, _), (shown, info) = clean.reset(seed=8), faulty.reset(seed=8)
        onset, differs = info["faults"][type(fault).__name__]["onset"], []
        for t in range(25):
            differs.append(not np.array_equal(seen, shown))
            action = generator.integers(0, 5, 3)
            seen, shown = clean.step(action)[0], faulty.step(action)[0]
            assert t >= onset or not differs[-1]
        assert any(differs)


def test_strength_zero_is_clean_and_configurations_come_back():
    clean = played(AgentObservationFault(duration=1, earliest=25, latest=25))[0]
    for kind in ("gauss", "bias", "drift"):
        assert np.array_equal(played(AgentObservationFault(kind=kind, size=0.0))[0], clean)
    for fault in (
        AgentObservationFault(kind="drift", victim=1, columns=2),
        AgentActionFault(kind="flip", exchange=((0, 1),)),
    ):
        assert from_config(fault.to_config()) == fault


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AgentObservationFault(kind="grass"), "kind"),
        (lambda: AgentObservationFault(size=-1.0), "size"),
        (lambda: AgentObservationFault(size=float("nan")), "size"),
        (lambda: AgentObservationFault(earliest=5, latest=4), "latest"),
        (lambda: AgentObservationFault(duration=0), "duration"),
        (lambda: AgentObservationFault(victim=-1), "victim"),
        (lambda: AgentObservationFault(everyone="yes"), "everyone"),
        (lambda: AgentActionFault(kind="delay", size=0.5), "whole steps"),
        (lambda: AgentActionFault(exchange=((1, 1),)), "exchange"),
        (lambda: perturb(Echo(), AgentObservationFault(victim=3)), "agents 0 to 2"),
        (lambda: perturb(gym.make("Pendulum-v1"), AgentObservationFault()), "joint environments"),
        (lambda: perturb(gym.make("CartPole-v1"), AgentActionFault()), "joint environments"),
        (lambda: perturb(Echo(), AgentActionFault(kind="flip", exchange=((1, 7),))), "exchange"),
        (lambda: perturb(Echo(), AgentActionFault(kind="flip", exchange=None)), "pairs"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(InvalidParameter, match=words):
        make()
