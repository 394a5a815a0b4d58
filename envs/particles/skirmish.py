"""Skirmish: a team fights another until one has fallen. Batch, single and multi-agent form."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agentgym.contracts.settings import whole_number
from agentgym.envs.particles import skirmish_kernels as kernels
from agentgym.envs.particles.controllers import Controller, Still
from agentgym.envs.particles.render import paint, pixels
from agentgym.envs.particles.team import Mask, TeamVectorEnv
from agentgym.vector.infos import infos_of
from agentgym.vector.step import Step
from agentgym.vector.views import NativeEnv, NativeParallelEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["SkirmishEnv", "SkirmishParallelEnv", "SkirmishVectorEnv"]


class SkirmishVectorEnv(TeamVectorEnv):
    """N worlds of :class:`SkirmishEnv`, whose manual holds here too; observations [N, A, F].

    World i equals the single environment with its seed bit for bit.

    Args:
        num_envs: N.
        agents: of the team.
        enemies: of the other side; None for as many.
        max_cycles: steps after which an episode is truncated.
        autoreset_mode: Gymnasium's ``AutoresetMode``.
        render_mode: "rgb_array" or None.
        max_episode_steps: another name of ``max_cycles``, which Gymnasium's ``make_vec`` passes.

    Attributes:
        place, health, cool: of all units, agents first, float64 [N, U, 2] and [N, U].
    """

    memory = ("place", "health", "cool", "paid")

    def __init__(
        self,
        num_envs: int = 1,
        agents: int = 3,
        enemies: int | None = None,
        max_cycles: int = 60,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        self.agents = whole_number("agents", agents, 1, 100)
        self.enemies = self.agents if enemies is None else whole_number("enemies", enemies, 1, 100)
        whole_number("num_envs", num_envs, 1)
        limit = whole_number("max_cycles", max_cycles, 1)
        if max_episode_steps is not None:
            limit = min(limit, whole_number("max_episode_steps", max_episode_steps, 1))
        width, units = 4 + 4 * (self.agents - 1) + 5 * self.enemies, self.agents + self.enemies
        seen = spaces.Box(-np.inf, np.inf, (self.agents, width), np.float32)
        moves = spaces.MultiDiscrete([5 + self.enemies] * self.agents)
        super().__init__(num_envs, seen, moves, autoreset_mode, limit, render_mode)
        self.place, self.health = np.zeros((num_envs, units, 2)), np.zeros((num_envs, units))
        self.cool, self.paid = np.zeros((num_envs, units)), np.zeros(num_envs)
        self._seen = np.zeros((num_envs, self.agents, width), np.float32)

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made controllers, by name."""
        own = self.single_observation_space, self.single_action_space
        return {"focus": Focus(*own), "still": Still(*own)}

    def _place(self, world: int, generator: np.random.Generator) -> None:
        drawn = generator.uniform((-0.2, -0.8), (0.2, 0.8), (self.agents + self.enemies, 2))
        drawn[: self.agents, 0] -= 0.7
        drawn[self.agents :, 0] += 0.7
        self.place[world], self.health[world] = drawn, 1.0
        self.cool[world] = self.paid[world] = 0.0

    def _advance(self, actions: NDArray[np.int64], active: Mask) -> Step:
        acting = self.health[:, : self.agents] > 0
        dealt, taken = np.zeros(self.num_envs), np.zeros(self.num_envs)
        kernels.fight(self.place, self.health, self.cool, self.agents, actions, active, dealt, taken)
        standing = self.health > 0
        ours, theirs = standing[:, : self.agents].sum(axis=1), standing[:, self.agents :].sum(axis=1)
        won = (theirs == 0) & (ours > 0)
        rewards = dealt / self.enemies - taken / self.agents + won
        self.paid += np.where(active, rewards, 0.0)
        infos = infos_of(
            active, agent_rewards=np.where(acting, rewards[:, None], 0.0),
            agent_terminated=~standing[:, : self.agents],
        )  # fmt: skip
        over = (ours == 0) | (theirs == 0)
        ended = active & (over | (self.elapsed + 1 >= (self.max_episode_steps or 0)))
        if ended.any():
            infos["measures"] = infos_of(
                ended, won=won.astype(np.float64), agents_left=ours.astype(np.float64),
                enemies_left=theirs.astype(np.float64), return_team=self.paid.copy(),
            )  # fmt: skip
            infos["_measures"] = ended
        return Step(rewards, over, None, infos)

    def _observe(self) -> NDArray[np.float32]:
        kernels.observe(self.place, self.health, self.cool, self.agents, self._seen)
        return self._seen.copy()

    def _frame(self, world: int) -> NDArray[np.uint8]:
        up, place = self.health[world] > 0, self.place[world]
        ours, theirs = place[: self.agents][up[: self.agents]], place[self.agents :][up[self.agents :]]
        return paint((theirs, 0.06, (217, 90, 90)), (ours, 0.06, (90, 90, 217)))


