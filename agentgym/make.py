"""Environments as they are asked for by name: any Gymnasium id, its keyword arguments, perturbations around it."""

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import gymnasium
import gymnasium.wrappers
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from agentgym import catalog
from agentgym.contracts.environment import Stateful
from agentgym.errors import AskError, MissingExtra, UnknownId
from agentgym.vector import NativeVectorEnv

__all__ = [
    "WRAPPERS",
    "check_id",
    "check_wrappers",
    "has_exact_batch",
    "has_native_batch",
    "leave_the_simulator",
    "make_env",
    "make_native_batch",
    "parallel_env",
    "perturbed",
]

World = TypeVar("World", gymnasium.Env[Any, Any], VectorEnv[Any, Any, Any])

# The core holds environments' names only; this is where their perturbations are found.
PERTURB = "agentgym.envs.perturb"

# Gymnasium's wrappers that can be asked for by name: they are made from their arguments alone and carry no statistics.
WRAPPERS = (
    "AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction", "DiscretizeObservation",
    "FilterObservation", "FlattenObservation", "FrameStackObservation", "GrayscaleObservation",
    "MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation", "ReshapeObservation",
    "ResizeObservation", "StickyAction", "TimeAwareObservation",
)  # fmt: skip


def check_id(env_id: str) -> None:
    """Refuse an id that no registry knows.

    Raises:
        UnknownId: Gymnasium knows no such id (also after importing the module of a ``module:Id``).
    """
    module, colon, name = env_id.rpartition(":")
    if colon:
        _import(module, env_id)
    try:
        gymnasium.spec(name)
    except (gymnasium.error.Error, TypeError, ValueError) as error:
        known = [entry.id for entry in catalog.entries("env")] + list(gymnasium.registry)
        raise UnknownId("environment", name, known, "See: agentgym list envs") from error


def _import(module: str, env_id: str) -> None:
    if not all(part.isidentifier() for part in module.split(".")):
        raise AskError(f"{module!r} of {env_id!r} is no module's name; an id is NAME or MODULE:NAME.")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        advice = "Install it, or run where its file is." if error.name == module.partition(".")[0] else "Install that."
        raise AskError(f"The module {module!r} of {env_id!r} cannot be imported ({error}). {advice}") from error
    except Exception as error:  # the module's own mistake
        raise AskError(
            f"The module {module!r} of {env_id!r} cannot be imported ({type(error).__name__}: {error})."
        ) from error


def make_env(
    env_id: str, env_kwargs: dict[str, Any] | None = None, perturbations: Sequence[Mapping[str, Any]] = ()
) -> gymnasium.Env[Any, Any]:
    """One environment by name, with perturbations around it.

    Args:
        env_id: a Gymnasium id, also ``module:Id``.
        env_kwargs: keyword arguments of the environment, ``max_episode_steps`` included. ``additional_wrappers`` is a
            list of Gymnasium's wrappers around it, from the inside out:
            ``[{"name": "ClipReward", "kwargs": {"min_reward": -1.0}}]``; see :data:`WRAPPERS`.
        perturbations: configurations (``{"type": "ObservationNoise", "std": 0.1}``), from the inside out.

    Raises:
        UnknownId: there is no such environment, perturbation or wrapper, or the environment has no such keyword
            argument.
        AskError: the environment or a wrapper refuses its keyword arguments.
        MissingExtra: a package that it needs is not installed.
    """
    check_id(env_id)
    kwargs = dict(env_kwargs or {})
    wrappers = check_wrappers(kwargs.pop("additional_wrappers", ()))
    _hear_mujoco_once()
    with _naming(env_id, kwargs):
        env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    return perturbed(_wrapped(env, wrappers), perturbations)


