"""Rules for the hyperparameters of online agents: types and ranges, used by constructors and configurations."""

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from stable_baselines3.common.type_aliases import TrainFreq

from agentgym.agents.common.activations import ACTIVATIONS
from agentgym.contracts.finite import non_finite_settings
from agentgym.contracts.settings import AgentConfig, plain
from agentgym.errors import InvalidParameter, NonFinite, UnknownId
from agentgym.seeding import LARGEST_SEED

__all__ = ["RULES", "Checked", "Rule", "checked", "either", "entropy_target", "real", "temperature", "whole"]

Rule = Callable[[Any], str]  # returns "" for a valid value, otherwise what the value must be


def whole(least: int, most: float = math.inf) -> Rule:
    """A whole number."""
    wanted = f"a whole number of at least {least}" if most == math.inf else f"a whole number from {least} to {most}"
    return lambda value: "" if _is_whole(value) and least <= value <= most else wanted


def real(least: float, most: float = math.inf, *, beyond: bool = False) -> Rule:
    """A number from ``least`` to ``most``. With ``beyond``, ``least`` itself is excluded."""
    bound = f"above {least:g}" if beyond else f"of at least {least:g}"
    wanted = f"a number {bound}" + ("" if most == math.inf else f" and at most {most:g}")

    def rule(value: Any) -> str:
        inside = _is_number(value) and (least < value if beyond else least <= value) and value <= most
        return "" if inside else wanted

    return rule


def either(rule: Rule, *others: Any) -> Rule:
    """Accept what the rule accepts, or one of ``others``."""
    shown = ", ".join(repr(other) for other in others)
    return lambda value: "" if any(value is other or value == other for other in others) else _or(rule(value), shown)


def or_schedule(rule: Rule) -> Rule:
    """Accept what the rule accepts, or a function of the remaining progress."""
    return lambda value: "" if callable(value) else _or(rule(value), "a function of the remaining progress")


def flag(value: Any) -> str:
    """True or False."""
    return "" if isinstance(value, bool) else "True or False"


def layers(value: Any) -> str:
    """The number of units of each hidden layer."""
    good = isinstance(value, list | tuple) and all(_is_whole(units) and units >= 1 for units in value)
    return "" if good else "a tuple of whole numbers of at least 1, one per layer"


def frequency(value: Any) -> str:
    """A number of steps, or a pair of a number and "step" or "episode"."""
    if isinstance(value, TrainFreq):
        return ""
    count, unit = value if isinstance(value, list | tuple) and len(value) == 2 else (value, "step")
    good = _is_whole(count) and count >= 1 and unit in ("step", "episode")
    return "" if good else 'a whole number of at least 1, or one with its unit, such as (1, "episode")'


def networks(value: Any) -> str:
    """The entries of ``policy_kwargs`` that are numbers of units or critics."""
    if value is None:
        return ""
    wanted = "a dictionary, with whole numbers of at least 1 in net_arch and as n_critics"
    if not isinstance(value, dict):
        return wanted
    architecture = value.get("net_arch")
    parts = architecture.values() if isinstance(architecture, dict) else [architecture or []]
    good = all(not layers(part) for part in parts) and not whole(1)(value.get("n_critics", 1))
    return "" if good else wanted


def device(value: Any) -> str:
    """A torch device that exists."""
    try:
        found = torch.device("cpu" if value == "auto" else value)
    except (RuntimeError, TypeError):
        return '"auto", "cpu", "cuda" or "cuda:N"'
    missing = found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count()
    return f'"auto" or "cpu": PyTorch finds {torch.cuda.device_count()} CUDA devices here' if missing else ""


def temperature(value: Any) -> str:
    """SAC's entropy coefficient."""
    wanted = 'a number of at least 0, "auto", or "auto_0.1" to learn it starting from 0.1'
    if not isinstance(value, str):
        return real(0)(value) and wanted
    start = _as_number(value.removeprefix("auto_"))
    learned = value.startswith("auto_")
    return "" if value == "auto" or (start > 0 if learned else start >= 0) else wanted


def entropy_target(value: Any) -> str:
    """SAC's target entropy, in nats, of any sign."""
    number = value if not isinstance(value, str) else _as_number(value)
    return "" if value == "auto" or (_is_number(number) and math.isfinite(number)) else 'a finite number or "auto"'


