"""A linear-quadratic game with planted couplings, whose action values are known in closed form."""

from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov
from torch import Tensor

from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.envs.particles.team import Mask, TeamVectorEnv
from agentgym.errors import InvalidParameter
from agentgym.vector.infos import infos_of
from agentgym.vector.step import Step
from agentgym.vector.views import NativeEnv, NativeParallelEnv
from agentgym.wrappers.time_limit import OwnTimeLimit

__all__ = ["LinearGame", "PlantedGameEnv", "PlantedGameParallelEnv", "PlantedGameVectorEnv"]

Floats = NDArray[np.float64]


class LinearGame:
    """The game x' = M x + b a + noise with rewards r_i = -(q x_i^2 + r a_i^2); an agent has one number and one action.

    M has ``decay`` on its diagonal and the couplings off it. Agents play a_i = -k x_i. The values of that policy are
    exact quadratics: with C = M - b k I, V_i(x) = -x'P_i x - c_i, where P_i = (q + r k^2) e_i e_i' + gamma C'P_i C, and
    Q_i(x, a) = -(q x_i^2 + r a_i^2) + gamma V_i(M x + b a).

    Args:
        couplings: [A, A], entry (i, j) the influence of agent j's state on agent i's next one; the diagonal is ignored.
        decay: of every state.
        push: b, of every action.
        gain: k, of the policy.
        state_cost: q.
        action_cost: r.
        gamma: discount.
        noise: standard deviation of every state's noise.

    Attributes:
        graph: who acts on whom directly, bool [A, A]; entry (j, i) for j on i.
        reach: who acts on whom at all, directly or through others, bool [A, A]; of oneself too.

    Raises:
        InvalidParameter: the couplings are no square matrix, or the values are infinite.
    """

    def __init__(
        self, couplings: Any, decay: float = 0.5, push: float = 0.5, gain: float = 0.4, state_cost: float = 1.0,
        action_cost: float = 0.1, gamma: float = 0.9, noise: float = 0.1,
    ) -> None:  # fmt: skip
        matrix = np.array(couplings, np.float64)
        if matrix.ndim != 2 or len(matrix) != matrix.shape[-1] or not len(matrix) or not np.isfinite(matrix).all():
            raise InvalidParameter(f"couplings must be a finite matrix [A, A], not {couplings!r}.")
        self.agents = len(matrix)
        self.push, self.gain = finite_number("push", push), finite_number("gain", gain)
        self.q, self.r = finite_number("state_cost", state_cost, 0.0), finite_number("action_cost", action_cost, 0.0)
        self.gamma, self.noise = finite_number("gamma", gamma, 0.0, 1.0), finite_number("noise", noise, 0.0)
        np.fill_diagonal(matrix, finite_number("decay", decay))
        self.matrix = matrix
        self.closed = matrix - self.push * self.gain * np.eye(self.agents)
        radius = float(np.abs(np.linalg.eigvals(self.closed)).max()) * np.sqrt(self.gamma)
        if radius >= 1:
            raise InvalidParameter(
                f"The game's values are infinite: the closed loop grows by {radius:.3g} a step, discount included. Use "
                "smaller couplings, or a larger gain."
            )
        self.values = np.stack([self._value(i) for i in range(self.agents)])
        self.graph = (matrix.T != 0) & ~np.eye(self.agents, dtype=bool)
        reach = np.eye(self.agents, dtype=bool)
        for _ in range(self.agents):
            reach = reach | (reach.astype(int) @ self.graph.astype(int) > 0)
        self.reach = reach

    def _value(self, agent: int) -> Floats:
        cost = np.zeros((self.agents, self.agents))
        cost[agent, agent] = self.q + self.r * self.gain**2
        found: Floats = solve_discrete_lyapunov(np.sqrt(self.gamma) * self.closed.T, cost)
        return found

    def act(self, x: Floats) -> Floats:
        """The policy's actions [..., A] at states [..., A]."""
        return -self.gain * x

    def next(self, x: Floats, a: Floats) -> Floats:
        """Next states [..., A] without noise."""
        return x @ self.matrix.T + self.push * a

    def rewards(self, x: Floats, a: Floats) -> Floats:
        """Rewards [..., A]."""
        return -(self.q * x**2 + self.r * a**2)

    def q_values(self, x: Floats, a: Floats) -> Floats:
        """Q_i(x, a) of every agent, [..., A]."""
        y = self.next(x, a)
        constant = self.noise**2 * np.trace(self.values, axis1=1, axis2=2)
        ahead = np.einsum("...j,ijk,...k->...i", y, self.values, y) + constant / max(1 - self.gamma, 1e-300)
        return self.rewards(x, a) - self.gamma * ahead

    def gradients(self, x: Floats, a: Floats) -> Floats:
        """dQ_i / da_j, [..., A, A]: row i, column j."""
        own = -2 * self.r * a[..., :, None] * np.eye(self.agents)
        return own - 2 * self.gamma * self.push * np.einsum("ijk,...k->...ij", self.values, self.next(x, a))

    def hessians(self) -> Floats:
        """d2Q_i / da_j da_k, the same everywhere: [A, A, A]."""
        own = -2 * self.r * np.einsum("ij,ik->ijk", np.eye(self.agents), np.eye(self.agents))
        return own - 2 * self.gamma * self.push**2 * self.values

    def optimal_gain(self) -> Floats:
        """K [A, A] of the controller a = -K x that sees all and has the least sum of costs (Riccati), undiscounted."""
        unit = np.eye(self.agents)
        push, paid = self.push * unit, self.r * unit
        value = solve_discrete_are(self.matrix, push, self.q * unit, paid)
        gain: Floats = np.linalg.solve(paid + push @ value @ push, push @ value @ self.matrix)
        return gain


