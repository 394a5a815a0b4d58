"""Episodes side by side, each with its own parameters: what the search for the worst model looks at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agentgym.errors import InvalidParameter
from agentgym.make import make_native_batch
from agentgym.vector import NativeVectorEnv

__all__ = ["Arena", "Scores"]

Player = Callable[[np.ndarray, Any, np.ndarray], tuple[np.ndarray, Any, np.ndarray]]


@dataclass
class Scores:
    """What M episodes gave.

    Attributes:
        returns, discounted: sums of rewards, [M] each.
        promised: what the player promised at the start, [M].
        steps: environment steps of all of them.
    """

    returns: list[float]
    discounted: list[float]
    promised: list[float]
    steps: int


class Arena:
    """A batch of the training environment, natively batched where it can be.

    Args:
        env: the training environments.
        count: episodes side by side, N.

    Raises:
        InvalidParameter: the environment has no id, so that no other can be made.
    """

    def __init__(self, env: VecEnv, count: int) -> None:
        spec = env.get_attr("spec")[0]
        if spec is None:
            raise InvalidParameter(
                "iwocs makes more environments for its search, so the training environment must have been made by id."
            )
        limit = {} if spec.max_episode_steps is None else {"max_episode_steps": spec.max_episode_steps}
        of_batch = ("num_envs", "autoreset_mode", "vectorization_mode")
        kwargs = {name: value for name, value in spec.kwargs.items() if name not in of_batch} | limit
        batch = make_native_batch(spec.id, kwargs, count, AutoresetMode.SAME_STEP)
        if batch is None:
            mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
            batch = gymnasium.make_vec(spec.id, count, "sync", vector_kwargs=mode, **kwargs)
        self.batch: Any = batch
        self.native = isinstance(batch.unwrapped, NativeVectorEnv)

    def play(self, player: Player, parameters: Mapping[str, NDArray[Any]], seed: int, gamma: float) -> Scores:
        """One episode for each of up to N parameters, from the same seed.

        Args:
            player: takes observations [N, ...], its state and where episodes begin, bool [N]; returns actions, the next
                state and what it promises, [N].
            parameters: values [M] by name.
            seed: of all episodes.
            gamma: discount per step.
        """
        count, total = len(next(iter(parameters.values()))), self.batch.num_envs
        rows = np.minimum(np.arange(total), count - 1)  # the last is repeated, so that the batch has its size
        observations = self._reset({name: values[rows] for name, values in parameters.items()}, seed)
        returns, discounted, lengths = np.zeros(total), np.zeros(total), np.zeros(total, int)
        running, state, promised, discount = np.ones(total, bool), None, None, 1.0
        starts = running.copy()
        while running[:count].any():
            actions, state, values = player(observations, state, starts)
            promised = values if promised is None else promised
            observations, rewards, terminated, truncated, _ = self.batch.step(actions)
            returns += running * rewards
            discounted += running * rewards * discount
            lengths += running
            discount *= gamma
            starts = np.logical_or(terminated, truncated)
            running &= ~starts
        assert promised is not None
        return Scores(
            returns[:count].tolist(), discounted[:count].tolist(), promised[:count].tolist(), int(lengths[:count].sum())
        )

    def _reset(self, parameters: Mapping[str, NDArray[Any]], seed: int) -> Any:
        seeds = [seed] * self.batch.num_envs
        if self.native:
            observations, _ = self.batch.reset(seed=seeds, options={"parameters": dict(parameters)})
            return observations
        envs: Any = self.batch.unwrapped
        for index, env in enumerate(envs.envs):  # parameters given at a reset stay until others are given
            own = {name: float(values[index]) for name, values in parameters.items()}
            env.reset(seed=seed, options={"parameters": own})
        observations, _ = self.batch.reset(seed=seeds)
        return observations