def check_wrappers(wrappers: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names and keyword arguments of wrappers; nothing is imported for them.

    Raises:
        UnknownId: one is none of :data:`WRAPPERS`.
        AskError: it is no list of names and keyword arguments.
    """
    if isinstance(wrappers, Mapping | str) or not isinstance(wrappers, Sequence):
        wrappers = [wrappers]
    found = []
    for wrapper in wrappers:
        entry = {"name": wrapper} if isinstance(wrapper, str) else wrapper
        if not isinstance(entry, Mapping) or not isinstance(kwargs := entry.get("kwargs") or {}, Mapping):
            raise AskError(f'A wrapper is {{"name": ..., "kwargs": {{...}}}}, not {wrapper!r}.')
        name = str(entry.get("name"))
        if name not in WRAPPERS:
            raise UnknownId(
                "wrapper that is made by name", name, WRAPPERS,
                "For another, register an environment that has it and name that: --env MODULE:ID.",
            )  # fmt: skip
        found.append((name, {str(key): value for key, value in kwargs.items()}))
    return found


def _wrapped(env: gymnasium.Env[Any, Any], wrappers: Sequence[tuple[str, dict[str, Any]]]) -> gymnasium.Env[Any, Any]:
    for name, kwargs in wrappers:
        try:
            env = getattr(gymnasium.wrappers, name)(env, **kwargs)
        except Exception as error:  # what a wrapper raises at arguments or spaces that are not for it
            env.close()
            raise AskError(f"{name} cannot be put around {env} with {kwargs}: {error}") from error
    return env


def make_native_batch(
    env_id: str,
    env_kwargs: dict[str, Any] | None,
    num_envs: int,
    autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
) -> VectorEnv | None:
    """All worlds as one natively batched environment.

    Args:
        env_id: a Gymnasium id, also ``module:Id``.
        env_kwargs: keyword arguments of the environment.
        num_envs: how many worlds.
        autoreset_mode: when worlds start over; by default in the step of an episode's end.

    Returns:
        None where the id has no native batch, or one that cannot give its state away (``get_state()``) and be put back
        (``set_state(state)``), or where ``additional_wrappers`` are asked for, which are for single environments.

    Raises:
        UnknownId: there is no such environment.
        AskError: the environment refuses its keyword arguments.
    """
    if not has_native_batch(env_id, env_kwargs):
        return None
    with _naming(env_id, env_kwargs):
        return gymnasium.make_vec(
            env_id, num_envs, "vector_entry_point", autoreset_mode=autoreset_mode, **(env_kwargs or {})
        )


def has_native_batch(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether :func:`make_native_batch` makes one.

    Raises:
        UnknownId: there is no such environment.
    """
    batch_class = _batch_class(env_id, env_kwargs)
    return isinstance(batch_class, type) and issubclass(batch_class, Stateful)


def has_exact_batch(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether there is a native batch that may stand in for single environments (``NativeVectorEnv.exact``).

    Raises:
        UnknownId: there is no such environment.
    """
    batch_class = _batch_class(env_id, env_kwargs)
    return isinstance(batch_class, type) and issubclass(batch_class, NativeVectorEnv) and batch_class.exact


def _batch_class(env_id: str, env_kwargs: Mapping[str, Any] | None) -> Any:
    check_id(env_id)
    if (env_kwargs or {}).get("additional_wrappers"):  # they are for single environments
        return None
    entry_point = gymnasium.spec(env_id.rpartition(":")[2]).vector_entry_point
    with _naming(env_id, None):
        return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def parallel_env(env_id: str, **env_kwargs: Any) -> Any:
    """The PettingZoo form, a ``ParallelEnv``, of an environment of the catalog.

    Args:
        env_id: its id.
        env_kwargs: its keyword arguments.

    Raises:
        UnknownId: the catalog has no such environment.
        AskError: it has no PettingZoo form, or refuses its keyword arguments.
    """
    entry = catalog.find("env", env_id)
    if entry.parallel_target is None:
        having = [other.id for other in catalog.entries("env") if other.parallel_target is not None]
        raise AskError(f"{env_id} has no PettingZoo form. These have: {', '.join(having) or 'none so far'}.")
    limit = {} if entry.max_episode_steps is None else {"max_episode_steps": entry.max_episode_steps}
    with _naming(env_id, env_kwargs):
        return catalog.resolve(entry.parallel_target)(**{**limit, **entry.kwargs, **env_kwargs})


def _hear_mujoco_once() -> None:
    """MuJoCo says with every single world that HalfCheetah's model file, Gymnasium's, is written in an old way."""
    mujoco = sys.modules.get("mujoco")  # the first world loads it
    if mujoco is not None and mujoco.get_mju_user_warning() is None:
        said = functools.lru_cache(maxsize=64)(lambda text: print(f"MuJoCo warns: {text}", file=sys.stderr))
        mujoco.set_mju_user_warning(said)


@contextmanager
def _naming(env_id: str, env_kwargs: Mapping[str, Any] | None) -> Iterator[None]:
    """Say which environment it is that refuses its arguments, or lacks a package."""
    try:
        yield
    except AskError:
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        commands = re.findall(r"`(pip install [^`]*)`", str(error))
        raise MissingExtra(f"A package of {env_id}", command=" && ".join(commands) or str(error)) from error
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{error.name}, which {env_id} needs,", command=f"pip install {error.name}") from error
    except Exception as error:
        if not env_kwargs and not isinstance(error, ImportError | TypeError | gymnasium.error.Error):
            raise  # nobody's argument is at fault
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] in (env_kwargs or {}):
            raise UnknownId(f"keyword argument of {env_id}", unknown[1], _keyword_arguments(env_id)) from error
        arguments = f" with {dict(env_kwargs)}" if env_kwargs else ""
        raise AskError(f"{env_id} cannot be made{arguments}: {type(error).__name__}: {error}") from error


def _keyword_arguments(env_id: str) -> set[str]:
    """What the environment's class takes, also through ``**kwargs`` to the classes that it is derived from."""
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    entry_point: Any = catalog.find("env", env_id).parallel_target if spec is None else spec.entry_point
    if isinstance(entry_point, str):  # without a spec the catalog's environment has a PettingZoo form only
        entry_point = catalog.resolve(entry_point) if spec is None else load_env_creator(entry_point)
    makers = [entry_point]
    if inspect.isclass(entry_point):
        makers = [
            one.__dict__["__init__"] for one in entry_point.__mro__ if "__init__" in one.__dict__ and one is not object
        ]
    known: set[str] = {"max_episode_steps", "render_mode"}
    for one in makers:
        parameters = inspect.signature(one).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return (known | {"additional_wrappers"}) - {"self"}


def leave_the_simulator(configs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the perturbations change only what passes between agent and environment.

    Raises:
        UnknownId: there is no such perturbation.
    """
    perturb = importlib.import_module(PERTURB) if configs else None
    return all(perturb.from_config(config).changes != "dynamics" for config in configs)  # type: ignore[union-attr]


def perturbed(env: World, configs: Sequence[Mapping[str, Any]]) -> World:
    """``env``, single or a batch, with perturbations around it; ``env`` itself when there are none."""
    if not configs:
        return env
    perturb = importlib.import_module(PERTURB)
    wrapped: World = perturb.perturb(env, *(perturb.from_config(config) for config in configs))
    return wrapped
