"""The agents of an evaluation: runs, saved agents, objects and hand-made controllers, checked for the environment."""

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

__all__ = ["Entrant", "Training", "brought_along", "fitted", "load_agent", "read_entrants", "shared_environment"]

Training = tuple[str, Mapping[str, Any]]  # an environment's id and its keyword arguments


@dataclass(frozen=True)
class Entrant:
    """An agent of an evaluation, as an object or a path to load it from."""

    record: AgentRecord
    agent: Any
    trained_in: Training | None

    def sent(self) -> Any:
        """The value to send to a worker: the path if there is one, since loading a model is cheaper than sending it."""
        return self.record.source or _to_act(self.agent)


LEARNING = ("env", "_vec_normalize_env", "replay_buffer", "rollout_buffer", "_logger")


def _to_act(agent: Any) -> Any:
    """A copy without environments and buffers, which are only needed for training and often cannot be sent."""
    if isinstance(agent, AsTrained):
        return replace(agent, agent=_to_act(agent.agent))
    if isinstance(getattr(agent, "learner", None), BaseAlgorithm):  # an agent of a joint environment
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


def read_entrants(agents: Any) -> list[Entrant]:
    """Read the argument ``agents`` of :func:`agentgym.evaluation.evaluate.evaluate`.

    Raises:
        FileNotFoundError, CorruptFile: a run does not exist or is damaged.
        AskError: the training of a run has not finished, or an object is not an agent.
    """
    if isinstance(agents, str | Path) or hasattr(agents, "predict"):
        agents = [agents]
    if not isinstance(agents, Mapping | Sequence):
        raise AskError(f"agents must be runs, agents or a dictionary of them by name, not {agents!r}.")
    named = agents.items() if isinstance(agents, Mapping) else ((None, agent) for agent in agents)
    return [_entrant(name, agent) for name, agent in named]


def _entrant(name: str | None, agent: Any) -> Entrant:
    if not isinstance(agent, str | Path):
        for needed in ("predict", "observation_space", "action_space"):
            if not hasattr(agent, needed):
                raise AskError(f"{name or agent!r} is no agent: it has no {needed}. Add it, or name a run.")
        algorithm = type(agent).__name__
        return Entrant(AgentRecord(name or algorithm.lower(), algorithm, "", ""), agent, None)
    path = Path(agent)
    if (path / MANIFEST).is_file():  # a saved agent outside a run
        model = _load(path)
        return Entrant(AgentRecord(name or path.name, type(model).__name__, "", str(path)), model, None)
    run = Run.open(path)
    if not run.final.is_dir():
        raise AskError(f"{path} has no trained agent yet (no final/). Finish its training first.")
    record = AgentRecord(name or run.name, run.config.agent, _described(run), str(run.final), run.config.steps)
    trained_in = (run.config.env, run.config.env_kwargs) if run.config.env else None
    return Entrant(record, _load(run.final), trained_in)


def load_agent(path: Path | str) -> Any:
    """Load the agent at ``path``. It takes the environment's raw observations."""
    return as_trained(_load(path))


def _load(path: Path | str) -> Any:
    saving: Any = catalog.resolve("agentgym.agents.common.saving:load_agent")
    return saving(path)


def _described(run: Run) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in run.config.env_kwargs.items())
    return f"{run.config.env}({arguments})" if arguments else run.config.env


def brought_along(probe: gymnasium.Env[Any, Any], env: str, names: Sequence[str]) -> list[Entrant]:
    """The environment's own controllers with these names.

    Raises:
        UnknownId: no such controller.
    """
    known = controllers_of(probe)
    for name in names:
        if name not in known:
            raise UnknownId(f"controller of {env}", name, known)
    return [Entrant(AgentRecord(name, "controller", "", ""), known[name], None) for name in names]


def shared_environment(
    entrants: Sequence[Entrant], env: str | None, env_kwargs: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any], list[str]]:
    """Find the environment for the evaluation.

    Args:
        entrants: the agents.
        env: the requested environment; None: the one that all runs were trained in.
        env_kwargs: its requested keyword arguments; None: those that all runs trained in this environment have in
            common, with equal values.

    Returns:
        the id, its keyword arguments, and the names of those that differ between runs and are omitted.

    Raises:
        AskError: no environment is given, and the runs do not share one.
    """
    trained = [entrant.trained_in for entrant in entrants if entrant.trained_in]
    ids = {trained_env for trained_env, _ in trained}
    if env is None and len(ids) > 1:
        raise AskError(
            f"The agents were trained in different environments ({', '.join(sorted(ids))}). "
            "Choose one: env=... (--env ID)."
        )
    if env is None and not ids:
        raise AskError("The agents' training environment is unknown. Name one: env=... (--env ID).")
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


def fitted(entrants: Sequence[Entrant], probe: gymnasium.Env[Any, Any], env: str) -> list[Entrant]:
    """The agents, ready for the environment's raw observations.

    Raises:
        AskError: two agents have the same name.
        SpaceMismatch: an agent's spaces differ from the environment's, or no agent supports the latter.
        InvalidParameter: an agent was trained on normalised observations whose statistics are unknown.
    """
    names = [entrant.record.name for entrant in entrants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise AskError(
            f"Two agents have the name {twice.pop()!r}. Name them: evaluate({{'first': ..., 'second': ...}}, ...)."
        )
    _check_playable(probe.observation_space, env)
    ready = [replace(each, agent=as_trained(each.agent, probe.observation_space)) for each in entrants]
    for entrant in ready:
        _check_spaces(entrant, probe, env)
    return ready


def _check_playable(space: spaces.Space[Any], env: str) -> None:
    parts = list(space.values()) if isinstance(space, spaces.Dict) else [space]
    plain = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict, spaces.Text)
    for part in parts:
        if not isinstance(part, plain):
            raise SpaceMismatch(
                f"{env} has observations of {part}, which no agent supports here. Register an id of your own that adds "
                "gymnasium.wrappers.FlattenObservation or another wrapper."
            )
        if isinstance(part, spaces.Dict):
            _check_playable(part, env)


def _check_spaces(entrant: Entrant, probe: gymnasium.Env[Any, Any], env: str) -> None:
    for kind in ("observation_space", "action_space"):
        own, its = getattr(entrant.agent, kind), getattr(probe, kind)
        if isinstance(own, spaces.Text) and isinstance(its, spaces.Text):
            _check_readable(entrant, own, its, probe, env)
        elif own != its:
            raise SpaceMismatch(
                f"{entrant.record.name} has the {kind.replace('_', ' ')} {own}, but {env} has {its}. "
                "Evaluate it on an environment like the one it was trained in (--env ID)."
            )


def _check_readable(
    entrant: Entrant, own: spaces.Text, its: spaces.Text, probe: gymnasium.Env[Any, Any], env: str
) -> None:
    """Check that an agent can read the environment's texts: all characters and, for a vocabulary of words, most words.

    Raises:
        SpaceMismatch: it cannot.
    """
    name = entrant.record.name
    advice = "Evaluate it on an environment like the one it was trained in (--env ID)."
    known, world = words_of(entrant.agent), probe.unwrapped
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
        raise SpaceMismatch(f"{name} was not trained on the characters {strange!r} of {env}. {advice}")
