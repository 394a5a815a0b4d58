"""The wrapper that perturbs a single text environment."""

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.layers import Layer, as_perturbations, dynamics_edits, types_inside
from agentgym.envs.perturb.text.stack import EffectStack, checked_effects, widened

__all__ = ["PerturbedTextEnv"]


class PerturbedTextEnv(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs, Layer):
    """A text environment with perturbations; created by ``perturb``.

    ``info["perturbed"]`` reports for each effect whether it fired. Effects may add further keys and measures, as they
    document. The spaces are enlarged as the effects need.

    Args:
        env: an environment with texts as observations and actions; its own random generator is not used.
        perturbations: effects or their configurations, innermost first.
        true_observation: whether to put the environment's own observation into ``info["true_observation"]``.

    Raises:
        InvalidParameter: an effect does not apply to this environment.
    """

    stack: EffectStack

    def __init__(
        self,
        env: gymnasium.Env[str, str],
        perturbations: Iterable[Perturbation | Mapping[str, Any]],
        true_observation: bool = False,
    ) -> None:
        effects = checked_effects(as_perturbations(perturbations), env.observation_space, env.action_space)
        self.perturbations = effects
        RecordConstructorArgs.__init__(
            self, perturbations=[effect.to_config() for effect in effects], true_observation=true_observation
        )
        gymnasium.Wrapper.__init__(self, env)
        self._edits = dynamics_edits(self, env, ())
        self.observation_space = widened(env.observation_space, effects)
        self.action_space = widened(env.action_space, effects)
        under = env.stack.all_processes if isinstance(env, PerturbedTextEnv) else ()
        self.stack = EffectStack(effects, types_inside(env), env.unwrapped, under, true_observation)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode. ``seed`` seeds every effect's stream; without it the streams continue."""
        text, info = self.env.reset(seed=seed, options=options)
        self.stack.reseed(seed)
        return self.stack.begin(text, info)

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """Step the environment with the perturbed command.

        Raises:
            InvalidAction: the action is not a string.
            ResetNeeded: there has been no reset.
        """
        if not self.stack.seeded:
            raise ResetNeeded("Call reset() before step().")
        text, reward, terminated, truncated, info = self.env.step(self.stack.act(action))
        text, info = self.stack.see(text, info, terminated or truncated)
        return text, reward, terminated, truncated, info

    def outward(self, command: str, world: int = 0) -> str:
        """The agent's wording of the environment's ``command``."""
        inner = getattr(self.env, "outward", None)
        return self.stack.outward(command if inner is None else inner(command, world))
