"""The function that adds perturbations to an environment."""

import itertools
from collections.abc import Mapping
from typing import Any, overload

import gymnasium
from gymnasium.vector import VectorEnv

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.env import PerturbedEnv
from agentgym.envs.perturb.layers import as_perturbations
from agentgym.envs.perturb.physics import PhysicsPerturbation
from agentgym.envs.perturb.physics_env import PhysicsEnv
from agentgym.envs.perturb.text.base import TextPerturbation
from agentgym.envs.perturb.text.env import PerturbedTextEnv
from agentgym.envs.perturb.text.vector import PerturbedTextVectorEnv
from agentgym.envs.perturb.vector import PerturbedVectorEnv
from agentgym.errors import InvalidParameter

__all__ = ["perturb"]


@overload
def perturb(
    env: gymnasium.Env[Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> PerturbedEnv | PerturbedTextEnv | PhysicsEnv: ...


@overload
def perturb(
    env: VectorEnv[Any, Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> PerturbedVectorEnv | PerturbedTextVectorEnv: ...


def perturb(
    env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> Any:
    """Wrap ``env`` with perturbations, the first one next to the environment and the last one next to the agent.

    Observations and rewards pass them from first to last, actions from last to first.
    ``perturb(perturb(env, a), b)`` is bit-equal to ``perturb(env, a, b)``. Effects on texts, and those that change the
    physics within an episode, get a separate wrapper if they are combined with others.

    Args:
        env: a single environment or a batch.
        perturbations: effects or their configurations; without any, actions are still checked.
        true_observation: whether to put the unperturbed observation into ``info["true_observation"]``.

    Raises:
        InvalidParameter: an effect does not support this environment.
        UnknownId: a configuration has an unknown type.
    """
    effects = as_perturbations(perturbations)
    stacks = [(kind, list(stack)) for kind, stack in itertools.groupby(effects, _wrapper)]
    wrapped: Any = env
    for kind, stack in stacks or [("signals", [])]:
        if kind == "physics" and isinstance(env, VectorEnv):
            raise InvalidParameter(
                f"{type(stack[0]).__name__} changes the physics of one environment. Perturb each before they are "
                "batched: SyncVectorEnv([lambda: perturb(gymnasium.make(ID), ...)])."
            )
        wrapped = WRAPPERS[kind][isinstance(env, VectorEnv)](wrapped, stack, true_observation)
    return wrapped


WRAPPERS: dict[str, tuple[Any, Any]] = {
    "signals": (PerturbedEnv, PerturbedVectorEnv),
    "texts": (PerturbedTextEnv, PerturbedTextVectorEnv),
    "physics": (PhysicsEnv, None),
}


def _wrapper(effect: Perturbation) -> str:
    if isinstance(effect, PhysicsPerturbation):
        return "physics"
    return "texts" if isinstance(effect, TextPerturbation) else "signals"