@dataclass(frozen=True, eq=False)
class Focus(Controller):
    """Attacks the weakest enemy in range when it can, else goes to the nearest enemy along the longer axis."""

    def act(self, seen: NDArray[np.float64]) -> NDArray[Any]:
        """See :class:`Controller`."""
        foes = seen[..., 4 + 4 * (seen.shape[1] - 1) :].reshape(*seen.shape[:2], -1, 5)
        standing, offset, health, near = foes[..., 0] > 0, foes[..., 1:3], foes[..., 3], foes[..., 4] > 0
        weakest = np.where(near, health, np.inf).argmin(-1)
        distance = np.where(standing, np.linalg.norm(offset, axis=-1), np.inf)
        goal = np.take_along_axis(offset, distance.argmin(-1)[..., None, None], axis=2)[:, :, 0]
        axis = np.abs(goal).argmax(-1)
        ahead = np.take_along_axis(goal, axis[..., None], axis=-1)[..., 0] > 0
        moves = np.where(near.any(-1), 5 + weakest, 1 + 2 * axis + ahead)
        return np.where(seen[..., 0] > 0, moves, 0).astype(np.int64)


class SkirmishEnv(NativeEnv, OwnTimeLimit[Any, Any]):
    """
    ## Description

    A small combat: A agents against E enemies in a square arena. Units have health 1, lose 0.2 with each hit, and are
    out at 0. An attack reaches 0.4 far and is possible every second step. Enemies attack the nearest agent, or go to
    it. Moves come first, then all hits of a step at once, so several may fall in the same step.

    The world exists so that agents die before the end. It is ours: no result in it is one of StarCraft's.

    ## Action Space

    `MultiDiscrete([5 + E] * A)`: stand still, left, right, down, up (0.1 each), or attack enemy 0, 1, ... An attack
    out of range, on the fallen, or before the cooldown is over does nothing. Actions of fallen agents are ignored.

    ## Observation Space

    `Box(-inf, inf, (A, 4 + 4 (A - 1) + 5 E), float32)`, for each agent: health, position, cooldown; of each other agent
    whether it stands, its offset and health; of each enemy the same and whether it is in range. Fallen units are zeros,
    and so is the row of a fallen agent.

    ## Rewards

    The team's: health that enemies lost over E, less what agents lost over A, plus 1 for a victory. Every agent that
    acted gets it in ``info["agent_rewards"]`` [A]; ``info["agent_terminated"]`` [A] says who has fallen.

    ## Starting State

    Agents on the left, enemies on the right, uniformly in two strips.

    ## Episode End

    Termination when one side has fallen, truncation after ``max_cycles`` steps. At the end ``info["measures"]`` has
    ``won``, ``agents_left``, ``enemies_left`` and ``return_team``.

    ## Arguments

    `agents` (3), `enemies` (as many), `max_cycles` (60), `render_mode` ("rgb_array").

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/Skirmish-v0", agents=4)
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (4, 36)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/Skirmish-v0", num_envs=64)`` makes a :class:`SkirmishVectorEnv`;
    ``agentgym.parallel_env("agentgym/Skirmish-v0")`` the PettingZoo form, whose agents leave when they fall.

    ## Version History

    * v0: first version.
    """

    metadata = SkirmishVectorEnv.metadata
    batch: SkirmishVectorEnv

    def __init__(
        self, agents: int = 3, enemies: int | None = None, max_cycles: int = 60, render_mode: str | None = None
    ) -> None:
        super().__init__(SkirmishVectorEnv(1, agents, enemies, max_cycles, AutoresetMode.DISABLED, render_mode))
        self.agent_windows = self.batch.agent_windows

    @property
    def time_limit(self) -> int:
        """The steps of an episode, unless a side falls before."""
        assert self.batch.max_episode_steps is not None
        return self.batch.max_episode_steps

    @property
    def controllers(self) -> dict[str, Controller]:
        """Hand-made controllers, by name."""
        return self.batch.controllers

    @property
    def agent_pixels(self) -> NDArray[np.float64]:
        """Where each agent is in a frame, fallen or not: column and row, [A, 2]."""
        return pixels(self.batch.place[0, : self.batch.agents])


class SkirmishParallelEnv(NativeParallelEnv):
    """:class:`SkirmishEnv` with PettingZoo agents ``agent_0``, ``agent_1``, ..., who leave when they fall.

    Args:
        settings: those of the single environment.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **SkirmishVectorEnv.metadata, "name": "skirmish_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = SkirmishVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        super().__init__(batch, [f"agent_{k}" for k in range(batch.agents)], batch.agent_windows)
