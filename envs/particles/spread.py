"""Simple Spread: N agents cover N landmarks without bumping into each other. Batch, single and multi-agent form."""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.envs.particles import spread_kernels as kernels
from agentgym.envs.particles.controllers import Controller, spread_controllers
from agentgym.envs.particles.render import paint, pixels
from agentgym.envs.particles.team import Mask, TeamVectorEnv
from agentgym.errors import UnknownId
from agentgym.vector.infos import infos_of
from agentgym.vector.step import Step
from agentgym.vector.views import NativeEnv, NativeParallelEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["AGGREGATES", "SimpleSpreadEnv", "SimpleSpreadParallelEnv", "SimpleSpreadVectorEnv"]

AGGREGATES = ("sum", "mean")
DIRECTIONS = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])  # of the five discrete actions
SENSITIVITY = 5.0  # force of an action of 1


class SimpleSpreadVectorEnv(TeamVectorEnv):
    """N worlds of :class:`SimpleSpreadEnv`, whose manual holds here too; observations [N, A, 6 A].

    World i equals the single environment, and mpe2's ``simple_spread_v3``, with its seed bit for bit.

    Args:
        num_envs: N.
        agents: agents, and landmarks.
        local_ratio: weight of an agent's own collisions; the landmarks' distances have 1 minus this.
        max_cycles: steps of an episode.
        continuous_actions: Box actions instead of Discrete.
        aggregate: what of the agents' rewards is the reward of the single environment, "sum" or "mean".
        autoreset_mode: Gymnasium's ``AutoresetMode``.
        render_mode: "rgb_array" or None.
        max_episode_steps: another name of ``max_cycles``, which Gymnasium's ``make_vec`` passes.

    Attributes:
        position, velocity, landmark: float64 [N, A, 2].
        agent_sets: which columns of a window are the agent's own, which are offsets of landmarks and of other agents.
        live: the columns of a window that are not messages, which are always zero here.
        convention: how rewards and returns are counted; to be stated with every score.
    """

    memory = ("position", "velocity", "landmark", "touched", "apart", "paid")

    def __init__(
        self,
        num_envs: int = 1,
        agents: int = 3,
        local_ratio: float = 0.5,
        max_cycles: int = 25,
        continuous_actions: bool = False,
        aggregate: str = "sum",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        count = self.agents = whole_number("agents", agents, 1, 1000)
        whole_number("num_envs", num_envs, 1)
        self.local_ratio = finite_number("local_ratio", local_ratio, 0.0, 1.0)
        limit = whole_number("max_cycles", max_cycles, 1)
        if max_episode_steps is not None:
            limit = min(limit, whole_number("max_episode_steps", max_episode_steps, 1))
        self.continuous_actions = flag("continuous_actions", continuous_actions)
        if aggregate not in AGGREGATES:
            raise UnknownId("aggregate of rewards", str(aggregate), AGGREGATES)
        self.aggregate = aggregate
        moves: spaces.Space[Any] = spaces.MultiDiscrete([5] * count)
        if self.continuous_actions:
            moves = spaces.Box(0.0, 1.0, (count, 5), np.float32)
        seen = spaces.Box(-np.inf, np.inf, (count, 6 * count), np.float32)
        super().__init__(num_envs, seen, moves, autoreset_mode, limit, render_mode)
        self.position, self.velocity, self.landmark = (np.zeros((num_envs, count, 2)) for _ in range(3))
        self.touched, self.apart, self.paid = (np.zeros(num_envs) for _ in range(3))  # sums over the episode
        self._seen = np.zeros((num_envs, count, 6 * count), np.float32)
        pairs = np.arange(6 * count).reshape(-1, 2).tolist()
        self.agent_sets = {
            "own": pairs[0], "things": pairs[2 : 2 + count], "others": pairs[2 + count : 1 + 2 * count]
        }  # fmt: skip
        self.live = np.arange(4 * count + 2)

    @property
    def convention(self) -> str:
        """How rewards and returns are counted."""
        return (
            f"simple_spread_v3, {self.agents} agents, {self.max_episode_steps} steps, "
            f"local_ratio {self.local_ratio:g}; "
            f"returns are the {self.aggregate} over agents, undiscounted"
        )

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made controllers, by name."""
        return spread_controllers(self.single_observation_space, self.single_action_space)

    def contact_inputs(self, windows: NDArray[Any]) -> NDArray[Any]:
        """What agents see of bodies that touch them, [..., A, 2], from windows [..., A, 6 A].

        The sum over the others of the unit vector away from them times softplus((0.3 - distance) / 0.01) / 10, which
        has the direction and the onset of contact forces and is smoother. For models of the dynamics.
        """
        others: NDArray[np.int64] = np.asarray(self.agent_sets["others"])
        offsets = np.asarray(windows, np.float64)[..., others]  # [..., A, A - 1, 2]
        distance = np.linalg.norm(offsets, axis=-1, keepdims=True)
        depth = np.logaddexp(0.0, (kernels.COLLISION - distance) / 0.01) / 10
        found: NDArray[Any] = (-offsets / np.maximum(distance, 1e-9) * depth).sum(axis=-2)
        return found

    def _place(self, world: int, generator: np.random.Generator) -> None:
        drawn = generator.uniform(-1, 1, (2 * self.agents, 2))
        self.position[world], self.landmark[world] = drawn[: self.agents], drawn[self.agents :]
        self.velocity[world] = 0.0
        self.touched[world] = self.apart[world] = self.paid[world] = 0.0

    def _advance(self, actions: NDArray[Any], active: Mask) -> Step:
        shape = (self.num_envs, self.agents)
        rewards, touching, nearest = np.empty(shape), np.empty(shape), np.empty(shape)
        kernels.advance(self.position, self.velocity, self._forces(actions), active)
        kernels.score(self.position, self.landmark, self.local_ratio, rewards, touching, nearest)
        total = rewards.sum(axis=1)
        self.paid += np.where(active, total, 0.0)
        self.touched += np.where(active, touching.sum(axis=1) / 2, 0.0)
        self.apart += np.where(active, nearest.sum(axis=1), 0.0)
        infos = infos_of(active, agent_rewards=rewards, agent_collisions=touching)
        ended = active & (self.elapsed + 1 >= (self.max_episode_steps or 0))
        if ended.any():
            infos["measures"], infos["_measures"] = self._measures(ended, nearest), ended
        return Step(
            total if self.aggregate == "sum" else total / self.agents, np.zeros(self.num_envs, bool), None, infos
        )

    def _forces(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        if not self.continuous_actions:
            return DIRECTIONS[actions] * SENSITIVITY
        moves = np.clip(actions.astype(np.float32), np.float32(0.0), np.float32(1.0))  # mpe2 computes in float32 here
        return (moves[..., 2::2] - moves[..., 1::2]).astype(np.float64) * SENSITIVITY

    def _measures(self, ended: Mask, nearest: NDArray[np.float64]) -> dict[str, Any]:
        """Of the episodes that end: both aggregates, and what a team achieves on scales that nobody shares or sums."""
        steps = self.elapsed + 1.0
        return infos_of(
            ended, return_sum=self.paid.copy(), return_mean=self.paid / self.agents, distance=self.apart / steps,
            collisions=self.touched / steps, occupied=(nearest < kernels.CAPTURE).sum(axis=1).astype(np.float64),
        )  # fmt: skip

    def _observe(self) -> NDArray[np.float32]:
        kernels.observe(self.position, self.velocity, self.landmark, self._seen)
        return self._seen.copy()

    def _frame(self, world: int) -> NDArray[np.uint8]:
        return paint(
            (self.landmark[world], 0.05, (64, 64, 64)), (self.position[world], kernels.COLLISION / 2, (90, 90, 217))
        )


class SimpleSpreadEnv(NativeEnv, OwnTimeLimit[Any, Any]):
    """
    ## Description

    N agents cover N landmarks in the plane and avoid each other: Simple Spread of the multi-agent particle environments
    (Lowe et al. 2017, Mordatch and Abbeel 2017), with the dynamics, rewards and random numbers of mpe2's
    ``simple_spread_v3``, bit for bit. The single environment has joint spaces; the PettingZoo form has one agent each.

    ## Action Space

    `MultiDiscrete([5] * A)`: nothing, left, right, down, up, each a force of 5. With ``continuous_actions=True``
    `Box(0, 1, (A, 5), float32)`; the force is 5 (right - left, up - down), so every discrete action equals its one-hot
    vector.

    ## Observation Space

    `Box(-inf, inf, (A, 6 A), float32)`, for each agent: its velocity and position, the offsets of all landmarks and of
    the other agents, and their messages, which are always zero here. `agent_windows` [A, 6 A] gives each agent its row.

    ## Rewards

    An agent's is ``-(1 - local_ratio)`` times the summed distances of the landmarks to their nearest agents, less
    ``local_ratio`` for each agent that it collides with (centres nearer than 0.3). It is ``info["agent_rewards"]`` [A].
    The environment's is their sum, or mean with ``aggregate="mean"``. Published returns differ in all of this:
    ``convention`` says in words how these are counted.

    ## Starting State

    Agents and landmarks uniformly in [-1, 1]^2, at rest.

    ## Episode End

    Truncation after ``max_cycles`` steps. ``info`` has ``agent_rewards``, ``agent_collisions``; at the end also
    ``measures``: ``return_sum`` and ``return_mean`` over agents, ``distance`` (summed distances per step),
    ``collisions`` (pairs per step), ``occupied`` (landmarks with an agent nearer than 0.1).

    ## Arguments

    `agents` (3), `local_ratio` (0.5), `max_cycles` (25), `continuous_actions` (False), `aggregate` ("sum"),
    `render_mode` ("rgb_array").

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/SimpleSpread-v0", agents=5)
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (5, 30)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/SimpleSpread-v0", num_envs=64)`` makes a :class:`SimpleSpreadVectorEnv`;
    ``agentgym.parallel_env("agentgym/SimpleSpread-v0")`` the PettingZoo form.

    ## Version History

    * v0: first version.
    """

    metadata = SimpleSpreadVectorEnv.metadata
    batch: SimpleSpreadVectorEnv

    def __init__(
        self,
        agents: int = 3,
        local_ratio: float = 0.5,
        max_cycles: int = 25,
        continuous_actions: bool = False,
        aggregate: str = "sum",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            SimpleSpreadVectorEnv(
                1, agents, local_ratio, max_cycles, continuous_actions, aggregate, AutoresetMode.DISABLED, render_mode
            )
        )
        self.agent_windows, self.agent_sets = self.batch.agent_windows, self.batch.agent_sets
        self.live = self.batch.live

    @property
    def time_limit(self) -> int:
        """The steps of an episode."""
        assert self.batch.max_episode_steps is not None
        return self.batch.max_episode_steps

    @property
    def convention(self) -> str:
        """How rewards and returns are counted."""
        return self.batch.convention

    @property
    def agent_pixels(self) -> NDArray[np.float64]:
        """Where each agent is in a frame: column and row, [A, 2]."""
        return pixels(self.batch.position[0])

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made controllers, by name."""
        return self.batch.controllers


class SimpleSpreadParallelEnv(NativeParallelEnv):
    """:class:`SimpleSpreadEnv` with PettingZoo agents ``agent_0``, ``agent_1``, ..., as mpe2 names them.

    Args:
        settings: those of the single environment.

    Attributes:
        agent_sets, live: see :class:`SimpleSpreadVectorEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **SimpleSpreadVectorEnv.metadata, "name": "simple_spread_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = SimpleSpreadVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        super().__init__(batch, [f"agent_{k}" for k in range(batch.agents)], batch.agent_windows)
        self.agent_sets, self.live, self.convention = batch.agent_sets, batch.live, batch.convention
