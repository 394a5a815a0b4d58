import subprocess
import sys
from typing import get_args

import gymnasium
import pytest

import agentgym  # noqa: F401  (registers the environments)
from agentgym import catalog
from agentgym.errors import InvalidParameter, UnknownId


def every_entry():
    return [entry for kind in get_args(catalog.Kind) for entry in catalog.entries(kind)]


@pytest.mark.parametrize("entry", every_entry(), ids=lambda entry: entry.id)
def test_every_entry_can_be_loaded_and_has_a_card(entry):
    assert callable(catalog.load(entry))
    assert len(catalog.card(entry)) > 500


def test_environments_are_in_gymnasiums_registry():
    for entry in catalog.entries("env"):
        assert gymnasium.spec(entry.id).max_episode_steps == entry.max_episode_steps


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("agent", "sca", "sac"),
        ("suite", "parametergrid", "parameter-grid"),
        ("env", "RobustHoper-v0", "agentgym/RobustHopper-v0"),
    ],
)
def test_an_unknown_name_gives_the_nearest(kind, typed, meant):
    with pytest.raises(UnknownId, match=meant):
        catalog.find(kind, typed)


def test_importing_costs_little_beyond_dependencies_and_starts_nothing():
    """Contract 1: under a second of CPU; neither torch nor MuJoCo is imported before it is asked for."""
    code = (
        "import time, sys, gymnasium, threading; began = time.process_time(); import agentgym;"
        "print(time.process_time() - began, sorted({'torch', 'mujoco', 'stable_baselines3', 'ray'} & set(sys.modules)),"
        "threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, rest = done.stdout.split(" ", 1)
    assert float(seconds) < 1.0
    assert rest.strip() == "[] 1"


def test_a_script_adds_to_the_list_and_takes_no_name_twice(monkeypatch):
    listed = dict(catalog._all())
    monkeypatch.setattr(catalog, "_all", lambda: listed)  # the real list is the process's
    entry = catalog.Entry("agent", "test-sac", "agentgym.agents.sac.sac:SAC", "SAC again", "agentgym.agents.sac")
    catalog.add(entry)
    catalog.add(entry)  # a script that is run twice
    assert catalog.find("agent", "test-sac") is entry
    with pytest.raises(InvalidParameter, match="another agent 'sac'"):
        catalog.add(catalog.Entry("agent", "sac", "math:sqrt", "no agent", "math"))
    assert catalog.find("agent", "sac").target == "agentgym.agents.sac.sac:SAC"
