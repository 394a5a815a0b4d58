"""The command ``agentgym train AGENT --env ID``: trains an agent and writes ``runs/NAME``."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from agentgym import catalog
from agentgym.contracts.agent import traits_of
from agentgym.contracts.settings import AgentConfig, parse_settings, parse_values
from agentgym.errors import UnknownId
from agentgym.runs.run import RunConfig

HELP = """Train an agent and write runs/NAME: config.json, metrics.csv, TensorBoard events and the trained agent.

Examples:

agentgym train sac --env agentgym/RobustHopper-v0 --steps 100000 --seed 1 --name hopper

agentgym train sac --env agentgym/RobustInvertedPendulum-v0 --env-kwargs randomize=uniform --name randomised

agentgym train sac --env HalfCheetah-v5 --preset mujoco --config.batch-size 512 --name cheetah

agentgym train sac --env Pendulum-v1 --perturb ObservationNoise:std=0.1 --config.learning-rate 1e-3

agentgym train percent-bc --dataset hopper-medium-replay --steps 50000 --name clone

torchrun --nproc-per-node 2 -m agentgym train grpo --env agentgym/Household-v0 --name errands

Watch a run: tensorboard --logdir runs
"""


def main(arguments: list[str]) -> None:
    """Entry point of the command; the first argument selects the agent and thereby its hyperparameters."""
    names = [entry.id for entry in catalog.entries("agent")]
    if not arguments or arguments[0].startswith("-"):
        print(f"Usage: agentgym train AGENT --env ID [options]\n\nAgents: {', '.join(names)}\n\n{HELP}")
        print("Run agentgym train AGENT --help for the hyperparameters of an agent.")
        sys.exit(0 if arguments[:1] in (["-h"], ["--help"]) else 2)
    if arguments[0] not in names:
        raise UnknownId("agent", arguments[0], names, "See: agentgym list agents")
    entry = catalog.find("agent", arguments[0])
    agent_class = catalog.load(entry)
    tyro.cli(
        _command(entry.id, agent_class, _preset(arguments)),
        prog=f"agentgym train {entry.id}",
        args=arguments[1:],
        description=f"{HELP}\n\n{_presets(agent_class.Config)}",
    )


def _preset(arguments: list[str]) -> str:
    """The value of ``--preset``, which must be read first because it sets the defaults of other options."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    reader.add_argument("--preset", default="")
    try:
        return str(reader.parse_known_args(arguments)[0].preset)
    except argparse.ArgumentError:  # a missing value; tyro prints a better message
        return ""


def _presets(config_class: type[AgentConfig]) -> str:
    """Help text for the presets."""
    lines = [f"{name}: {preset}" for name, preset in config_class.presets.items()]
    return "\n\n".join(["Presets (--preset NAME):" if lines else "This agent has no presets.", *lines])


def _defaults(config_class: type[AgentConfig], preset: str) -> AgentConfig:
    """Default values of the options. They are checked later, together with the given values."""
    defaults = {field.name: field.default for field in dataclasses.fields(config_class)}
    config = object.__new__(config_class)
    vars(config).update(defaults | config_class.with_preset(preset, {}))
    return config


def _command(agent: str, agent_class: Any, preset: str) -> Any:
    """The ``train`` function with this agent's ``Config`` among its arguments."""

    def train(
        config: Any,
        env: str = "",
        dataset: str = "",
        preset: str = "",
        steps: int = 100_000,
        seed: int = 0,
        name: str | None = None,
        num_envs: int = 1,
        env_kwargs: tuple[str, ...] = (),
        perturb: tuple[str, ...] = (),
        device: str = "auto",
        threads: int = 0,
        checkpoint_every: int = 5_000,
        keep_checkpoints: int = 2,
        root: Path = Path("runs"),
        overwrite: bool = False,
    ) -> None:
        """Train an agent.

        Args:
            config: hyperparameters of the agent.
            env: a Gymnasium id, or module:Id for a package that registers its own environments.
            dataset: dataset of an offline agent, a recipe or a Minari id; env is then the environment for evaluations
                during training, by default the environment of the dataset.
            preset: preset of hyperparameters; --config options override it.
            steps: total number of environment steps, or of gradient steps for an offline agent.
            seed: seed of the run.
            name: name of the run's folder; by default made of agent, environment and seed.
            num_envs: number of environments that are stepped in parallel, in each process.
            env_kwargs: keyword arguments of the environment, KEY=VALUE.
            perturb: perturbations, innermost first, NAME or NAME:KEY=VALUE,KEY=VALUE.
            device: auto, cpu or cuda.
            threads: number of CPU threads for PyTorch; 0 uses the default of PyTorch.
            checkpoint_every: steps between checkpoints, for agentgym resume; slow runs also write one about every
                minute. 0 writes none during training.
            keep_checkpoints: number of newest checkpoints to keep; 0 keeps all.
            root: folder of the runs.
            overwrite: replace an existing run of the same name.
        """
        from agentgym.runs.processes import joined, place
        from agentgym.runs.train import train as train_agent

        perturbations = []
        for text in perturb:
            kind, values = parse_settings(text)
            perturbations.append({"type": kind, **values})
        run_config = RunConfig(
            agent=agent,
            env=env,
            dataset=dataset,
            env_kwargs=parse_values(env_kwargs),
            perturbations=perturbations,
            num_envs=num_envs,
            steps=steps,
            seed=seed,
            device=device,
            threads=threads,
            checkpoint_every=checkpoint_every,
            keep_checkpoints=keep_checkpoints,
            config=dataclasses.asdict(config),
            preset=preset,
        )
        with joined():
            run = train_agent(run_config, name, root, overwrite, progress=place()[0] == 0)
            if place()[0]:
                return
        suite, learned = traits_of(agent_class).suite, run.record()["learned_steps"]
        print(f"{run.path}: trained for {learned} steps. Next: agentgym evaluate {run.path} --suite {suite}")

    train.__annotations__["config"] = Annotated[agent_class.Config, tyro.conf.arg(name="config")]
    train.__defaults__ = (_defaults(agent_class.Config, preset), *(train.__defaults__ or ()))
    return train
