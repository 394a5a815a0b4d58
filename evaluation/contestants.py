"""Who is evaluated: runs, saved agents, objects and hand-made controllers, and whether they fit the environment."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MethodType
from typing import Any

import gymnasium
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from agentgym import catalog
from agentgym.contracts.agent import words_of
from agentgym.contracts.environment import Worded, controllers_of
from agentgym.errors import AskError, SpaceMismatch, UnknownId
from agentgym.evaluation.table import AgentRecord
from agentgym.runs.run import Run
from agentgym.runs.state_files import MANIFEST
from agentgym.wrappers.preprocessing import AsTrained, as_trained

__all__ = ["Contestant", "Training", "brought_along", "contestants_of", "fitted", "load_agent", "shared_environment"]

Training = tuple[str, Mapping[str, Any]]  # an environment's id and its keyword arguments


@dataclass(frozen=True)
class Contestant:
    """One agent: where to load it from, or the object itself."""

    record: AgentRecord
    agent: Any
    trained_in: Training | None

    def sent(self) -> Any:
        """What a worker gets: a path where there is one, since models are cheaper to load than to send."""
        return self.record.source or _to_act(self.agent)


LEARNING = ("env", "_vec_normalize_env", "replay_buffer", "rollout_buffer", "_logger")


def _to_act(agent: Any) -> Any:
    """A copy without what only learning needs: environments, of which many cannot be sent, and buffers."""
    if isinstance(agent, AsTrained):
        return replace(agent, agent=_to_act(agent.agent))
    if isinstance(getattr(agent, "learner", None), BaseAlgorithm):  # it acts for the agents of a joint environment
        agent = copy.copy(agent)
        agent.learner = _to_act(agent.learner)
    elif isinstance(agent, BaseAlgorithm):
        whole, agent = agent, copy.copy(agent)
        for name, value in vars(whole).items():
            if name in LEARNING:
                setattr(agent, name, None)
            elif isinstance(value, MethodType) and value.__self__ is whole:
                setattr(agent, name, MethodType(value.__func__, agent))
    return agent


def contestants_of(agents: Any) -> list[Contestant]:
    """The agents that :func:`agentgym.evaluation.evaluate.evaluate` is given.

    Raises:
        FileNotFoundError, CorruptFile: there is no such run, or it is damaged.
        AskError: a run has not been trained to its end, or an object is no agent.
    """
    if isinstance(agents, str | Path) or hasattr(agents, "predict"):
        agents = [agents]
    if not isinstance(agents, Mapping | Sequence):
        raise AskError(f"agents are runs, agents or a dictionary of them by name, not {agents!r}.")
    named = agents.items() if isinstance(agents, Mapping) else ((None, agent) for agent in agents)
    return [_contestant(name, agent) for name, agent in named]


def _contestant(name: str | None, agent: Any) -> Contestant:
    if not isinstance(agent, str | Path):
        for needed in ("predict", "observation_space", "action_space"):
            if not hasattr(agent, needed):
                raise AskError(f"{name or agent!r} is no agent: it has no {needed}. Give it one, or name a run.")
        algorithm = type(agent).__name__
        return Contestant(AgentRecord(name or algorithm.lower(), algorithm, "", ""), agent, None)
    path = Path(agent)
    if (path / MANIFEST).is_file():  # a saved agent without its run
        model = _load(path)
        return Contestant(AgentRecord(name or path.name, type(model).__name__, "", str(path)), model, None)
    run = Run.open(path)
    if not run.final.is_dir():
        raise AskError(f"{path} has no trained agent yet (no final/). Let its training end first.")
    record = AgentRecord(name or run.name, run.config.agent, _described(run), str(run.final), run.config.steps)
    trained_in = (run.config.env, run.config.env_kwargs) if run.config.env else None
    return Contestant(record, _load(run.final), trained_in)


def load_agent(path: Path | str) -> Any:
    """The agent saved at ``path``, found by the name its folder holds; it takes environments' own observations."""
    return as_trained(_load(path))


def _load(path: Path | str) -> Any:
    saving: Any = catalog.resolve("agentgym.agents.common.saving:load_agent")
    return saving(path)


def _described(run: Run) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in run.config.env_kwargs.items())
    return f"{run.config.env}({arguments})" if arguments else run.config.env


def brought_along(probe: gymnasium.Env[Any, Any], env: str, names: Sequence[str]) -> list[Contestant]:
    """The environment's own controllers of these names.

    Raises:
        UnknownId: it has no such controller.
    """
    known = controllers_of(probe)
    for name in names:
        if name not in known:
            raise UnknownId(f"controller of {env}", name, known)
    return [Contestant(AgentRecord(name, "controller", "", ""), known[name], None) for name in names]


