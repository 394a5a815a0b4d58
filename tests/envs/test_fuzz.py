"""Settings and reset options of every environment and every perturbation: what is taken works, what is not is named.

Each input is either refused with one of agentgym's errors, or gives five steps of finite values in the declared spaces,
bit-equal for equal seeds.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym import catalog
from agentgym.contracts.finite import is_finite
from agentgym.envs.bandit.env import BernoulliBanditEnv
from agentgym.envs.convection.env import ConvectionEnv
from agentgym.envs.convection.presets import PRESETS
from agentgym.envs.convection.world import Diverged
from agentgym.envs.perturb import PhysicsPerturbation, TextPerturbation, perturb
from agentgym.envs.perturb.dynamics import DynamicsPerturbation
from agentgym.envs.robust.env import RobustHopperEnv, RobustHumanoidStandupEnv, RobustInvertedPendulumEnv
from agentgym.envs.robust.schedules import SCHEDULES
from agentgym.envs.text.env import ArchiveEnv, HouseholdEnv
from agentgym.errors import AskError

PERTURBATIONS = {entry.id: catalog.load(entry) for entry in catalog.entries("perturbation")}

REFUSED = (AskError, gymnasium.error.Error)
COUNT: Counter[str] = Counter()

WILD = st.one_of(
    st.sampled_from(
        [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e-308, 1e39, None, True, "a", "", b"x"]
    ),
    st.sampled_from(
        [np.float32(0.5), np.float64("nan"), np.int64(2), np.bool_(True), np.array(0.5), np.array([0.1, 0.2])]
    ),
    st.sampled_from([[], [0.1], (0.1, 0.2, 0.3), {}, {"a": 1}, [[1.0], [2.0, 3.0]], 10**30, -1, 0, 1, 2, 3, 7]),
    st.floats(-2, 2),
    st.floats(),
    st.integers(-3, 12),
)
SANE = st.one_of(
    st.floats(0, 1), st.integers(0, 5), st.sampled_from([0.5, 1.0, np.float32(0.25), np.int64(3), True, False, None]),
)  # fmt: skip
NAMES = {
    "size": ["tiny", "medium"], "tasks": [["place"], ["heat", "cool"]], "split": ["seen", "unseen"],
    "render_mode": ["ansi", "rgb_array"], "uncertainty": ["1d", "2d"], "randomize": ["uniform"], "schedule": ["cosine"],
    "forces": ["rarl", {"torso": 2.0}, {"pole": np.float32(1)}], "compat": ["rrls"], "scale": ["half_range"],
    "parameters": [{"gravity": 5.0}, {"slope": np.float64(0.1)}], "before": ["first"], "policy": ["zero"],
    "nusselt": ["plates", "vignon2023"], "precision": ["float64"], "residual_on": ["proportional-low"],
    "healthy_z_range": [(0.5, np.inf), [0.7, 2]], "instruction": ["Do {}."], "start": ["one-pair", "mixed", "low"],
}  # fmt: skip


def few(count: int) -> Callable[[Any], Any]:
    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=health, database=None)


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    yield
    print(f"\n{COUNT.total()} inputs: {dict(COUNT)}")


def changed(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """One or two settings, a third of them of any kind."""

    def value(name: str, wild: bool) -> st.SearchStrategy[tuple[str, Any]]:
        usual = st.sampled_from(NAMES[name]) if name in NAMES else SANE
        return st.tuples(st.just(name), WILD if wild else usual)

    one = st.tuples(st.sampled_from(names), st.sampled_from([False, False, True])).flatmap(lambda two: value(*two))
    return st.lists(one, min_size=1, max_size=2).map(dict)


def trace(env: Any, options: dict[str, Any] | None, action: Callable[[], Any]) -> list[Any]:
    """A reset and five steps; observations and rewards, checked."""
    space = getattr(env, "single_observation_space", env.observation_space)
    rows = range(env.num_envs) if isinstance(env, gymnasium.vector.VectorEnv) else [None]

    def seen(observation: Any) -> Any:
        for row in rows:
            one = observation if row is None else observation[row]
            assert is_finite(one), one
            assert space.contains(one), (one, space)
        return np.array(observation).tobytes() if not isinstance(observation, str) else observation

    found = [seen(env.reset(seed=3, options=options)[0])]
    env.action_space.seed(0)
    for _ in range(5):
        observation, reward, terminated, truncated, _ = env.step(action())
        assert is_finite(np.asarray(reward)), reward
        found += [seen(observation), np.asarray(reward).tobytes(), terminated, truncated]
        if np.any(terminated) or np.any(truncated):
            break
    return found


def play(what: str, make: Callable[[], Any], options: dict[str, Any] | None = None, act: Any = None) -> None:
    try:
        one, other = make(), make()
    except REFUSED:
        COUNT[f"{what}, refused"] += 1
        return
    COUNT[what] += 1
    try:
        results = []
        for env in (one, other):
            try:
                results.append(trace(env, options, act or env.action_space.sample))
            except (*REFUSED, Diverged) as error:
                results.append([type(error), str(error)])
        assert repr(results[0]) == repr(results[1])
    finally:
        one.close()
        other.close()


class Still(gymnasium.Env[Any, Any]):
    """A world with bounds, of one number type."""

    def __init__(self, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 1.0, False, False, {}


OBSERVATIONS = [
    spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Box(-np.inf, np.inf, (2,), np.float64),
    spaces.Box(0, 255, (2, 2), np.uint8), spaces.Box(0.0, np.inf, (), np.float32), spaces.Discrete(3, start=-1),
]  # fmt: skip
ACTIONS = [
    spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Box(-2, 3, (2,), np.int64), spaces.Discrete(4, start=2),
    spaces.Box(np.array([-1.0, 0.5]), np.array([1.0, 0.5]), dtype=np.float64), spaces.MultiDiscrete([2, 3]),
]  # fmt: skip
ON_SIGNALS = [
    kind for kind in PERTURBATIONS.values()
    if not issubclass(kind, TextPerturbation | DynamicsPerturbation | PhysicsPerturbation)
]  # fmt: skip
ON_PHYSICS = [kind for kind in PERTURBATIONS.values() if issubclass(kind, PhysicsPerturbation)]
ON_TEXTS = [kind for kind in PERTURBATIONS.values() if issubclass(kind, TextPerturbation)]
ON_DYNAMICS = [kind for kind in PERTURBATIONS.values() if issubclass(kind, DynamicsPerturbation)]


@pytest.mark.parametrize("kind", ON_SIGNALS)
@few(40)
@given(data=st.data())
def test_perturbations_of_signals(kind: Any, data: Any) -> None:
    given_ = data.draw(changed([field.name for field in fields(kind)]))
    observation, action = data.draw(st.sampled_from(OBSERVATIONS)), data.draw(st.sampled_from(ACTIONS))
    batched = data.draw(st.booleans())

    def make() -> Any:
        world = lambda: Still(observation, action)  # noqa: E731
        return perturb(SyncVectorEnv([world, world]) if batched else world(), kind(**given_))

    play("signal", make)


@pytest.mark.parametrize("kind", ON_DYNAMICS)
@few(8)
@given(data=st.data())
def test_perturbations_of_dynamics(kind: Any, data: Any) -> None:
    given_ = data.draw(changed(["scale"]))
    play("dynamics", lambda: perturb(gymnasium.make("Hopper-v5"), kind(**given_)))


@pytest.mark.parametrize("kind", ON_PHYSICS)
@pytest.mark.parametrize("env", ["Hopper-v5", "Acrobot-v1", "MountainCar-v0"])
@few(8)
@given(data=st.data())
def test_perturbations_of_physics(env: str, kind: Any, data: Any) -> None:
    given_ = data.draw(changed([field.name for field in fields(kind)]))
    if env == "Acrobot-v1" and kind.__name__ == "ParameterDrift":
        given_.setdefault("parameter", "mass")  # it has no gravity of its own
    play("physics", lambda: perturb(gymnasium.make(env), kind(**given_)))


@pytest.mark.parametrize("kind", ON_TEXTS)
@few(10)
@given(data=st.data())
def test_perturbations_of_texts(kind: Any, data: Any) -> None:
    given_ = data.draw(changed([field.name for field in fields(kind)]))
    play("text", lambda: perturb(HouseholdEnv(size="tiny"), kind(**given_)), act=lambda: "look")


TINY = {"columns": 12, "points": 9, "actions": 3, "time_step": 0.5, "start": "random", "heights": (0.0,)}
CELL = [field.name for field in fields(PRESETS["compact"])]


@pytest.mark.filterwarnings("ignore::agentgym.envs.convection.resolved.UnresolvedFlow")
@few(40)
@given(given_=changed([*CELL, "preset", "device", "render_mode"]))
def test_convection(given_: dict[str, Any]) -> None:
    play("convection", lambda: ConvectionEnv(**{**TINY, **given_}))


@pytest.mark.filterwarnings("ignore::agentgym.envs.convection.resolved.UnresolvedFlow")
@few(25)
@given(options=st.dictionaries(st.sampled_from(["start", "strat", "reset_mask"]), WILD, max_size=1))
def test_reset_options_of_convection(options: dict[str, Any]) -> None:
    play("convection reset", lambda: ConvectionEnv(**TINY), options)


@pytest.mark.filterwarnings("ignore::agentgym.envs.convection.resolved.UnresolvedFlow")
@few(40)
@given(action=st.lists(st.one_of(st.floats(), st.floats(-1, 1)), min_size=9, max_size=11))
def test_actions_of_convection(action: list[float]) -> None:
    play("convection action", lambda: ConvectionEnv(**TINY), act=lambda: np.array(action))


ROBUST = ["uncertainty", "parameters", "randomize", "schedule", "forces", "compat", "check_range", "reset_noise_scale"]
ROBUST += ["frame_skip", "render_mode", "healthy_reward", "healthy_z_range", "forward_reward_weight", "max_geom"]
VALUES = st.dictionaries(
    st.sampled_from(["friction", "torso_mass", "gravity", "slope", "pole_mass", "actuator_gear", "foot_force_x"]),
    st.one_of(WILD, SANE, st.floats(-1e31, 1e31), st.sampled_from([1e13, 1e30])), min_size=1, max_size=2,
)  # fmt: skip


@pytest.mark.parametrize("task", [RobustInvertedPendulumEnv, RobustHopperEnv])
@few(40)
@given(given_=changed(ROBUST))
def test_robust_tasks(task: Any, given_: dict[str, Any]) -> None:
    play("robust", lambda: task(**given_))


@pytest.mark.parametrize("task", [RobustInvertedPendulumEnv, RobustHopperEnv, RobustHumanoidStandupEnv])
@few(25)
@given(values=VALUES, check_range=st.booleans(), at_reset=st.booleans())
def test_parameters_of_robust_tasks(task: Any, values: dict[str, Any], check_range: bool, at_reset: bool) -> None:
    if at_reset:
        play("parameters", lambda: task(check_range=check_range), {"parameters": values})
    else:
        play("parameters", lambda: task(check_range=check_range, parameters=values))


@pytest.mark.parametrize("name", SCHEDULES)
@few(15)
@given(data=st.data())
def test_schedules(name: str, data: Any) -> None:
    kind = SCHEDULES[name]
    given_ = data.draw(changed([field.name for field in fields(kind)]))  # type: ignore[arg-type]
    play("schedule", lambda: RobustHopperEnv(schedule={"friction": kind(**given_)}))


@few(40)
@given(action=st.lists(st.floats(), min_size=2, max_size=4))
def test_actions_of_robust_tasks(action: list[float]) -> None:
    play("robust action", RobustHopperEnv, act=lambda: np.array(action))


@few(40)
@given(p=st.one_of(WILD, SANE), options=st.dictionaries(st.sampled_from(["p", "q"]), st.one_of(WILD, SANE), max_size=1))
def test_bandit(p: Any, options: dict[str, Any]) -> None:
    play("bandit", lambda: BernoulliBanditEnv(p), options)


HOUSE = ["size", "tasks", "split", "admissible", "render_mode", "rooms", "items", "closed", "max_turns", "far_apart"]
BOOKS = ["size", "split", "admissible", "render_mode", "entities", "hops", "calculation", "failure_rate", "max_turns"]


@pytest.mark.parametrize(("world", "names"), [(HouseholdEnv, HOUSE), (ArchiveEnv, BOOKS)])
@few(25)
@given(data=st.data())
def test_text_worlds(world: Any, names: list[str], data: Any) -> None:
    given_ = data.draw(changed(names))
    play("text world", lambda: world(**given_), act=lambda: "look")
