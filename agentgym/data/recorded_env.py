"""The environment that a dataset was recorded in: id, arguments, time limit and Gymnasium wrappers.

Dataset files are not trusted: no module or function that they name is imported or called. The environment is looked up
by id in Gymnasium's registry, and wrappers in :data:`agentgym.make.WRAPPERS`.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium import spaces

from agentgym.data.dataset import Description
from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.make import WRAPPERS, check_id, make_env

__all__ = ["check_same_world", "check_world", "recorded_world", "try_world"]

# They change neither observations nor actions nor rewards.
ONLOOKERS = (
    "AddWhiteNoise", "Autoreset", "HumanRendering", "ObstructView", "OrderEnforcing", "PassiveEnvChecker",
    "RecordEpisodeStatistics", "RecordVideo", "RenderCollection",
)  # fmt: skip
STATISTICS = ("NormalizeObservation", "NormalizeReward")
WAY_OUT = "If you trust it, register an environment that has it and name that: --env MODULE:ID."


def recorded_world(metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Id and keyword arguments for :func:`agentgym.make.make_env`, from a dataset's Minari metadata.

    Minari may store two environments: the recorded one and ``eval_env``, in which agents are to be evaluated. The
    second is preferred if present; the reference returns belong to it.

    Raises:
        ValueError, TypeError: the metadata are damaged.
    """
    text = metadata.get("eval_env_spec") or metadata.get("env_spec")
    if text is None:
        return "", {}
    spec = json.loads(text)
    name, kwargs, limit = spec["id"], dict(spec.get("kwargs") or {}), spec.get("max_episode_steps")
    recorded = list(spec.get("additional_wrappers") or ())
    if not isinstance(name, str) or not (limit is None or (type(limit) is int and limit >= 1)):
        raise ValueError(f"its environment is {name!r} with a time limit of {limit!r}")
    kwargs.pop("render_mode", None)  # nobody asked for a window
    known = gymnasium.registry.get(name)
    if limit != (None if known is None else known.max_episode_steps):
        kwargs["max_episode_steps"] = -1 if limit is None else limit
    if wrappers := _around(recorded, () if known is None else known.additional_wrappers):
        kwargs["additional_wrappers"] = wrappers
    return name, kwargs


def _around(recorded: Sequence[Any], registered: Sequence[Any]) -> list[dict[str, Any]]:
    """The recorded wrappers that the registered environment lacks, without those that only observe."""
    found = []
    for number, wrapper in enumerate(recorded):
        name, entry_point, kwargs = wrapper["name"], str(wrapper["entry_point"]), wrapper["kwargs"]
        if number < len(registered) and registered[number].entry_point == entry_point:
            continue
        ours = entry_point.startswith("gymnasium.wrappers.") and entry_point.endswith(f":{name}")
        if ours and name in ONLOOKERS:
            continue
        found.append({"name": name, "kwargs": kwargs or {}} if ours else {"name": entry_point, "kwargs": {}})
    return found


def check_world(about: Description) -> None:
    """Refuse an environment that cannot be made from its id and Gymnasium's own wrappers.

    Raises:
        UnknownId: there is no such environment here.
        AskError: it needs the import of a module, or the running statistics of a wrapper, which the file lacks.
    """
    if ":" in about.env:  # a file must not choose which modules are imported
        given = [f"{key}={json.dumps(value)}" for key, value in about.env_kwargs.items()]
        arguments = shlex.join(["--env", about.env, *(["--env-kwargs", *given] if given else [])])
        raise AskError(f"{about.name} was recorded in {about.env}. If you trust that module: {arguments}")
    try:
        check_id(about.env)
    except UnknownId as error:
        raise UnknownId(
            "environment", about.env, gymnasium.registry,
            f"{about.name} was recorded in it: install and import what registers it, or name another: --env ID.",
        ) from error  # fmt: skip
    for wrapper in about.env_kwargs.get("additional_wrappers", ()):
        name = wrapper["name"]
        if name in STATISTICS:
            raise AskError(
                f"{about.name} was recorded through {name}, whose running statistics are not in its file, so its "
                "world cannot be made again. Record it as it comes, or register an environment with the same "
                "statistics and name that: --env MODULE:ID."
            )
        if name not in WRAPPERS:
            raise AskError(
                f"{about.name} was recorded through the wrapper {name}, which is not one of Gymnasium's that are made "
                f"by name, and a file does not say which modules are imported. {WAY_OUT}"
            )


def check_same_world(
    name: str, data: tuple[spaces.Space, spaces.Space], environment: tuple[spaces.Space, spaces.Space]
) -> None:
    """Compare the (observation, action) spaces of a dataset and of an environment.

    Raises:
        SpaceMismatch: they differ; the message shows both.
    """
    for what, theirs, ours in zip(("observations", "actions"), data, environment, strict=True):
        if ours != theirs:
            raise SpaceMismatch(
                f"The {what} of the dataset {name} are {theirs}, the environment's are {ours}. "
                "Take the environment that the dataset was recorded in: --env ID."
            )


def try_world(about: Description, data: tuple[spaces.Space, spaces.Space]) -> None:
    """Make the environment once and compare its spaces with the dataset's.

    Raises:
        AskError: as :func:`check_world` and :func:`check_same_world` do, or it refuses its arguments.
    """
    check_world(about)
    env = make_env(about.env, dict(about.env_kwargs), about.perturbations)
    try:
        check_same_world(about.name, data, (env.observation_space, env.action_space))
    finally:
        env.close()