def shared_environment(
    contestants: Sequence[Contestant], env: str | None, env_kwargs: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any], list[str]]:
    """Where the agents are evaluated.

    Args:
        contestants: the agents.
        env: the environment that was asked for; None is the one that all runs were trained in.
        env_kwargs: its keyword arguments as asked for; None are those that all runs that were trained in this
            environment have in common, with equal values.

    Returns:
        the id, its keyword arguments, and the names of those in which the runs differ and which are left out.

    Raises:
        AskError: no environment is asked for, and the runs do not share one.
    """
    trained = [contestant.trained_in for contestant in contestants if contestant.trained_in]
    ids = {trained_env for trained_env, _ in trained}
    if env is None and len(ids) > 1:
        raise AskError(
            f"The agents were trained in different environments ({', '.join(sorted(ids))}). "
            "Name one: env=... (--env ID)."
        )
    if env is None and not ids:
        raise AskError("The agents do not say what they were trained in. Name the environment: env=... (--env ID).")
    env = env if env is not None else ids.pop()
    if env_kwargs is not None:
        return env, dict(env_kwargs), []
    theirs = [dict(kwargs) for trained_env, kwargs in trained if trained_env == env]
    names = list(dict.fromkeys(name for kwargs in theirs for name in kwargs))
    shared = {
        name: theirs[0][name] for name in names
        if all(name in kwargs and kwargs[name] == theirs[0].get(name) for kwargs in theirs)
    }  # fmt: skip
    return env, shared, [name for name in names if name not in shared]


def fitted(contestants: Sequence[Contestant], probe: gymnasium.Env[Any, Any], env: str) -> list[Contestant]:
    """The agents as they were trained: each takes the environment's own observations.

    Raises:
        AskError: two have one name.
        SpaceMismatch: an agent has other spaces than the environment, or the environment's cannot be played.
        InvalidParameter: it was trained on normalised observations, and their statistics are not known.
    """
    names = [contestant.record.name for contestant in contestants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise AskError(
            f"Two agents have the name {twice.pop()!r}. Give names: evaluate({{'first': ..., 'second': ...}}, ...)."
        )
    _check_playable(probe.observation_space, env)
    ready = [replace(each, agent=as_trained(each.agent, probe.observation_space)) for each in contestants]
    for contestant in ready:
        _check_spaces(contestant, probe, env)
    return ready


def _check_playable(space: spaces.Space[Any], env: str) -> None:
    parts = list(space.values()) if isinstance(space, spaces.Dict) else [space]
    plain = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict, spaces.Text)
    for part in parts:
        if not isinstance(part, plain):
            raise SpaceMismatch(
                f"{env} has observations of {part}, which no agent is asked about here. Put "
                "gymnasium.wrappers.FlattenObservation or another wrapper around it in an id of your own."
            )
        if isinstance(part, spaces.Dict):
            _check_playable(part, env)


def _check_spaces(contestant: Contestant, probe: gymnasium.Env[Any, Any], env: str) -> None:
    for kind in ("observation_space", "action_space"):
        own, its = getattr(contestant.agent, kind), getattr(probe, kind)
        if isinstance(own, spaces.Text) and isinstance(its, spaces.Text):
            _check_readable(contestant, own, its, probe, env)
        elif own != its:
            raise SpaceMismatch(
                f"{contestant.record.name} has the {kind.replace('_', ' ')} {own}, but {env} has {its}. "
                "Evaluate it on an environment like the one it was trained in (--env ID)."
            )


def _check_readable(
    contestant: Contestant, own: spaces.Text, its: spaces.Text, probe: gymnasium.Env[Any, Any], env: str
) -> None:
    """Texts may be of any length; letters and, for who reads word by word, most words must be known.

    Raises:
        SpaceMismatch: they are not.
    """
    name = contestant.record.name
    advice = "Evaluate it on an environment like the one it was trained in (--env ID)."
    known, world = words_of(contestant.agent), probe.unwrapped
    words = world.vocabulary if isinstance(world, Worded) else None
    if known is not None:
        missing = sorted(set(words or ()) - set(known))
        if words is None or 2 * len(missing) > len(words):
            told = (
                "does not list its words"
                if words is None
                else f"has {len(missing)} of {len(words)} words unknown to it"
            )
            raise SpaceMismatch(f"{name} reads word by word, and {env} {told}. {advice}")
    elif not its.character_set <= own.character_set:
        strange = "".join(sorted(its.character_set - own.character_set))
        raise SpaceMismatch(f"{name} has never read the characters {strange!r} of {env}. {advice}")
