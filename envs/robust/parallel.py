"""The robust environments as zero-sum games: PettingZoo environments of an agent and an adversary."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.envs.robust import env as single
from agentgym.envs.robust.env import RobustEnv, checked_action
from agentgym.errors import InvalidAction, InvalidParameter, ResetNeeded, UnknownId
from agentgym.vector.resets import known_options

__all__ = [
    "RobustAntParallelEnv", "RobustHalfCheetahParallelEnv", "RobustHopperParallelEnv",
    "RobustHumanoidStandupParallelEnv", "RobustInvertedPendulumParallelEnv", "RobustParallelEnv",
    "RobustWalker2dParallelEnv",
]  # fmt: skip

AGENT, ADVERSARY = "agent", "adversary"


class RobustParallelEnv(ParallelEnv[str, np.ndarray, np.ndarray]):
    """:class:`agentgym.envs.robust.env.RobustEnv` as a game of two: ``agent`` and ``adversary``.

    The agent has the single environment's observations, actions and rewards. The adversary's reward is the agent's with
    the other sign. Its action is K numbers from -1 to 1, the positions of the parameters between their lowest and
    highest value, set before the step; numbers beyond are refused. With ``radius`` they are moves instead, of at most
    ``radius`` in each parameter's own unit (TC-RMDP, arXiv 2406.08395), from the values that the episode began with.
    The adversary observes what the agent does and, after it, the parameters' positions.

    Args:
        max_episode_steps: the time limit in steps.
        uncertain: the parameters that the adversary chooses; by default the whole set.
        radius: the most that a parameter moves in a step; None for no limit.
        arguments: those of the single environment. With ``randomize="uniform"`` episodes begin at drawn parameters.

    Raises:
        UnknownId: there is no such parameter in the set.
        InvalidParameter: an argument is out of range.
    """

    task: ClassVar[str]
    metadata: ClassVar[dict[str, Any]] = {**RobustEnv.metadata, "name": "robust_v0", "is_parallelizable": True}

    def __init__(
        self,
        max_episode_steps: int = 1000,
        uncertain: tuple[str, ...] = (),
        radius: float | None = None,
        **arguments: Any,
    ) -> None:
        self.max_episode_steps = whole_number("max_episode_steps", max_episode_steps, 1)
        self.env: RobustEnv = getattr(single, f"Robust{self.task}Env")(**arguments)
        ranges = self.env.parameter_ranges
        for name in uncertain:
            if name not in ranges:
                raise UnknownId(f"uncertain parameter of Robust{self.task}", str(name), ranges)
        if len({*uncertain}) < len(uncertain):
            raise InvalidParameter("uncertain names a parameter twice.")
        self.names = list(uncertain or ranges)
        self.low, self.high = np.array([ranges[name] for name in self.names]).T
        self.radius = None if radius is None else finite_number("radius", radius, 0.0, above=True)
        self.render_mode = self.env.render_mode
        self.possible_agents: list[str] = [AGENT, ADVERSARY]
        self.agents: list[str] = []
        seen: Any = self.env.observation_space
        count = len(self.names)
        more = spaces.Box(-np.inf, np.inf, (seen.shape[0] + count,), seen.dtype)
        self.observation_spaces: dict[str, gymnasium.Space[Any]] = {AGENT: seen, ADVERSARY: more}
        moves = spaces.Box(-1.0, 1.0, (count,), np.float32)
        self.action_spaces: dict[str, gymnasium.Space[Any]] = {AGENT: self.env.action_space, ADVERSARY: moves}
        self._steps = 0

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """The observation space of ``agent`` or ``adversary``."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """The action space of ``agent`` or ``adversary``."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Start an episode, as in the single environment. Unknown options cause a warning only."""
        known = known_options(type(self).__name__, options, ("parameters",))
        observation, info = self.env.reset(seed=seed, options=known)
        self.agents, self._steps = list(self.possible_agents), 0
        return self._seen(observation), {agent: dict(info) for agent in self.agents}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[dict[str, Any], ...]:
        """Set the adversary's parameters, then take the agent's step.

        Raises:
            ResetNeeded: the episode is over.
            InvalidAction: an action is missing, not finite, or of another shape, or the adversary's is beyond [-1, 1].
        """
        if not self.agents:
            raise ResetNeeded("The episode is over: call reset() first.")
        if {*actions} != {*self.agents}:
            raise InvalidAction(f"Actions of {self.agents} are needed, not of {list(actions)}.")
        move = checked_action(actions[ADVERSARY], self.low.shape, f"The adversary of Robust{self.task}")
        if (np.abs(move) > 1).any():
            raise InvalidAction(f"The adversary's action is {move}; every entry must be from -1 to 1.")
        self.env.set_parameters(dict(zip(self.names, self._values(move).tolist(), strict=True)))
        observation, reward, terminated, truncated, info = self.env.step(actions[AGENT])
        self._steps += 1
        truncated = truncated or self._steps >= self.max_episode_steps
        agents = self.agents
        if terminated or truncated:
            self.agents = []
        rewards = {AGENT: float(reward), ADVERSARY: -float(reward)}
        return (
            self._seen(observation), rewards, dict.fromkeys(agents, bool(terminated)),
            dict.fromkeys(agents, bool(truncated)), {agent: dict(info) for agent in agents},
        )  # fmt: skip

    def _values(self, move: np.ndarray) -> np.ndarray:
        """The parameters that an action asks for, in their own units."""
        if self.radius is None:
            middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
            return np.clip(middle + half * np.asarray(move, np.float64), self.low, self.high)
        return np.clip(self._current() + self.radius * np.asarray(move, np.float64), self.low, self.high)

    def _current(self) -> np.ndarray:
        values = self.env.parameters
        return np.array([values[name] for name in self.names])

    def _seen(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        positions = 2 * (self._current() - self.low) / (self.high - self.low) - 1
        return {AGENT: observation, ADVERSARY: np.concatenate([observation, positions])}

    def render(self) -> Any:
        """A frame of the single environment."""
        return self.env.render()

    def close(self) -> None:
        """Close the single environment."""
        self.env.close()


class RobustAntParallelEnv(RobustParallelEnv):
    """RobustAnt with an adversary; see :class:`RobustParallelEnv`."""

    task = "Ant"


class RobustHalfCheetahParallelEnv(RobustParallelEnv):
    """RobustHalfCheetah with an adversary; see :class:`RobustParallelEnv`."""

    task = "HalfCheetah"


class RobustHopperParallelEnv(RobustParallelEnv):
    """RobustHopper with an adversary; see :class:`RobustParallelEnv`."""

    task = "Hopper"


class RobustHumanoidStandupParallelEnv(RobustParallelEnv):
    """RobustHumanoidStandup with an adversary; see :class:`RobustParallelEnv`."""

    task = "HumanoidStandup"


class RobustInvertedPendulumParallelEnv(RobustParallelEnv):
    """RobustInvertedPendulum with an adversary; see :class:`RobustParallelEnv`."""

    task = "InvertedPendulum"


class RobustWalker2dParallelEnv(RobustParallelEnv):
    """RobustWalker2d with an adversary; see :class:`RobustParallelEnv`."""

    task = "Walker2d"
