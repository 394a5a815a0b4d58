"""Configurations round trip; what cannot be is refused with a message that says what can."""

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv

from agentgym import catalog
from agentgym.envs.perturb import (
    ActionGainDrift,
    ActionMixture,
    ActionNoise,
    BodyMass,
    CheckAction,
    CheckVectorAction,
    Gravity,
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationHidden,
    ObservationNoise,
    ObservationQuantization,
    RewardNoise,
    RewardSignFlip,
    StickyAction,
    TimeCorrelatedActionNoise,
    from_config,
    perturb,
)
from agentgym.errors import InvalidAction, InvalidParameter, UnknownId

PERTURBATIONS = {entry.id: catalog.load(entry) for entry in catalog.entries("perturbation")}


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_configurations_round_trip_with_defaults(name: str) -> None:
    effect = PERTURBATIONS[name]()
    assert effect.to_config()["type"] == name
    assert from_config(json.loads(json.dumps(effect.to_config()))) == effect
    assert from_config({"type": name}) == effect


@pytest.mark.parametrize(
    "effect",
    [
        ObservationNoise(np.array([0.1, 0.2]), scale=[[1.0, 2.0], [3, 4]], probability=0.5, start=2, stop=9, every=3),
        ObservationDropout(1, fill=(0.0, 1.0)),
        ObservationHidden([np.int64(1), 0], probability=0.5),
        ObservationDelay(3, "first"),
        ObservationFreeze(0.2, duration=7),
        ActionGainDrift(0.0, -0.1, 0.2, 3.0),
        ActionMixture("zero", 0.7),
        ActionNoise(0.1, "half_range"),
        TimeCorrelatedActionNoise((0.1, 0.2), "half_range", probability=0.5),
        BodyMass(1.5),
    ],
)
def test_configurations_round_trip_with_settings(effect: Any) -> None:
    again = from_config(json.loads(json.dumps(effect.to_config())))
    assert again == effect
    assert hash(again) == hash(effect)


def test_configurations_do_as_objects(world: Callable) -> None:
    one = perturb(world(), {"type": "ObservationNoise", "std": [0.5, 0.1, 0.2]}).reset(seed=3)[0]
    np.testing.assert_array_equal(one, perturb(world(), ObservationNoise((0.5, 0.1, 0.2))).reset(seed=3)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ObservationNoise(-1.0), r"ObservationNoise\.std is -1\.0; it must be a finite number of at least 0"),
        (
            lambda: ObservationNoise([0.1, float("nan")]),
            r"An entry of ObservationNoise\.std is nan; it must be a finite number",
        ),
        (lambda: ObservationNoise("big"), r"ObservationNoise\.std is 'big'"),
        (lambda: ObservationNoise(True), r"ObservationNoise\.std is True"),
        (lambda: ObservationNoise([[1, 2], [3]]), r"rows must be of equal length"),
        (lambda: ObservationNoise([]), r"ObservationNoise\.std is empty; .* or one per dimension"),
        (
            lambda: ObservationNoise(0.1, probability=1.5),
            r"ObservationNoise\.probability is 1\.5; .* of at least 0 and of at most 1",
        ),
        (lambda: ObservationBias(float("inf")), r"ObservationBias\.bias is inf"),
        (
            lambda: ObservationNoise(0.1, start=5, stop=2),
            r"ObservationNoise\.stop is 2; it must be a whole number of at least 5",
        ),
        (lambda: ObservationNoise(0.1, every=0), r"ObservationNoise\.every is 0"),
        (lambda: ObservationDelay(1.5), r"ObservationDelay\.steps is 1\.5; it must be a whole number"),
        (lambda: ObservationDelay(1, "last"), r"ObservationDelay\.before is 'last'; it must be 'zero' or 'first'"),
        (lambda: ObservationQuantization(-1.0), r"ObservationQuantization\.step is -1\.0; .* at least 0"),
        (
            lambda: ActionNoise(0.1, scale="range"),
            r"ActionNoise\.scale is 'range'; it must be 'half_range' or a number",
        ),
        (lambda: ObservationFreeze(0.1, duration=0), r"ObservationFreeze\.duration is 0"),
        (lambda: StickyAction(-0.1), r"StickyAction\.probability is -0\.1"),
        (
            lambda: ActionMixture("best"),
            r"ActionMixture\.policy is 'best'; it must be 'random' or 'zero' or a function",
        ),
        (lambda: ActionMixture(weight=2), r"ActionMixture\.weight is 2"),
        (lambda: ActionGainDrift(low=1.2), r"ActionGainDrift\.low is 1\.2"),
        (lambda: RewardNoise(-1), r"RewardNoise\.std"),
        (lambda: BodyMass(0.0), r"BodyMass\.scale is 0\.0; .* above 0"),
        (lambda: Gravity(None), r"Gravity\.scale is None"),
        (lambda: from_config({"type": "RewardNoise", "sdt": 1.0}), r"no setting 'sdt'\. Its settings are: .*std"),
        (lambda: from_config({"std": 1.0}), r"needs a 'type'"),
        (lambda: ActionMixture(lambda seen: seen).to_config(), r"ActionMixture\.policy is .*not a function"),
    ],
)
def test_bad_settings(make: Callable, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        make()


def test_unknown_type_gives_the_nearest() -> None:
    with pytest.raises(UnknownId, match=r"'ObservationNoize'.*ObservationNoise"):
        from_config({"type": "ObservationNoize"})


@pytest.mark.parametrize(
    ("effect", "kinds", "message"),
    [
        (
            ObservationNoise(),
            {"observation_space": spaces.Discrete(4)},
            r"ObservationNoise .*observation Discrete\(4\)",
        ),
        (ObservationQuantization(), {"observation_space": spaces.MultiBinary(4)}, r"needs a Box.*ObservationDelay"),
        (ActionNoise(), {"action_space": spaces.Discrete(4)}, r"ActionNoise .*action Discrete\(4\).*StickyAction"),
        (ActionNoise(0.1, "half_range"), {"action_space": spaces.Box(-1, np.inf, (2,))}, r"half_range.*needs bounds"),
        (ActionMixture(), {"action_space": spaces.Box(-np.inf, 1, (2,))}, r"open side"),
        (ActionMixture("zero"), {"action_space": spaces.Tuple([spaces.Discrete(2)])}, r"ActionMixture.*Tuple"),
        (ObservationNoise((1.0, 2.0)), {}, r"ObservationNoise\.std has the shape \(2,\).*\(3,\)"),
        (ObservationBias(1.0, scale=(1.0, 2.0)), {}, r"ObservationBias\.scale has the shape \(2,\)"),
        (
            ObservationDropout(0.1, fill=300),
            {"observation_space": spaces.Box(0, 255, (2,), np.uint8)},
            r"ObservationDropout\.fill is 300\.0; it must be a value of the observation Box",
        ),
        (ObservationHidden((0, 3)), {}, r"ObservationHidden\.entries has 3, but the observation.* has 3 entries"),
        (Gravity(0.5), {}, r"Gravity edits a MuJoCo model, and World has none"),
        ("ObservationNoise", {}, r"'ObservationNoise' is not a perturbation"),
    ],
)
def test_effects_that_do_not_apply(effect: Any, kinds: dict, message: str, world: Callable, batch: Callable) -> None:
    for make in (lambda: world(**kinds), lambda: batch(2, **kinds)):
        with pytest.raises(InvalidParameter, match=message):
            perturb(make(), effect)


BAD_ACTIONS = [
    ([np.nan, 0.0], "NaN or infinite"),
    ([np.inf, 0.0], "NaN or infinite"),
    ([1e300, 0.0], "NaN or infinite"),
    ([0.0], r"shape \(1,\).*shape \(2,\)"),
    ([[0.0, 0.0]], "shape"),
    (["a", "b"], "no number"),
    ([[0.0], [0.0, 1.0]], "not an array"),
    (None, "shape"),
]


@pytest.mark.parametrize(
    "wrap", [CheckAction, lambda env: perturb(env, RewardNoise()), lambda env: perturb(env, ActionNoise())]
)
@pytest.mark.parametrize(("action", "message"), BAD_ACTIONS)
def test_bad_actions(wrap: Callable, action: Any, message: str, world: Callable) -> None:
    env = wrap(world())
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        env.step(action)
    assert env.unwrapped.received == []
    env.step(np.full(2, 7.0))  # beyond the bounds is an action


@pytest.mark.parametrize("wrap", [CheckVectorAction, lambda env: perturb(env, RewardNoise())])
def test_bad_actions_in_a_batch_step_no_world(wrap: Callable, batch: Callable) -> None:
    env = wrap(batch(3))
    env.reset(seed=0)
    for action, message in ((np.zeros((2, 2)), "one for each of 3"), (np.array([[0, 0], [0, np.nan], [0, 0]]), "NaN")):
        with pytest.raises(InvalidAction, match=message):
            env.step(action)
    assert all(single.unwrapped.received == [] for single in env.unwrapped.envs)


@pytest.mark.parametrize(("action", "message"), [(5, "outside"), (-1, "outside"), (1.0, "no integer"), ([1], "shape")])
def test_bad_choices(action: Any, message: str, world: Callable) -> None:
    env = CheckAction(world(action_space=spaces.Discrete(5)))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=message):
        env.step(action)
    env.step(4)


