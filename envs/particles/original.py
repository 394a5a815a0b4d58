"""mpe2's own environments as joint environments."""

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentgym.errors import AskError, InvalidAction, MissingExtra, ResetNeeded, UnknownId
from agentgym.vector.resets import check_options, seed_of_one

__all__ = ["SCENARIOS", "MPE2Env", "mpe2_parallel_env"]

SCENARIOS = (
    "simple_v3", "simple_adversary_v3", "simple_crypto_v3", "simple_formation_v1", "simple_line_v1", "simple_push_v3",
    "simple_reference_v3", "simple_speaker_listener_v4", "simple_spread_v3", "simple_tag_v3", "simple_world_comm_v3",
    "collect_treasure_v1",
)  # fmt: skip


def mpe2_parallel_env(scenario: str = "simple_spread_v3", **settings: Any) -> Any:
    """mpe2's PettingZoo environment itself.

    Args:
        scenario: name with version, such as "simple_tag_v3".
        settings: mpe2's arguments.

    Raises:
        UnknownId: there is no such scenario.
        MissingExtra: mpe2 is not installed.
        AskError: mpe2 refuses the arguments.
    """
    if scenario not in SCENARIOS:
        raise UnknownId("scenario of mpe2", str(scenario), SCENARIOS)
    try:
        module = importlib.import_module(f"mpe2.{scenario}")
    except ModuleNotFoundError as error:
        raise MissingExtra("mpe2", "particles") from error
    try:
        return module.parallel_env(**settings)
    except (TypeError, AssertionError, ValueError) as error:
        raise AskError(f"{scenario} refuses these arguments: {error}") from error


class MPE2Env(gymnasium.Env[Any, Any]):
    """
    ## Description

    The environments of mpe2 (extra: particles), such as ``simple_tag_v3``, with joint spaces. They are mpe2's own code,
    for comparison and for tasks that are not built here; ``agentgym/SimpleSpread-v0`` is Simple Spread, and faster.

    ## Action Space

    `MultiDiscrete [A]` with each agent's number of choices, or with ``continuous_actions=True`` `Box(0, 1, (A, a))`,
    where agents with fewer entries ignore the last ones.

    ## Observation Space

    `Box(-inf, inf, (A, F), float32)`, shorter observations padded with zeros. `agent_windows` [A, F] gives each agent
    its row.

    ## Rewards

    The mean over agents; ``info["agent_rewards"]`` [A] has each agent's.

    ## Starting State

    The scenario's.

    ## Episode End

    The scenario's; agents end together.

    ## Arguments

    `scenario` ("simple_spread_v3") and mpe2's arguments of that scenario.

    ## Version History

    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  (Gymnasium's shape)

    def __init__(self, scenario: str = "simple_spread_v3", **settings: Any) -> None:
        env = self.parallel_env = mpe2_parallel_env(scenario, **settings)
        self.agents, self.render_mode = list(env.possible_agents), settings.get("render_mode")
        seen, acted = ([of(agent) for agent in self.agents] for of in (env.observation_space, env.action_space))
        count, width = len(seen), max(space.shape[0] for space in seen)
        self.observation_space = spaces.Box(-np.inf, np.inf, (count, width), np.float32)
        self.agent_windows = np.arange(count * width).reshape(count, width)
        self.action_space: Any
        if all(isinstance(space, spaces.Discrete) for space in acted):
            self.action_space = spaces.MultiDiscrete([int(space.n) for space in acted])
        else:
            self.action_space = spaces.Box(0.0, 1.0, (count, max(space.shape[0] for space in acted)), np.float32)
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        check_options(type(self).__name__, options)
        super().reset(seed=seed_of_one(seed))
        observations, _ = self.parallel_env.reset(seed=seed)
        self._running = True
        return self._joint(observations), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step all agents.

        Raises:
            ResetNeeded: the environment was never reset, or the episode is over.
            InvalidAction: the action is not in the action space.
        """
        if not self._running:
            raise ResetNeeded("No agent has an episode: call reset() first.")
        given = np.asarray(action)
        if given.shape != self.action_space.shape or not self.action_space.contains(
            given.astype(self.action_space.dtype)
        ):
            raise InvalidAction(f"The joint action is {action!r}, which is not in {self.action_space}.")
        observations, rewards, ends, cuts, _ = self.parallel_env.step(
            dict(zip(self.agents, self._rows(given), strict=True))
        )
        own = np.array([float(rewards[agent]) for agent in self.agents])
        over, cut = any(ends.values()), any(cuts.values())
        self._running = not (over or cut)
        return self._joint(observations), float(own.mean()), over, cut and not over, {"agent_rewards": own}

    def _rows(self, action: np.ndarray) -> list[Any]:
        if isinstance(self.action_space, spaces.MultiDiscrete):
            return [int(row) for row in action]
        sizes = [self.parallel_env.action_space(agent).shape[0] for agent in self.agents]
        return [row[:size].astype(np.float32) for row, size in zip(action, sizes, strict=True)]

    def _joint(self, observations: dict[str, Any]) -> np.ndarray:
        joint = np.zeros(self.observation_space.shape or (), np.float32)
        for k, agent in enumerate(self.agents):
            joint[k, : len(observations[agent])] = observations[agent]
        return joint

    def render(self) -> Any:
        """mpe2's picture."""
        return self.parallel_env.render()

    def close(self) -> None:
        """Close mpe2's environment."""
        self.parallel_env.close()
