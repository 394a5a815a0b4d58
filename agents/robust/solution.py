"""What a solver returns, and its policy as a player."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from agentgym.contracts.environment import single_spaces
from agentgym.errors import SpaceMismatch
from agentgym.seeding import stream

__all__ = ["Solution", "TablePlayer"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solution:
    """The value of a robust process, between proved bounds, with a policy and a kernel that prove them.

    The robust optimum of every state is within ``lower`` and ``upper``. ``policy`` gets at least ``lower`` against
    every kernel of the set, and no policy gets more than ``upper`` against ``kernel``.

    Attributes:
        value: [S], the middle of the interval.
        lower: [S].
        upper: [S].
        policy: [S, A], probabilities of actions; of one action where the set is sa-rectangular.
        kernel: [S, A, K], nature's choice of probabilities of the process's outcomes.
        q: [S, A], the values of actions.
        iterations: applications of the Bellman operator.
        converged: whether ``error`` is at most what was asked for.
    """

    value: Floats
    lower: Floats
    upper: Floats
    policy: Floats
    kernel: Floats
    q: Floats
    iterations: int
    converged: bool

    @property
    def error(self) -> float:
        """The largest distance that a value can have from the robust optimum."""
        return float((self.upper - self.lower).max() / 2)

    def player(self, env: Any, seed: int = 0) -> "TablePlayer":
        """The policy as a player of a tabular environment, single or batched; ``seed`` is of its randomised choices."""
        return TablePlayer(self.policy, env, seed)


class TablePlayer:
    """A policy given as a table [S, A], for environments whose observation is the state.

    Raises:
        SpaceMismatch: the environment has other states or actions.
    """

    def __init__(self, policy: Floats, env: Any, seed: int = 0) -> None:
        states, actions = policy.shape
        seen, done = single_spaces(env if isinstance(env, VectorEnv) else env.unwrapped)
        wanted = spaces.Discrete(states), spaces.Discrete(actions)
        if (seen, done) != wanted:
            raise SpaceMismatch(
                f"The policy is for {wanted[0]} and {wanted[1]}, the environment has {seen} and {done}."
            )
        self.observation_space, self.action_space, self.policy = *wanted, policy
        self._choices = stream(seed, "table policy")

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Actions drawn from the table, or its most likely ones."""
        rows = self.policy[np.asarray(observation)]
        if deterministic:
            return rows.argmax(-1), state
        cut = self._choices.random(rows.shape[:-1])
        return np.minimum((np.cumsum(rows, -1) <= cut[..., None]).sum(-1), rows.shape[-1] - 1), state