def test_bad_composite_action(world: Callable) -> None:
    env = CheckAction(world(action_space=spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)])))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="not in the space"):
        env.step((0, 3))


def test_a_bad_policy_is_named(world: Callable) -> None:
    env = perturb(world(), ActionMixture(lambda seen: np.zeros(2)))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"policy returned actions of shape \(2,\).*\(1, 2\)"):
        env.step(np.zeros(2))


def test_step_before_reset(world: Callable, batch: Callable) -> None:
    for env in (perturb(world(), RewardSignFlip()), perturb(batch(2), RewardSignFlip())):
        with pytest.raises(ResetNeeded):
            env.step(env.action_space.sample())


def test_step_before_some_world_was_reset(world: Callable, batch: Callable) -> None:
    parallel = AsyncVectorEnv([world, world])  # SyncVectorEnv cannot reset a part first
    try:
        env = perturb(parallel, ObservationNoise(), ActionNoise())
        observations, _ = env.reset(seed=0, options={"reset_mask": np.array([False, True])})
        np.testing.assert_array_equal(observations[1], perturb(batch(2), ObservationNoise()).reset(seed=0)[0][1])
        with pytest.raises(ResetNeeded):
            env.step(np.zeros((2, 2)))
    finally:
        parallel.close()


def test_a_batch_must_say_how_it_resets(batch: Callable) -> None:
    env = batch(2)
    env.metadata = {}
    with pytest.raises(InvalidParameter, match="autoreset_mode"):
        perturb(env, RewardSignFlip())


def test_a_batch_that_hides_last_observations(batch: Callable) -> None:
    class Hiding(gymnasium.vector.VectorWrapper):
        def step(self, actions: Any) -> tuple:
            *told, infos = self.env.step(actions)
            infos.pop("final_obs", None)
            return (*told, infos)

    env = perturb(Hiding(batch(2, "SameStep")), ObservationNoise())
    env.reset(seed=0)

    def run() -> None:
        for _ in range(40):
            env.step(np.zeros((2, 2)))

    with pytest.raises(InvalidParameter, match="final_obs"):
        run()
