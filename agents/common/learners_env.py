"""The environments as the learner uses them: translated, checked at every step, and without shared arrays.

An environment may return the same array at every step and overwrite it. The learner receives copies.

Games may be changed for the learner alone: the environments below, and whatever counts their scores, know nothing of
clipped rewards and of episodes that end with a lost life.
"""

from collections.abc import Sequence
from copy import deepcopy
from types import MethodType
from typing import Any, ClassVar, Protocol

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agentgym.agents.common.interface import Actions, Observations, require_row
from agentgym.contracts.finite import is_finite
from agentgym.errors import InvalidParameter, SpaceMismatch

__all__ = ["LearnersEnv", "copy_what_may_change"]


class Translating(Protocol):
    """The interface of an agent that :class:`LearnersEnv` needs."""

    catalog_name: ClassVar[str]
    observations: Observations
    actions: Actions
    num_timesteps: int
    clip_rewards: bool
    terminal_on_life_loss: bool

    @property
    def steps_at_once(self) -> int:
        """The increase of ``num_timesteps`` per step of all environments."""

    def explain_action(self) -> str:
        """What to do about an action that is not finite."""


class LearnersEnv(VecEnvWrapper):
    """Translates between the learner's spaces and the environments', and checks every value.

    Args:
        venv: the environments.
        agent: its ``observations`` and ``actions`` translate.

    Raises:
        NonFinite: an observation, a reward or an action is NaN or infinite; the message says which, and in which step.
        SpaceMismatch: the shape of the observations differs from the space's.
        InvalidParameter: episodes shall end with a lost life, and the environments do not count lives.

    Attributes:
        lives: lives of each environment before the next step, int64 ``[n]``; -1 where it is not asked for.
    """

    def __init__(self, venv: VecEnv, agent: Translating) -> None:
        super().__init__(venv, agent.observations.own, agent.actions.own)
        self.agent = agent
        self._seen, self._played = agent.observations, agent.actions
        self.lives = np.full(venv.num_envs, -1)

    def reset(self) -> VecEnvObs:
        """Start all episodes."""
        first = self._see(self.venv.reset(), 0)
        if self.agent.terminal_on_life_loss:
            self.lives = self._lives(self.unwrapped.reset_infos)
        return first

    def step_async(self, actions: np.ndarray) -> None:
        """Start a step with the learner's actions ``[n, A...]``."""
        if not is_finite(actions):
            advice = self.agent.explain_action()
            require_row(f"The action of {self.agent.catalog_name}", actions, f"{self._where(1)} ({advice})")
        self.venv.step_async(self._played.to_environment(actions))

    def step_wait(self) -> VecEnvStepReturn:
        """Step all environments."""
        observations, rewards, dones, infos = self.venv.step_wait()
        seen, paid = self._see(observations, 1), np.array(rewards)
        if paid.shape != dones.shape:
            raise SpaceMismatch(f"The rewards have the shape {paid.shape} instead of {dones.shape} {self._where(1)}.")
        if not is_finite(paid):
            require_row("The reward", paid, self._where(1))
        if np.count_nonzero(dones):
            infos = [self._ended(info) if done else info for info, done in zip(infos, dones, strict=True)]
        if self.agent.clip_rewards:
            paid = np.sign(paid)
        if self.agent.terminal_on_life_loss:
            dones, infos = self._end_with_lives(seen, dones, infos)
        return seen, paid, dones, infos

    def _end_with_lives(
        self, seen: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Report the steps in which a life was lost as the ends of episodes whose last observation is the present one.

        Stable-Baselines3's EpisodicLifeEnv does the same, and then makes a step without action. Lives alone never tell
        that a game is over or has begun.
        """
        fresh = self.unwrapped.reset_infos
        now = self._lives([fresh[i] if done else info for i, (info, done) in enumerate(zip(infos, dones, strict=True))])
        lost = (now < self.lives) & (now > 0) & ~dones
        self.lives = now
        if not lost.any():
            return dones, infos
        changed = [
            {**info, "terminal_observation": seen[i].copy(), "TimeLimit.truncated": False} if lost[i] else info
            for i, info in enumerate(infos)
        ]
        return dones | lost, changed

    def _lives(self, infos: Sequence[dict[str, Any]]) -> np.ndarray:
        if any("lives" not in info for info in infos):
            raise InvalidParameter(
                "terminal_on_life_loss needs environments that count lives in their infos, as Atari games do. "
                "Leave it out."
            )
        return np.array([int(info["lives"]) for info in infos])

    def _see(self, observations: Any, steps: int) -> np.ndarray:
        seen = np.array(observations)
        if not self._seen.fits(seen):
            self._seen.require(seen, self._where(steps))
        return self._seen.to_learner(seen)

    def _ended(self, info: dict[str, Any]) -> dict[str, Any]:
        last = info.get("terminal_observation")
        return info if last is None else {**info, "terminal_observation": self._see([last], 1)[0]}

    def _where(self, steps: int) -> str:
        return f"at step {self.agent.num_timesteps + steps * self.agent.steps_at_once}"


def copy_what_may_change(env: VecEnv) -> None:
    """Make the ``DummyVecEnv`` below all wrappers, if any, copy data before it resets an environment.

    Stable-Baselines3's class keeps the last observation and info of an episode by reference, and ``reset()`` may
    overwrite them. It also broadcasts observations of a wrong shape. The class of ``env`` is not changed, because
    Stable-Baselines3's callbacks compare it with that of the evaluation environments.
    """
    base = env.unwrapped
    if type(base) is DummyVecEnv:
        base.step_wait = MethodType(_step_wait, base)  # type: ignore[method-assign]
        base._save_obs = MethodType(_save_observation, base)  # type: ignore[method-assign]


def _step_wait(self: DummyVecEnv) -> VecEnvStepReturn:
    for index, env in enumerate(self.envs):
        observation, self.buf_rews[index], terminated, truncated, given = env.step(self.actions[index])
        info = deepcopy(given)
        info["TimeLimit.truncated"] = truncated and not terminated
        self.buf_dones[index] = terminated or truncated
        if self.buf_dones[index]:
            info["terminal_observation"] = deepcopy(observation)
            observation, self.reset_infos[index] = env.reset()
        self.buf_infos[index] = info
        self._save_obs(index, observation)
    return self._obs_from_buf(), self.buf_rews.copy(), self.buf_dones.copy(), list(self.buf_infos)


def _save_observation(self: DummyVecEnv, index: int, observation: Any) -> None:
    shape = self.observation_space.shape
    if shape is not None and np.shape(observation) != shape:
        raise SpaceMismatch(
            f"Environment {index} gave an observation of shape {np.shape(observation)}, and its observation space is "
            f"{self.observation_space}. Fix the environment or the wrapper around it."
        )
    DummyVecEnv._save_obs(self, index, observation)
