"""Short imports: every agent of the catalog by its class's name, and nothing loaded before it is used."""

import importlib
import json
import subprocess
import sys

import pytest

import agentgym
import agentgym.agents
from agentgym import catalog


def test_every_agent_of_the_catalog_has_a_short_import():
    classes = {entry.target.partition(":")[2] for entry in catalog.OURS if entry.kind == "agent"}
    assert classes | {"load_agent"} == set(agentgym.agents.__all__)


@pytest.mark.parametrize("entry", [e for e in catalog.OURS if e.kind == "agent"], ids=lambda entry: entry.id)
def test_the_short_import_is_the_catalogs_class(entry):
    if entry.id == "trpo":
        pytest.importorskip("sb3_contrib")
    assert getattr(agentgym.agents, entry.target.partition(":")[2]) is catalog.load(entry)


def test_short_and_deep_imports_of_the_evaluation_are_the_same_in_any_order():
    code = (
        "from agentgym.evaluation.evaluate import evaluate as deep\n"
        "from agentgym.evaluation.report import write_report as page\n"
        "from agentgym.evaluation import evaluate, write_report\n"
        "assert callable(evaluate) and evaluate is deep and write_report is page"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_and_resume_stand_at_the_front():
    training = importlib.import_module("agentgym.runs.train")
    assert agentgym.train is training.train
    assert agentgym.resume is training.resume
    assert {"train", "resume", "parallel_env", "RunConfig"} <= set(dir(agentgym))


@pytest.mark.parametrize(
    ("line", "absent"),
    [
        ("import agentgym", {"torch", "pettingzoo", "mujoco", "stable_baselines3", "scipy", "matplotlib"}),
        ("import agentgym, agentgym.agents, agentgym.envs", {"torch", "mujoco", "stable_baselines3"}),
        ("from agentgym.agents import SAC", {"transformers", "minari", "mujoco"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(line, absent):
    code = f"{line}\nimport json, sys; print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not absent & set(json.loads(done.stdout))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(ImportError):
        exec("from agentgym.agents import NoSuchAgent", {})