RULES: dict[str, Rule] = {
    # Optimisation
    "learning_rate": or_schedule(real(0, beyond=True)),
    "learning_rate_end": real(0),
    "batch_size": whole(1),
    "value_batch_size": whole(1),
    "n_epochs": whole(1),
    "value_epochs": whole(0),
    "n_critic_updates": whole(1),
    "policy_steps": whole(1),
    "max_grad_norm": real(0, beyond=True),
    "n_quantiles": whole(1),
    "tau": real(0, 1),
    "target_update_interval": whole(1),
    # Collection
    "n_steps": whole(1),
    "learning_starts": whole(0),
    "train_freq": frequency,
    "gradient_steps": whole(-1),
    "buffer_size": whole(1),
    "exploration_fraction": real(0, 1, beyond=True),
    "exploration_initial_eps": real(0, 1),
    "exploration_final_eps": real(0, 1),
    # Objective
    "gamma": real(0, 1),
    "gae_lambda": real(0, 1),
    "ent_coef": real(0),
    "vf_coef": real(0),
    "clip_range": or_schedule(real(0, beyond=True)),
    "clip_range_vf": either(or_schedule(real(0, beyond=True)), None),
    "target_kl": either(real(0, beyond=True), None),
    "cg_max_steps": whole(1),
    "cg_damping": real(0),
    "line_search_shrinking_factor": real(0, 1, beyond=True),
    "line_search_max_iter": whole(1),
    "sub_sampling_factor": whole(1),
    "step_size": real(0, beyond=True),
    "snapshot_interval": whole(1),
    "tsallis_q": real(1, 2),
    "regularization": real(0),
    "divergence": lambda value: "" if value in ("new||old", "old||new") else "'new||old' or 'old||new'",
    # Networks
    "actor_layers": layers,
    "critic_layers": layers,
    "value_layers": layers,
    "n_critics": whole(1),
    "initial_std": real(0, beyond=True),
    "policy_kwargs": networks,
    # Speed
    "update_by": lambda value: "" if value in ("auto", "stack", "autograd") else "'auto', 'stack' or 'autograd'",
    # Flags
    **dict.fromkeys(
        ("anneal_learning_rate", "normalize", "normalize_advantage", "normalize_rewards", "bootstrap_time_limits",
         "deterministic_collection", "clip_values", "orthogonal", "mirror", "compile", "cuda_graphs",
         "optimize_memory_usage", "clip_rewards", "terminal_on_life_loss"),
        flag,
    ),
    # Arguments of Stable-Baselines3's base classes
    "seed": either(whole(0, LARGEST_SEED), None),
    "stats_window_size": whole(1),
    "verbose": whole(0, 2),
    "device": device,
}  # fmt: skip


def checked(agent: str, values: Mapping[str, Any], rules: Mapping[str, Rule] = RULES) -> dict[str, Any]:
    """Check values against rules and convert NumPy's numbers to Python's. Values without a rule pass unchanged.

    Args:
        agent: name of the agent, for messages.
        values: hyperparameters by name.
        rules: the agent's rules.

    Raises:
        InvalidParameter: a value has the wrong type or is out of range; the message says what it must be.
        NonFinite: a value is NaN or infinite.
        UnknownId: no such activation.
    """
    own = {name: plain(value) if name in rules else value for name, value in values.items()}
    if found := non_finite_settings({name: value for name, value in own.items() if name in rules}):
        raise NonFinite(f"{agent}: the hyperparameter {found[0]} is not a finite number.")
    if (activation := str(own.get("activation", "relu"))) not in ACTIVATIONS:
        raise UnknownId("activation", activation, ACTIVATIONS)
    for name, value in own.items():
        if name in rules and (wanted := rules[name](value)):
            raise InvalidParameter(f"{agent}: {name} is {value!r}; it must be {wanted}.")
    return own


class Checked(AgentConfig):
    """Base of online agents' configurations: a dataclass that checks its fields when it is created."""

    rules: ClassVar[Mapping[str, Rule]] = RULES

    def arguments(self) -> dict[str, Any]:
        """The fields by the names of Stable-Baselines3's constructors, those about networks in ``policy_kwargs``.

        Fields that the constructor does not take become attributes of the agent.
        """
        raise NotImplementedError

    def __post_init__(self) -> None:
        vars(self).update(checked(type(self).__name__, vars(self), self.rules))


def _or(wanted: str, others: str) -> str:
    return wanted and f"{wanted}, or {others}"


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
