"""The perturbations that an environment already has, found through all its wrappers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorWrapper

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.config import from_config
from agentgym.envs.perturb.dynamics import DynamicsPerturbation
from agentgym.envs.perturb.mujoco_model import DynamicsEdits, Edit
from agentgym.errors import InvalidParameter

__all__ = ["Layer", "as_perturbations", "dynamics_edits", "types_inside"]


class Layer:
    """Base of the single and the batched wrapper."""

    perturbations: tuple[Perturbation, ...]
    _edits: DynamicsEdits

    @property
    def perturbation_types(self) -> list[str]:
        """The types of all effects, including those of inner wrappers, innermost first."""
        return types_inside(self)


def _layers(env: Any, world: int = 0) -> tuple[list[Layer], Any]:
    """The perturbing wrappers around one world, innermost first, and the base environment."""
    found: list[Layer] = []
    while True:
        if isinstance(env, Layer):
            found.append(env)
        if isinstance(env, gymnasium.Wrapper | VectorWrapper):
            env = env.env
        elif isinstance(env, SyncVectorEnv):
            env = env.envs[world]
        else:
            return found[::-1], env


def types_inside(env: Any) -> list[str]:
    """The types of the perturbations of ``env``, innermost first (for a batch, those of its first world)."""
    layers, base = _layers(env)
    types = [type(perturbation).__name__ for layer in layers for perturbation in layer.perturbations]
    if isinstance(base, AsyncVectorEnv) and base.call("has_wrapper_attr", "perturbation_types")[0]:
        types = [*base.get_attr("perturbation_types")[0], *types]
    return types


def as_perturbations(items: Iterable[Perturbation | Mapping[str, Any]]) -> tuple[Perturbation, ...]:
    """The perturbations, with configurations converted.

    Raises:
        InvalidParameter: an item is neither.
    """

    def one(item: Perturbation | Mapping[str, Any]) -> Perturbation:
        if isinstance(item, Perturbation):
            return item
        if isinstance(item, Mapping):
            return from_config(item)
        raise InvalidParameter(
            f"{item!r} is not a perturbation. Give objects such as ObservationNoise(std=0.1), or their configurations."
        )

    return tuple(one(item) for item in items)


def dynamics_edits(owner: Layer, env: Any, perturbations: Sequence[Perturbation]) -> DynamicsEdits:
    """The dynamics effects among ``perturbations``, prepared for every world of ``env``.

    Raises:
        InvalidParameter: the worlds cannot be accessed or have no MuJoCo model, or an effect has no influence.
    """
    effects = [effect for effect in perturbations if isinstance(effect, DynamicsPerturbation)]
    if not effects:
        return DynamicsEdits(owner, (), ())
    base = env.unwrapped
    if isinstance(base, SyncVectorEnv):
        worlds = [(world.unwrapped, _inner_edits(env, i)) for i, world in enumerate(base.envs)]
    elif isinstance(env, gymnasium.Env):
        worlds = [(base, _inner_edits(env, 0))]
    else:
        raise InvalidParameter(
            f"{type(effects[0]).__name__} edits the MuJoCo model of every world, which {type(base).__name__} does not "
            "expose. Perturb each world before they are batched, env_fns=[lambda: perturb(gymnasium.make(ID), ...)], "
            "or batch them with SyncVectorEnv."
        )
    return DynamicsEdits(owner, effects, worlds)


def _inner_edits(env: Any, world: int) -> tuple[Edit, ...]:
    return tuple(layer._edits.edit for layer in _layers(env, world)[0] if layer._edits.edit.effects)
