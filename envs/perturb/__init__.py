"""What goes wrong between an agent and its world: observation, action, reward and dynamics perturbations.

>>> import gymnasium
>>> env = perturb(gymnasium.make("Pendulum-v1"), ObservationNoise(std=0.05), ActionDelay(steps=2))
>>> observation, info = env.reset(seed=0)
>>> info["perturbed"]
{'ObservationNoise': True, 'ActionDelay': False}

The card, README.md, lists every effect with its formula and source.
"""

from collections.abc import Mapping
from typing import Any, overload

import gymnasium
from gymnasium.vector import VectorEnv

from agentgym.envs.perturb.action import ActionDelay, ActionGainDrift, ActionMixture, ActionNoise, StickyAction
from agentgym.envs.perturb.base import Perturbation, SignalPerturbation
from agentgym.envs.perturb.check_action import CheckAction, CheckVectorAction
from agentgym.envs.perturb.config import PERTURBATIONS, from_config
from agentgym.envs.perturb.dynamics import (
    ActuatorGain,
    BodyMass,
    ContactFriction,
    DynamicsPerturbation,
    Gravity,
    JointDamping,
)
from agentgym.envs.perturb.env import PerturbedEnv
from agentgym.envs.perturb.observation import (
    ObservationBias,
    ObservationDelay,
    ObservationDropout,
    ObservationFreeze,
    ObservationNoise,
    ObservationQuantization,
)
from agentgym.envs.perturb.reward import RewardDelay, RewardNoise, RewardSignFlip
from agentgym.envs.perturb.vector import PerturbedVectorEnv

__all__ = [
    "PERTURBATIONS",
    "ActionDelay",
    "ActionGainDrift",
    "ActionMixture",
    "ActionNoise",
    "ActuatorGain",
    "BodyMass",
    "CheckAction",
    "CheckVectorAction",
    "ContactFriction",
    "DynamicsPerturbation",
    "Gravity",
    "JointDamping",
    "ObservationBias",
    "ObservationDelay",
    "ObservationDropout",
    "ObservationFreeze",
    "ObservationNoise",
    "ObservationQuantization",
    "Perturbation",
    "PerturbedEnv",
    "PerturbedVectorEnv",
    "RewardDelay",
    "RewardNoise",
    "RewardSignFlip",
    "SignalPerturbation",
    "StickyAction",
    "from_config",
    "perturb",
]


@overload
def perturb(
    env: gymnasium.Env[Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> PerturbedEnv: ...


@overload
def perturb(
    env: VectorEnv[Any, Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> PerturbedVectorEnv: ...


def perturb(
    env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
    *perturbations: Perturbation | Mapping[str, Any],
    true_observation: bool = False,
) -> PerturbedEnv | PerturbedVectorEnv:
    """``env`` with perturbations, the first one next to it and the last one next to the agent.

    An observation or reward passes them first to last, an action last to first, and
    ``perturb(perturb(env, a), b)`` is the same as ``perturb(env, a, b)`` bit for bit.

    Args:
        env: a single environment or a batch.
        perturbations: effects or their configurations; with none, actions are still checked.
        true_observation: whether ``info["true_observation"]`` holds the unperturbed observation.

    Raises:
        InvalidParameter: an effect does not apply to this environment.
        UnknownId: a configuration names no effect.
    """
    if isinstance(env, VectorEnv):
        return PerturbedVectorEnv(env, perturbations, true_observation)
    return PerturbedEnv(env, perturbations, true_observation)
