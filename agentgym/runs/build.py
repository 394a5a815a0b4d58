"""Make the untrained agent of a run, with its environments or its dataset."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from agentgym import catalog
from agentgym.contracts.agent import traits_of
from agentgym.contracts.check_env import check_interface
from agentgym.contracts.environment import single_spaces
from agentgym.contracts.settings import AgentConfig, from_settings
from agentgym.errors import AskError, InvalidParameter
from agentgym.make import has_exact_batch, make_env, make_native_batch, perturbed, preserve_dynamics
from agentgym.runs.run import RunConfig
from agentgym.wrappers.replay import RecordedBatch, RecordedEnv

__all__ = ["build", "training_environments"]


def build(config: RunConfig) -> Any:
    """Make the untrained agent with its environments, each with its own seeds.

    Raises:
        as :func:`train`.
    """
    config.check()
    _check_device(config.device)
    agent_class = catalog.load(catalog.find("agent", config.agent))
    if config.threads:
        torch.set_num_threads(config.threads)
    settings = _settings(config, agent_class.Config)
    traits = traits_of(agent_class)
    if config.processes > 1 and not traits.several_processes:
        raise InvalidParameter(
            f"{config.agent} trains in one process, not {config.processes}: start it without torchrun."
        )
    if _check_source(config, traits.learns_from) == "dataset":
        return _build_offline(config, agent_class, settings)
    if config.num_envs == 1 and traits.sets_worlds:
        config.num_envs = max(1, settings.worlds // config.processes)
    check_interface(config.env, config.env_kwargs)
    env = training_environments(config)
    images = traits.sees_images and is_image_space(single_spaces(env)[0])
    policy = settings.policy if traits.names_policy else "CnnPolicy" if images else "MlpPolicy"
    return agent_class(policy, env, seed=config.seed, device=config.device, **settings.to_kwargs())


def _settings(config: RunConfig, config_class: type[AgentConfig]) -> Any:
    """The hyperparameters of the agent; also completes ``config.config``."""
    given = config_class.with_preset(config.preset, config.config)
    settings = from_settings(config_class, given, f"agent {config.agent}")
    config.config = asdict(settings)
    config.__post_init__()
    return settings


def _check_device(name: str) -> None:
    """Refuse a device that is not available.

    Raises:
        InvalidParameter: the name is invalid, or CUDA is not available.
    """
    try:
        device = torch.device("cpu" if name == "auto" else name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise InvalidParameter(f"device is {name!r}; it must be auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidParameter(f"device is {name!r}, but PyTorch finds {torch.cuda.device_count()} CUDA devices here.")


def _check_source(config: RunConfig, source: str) -> str:
    """Check that the configuration has what the agent learns from: a dataset or an environment.

    Raises:
        AskError: it has not.
    """
    if source == "dataset" and not config.dataset:
        raise AskError(f"{config.agent} learns from a dataset: give --dataset NAME. See: agentgym list recipes")
    if source == "environment" and config.dataset:
        raise AskError(f"{config.agent} learns in an environment, not from a dataset. See: agentgym list agents")
    if source == "environment" and not config.env:
        raise AskError(f"{config.agent} learns in an environment: give --env ID. See: agentgym list envs")
    return source


def _build_offline(config: RunConfig, agent_class: Any, settings: Any) -> Any:
    """Make the untrained agent with its dataset. The default for evaluations is the environment of the dataset."""
    from agentgym.data.recorded_env import check_world
    from agentgym.data.storage import load_dataset

    dataset = load_dataset(config.dataset)
    about = dataset.description
    config.dataset = about.name  # replaces a recipe by its dataset
    if not config.env:
        if about.env:
            check_world(about)
        config.env, config.env_kwargs = about.env, {**about.env_kwargs, **config.env_kwargs}
        config.perturbations = config.perturbations or [dict(each) for each in about.perturbations]
    config.dataset_sha256 = dataset.digest
    if config.env:
        check_interface(config.env, config.env_kwargs)
    env = partial(make_env, config.env, config.env_kwargs, config.perturbations) if config.env else None
    return agent_class("MlpPolicy", env, dataset, seed=config.seed, device=config.device, **settings.to_kwargs())


def training_environments(config: RunConfig) -> VecEnv | RecordedBatch:
    """Make the environments of a run: a native batch if its state can be restored, else a list of single environments.

    Perturbed environments use exact batches only, and only if the perturbations preserve the dynamics. A batch of one
    is replaced by a single environment if it is exact, because single environments are faster.
    """
    exact = has_exact_batch(config.env, config.env_kwargs)
    fits = config.num_envs > 1 and preserve_dynamics(config.perturbations) if exact else not config.perturbations
    if fits:
        mode = AutoresetMode.DISABLED if exact else AutoresetMode.SAME_STEP
        batch = make_native_batch(config.env, config.env_kwargs, config.num_envs, mode)
        if batch is not None:  # agents wrap and monitor a VectorEnv themselves
            return RecordedBatch(perturbed(batch, config.perturbations), config.seed)

    def maker(index: int) -> Callable[[], RecordedEnv]:
        return lambda: RecordedEnv(make_env(config.env, config.env_kwargs, config.perturbations), config.seed, index)

    return VecMonitor(DummyVecEnv([maker(index) for index in range(config.num_envs)]))
