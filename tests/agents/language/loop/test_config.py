"""Every setting of every language agent and method: it works, or is refused by its name before anything is made."""

import dataclasses
import json
import math
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgym import catalog
from agentgym.agents import GRPO
from agentgym.agents.language.loop.config import OWN, LanguageConfig
from agentgym.agents.language.methods.plugin import find_estimator, make_plugins
from agentgym.errors import AskError, InvalidParameter, NonFinite, UnknownId
from tests.agents.language.worlds import small

AGENTS = ("grpo", "dr-grpo", "rloo", "gigpo", "spear", "epo")
FIELDS = {field.name: get_type_hints(LanguageConfig)[field.name] for field in dataclasses.fields(LanguageConfig)}
NUMBERS = [name for name, kind in FIELDS.items() if kind in (int, float, float | None)]
METHODS = {entry.id: catalog.load(entry) for entry in catalog.entries("method")}
ESTIMATORS = {entry.id: catalog.load(entry) for entry in catalog.entries("estimator")}
SETTINGS = [
    (name, field.name, get_type_hints(kind)[field.name])
    for name, kind in (METHODS | ESTIMATORS).items()
    for field in dataclasses.fields(kind)
    if field.init
]


def made(text):
    """The estimator or plug-in of a text."""
    return find_estimator(text) if text.partition(":")[0] in ESTIMATORS else make_plugins((text,))


def config_of(agent):
    return catalog.load(catalog.find("agent", agent)).Config


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, np.float32("nan"), "1", True, [1]], ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_cannot_be(name, value):
    not_finite = isinstance(value, float | np.floating)
    with pytest.raises(
        NonFinite if not_finite else InvalidParameter, match=rf"^{name} .*; it must be |^group_size must be at least 2"
    ):
        LanguageConfig(**{name: value})


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "clip_dual"])
def test_nothing_is_no_number(name):
    with pytest.raises(InvalidParameter, match=rf"^{name} of LanguageConfig is None"):
        LanguageConfig(**{name: None})


@pytest.mark.parametrize("name", [name for name, kind in FIELDS.items() if kind is int])
def test_half_a_thing(name):
    with pytest.raises(InvalidParameter, match=rf"^{name} .* must be a whole number"):
        LanguageConfig(**{name: 2.5})


@pytest.mark.parametrize("name", ["context", "width", "layers", "heads", "minibatches", "fixed_length"])
def test_none_of_it(name):
    with pytest.raises(InvalidParameter, match=rf"^{name} .* is 0; it must be at least 1"):
        LanguageConfig(**{name: 0})


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"temperature": 0}, InvalidParameter, "temperature .* must be above 0"),
        ({"gamma": 1.01}, InvalidParameter, "gamma .* must be at least 0 and at most 1"),
        ({"clip_dual": 1}, InvalidParameter, "clip_dual .* must be above 1"),
        ({"imitation_random": 1.0}, InvalidParameter, "imitation_random must be below 1"),
        ({"skip_dead": 1}, InvalidParameter, "skip_dead .* must be true or false"),
        ({"list_commands": "no"}, InvalidParameter, "list_commands .* must be true or false"),
        ({"policy": b"tiny"}, InvalidParameter, "policy .* must be a text"),
        ({"start": None}, InvalidParameter, "start .* must be a text"),
        ({"methods": ("entropy", None)}, InvalidParameter, "methods .* must be a text"),
        ({"aggregation": "fix"}, UnknownId, "Nearest: fixed"),
        ({"group_statistics": "turn"}, UnknownId, "Nearest: turns"),
        ({"imitation_expert": "oracel"}, UnknownId, "Nearest: oracle"),
        ({"advantage": None}, InvalidParameter, "advantage of LanguageConfig is None; it must be a text"),
        ({"minibatches": 1000}, InvalidParameter, "1000 minibatches cannot be made of 128"),
    ],
)
def test_settings_that_cannot_be(settings, error, says):
    with pytest.raises(error, match=says):
        LanguageConfig(**settings)


@pytest.mark.parametrize("name", AGENTS)
def test_a_group_of_one_is_refused_by_every_agent(name):
    config = config_of(name)
    with pytest.raises(InvalidParameter, match=f"group_size must be at least 2, not 1: {config().advantage} compares"):
        config(group_size=1)
    kind = catalog.load(catalog.find("agent", name))
    with pytest.raises(InvalidParameter, match="group_size"):
        kind("tiny", "agentgym/Household-v0", group_size=np.int64(1))


def test_a_saved_agent_does_not_become_one_of_groups_of_one(tmp_path):
    small().save(tmp_path / "saved")
    with pytest.raises(InvalidParameter, match="group_size"):
        GRPO.load(tmp_path / "saved", group_size=1)


