import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from agentgym.agents.baselines.dqn import DQN
from agentgym.agents.baselines.ppo import PPO
from agentgym.agents.baselines.qrdqn import QRDQN
from agentgym.agents.baselines.trpo import TRPO
from agentgym.agents.common.hyperparameters import RULES, checked
from agentgym.agents.marl.shared.mdpo import SharedMDPO
from agentgym.agents.marl.shared.ppo import SharedPPO
from agentgym.agents.mdpo.off_policy import MDPO
from agentgym.agents.mdpo.on_policy import OnPolicyMDPO
from agentgym.agents.sac.sac import SAC
from agentgym.contracts.settings import from_settings
from agentgym.errors import AskError, InvalidParameter, NonFinite, UnknownId

AGENTS = [SAC, MDPO, PPO, TRPO, OnPolicyMDPO, SharedPPO, SharedMDPO, DQN, QRDQN]
ONLINE = AGENTS[:5]
FIELDS = [(cls, field) for cls in AGENTS for field in dataclasses.fields(cls.Config)]
NUMBERS = [(cls, field) for cls, field in FIELDS if isinstance(field.default, int | float)
           and not isinstance(field.default, bool)]  # fmt: skip


def _name(value: Any) -> str:
    return getattr(value, "__name__", None) or getattr(value, "name", None) or str(value)


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=_name)
def test_every_field_of_a_configuration_has_a_rule_that_its_default_keeps(cls, field):
    assert field.name in cls.Config.rules or field.name == "activation"
    checked("it", {field.name: field.default}, cls.Config.rules)


@pytest.mark.parametrize(("cls", "field"), NUMBERS, ids=_name)
def test_numbers_that_cannot_be_are_refused(cls, field):
    for value in (math.nan, math.inf, -2.0 if field.default is not None else -1, "many", True, None, [1]):
        if value is None and field.name in ("target_kl", "clip_range_vf"):
            continue
        with pytest.raises((InvalidParameter, NonFinite), match=field.name):
            cls.Config(**{field.name: value})


@pytest.mark.parametrize(("cls", "field"), NUMBERS, ids=_name)
def test_numpy_s_numbers_are_taken_as_python_s_own(cls, field):
    config = cls.Config(**{field.name: np.float64(field.default) if isinstance(field.default, float)
                           else np.int64(field.default)})  # fmt: skip
    assert getattr(config, field.name) == field.default
    assert type(getattr(config, field.name)) is type(field.default)


@pytest.mark.parametrize("cls", ONLINE)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0), ("learning_rate", math.nan), ("learning_rate", -1e-3), ("learning_rate", "fast"),
        ("gamma", 1.01), ("gamma", -0.1), ("gamma", True), ("seed", -1), ("seed", 2**32), ("seed", 1.5),
        ("seed", True), ("seed", "1"), ("verbose", 3), ("stats_window_size", 0), ("device", "gpu"), ("device", 7),
        ("policy_kwargs", [64]), ("policy_kwargs", {"net_arch": [0]}), ("policy_kwargs", {"net_arch": [1.5]}),
        ("policy_kwargs", {"optimizer_kwargs": {"eps": math.nan}}),
    ],
    ids=str,
)  # fmt: skip
def test_constructors_refuse_what_cannot_be(cls, name, value):
    with pytest.raises((InvalidParameter, NonFinite), match=name):
        cls("MlpPolicy", "Pendulum-v1", **{name: value})


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (SAC, "buffer_size", 0), (SAC, "buffer_size", 1e6), (SAC, "batch_size", 0), (SAC, "train_freq", 0),
        (SAC, "train_freq", (1, "year")), (SAC, "gradient_steps", -2), (SAC, "tau", 1.5), (SAC, "learning_starts", -1),
        (SAC, "ent_coef", "autos"), (SAC, "ent_coef", "auto_0"), (SAC, "ent_coef", -0.1), (SAC, "ent_coef", math.nan),
        (SAC, "target_entropy", "high"), (SAC, "target_entropy", math.inf), (SAC, "target_update_interval", 0),
        (SAC, "n_steps", 0), (SAC, "compile", 1), (MDPO, "step_size", 0), (MDPO, "ent_coef", "auto"),
        (MDPO, "tsallis_q", 2.5), (MDPO, "snapshot_interval", 0), (MDPO, "deterministic_collection", "yes"),
        (PPO, "n_steps", 0), (PPO, "clip_range", 0), (PPO, "clip_range_vf", -1.0), (PPO, "target_kl", 0.0),
        (PPO, "n_epochs", 1.5), (PPO, "normalize_advantage", 2), (PPO, "normalize_rewards", "no"),
        (TRPO, "cg_max_steps", 0), (TRPO, "line_search_shrinking_factor", 0.0), (OnPolicyMDPO, "n_steps", 1),
        (OnPolicyMDPO, "divergence", "both"), (OnPolicyMDPO, "value_batch_size", 0),
    ],
    ids=str,
)  # fmt: skip
def test_each_agent_s_own_are_refused_too(cls, name, value):
    with pytest.raises((InvalidParameter, NonFinite), match=name):
        cls("MlpPolicy", "Pendulum-v1", **{name: value})


