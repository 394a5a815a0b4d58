"""An evaluation whose every number is known, and a real browser to look at its report."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from agentgym.evaluation.table import AgentRecord, Evaluation, Row, Scene

EPISODES = 6
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2> %{x} &lt;b&gt;"


def expected_return(agent, condition, scene):
    """The mean return by which an agent's episodes are laid around."""
    robust = agent == "randomised"
    loss = sum(v for v in scene.coordinates.values() if not isinstance(v, str))
    if scene.kind == "nominal":
        return 960.0 if robust else 1000.0
    if scene.kind == "matrix":
        return 900.0 if robust or scene.coordinates["test"] == "nominal" else 300.0
    return (960.0 if robust else 1000.0) - (12.0 if robust else 45.0) * loss


def scenes():
    """Nominal, grids of one, two and three parameters, curves, a matrix."""
    found = {"nominal": Scene("Overview", "nominal", "nominal")}
    for pole, cart in itertools.product([1.0, 6.0, 11.0], [1.0, 3.5, 6.0]):
        coordinates = {"pole_mass": pole, "cart_mass": cart}
        found[f"pole_mass={pole:g}, cart_mass={cart:g}"] = Scene(
            "Parameter grid", "pole_mass × cart_mass", "grid", coordinates
        )
    for torso, friction, thigh in itertools.product([1.0, 2.0], [0.5, 1.0], [1.0, 2.0, 3.0]):
        coordinates = {"torso_mass": torso, "friction": friction, "thigh_mass": thigh}
        found[f"torso {torso:g} friction {friction:g} thigh {thigh:g}"] = Scene(
            "Three parameters", "torso × friction × thigh", "grid", coordinates
        )
    for mass in (1.0, 2.0, 4.0, 8.0):
        found[f"mass={mass:g}"] = Scene("One parameter", "mass", "grid", {"mass": mass})
    for panel, intensity in itertools.product(["noise (stds)", "dropout", "delay (steps)"], [1.0, 2.0, 3.0, 5.0]):
        found[f"Observation: {panel} {intensity:g}"] = Scene("Observation", panel, "curve", {"intensity": intensity})
    for test in ("nominal", "randomised"):
        found[f"as trained: {test}"] = Scene("Transfer", "trained in × tested in", "matrix", {"test": test})
    return found


FAILED = "pole_mass=11, cart_mass=6"
PARTLY = "pole_mass=1, cart_mass=6"
FAILED_CURVE = "Observation: delay (steps) 5"
MESSAGE = "ValueError: the pendulum <b>left</b> the world"


def make_evaluation(names=("nominal", "randomised")):
    generator = np.random.default_rng(0)
    rows = []
    for name, (condition, scene), episode in itertools.product(names, scenes().items(), range(EPISODES)):
        spread = np.linspace(-20.0, 20.0, EPISODES)[generator.permutation(EPISODES)[0] * 0 + episode]
        value = expected_return(name, condition, scene) + spread
        broken = name == names[0] and (condition in (FAILED, FAILED_CURVE) or (condition == PARTLY and episode < 2))
        score, length, error = (float("nan"), 0, MESSAGE) if broken else (value, 1000, "")
        rows.append(Row(name, condition, episode, 100 + episode, score, length, error))
    return Evaluation(
        suite="parameter-grid + perturbations + transfer",
        agents=[AgentRecord(name, "sac", f"agentgym/Robust-v0 ({name})", f"runs/{name}", 50_000) for name in names],
        scenes=scenes(),
        rows=rows,
        meta={
            "command": "agentgym evaluate runs/nominal runs/randomised --suite parameter-grid perturbations",
            "created": "2026-01-02T03:04:05+00:00", "python": "3.11", "versions": {"torch": "2.13.0", "numpy": "2.4"},
            "git": "abc123", "env": "agentgym/RobustInvertedPendulum-v0", "episodes": EPISODES, "seed": 0,
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def evaluation():
    return make_evaluation()


@pytest.fixture(scope="session")
def promising(evaluation):
    """The same, with a second agent that always promises 1000; three of its conditions return more."""
    generous = ("mass=1", "mass=2", "mass=4")
    rows = [
        replace(
            row,
            measures={"promised_return": 1000.0} if row.agent == "randomised" else {},
            episode_return=row.episode_return + (200.0 if row.condition in generous else 0.0),
        )
        for row in evaluation.rows
    ]
    return replace(evaluation, rows=rows)


@pytest.fixture(scope="session", name="make_evaluation")
def _make_evaluation():
    return make_evaluation


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE
