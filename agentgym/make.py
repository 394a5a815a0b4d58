"""Make environments by name: any Gymnasium id with keyword arguments, wrappers and perturbations."""

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
    "make_env",
    "make_native_batch",
    "parallel_env",
    "perturbed",
    "preserve_dynamics",
]

World = TypeVar("World", gymnasium.Env[Any, Any], VectorEnv[Any, Any, Any])

# Imported on first use, because the core does not depend on environments.
PERTURB = "agentgym.envs.perturb"

# Gymnasium wrappers available by name: they need plain arguments only and keep no running statistics.
WRAPPERS = (
    "AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction", "DiscretizeObservation",
    "FilterObservation", "FlattenObservation", "FrameStackObservation", "GrayscaleObservation",
    "MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation", "ReshapeObservation",
    "ResizeObservation", "StickyAction", "TimeAwareObservation",
)  # fmt: skip


def check_id(env_id: str) -> None:
    """Refuse an id that is not registered with Gymnasium. The module of a ``module:Id`` is imported first.

    Raises:
        UnknownId: the id is not registered.
        AskError: the module cannot be imported.
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
        raise AskError(f"{module!r} of {env_id!r} is not a module name; an id is NAME or MODULE:NAME.")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        itself = error.name == module.partition(".")[0]
        advice = "Install it, or run in the folder of its file." if itself else "Install the missing module."
        raise AskError(f"The module {module!r} of {env_id!r} cannot be imported ({error}). {advice}") from error
    except Exception as error:  # a bug in the module
        raise AskError(
            f"The module {module!r} of {env_id!r} cannot be imported ({type(error).__name__}: {error})."
        ) from error


def make_env(
    env_id: str, env_kwargs: dict[str, Any] | None = None, perturbations: Sequence[Mapping[str, Any]] = ()
) -> gymnasium.Env[Any, Any]:
    """Make a single environment, with perturbations around it.

    Args:
        env_id: a Gymnasium id or ``module:Id``.
        env_kwargs: keyword arguments of the environment, including ``max_episode_steps``. ``additional_wrappers`` is a
            list of Gymnasium wrappers to apply, innermost first:
            ``[{"name": "ClipReward", "kwargs": {"min_reward": -1.0}}]``; see :data:`WRAPPERS`.
        perturbations: configurations such as ``{"type": "ObservationNoise", "std": 0.1}``, innermost first.

    Raises:
        UnknownId: the environment, a perturbation, a wrapper or a keyword argument does not exist.
        AskError: the environment or a wrapper rejects its keyword arguments.
        MissingExtra: a required package is not installed.
    """
    check_id(env_id)
    kwargs = dict(env_kwargs or {})
    wrappers = check_wrappers(kwargs.pop("additional_wrappers", ()))
    _print_mujoco_warnings_once()
    with _explained_errors(env_id, kwargs):
        env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    return perturbed(_wrapped(env, wrappers), perturbations)


def check_wrappers(wrappers: Any) -> list[tuple[str, dict[str, Any]]]:
    """Parse ``additional_wrappers`` into names and keyword arguments, without imports.

    Raises:
        UnknownId: a wrapper is not in :data:`WRAPPERS`.
        AskError: ``wrappers`` is not a list of names and keyword arguments.
    """
    if isinstance(wrappers, Mapping | str) or not isinstance(wrappers, Sequence):
        wrappers = [wrappers]
    parsed = []
    for wrapper in wrappers:
        entry = {"name": wrapper} if isinstance(wrapper, str) else wrapper
        if not isinstance(entry, Mapping) or not isinstance(kwargs := entry.get("kwargs") or {}, Mapping):
            raise AskError(f'A wrapper must be {{"name": ..., "kwargs": {{...}}}}, not {wrapper!r}.')
        name = str(entry.get("name"))
        if name not in WRAPPERS:
            raise UnknownId(
                "wrapper available by name", name, WRAPPERS,
                "To use another wrapper, register an environment that includes it: --env MODULE:ID.",
            )  # fmt: skip
        parsed.append((name, {str(key): value for key, value in kwargs.items()}))
    return parsed


def _wrapped(env: gymnasium.Env[Any, Any], wrappers: Sequence[tuple[str, dict[str, Any]]]) -> gymnasium.Env[Any, Any]:
    for name, kwargs in wrappers:
        try:
            env = getattr(gymnasium.wrappers, name)(env, **kwargs)
        except Exception as error:  # wrappers raise various exceptions for unsuitable arguments or spaces
            env.close()
            raise AskError(f"{name} cannot wrap {env} with {kwargs}: {error}") from error
    return env


def make_native_batch(
    env_id: str,
    env_kwargs: dict[str, Any] | None,
    num_envs: int,
    autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
) -> VectorEnv | None:
    """Make a natively batched environment with ``num_envs`` sub-environments.

    Args:
        env_id: a Gymnasium id or ``module:Id``.
        env_kwargs: keyword arguments of the environment.
        num_envs: number of sub-environments.
        autoreset_mode: when sub-environments restart; by default in the step that ends an episode.

    Returns:
        The batch; None if the id has no native batch, if the batch lacks ``get_state()`` and ``set_state(state)``, or
        if ``additional_wrappers`` are given, which apply to single environments only.

    Raises:
        UnknownId: there is no such environment.
        AskError: the environment rejects its keyword arguments.
    """
    if not has_native_batch(env_id, env_kwargs):
        return None
    with _explained_errors(env_id, env_kwargs):
        return gymnasium.make_vec(
            env_id, num_envs, "vector_entry_point", autoreset_mode=autoreset_mode, **(env_kwargs or {})
        )


def has_native_batch(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether :func:`make_native_batch` returns a batch.

    Raises:
        UnknownId: there is no such environment.
    """
    batch_class = _batch_class(env_id, env_kwargs)
    return isinstance(batch_class, type) and issubclass(batch_class, Stateful)


def has_exact_batch(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether there is a native batch that can replace single environments (``NativeVectorEnv.exact``).

    Raises:
        UnknownId: there is no such environment.
    """
    batch_class = _batch_class(env_id, env_kwargs)
    return isinstance(batch_class, type) and issubclass(batch_class, NativeVectorEnv) and batch_class.exact


def _batch_class(env_id: str, env_kwargs: Mapping[str, Any] | None) -> Any:
    check_id(env_id)
    if (env_kwargs or {}).get("additional_wrappers"):  # they apply to single environments only
        return None
    entry_point = gymnasium.spec(env_id.rpartition(":")[2]).vector_entry_point
    with _explained_errors(env_id, None):
        return load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def parallel_env(env_id: str, **env_kwargs: Any) -> Any:
    """Make the PettingZoo version (a ``ParallelEnv``) of an environment of the catalog.

    Args:
        env_id: id of the environment.
        env_kwargs: keyword arguments of the environment.

    Raises:
        UnknownId: the catalog has no such environment.
        AskError: the environment has no PettingZoo version or rejects its keyword arguments.
    """
    entry = catalog.find("env", env_id)
    if entry.parallel_target is None:
        available = [other.id for other in catalog.entries("env") if other.parallel_target is not None]
        raise AskError(f"{env_id} has no PettingZoo version. Available: {', '.join(available) or 'none'}.")
    limit = {} if entry.max_episode_steps is None else {"max_episode_steps": entry.max_episode_steps}
    with _explained_errors(env_id, env_kwargs):
        return catalog.resolve(entry.parallel_target)(**{**limit, **entry.kwargs, **env_kwargs})


def _print_mujoco_warnings_once() -> None:
    """Print every distinct MuJoCo warning once.

    MuJoCo warns about the outdated syntax of Gymnasium's HalfCheetah model each time that it loads the file.
    """
    mujoco = sys.modules.get("mujoco")  # imported by the first MuJoCo environment
    if mujoco is not None and mujoco.get_mju_user_warning() is None:
        warn_once = functools.lru_cache(maxsize=64)(lambda text: print(f"MuJoCo warns: {text}", file=sys.stderr))
        mujoco.set_mju_user_warning(warn_once)


@contextmanager
def _explained_errors(env_id: str, env_kwargs: Mapping[str, Any] | None) -> Iterator[None]:
    """Convert errors of an environment's constructor into errors that name the environment and its arguments."""
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
            raise  # a bug in the environment, not a wrong argument
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] in (env_kwargs or {}):
            raise UnknownId(f"keyword argument of {env_id}", unknown[1], _keyword_arguments(env_id)) from error
        arguments = f" with {dict(env_kwargs)}" if env_kwargs else ""
        raise AskError(f"{env_id} cannot be made{arguments}: {type(error).__name__}: {error}") from error


def _keyword_arguments(env_id: str) -> set[str]:
    """Keyword arguments of the environment's class, including those that ``**kwargs`` passes on to base classes."""
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    entry_point: Any = catalog.find("env", env_id).parallel_target if spec is None else spec.entry_point
    if isinstance(entry_point, str):  # without a spec, the environment has a PettingZoo version only
        entry_point = catalog.resolve(entry_point) if spec is None else load_env_creator(entry_point)
    constructors = [entry_point]
    if inspect.isclass(entry_point):
        bases = [base for base in entry_point.__mro__ if "__init__" in base.__dict__ and base is not object]
        constructors = [base.__dict__["__init__"] for base in bases]
    known: set[str] = {"max_episode_steps", "render_mode"}
    for constructor in constructors:
        parameters = inspect.signature(constructor).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return (known | {"additional_wrappers"}) - {"self"}


def preserve_dynamics(configs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the perturbations change only observations, actions and rewards, not the dynamics.

    Raises:
        UnknownId: there is no such perturbation.
    """
    perturb = importlib.import_module(PERTURB) if configs else None
    return all(perturb.from_config(config).changes != "dynamics" for config in configs)  # type: ignore[union-attr]


def perturbed(env: World, configs: Sequence[Mapping[str, Any]]) -> World:
    """Wrap ``env``, a single environment or a batch, in perturbations. Returns ``env`` itself if there are none."""
    if not configs:
        return env
    perturb = importlib.import_module(PERTURB)
    wrapped: World = perturb.perturb(env, *(perturb.from_config(config) for config in configs))
    return wrapped