class PlantedGameVectorEnv(TeamVectorEnv):
    """N worlds of :class:`PlantedGameEnv`, whose manual holds here too; observations and actions [N, A, 1].

    Args:
        num_envs: N.
        couplings: [A, A]; None for a chain of four, each agent acting on the next with 0.4.
        max_cycles: steps of an episode.
        autoreset_mode: Gymnasium's ``AutoresetMode``.
        max_episode_steps: another name of ``max_cycles``, which Gymnasium's ``make_vec`` passes.
        ring: every agent sees all numbers, in the order of a ring that begins with its own.
        numbers: those of :class:`LinearGame` by name.

    Attributes:
        game: the game, with its values in closed form.
    """

    memory = ("x",)
    metadata = {"render_modes": []}  # noqa: RUF012  (Gymnasium's shape)
    BOUND = 10.0  # of actions; the policy stays far below

    def __init__(
        self,
        num_envs: int = 1,
        couplings: Any = None,
        max_cycles: int = 25,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        ring: bool = False,
        **numbers: float,
    ) -> None:
        if unknown := [name for name in numbers if name not in NUMBERS]:
            raise InvalidParameter(f"A planted game has no {unknown[0]!r}; it has {', '.join(NUMBERS)}.")
        self.game = LinearGame(0.4 * np.eye(4, k=-1) if couplings is None else couplings, **numbers)
        whole_number("num_envs", num_envs, 1)
        limit = whole_number("max_cycles", max_cycles, 1)
        if max_episode_steps is not None:
            limit = min(limit, whole_number("max_episode_steps", max_episode_steps, 1))
        shape = (self.game.agents, 1)
        seen, moves = (
            spaces.Box(-np.inf, np.inf, shape, np.float32),
            spaces.Box(-self.BOUND, self.BOUND, shape, np.float32),
        )
        super().__init__(num_envs, seen, moves, autoreset_mode, limit)
        self.x = np.zeros((num_envs, self.game.agents))
        if flag("ring", ring):
            places = np.arange(self.game.agents)
            self.agent_windows = (places[:, None] + places) % self.game.agents

    def _place(self, world: int, generator: np.random.Generator) -> None:
        self.x[world] = generator.standard_normal(self.game.agents)

    def _advance(self, actions: Floats, active: Mask) -> Step:
        moves, game = actions[..., 0], self.game
        rewards = game.rewards(self.x, moves)
        noise = np.zeros_like(self.x)
        for world in np.flatnonzero(active).tolist():
            noise[world] = self._generators[world].standard_normal(game.agents)
        self.x = np.where(active[:, None], game.next(self.x, moves) + game.noise * noise, self.x)
        infos = infos_of(active, agent_rewards=rewards)
        return Step(rewards.sum(axis=1), np.zeros(self.num_envs, bool), None, infos)

    def _observe(self) -> NDArray[np.float32]:
        return self.x[..., None].astype(np.float32)

    def differentiable_state(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """As :class:`agentgym.contracts.environment.Differentiable`; the state is x and the noise still to come."""
        assert self.max_episode_steps is not None
        copies = [deepcopy(each) for each in self._generators]
        noise = np.stack([each.standard_normal((self.max_episode_steps, self.game.agents)) for each in copies])
        x = torch.tensor(self.x)
        return (x, torch.as_tensor(self.game.noise * noise)), x[..., None]

    def differentiable_step(
        self, state: tuple[Tensor, ...], actions: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """As :class:`agentgym.contracts.environment.Differentiable`."""
        (x, noise), game = state, self.game
        moves = actions[..., 0].to(x)
        rewards = -(game.q * x**2 + game.r * moves**2).sum(1)
        x = x @ torch.as_tensor(game.matrix).T + game.push * moves + noise[:, 0]
        return (x, noise[:, 1:]), x[..., None], rewards


NUMBERS = ("decay", "push", "gain", "state_cost", "action_cost", "gamma", "noise")


class PlantedGameEnv(NativeEnv, OwnTimeLimit[Any, Any]):
    """
    ## Description

    A linear-quadratic game in which it is known who influences whom, and by how much: the ground truth for everything
    that reads influence from critics. Each agent has one number x_i, which the others' numbers push by the planted
    couplings: x' = M x + b a + noise. :class:`LinearGame` has values, gradients, curvature and graph in closed form.

    ## Action Space

    `Box(-10, 10, (A, 1), float32)`.

    ## Observation Space

    `Box(-inf, inf, (A, 1), float32)`: each agent sees its own number, or all of them with `ring`.

    ## Rewards

    Of an agent -(x_i^2 + 0.1 a_i^2), in ``info["agent_rewards"]`` [A]; the environment's is their sum.

    ## Starting State

    Standard normal numbers.

    ## Episode End

    Truncation after ``max_cycles`` steps.

    ## Arguments

    `couplings` ([A, A]; entry (i, j) is the influence of j on i), `max_cycles` (25), `ring` (every agent's window holds
    all numbers, its own first; by default its own only), and the numbers of :class:`LinearGame` by name: `decay`,
    `push`, `gain`, `state_cost`, `action_cost`, `gamma`, `noise`.

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/PlantedGame-v0", couplings=[[0, 0], [0.3, 0]])
    >>> env.unwrapped.batch.game.graph.tolist()  # agent 0 acts on agent 1
    [[False, True], [False, False]]

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/PlantedGame-v0", num_envs=64)`` makes a :class:`PlantedGameVectorEnv`;
    ``agentgym.parallel_env("agentgym/PlantedGame-v0")`` the PettingZoo form.

    ## Version History

    * v0: first version.
    """

    metadata = PlantedGameVectorEnv.metadata
    batch: PlantedGameVectorEnv

    def __init__(self, couplings: Any = None, max_cycles: int = 25, ring: bool = False, **numbers: float) -> None:
        super().__init__(PlantedGameVectorEnv(1, couplings, max_cycles, AutoresetMode.DISABLED, None, ring, **numbers))
        self.agent_windows = self.batch.agent_windows

    @property
    def time_limit(self) -> int:
        """The steps of an episode."""
        assert self.batch.max_episode_steps is not None
        return self.batch.max_episode_steps


class PlantedGameParallelEnv(NativeParallelEnv):
    """:class:`PlantedGameEnv` with PettingZoo agents ``agent_0``, ``agent_1``, ...

    Args:
        settings: those of the single environment.
    """

    metadata: ClassVar[dict[str, Any]] = {
        **PlantedGameVectorEnv.metadata, "name": "planted_game_v0", "is_parallelizable": True,
    }  # fmt: skip

    def __init__(self, **settings: Any) -> None:
        batch = PlantedGameVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, **settings)
        super().__init__(batch, [f"agent_{k}" for k in range(batch.game.agents)], batch.agent_windows)
        self.game = batch.game
