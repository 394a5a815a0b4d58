"""Constructor signatures of online agents: the fields of their ``Config`` and Stable-Baselines3's other arguments."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from stable_baselines3.common.utils import LinearSchedule

from agentgym.agents.common.activations import ACTIVATIONS
from agentgym.agents.common.hyperparameters import Checked, checked
from agentgym.contracts.settings import field_names

__all__ = ["configured", "on_policy_arguments", "resolved", "saved_names", "signature"]

Settings = TypeVar("Settings", bound=Checked)

# Arguments of Stable-Baselines3's base classes that this library's own algorithms accept besides their Config's fields.
BASE = ("policy_kwargs", "stats_window_size", "tensorboard_log", "verbose", "seed", "device")
MACHINE = ("compile", "cuda_graphs", "update_by")  # these choose how to compute, not what, so they are not saved


def signature(algorithm: Any, config: type[Checked], own: bool) -> inspect.Signature:
    """The signature of an agent's constructor, with the defaults of its ``Config``.

    Args:
        algorithm: Stable-Baselines3's constructor, ``__init__`` of a class.
        config: its fields become keywords.
        own: the algorithm is this library's own, on a base class of Stable-Baselines3 whose other arguments are fixed.
    """
    defaults, hints = config(), get_type_hints(config)
    fields = {name: getattr(defaults, name) for name in field_names(config)}
    theirs = {name: one for name, one in inspect.signature(algorithm).parameters.items() if name != "self"}
    if own:
        theirs = {name: one for name, one in theirs.items() if name in ("policy", "env", *BASE)}
    found = [one.replace(default=fields.get(name, one.default)) for name, one in theirs.items()]
    if own:  # keywords only, because the base class orders its arguments differently
        found[2:] = [one.replace(kind=one.KEYWORD_ONLY) for one in found[2:]]
    more = {"preset": "", **dict.fromkeys(defaults.arguments()), **fields, "_init_setup_model": True}
    for name, default in more.items():
        if name not in theirs:
            hint = hints.get(name, Any)
            found.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint))
    return inspect.Signature(found)


def resolved(agent: str, config: type[Checked], given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments by Stable-Baselines3's names. Given arguments override the preset's, and those the defaults.

    Raises:
        InvalidParameter, NonFinite, UnknownId: a value is not allowed.
    """
    rest, settings = configured(config, given)
    rest, values = checked(agent, rest, config.rules), settings.arguments()
    networks = {**values["policy_kwargs"], **(rest.get("policy_kwargs") or {})}
    return {**values, **rest, "policy_kwargs": networks}


def configured(config: type[Settings], given: Mapping[str, Any]) -> tuple[dict[str, Any], Settings]:
    """Split arguments into those that are no fields of the configuration, and the configuration.

    Raises:
        InvalidParameter, NonFinite, UnknownId: a value is not allowed.
    """
    rest = dict(given)
    preset = rest.pop("preset", None) or ""
    fields = {name: rest.pop(name) for name in field_names(config) if name in rest}
    return rest, config(**config.with_preset(preset, fields))


def on_policy_arguments(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The part of :meth:`Checked.arguments` that all on-policy agents share."""
    values = dict(fields)
    rate, normalize = values["learning_rate"], values.pop("normalize")
    end = values.pop("learning_rate_end", 0.0 if values.get("anneal_learning_rate") else None)
    if end is not None and not callable(rate):
        values["learning_rate"] = LinearSchedule(rate, end, 1.0)
    values["normalize_rewards"] = normalize
    values["policy_kwargs"] = {
        "net_arch": {"pi": list(values.pop("actor_layers")), "vf": list(values.pop("value_layers"))},
        "activation_fn": ACTIVATIONS[values.pop("activation")],
        "ortho_init": values.pop("orthogonal"),
        "normalize_observations": normalize,
    }
    return values


def saved_names(config: type[Checked], *more: str) -> tuple[str, ...]:
    """The names of the arguments that a saved agent keeps."""
    return (*(name for name in config().arguments() if name not in MACHINE), *more, "seed")
