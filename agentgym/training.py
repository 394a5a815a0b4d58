"""Training by name: an agent of the catalog learns in an environment, and the run's folder tells how."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agentgym import catalog
from agentgym.making import make_env
from agentgym.progress import TrainingProgress, bar
from agentgym.runs import MetricsFile, Run, RunConfig

__all__ = ["train"]


def train(
    config: RunConfig,
    name: str | None = None,
    root: Path | str = "runs",
    overwrite: bool = False,
    progress: bool = True,
) -> Run:
    """Train one agent and write ``root/name``.

    Args:
        config: what to train, in what, for how long.
        name: the run's folder; by default agent, environment and seed.
        root: where runs are kept.
        overwrite: replace a run of that name.
        progress: show a progress bar.

    Raises:
        UnknownId: no such agent, environment or perturbation.
        AskError: the run exists, or the environment refuses its arguments.
    """
    entry = catalog.find("agent", config.agent)
    agent = build(entry, config)  # refuses what cannot be before anything is written
    run = Run.create(Path(root) / (name or _default_name(config)), config, overwrite)
    agent.set_logger(_logger(run))
    began = time.monotonic()
    with bar(run.name, config.steps, shown=progress) as shown:
        agent.learn(config.steps, callback=TrainingProgress(shown))
    agent.logger.record("time/seconds", time.monotonic() - began)
    agent.logger.dump(agent.num_timesteps)
    agent.save(run.final)
    agent.get_env().close()
    return run


def build(entry: catalog.Entry, config: RunConfig) -> Any:
    """The untrained agent in its environments; environment ``i`` of ``num_envs`` has its own seed."""
    if config.threads:
        torch.set_num_threads(config.threads)
    agent_class = catalog.load(entry)
    makers: list[Callable[[], Any]] = [
        partial(make_env, config.env, config.env_kwargs, config.perturbations) for _ in range(config.num_envs)
    ]
    settings = agent_class.Config(**config.config)
    return agent_class(
        "MlpPolicy",
        VecMonitor(DummyVecEnv(makers)),
        seed=config.seed,
        device=config.device,
        **settings.to_kwargs(),
    )


def _default_name(config: RunConfig) -> str:
    return f"{config.agent}-{config.env.rpartition('/')[2]}-seed{config.seed}"


class _Metrics(MetricsFile, KVWriter):
    """metrics.csv as one of Stable-Baselines3's log formats."""


def _logger(run: Run) -> Logger:
    return Logger(str(run.path), [_Metrics(run.path / "metrics.csv"), TensorBoardOutputFormat(str(run.path))])