def test_numpy_scalars_and_paths_are_kept_as_python_has_them():
    plain = {"width": 16, "heads": 2, "temperature": 0.5, "gamma": 1.0, "skip_dead": False, "start": "somewhere"}
    given = {
        "width": np.int32(16), "heads": np.uint8(2), "temperature": np.float32(0.5), "gamma": np.int64(1),
        "skip_dead": np.bool_(False), "start": Path("somewhere"),
    }  # fmt: skip
    for name in AGENTS:
        found, wanted = config_of(name)(**given), config_of(name)(**plain)
        assert found == wanted
        assert json.dumps(found.to_kwargs()) == json.dumps(wanted.to_kwargs())


def test_numpy_scalars_make_the_same_agent(tmp_path):
    made = small(seed=np.int64(3), tasks=np.int64(2), learning_rate=np.float64(1e-3), methods=["entropy:weight=0.01"])
    same = small(seed=3, tasks=2, learning_rate=1e-3, methods=("entropy:weight=0.01",))
    for agent, folder in ((made, "made"), (same, "same")):
        agent.learn(20).save(tmp_path / folder)
    files = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("made", "same")]
    assert files[0] == files[1]
    for name in files[0]:
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "same" / name).read_bytes(), name


@pytest.mark.parametrize("own", ["tiny", "elsewhere"])
def test_zero_is_the_policys_own(own):
    found = LanguageConfig(policy=own, **dict.fromkeys(OWN["tiny"], 0))
    assert {name: getattr(found, name) for name in OWN["tiny"]} == OWN["tiny" if own == "tiny" else "pretrained"]


def test_dr_bots_settings_are_settings():
    assert GRPO.Config.preset("dr-bot").clip_dual == 10.0


@pytest.mark.parametrize("value", ["nan", "-Infinity", "yes", "null"])
@pytest.mark.parametrize(("name", "field"), [(name, field) for name, field, kind in SETTINGS if kind in (int, float)])
def test_methods_refuse_numbers_that_cannot_be(name, field, value):
    given = {"nan": "NaN"}.get(value, value)
    with pytest.raises((NonFinite, InvalidParameter), match=rf"^{field}"):
        made(f"{name}:{field}={given}")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("spear:bonus_length=0", "bonus_length of SPEARPlugin is 0; it must be at least 1"),
        ("spear:decay=0", "decay must be -1, or above 0"),
        ("spear:bonus_mode=linear", "bonus_mode"),
        ("spear:capacity=1.5", "capacity .* must be a whole number"),
        ("epo:epochs=0", "epochs of EPOPlugin is 0; it must be at least 1"),
        ("clip-cov:share=2", "share of ClipCov is 2.* at most 1"),
        ("dr-bot:groups=0", "groups .* must be above 0"),
        ("llds:response=word", "response"),
        ("kl:weight=-1", "weight .* must be at least 0"),
        ("spear:preset=5", "preset of spear"),
        ("epo:preset=[1]", "preset of epo"),
    ],
)
def test_methods_refuse_settings_that_cannot_be(asked, says):
    with pytest.raises(AskError, match=says):
        make_plugins((asked,))


@pytest.mark.parametrize("name", [*METHODS, *ESTIMATORS])
def test_presets_are_settings(name):
    for preset, values in (METHODS | ESTIMATORS)[name].PRESETS.items():
        found = made(f"{name}:preset={preset}")
        method = found[name] if name in METHODS else found
        assert {field: getattr(method, field) for field in values} == dict(values)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.floats(-3, 40), st.sampled_from([math.nan, math.inf, 1e308]),
    st.sampled_from([np.int64(4), np.float32(0.5), np.float64("nan"), np.bool_(True), np.array([1, 2])]),
    st.text(max_size=8), st.lists(st.text(max_size=4), max_size=2), st.just(()), st.just({}),
)  # fmt: skip


@given(name=st.sampled_from(sorted(set(FIELDS) - {"policy", "start"})), value=ANYTHING)
@settings(max_examples=300, deadline=None)
def test_any_value_of_any_field_is_taken_or_refused(name, value):
    try:
        found = LanguageConfig(**{name: value})
    except AskError:
        return
    json.dumps(found.to_kwargs(), allow_nan=False)
    assert LanguageConfig(**found.to_kwargs()) == found


@given(
    name=st.sampled_from(sorted(set(FIELDS) - {"policy", "start"})),
    value=ANYTHING,
    actions=st.sampled_from(["choose", "write"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_that_is_taken_trains(name, value, actions):
    given = {"actions": actions, "tasks": 1, "group_size": 2, "imitation_batches": 1, "imitation_size": 2, "epochs": 1}
    given |= {name: value, "max_command_tokens": 3}
    try:
        agent = small(env="agentgym/Household-v0", **given)
        agent.learn(4)
    except AskError:
        return
    assert all(parameter.isfinite().all() for parameter in agent.policy.parameters())
