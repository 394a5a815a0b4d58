"""The wrapper that perturbs a single Gymnasium environment."""

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import RecordConstructorArgs

from agentgym.envs.perturb.base import Perturbation
from agentgym.envs.perturb.layers import Layer, as_perturbations, dynamics_edits, types_inside
from agentgym.envs.perturb.runtime import Runtime
from agentgym.envs.perturb.signal import ALL
from agentgym.envs.perturb.spaces import Codec

__all__ = ["PerturbedEnv"]


class PerturbedEnv(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs, Layer):
    """An environment with perturbations; created by :func:`perturb`.

    Every step's ``info`` holds

    - ``perturbed``: for each effect, whether it fired (a bool);
    - ``perturbed_clipped``: for each effect whose results may leave the space's bounds, whether they were clipped;
    - ``true_reward``: the environment's reward, if an effect changes the reward;
    - ``true_observation``: the environment's observation, if requested.

    Args:
        env: the environment to wrap; its own random generator is not used.
        perturbations: effects or their configurations, innermost first.
        true_observation: whether to include the true observation in ``info``.

    Raises:
        InvalidParameter: an effect does not apply to this environment.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        perturbations: Iterable[Perturbation | Mapping[str, Any]],
        true_observation: bool = False,
    ) -> None:
        self.perturbations = as_perturbations(perturbations)
        RecordConstructorArgs.__init__(
            self, perturbations=[_recorded(item) for item in self.perturbations], true_observation=true_observation
        )
        gymnasium.Wrapper.__init__(self, env)
        self._observations = Codec(env.observation_space, "observation")
        self._actions = Codec(env.action_space, "action")
        self._runtime = Runtime(
            self.perturbations, types_inside(env), self._observations.signal, self._actions.signal, worlds=1
        )
        self._edits = dynamics_edits(self, env, self.perturbations)
        self._true_observation = true_observation
        self._started = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode. ``seed`` seeds every effect's stream; without it the streams continue."""
        self._edits.apply()
        observation, info = self.env.reset(seed=seed, options=options)
        self._edits.check()
        self._runtime.reseed([0], [seed])
        self._runtime.new_step()
        self._runtime.begin(ALL)
        self._started = True
        info = dict(info)
        return self._seen(observation, info), self._report(info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment with the perturbed action.

        Raises:
            InvalidAction: the action has NaN, infinity, or another shape or type than the space's; nothing was stepped.
            ResetNeeded: there has been no reset.
        """
        if not self._started:
            raise ResetNeeded("Call reset() before step().")
        runtime = self._runtime
        packed = self._actions.check_action(action)
        runtime.new_step()
        if runtime.changes_actions:
            action = self._actions.unpack(runtime.act(packed))
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._edits.watched:
            self._edits.check()
        info = dict(info)
        if runtime.changes_rewards:
            info.setdefault("true_reward", reward)
            reward = float(runtime.reward(np.array([reward], np.float64))[0])
        runtime.advance()
        return self._seen(observation, info), reward, terminated, truncated, self._report(info)

    def close(self) -> None:
        """Undo the effects on the dynamics and close the environment."""
        self._edits.undo()
        self.env.close()

    def _seen(self, observation: Any, info: dict[str, Any]) -> Any:
        if self._true_observation:
            info.setdefault("true_observation", observation)
        if not self._runtime.watches_observations:
            return observation
        return self._observations.unpack(self._runtime.observe(self._observations.pack(observation)))

    def _report(self, info: dict[str, Any]) -> dict[str, Any]:
        runtime = self._runtime
        info["perturbed"] = {**info.get("perturbed", {}), **runtime.fired, **runtime.constant}
        if runtime.clipped:
            info["perturbed_clipped"] = {**info.get("perturbed_clipped", {}), **runtime.clipped}
        if truths := runtime.truths:
            told = {name: {key: each[0].item() for key, each in truth.items()} for name, truth in truths.items()}
            info["faults"] = {**info.get("faults", {}), **told}
        return info


def _recorded(perturbation: Perturbation) -> Any:
    """A perturbation's configuration if it has one, so that the environment's spec can be written as JSON."""
    return perturbation if callable(getattr(perturbation, "policy", None)) else perturbation.to_config()
