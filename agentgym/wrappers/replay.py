"""Wrappers that save and restore the state of training environments, by replay or by the state of a native batch.

Simulators rarely expose their complete state (MuJoCo's warm start and the memory of wrappers are missing, for
example). A deterministic environment does not need it: reset with the same seed and stepped with the same actions, it
reaches the same state, including wrappers and perturbations. A natively batched environment with autoreset cannot be
replayed episode by episode; it saves and restores its own state.
"""

import hashlib
from collections import deque
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from agentgym.seeding import episode_seed
from agentgym.vector.resets import reset_mask

__all__ = ["RecordedBatch", "RecordedEnv"]


class RecordedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The outermost wrapper of a training environment: seeds every episode and records its actions for replay.

    Args:
        env: an environment that is deterministic given the reset seed. State that outlives an episode (running
            statistics, curricula) is not restored and belongs outside this wrapper.
        root: seed of the run.
        index: index of the environment in the run.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], root: int, index: int) -> None:
        super().__init__(env)
        self.root, self.index = root, index
        self.episode = -1
        self.actions: list[np.ndarray] = []
        self.options: dict[str, Any] | None = None
        self.changes: list[tuple[int, dict[str, float]]] = []
        self.replayed_exactly = True
        self._digest = hashlib.blake2b(digest_size=16)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the next episode. Its seed is derived from root, index and episode number; ``seed`` is ignored."""
        self.episode += 1
        return self._begin(options)

    def _begin(self, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        self.actions, self.options, self.changes = [], options, []
        self._digest = hashlib.blake2b(digest_size=16)
        observation, info = self.env.reset(seed=episode_seed(self.root, self.index, self.episode), options=options)
        self._add(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step and record the action."""
        self.actions.append(np.array(action))  # a copy: callers may reuse the array
        observation, reward, terminated, truncated, info = self.env.step(action)
        if isinstance(reward, np.ndarray):  # some environments return an array of one entry, which VecEnvs reject
            reward = reward.item()
        self._add(observation)
        self._digest.update(np.float64(reward).tobytes())
        return observation, reward, terminated, truncated, info

    def set_parameters(self, values: dict[str, float]) -> None:
        """Change parameters within the episode, as an adversary does, and record the change."""
        self.changes.append((len(self.actions), dict(values)))
        self.env.get_wrapper_attr("set_parameters")(values)

    def _add(self, observation: Any) -> None:
        parts = observation.values() if isinstance(observation, dict) else (observation,)
        for part in parts:
            self._digest.update(np.ascontiguousarray(part).tobytes())

    def state(self) -> dict[str, Any]:
        """Episode number, reset options, actions ``[steps, ...]``, changes of parameters as pairs of a step and values,
        and a digest of all observations and rewards.
        """
        actions = np.stack(self.actions) if self.actions else np.zeros((0, *(self.action_space.shape or ())))
        return {
            "episode": self.episode, "options": self.options, "actions": actions, "changes": list(self.changes),
            "digest": self._digest.hexdigest(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Replay the episode up to the saved step.

        Afterwards, :attr:`replayed_exactly` tells whether all observations and rewards were equal bit for bit.
        """
        self.episode = state["episode"]
        if self.episode < 0:
            return
        self._begin(state["options"])
        changes = deque(state["changes"])
        for step in range(len(state["actions"]) + 1):
            while changes and changes[0][0] == step:
                self.set_parameters(changes.popleft()[1])
            if step < len(state["actions"]):
                self.step(state["actions"][step])
        self.replayed_exactly = self._digest.hexdigest() == state["digest"]


class RecordedBatch(VectorWrapper):
    """The outermost wrapper of a natively batched training environment: seeds it and restores its state.

    If the caller resets the sub-environments (AutoresetMode.DISABLED), every episode gets the same seed as in
    :class:`RecordedEnv`, so that batches and single environments train alike. With autoreset, sub-environments continue
    their random streams.

    Args:
        env: a batch with ``get_state()`` and ``set_state()``: its complete state as nested dictionaries of arrays and
            plain JSON values, which can be restored in a batch made with the same arguments, reset or not.
        root: seed of the run.
    """

    def __init__(self, env: VectorEnv, root: int) -> None:
        super().__init__(env)
        self.root = root
        self.resets = 0
        self.episodes = np.full(self.num_envs, -1)
        self._base: Any = env if hasattr(env, "get_state") else env.unwrapped  # perturbations have state as well

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the sub-environments. Seeds are derived from root and the number of the reset; an int seed is ignored.

        A list with one seed per sub-environment is used, for agents that learn from groups of equal episodes.
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
        """The state of the batch and its counters."""
        return {"resets": self.resets, "episodes": self.episodes.tolist(), "worlds": self._base.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state from :meth:`state`."""
        self.resets, self.episodes = state["resets"], np.array(state["episodes"])
        self._base.set_state(state["worlds"])