def test_a_minibatch_that_cannot_be_is_refused_by_what_stable_baselines3_says():
    with pytest.raises(InvalidParameter, match=r"ppo: .*n_steps"):
        PPO("MlpPolicy", "Pendulum-v1", n_steps=1)


@pytest.mark.parametrize("cls", ONLINE)
def test_seeds_and_numbers_of_numpy_train(cls):
    numbers = {"seed": np.int64(3), "gamma": np.float32(0.5), "learning_rate": np.float64(1e-3)}
    own = (
        {"buffer_size": np.int32(50), "learning_starts": np.uint8(4)}
        if cls in (SAC, MDPO)
        else {"n_steps": np.int64(8)}
    )
    agent = cls("MlpPolicy", "Pendulum-v1", device="cpu", **numbers, **own)
    assert (type(agent.seed), agent.gamma) == (int, 0.5)
    agent.set_random_seed(np.uint32(4))
    agent.learn(np.int64(16)).learn(8.0)


@pytest.mark.parametrize("steps", [-1, 1.5, "all", True, None, math.nan, math.inf])
def test_steps_that_cannot_be_are_refused(steps):
    with pytest.raises((InvalidParameter, NonFinite), match="total_timesteps"):
        PPO("MlpPolicy", "Pendulum-v1", n_steps=8, device="cpu").learn(steps)


@pytest.mark.parametrize("cls", ONLINE)
def test_an_unknown_argument_is_named_with_the_nearest(cls):
    with pytest.raises(UnknownId, match=r"learning_rat'.*learning_rate"):
        cls("MlpPolicy", "Pendulum-v1", learning_rat=1e-3)


@pytest.mark.parametrize("cls", ONLINE)
def test_an_agent_without_an_environment_is_refused(cls):
    with pytest.raises(InvalidParameter, match="environment"):
        cls("MlpPolicy", None)


def test_an_unknown_activation_is_named():
    with pytest.raises(AskError, match=r"rely.*relu"):
        SAC.Config(activation="rely")
    with pytest.raises(AskError, match=r"rely.*relu"):
        from_settings(SAC.Config, {"activation": "rely"}, "agent sac")


def test_the_rules_say_what_must_be():
    for name, value, says in [
        ("learning_rate", 0, "a number above 0, or a function of the remaining progress"),
        ("gamma", 2, "a number of at least 0 and at most 1"),
        ("buffer_size", 0, "a whole number of at least 1"),
        ("clip_range_vf", "x", "a number above 0, or a function of the remaining progress, or None"),
        ("actor_layers", (0,), "a tuple of whole numbers of at least 1, one per layer"),
    ]:
        assert RULES[name](value) == says
