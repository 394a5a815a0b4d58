"""An environment that can be put back to where it was: by its episode's seed and the actions since.

Simulators rarely give their whole state away, and what they give is not always enough (MuJoCo's warm start, a
wrapper's memory). A deterministic, seeded environment needs none of it: reset with the same seed and stepped with the
same actions it is where it was, wrappers and perturbations included. A natively batched environment whose worlds start
over by themselves has no episodes to replay one by one; it gives its state away.
"""

import hashlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from agentgym.seeding import episode_seed
from agentgym.vector.resets import reset_mask

__all__ = ["RecordedBatch", "RecordedEnv"]


class RecordedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The outermost wrapper of a training environment: gives every episode its own seed and remembers its actions.

    Args:
        env: deterministic for a given reset seed; whatever lasts across episodes (running statistics, curricula) is not
            put back and belongs outside this wrapper.
        root: seed of the run.
        index: which of the run's environments this is.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], root: int, index: int) -> None:
        super().__init__(env)
        self.root, self.index = root, index
        self.episode = -1
        self.actions: list[np.ndarray] = []
        self.options: dict[str, Any] | None = None
        self.replayed_exactly = True
        self._digest = hashlib.blake2b(digest_size=16)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the next episode. Its seed follows from root, index and number of the episode; ``seed`` is not used."""
        self.episode += 1
        return self._begin(options)

    def _begin(self, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        self.actions, self.options = [], options
        self._digest = hashlib.blake2b(digest_size=16)
        observation, info = self.env.reset(seed=episode_seed(self.root, self.index, self.episode), options=options)
        self._add(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, remembered."""
        self.actions.append(np.array(action))  # a copy: callers hand out rows of an array that they use again
        observation, reward, terminated, truncated, info = self.env.step(action)
        if isinstance(reward, np.ndarray):  # of one entry, as some environments give it: no VecEnv takes that
            reward = reward.item()
        self._add(observation)
        self._digest.update(np.float64(reward).tobytes())
        return observation, reward, terminated, truncated, info

    def _add(self, observation: Any) -> None:
        parts = observation.values() if isinstance(observation, dict) else (observation,)
        for part in parts:
            self._digest.update(np.ascontiguousarray(part).tobytes())

    def state(self) -> dict[str, Any]:
        """Where the environment is: episode, its reset's options, actions ``[steps, ...]``, digest of all answers."""
        actions = np.stack(self.actions) if self.actions else np.zeros((0, *(self.action_space.shape or ())))
        return {
            "episode": self.episode, "options": self.options, "actions": actions, "digest": self._digest.hexdigest(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Play the episode again up to where it was.

        :attr:`replayed_exactly` then tells whether all that the environment answered was the same, bit for bit.
        """
        self.episode = state["episode"]
        if self.episode < 0:
            return
        self._begin(state["options"])
        for action in state["actions"]:
            self.step(action)
        self.replayed_exactly = self._digest.hexdigest() == state["digest"]


class RecordedBatch(VectorWrapper):
    """The outermost wrapper of a natively batched training environment: seeds it, and puts it back by its own state.

    Where the caller restarts the worlds (AutoresetMode.DISABLED), every episode has the seed that :class:`RecordedEnv`
    gives it: batch and single environments train alike. Worlds that restart by themselves go on with their streams.

    Args:
        env: what its future depends on is all in its ``get_state()``, nested dictionaries of arrays and plain JSON
            values; ``set_state()`` puts that back into an environment made with the same arguments, reset or not.
        root: seed of the run.
    """

    def __init__(self, env: VectorEnv, root: int) -> None:
        super().__init__(env)
        self.root = root
        self.resets = 0
        self.episodes = np.full(self.num_envs, -1)
        self._base: Any = env if hasattr(env, "get_state") else env.unwrapped  # perturbations have a state too

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the worlds. Their seeds follow from root and number of the reset; a number as ``seed`` is not used.

        A list of seeds, one a world, is: who learns from groups of equal worlds chooses them.
        """
        self.resets += 1
        chosen = reset_mask(options, self.num_envs)
        self.episodes += chosen
        seeds: Any = episode_seed(self.root, self.resets - 1)
        if isinstance(seed, list | tuple):
            seeds = list(seed)
        elif self.env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED:
            seeds = [
                episode_seed(self.root, world, int(episode)) if chosen[world] else None
                for world, episode in enumerate(self.episodes)
            ]
        return self.env.reset(seed=seeds, options=options)

    def state(self) -> dict[str, Any]:
        """Where the worlds are."""
        return {"resets": self.resets, "episodes": self.episodes.tolist(), "worlds": self._base.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.resets, self.episodes = state["resets"], np.array(state["episodes"])
        self._base.set_state(state["worlds"])
