"""RARL (Pinto et al. 2017, arXiv:1703.02702) and time-constrained adversaries (TC-RMDP, arXiv:2406.08395)."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.agents.common.inventory import Part
from agentgym.agents.common.optim import polyak_update, set_gradients
from agentgym.agents.robust.adversarial.config import RARLConfig, TimeConstrainedConfig
from agentgym.agents.robust.adversarial.policies import AdversarialPolicy
from agentgym.agents.robust.adversarial.td3 import GameTD3

__all__ = ["RARL", "TimeConstrained"]


class RARL(GameTD3):
    """Robust adversarial reinforcement learning: an adversary's policy w = mu(s) chooses the parameters in every step.

    Both players learn by turns: the agent's policy maximises Q(s, pi(s), mu(s)), the adversary's minimises it. With
    ``forces="rarl"`` the environment's set includes the paper's forces; ``uncertain`` selects them.

    With a ``price`` the game is that of H-infinity control in its soft form: r + price |w|^2. If the game's value is at
    least the best return without adversary, the return lost is at most price times the squared disturbance.

    :class:`GameTD3` has the arguments.

    Attributes:
        adversary, adversary_target: the adversary's networks.
    """

    Config: ClassVar[type[RARLConfig]] = RARLConfig
    catalog_name: ClassVar[str] = "rarl"
    policy_aliases: ClassVar[dict[str, Any]] = {"MlpPolicy": AdversarialPolicy}
    metric_names: ClassVar[tuple[str, ...]] = ("critic_loss", "q_mean", "game_value")

    agent_updates: int
    adversary_updates: int
    adversary_exploration: float
    price: float
    policy: AdversarialPolicy

    def _setup_model(self) -> None:
        super()._setup_model()
        self.adversary, self.adversary_target = self.policy.adversary, self.policy.adversary_target
        self._of_adversary = list(self.adversary.parameters())

    # Nature's side of a step

    def _choose(self, starts: NDArray[np.bool_], uniform: bool) -> None:
        self._moves = self._actions_of_adversary(self._seen_by_adversary(), uniform)
        assert self.env is not None
        self.nature.set(self.env, self._moves, np.ones(self.n_envs, bool))

    def _seen_by_adversary(self) -> Tensor:
        """The features of the current observations, ``[n, D]``."""
        assert self._last_obs is not None
        return self.policy.features(self.policy.obs_to_tensor(self._last_obs)[0])  # type: ignore[arg-type]

    @torch.no_grad()
    def _actions_of_adversary(self, seen: Tensor, uniform: bool) -> NDArray[np.float32]:
        """In [-1, 1], [n, K], with noise; uniform before learning starts."""
        shape = len(seen), len(self.nature)
        if uniform:
            return (2 * torch.rand(shape) - 1).numpy()
        noise = self.adversary_exploration * torch.randn(shape)
        chosen: NDArray[np.float32] = (self.adversary(seen).cpu() + noise).clamp(-1, 1).numpy()
        return chosen

    # Learning

    def _paid(self, rewards: Tensor, moves: Tensor) -> Tensor:
        """r + price |w|^2: what the agent gets where the adversary pays for its actions."""
        return rewards + self.price * moves[:, -len(self.nature) :].square().sum(1)

    def _next_moves(self, moves: Tensor, next_states: Tensor) -> Tensor:
        """mu'(s'), smoothed like the actions."""
        return self._smoothed(self.adversary_target(next_states))

    def _improve(self, states: Tensor, moves: Tensor) -> tuple[Tensor, ...]:
        """One step of the player whose turn it is; returns the game's value E[Q_1(s, pi(s), mu(s))]."""
        turn = self._n_updates // self.policy_delay % (self.agent_updates + self.adversary_updates)
        value = self._value(states, self.actor.mu(states), self._moves_of_policies(states, moves)).mean()
        if turn < self.agent_updates:
            set_gradients(-value, self._of_actor)
            self.actor.optimizer.step()
        else:
            set_gradients(value, self._of_adversary)
            self.adversary.optimizer.step()
        polyak_update(self._of_adversary, list(self.adversary_target.parameters()), self.tau)
        return (value.detach(),)

    def _moves_of_policies(self, states: Tensor, moves: Tensor) -> Tensor:
        """w of the adversary's current policy, ``[B, width]``."""
        chosen: Tensor = self.adversary(states)
        return chosen

    # State

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [*super()._optimizers(), self.adversary.optimizer]

    def parts(self) -> dict[str, Part]:
        """As :meth:`GameTD3.parts`, plus the adversary's optimiser; its networks are in the policy."""
        return {**super().parts(), "adversary.optimizer": self.adversary.optimizer}


class TimeConstrained(RARL):
    """RARL with a time-constrained adversary: it moves the parameters by at most ``radius`` in a step.

    The parameters are drawn uniformly at the start of an episode. The adversary sees them, and so do the critics:
    w = (position, move), and position' = clip(position + radius move). What the agent sees is set in the environment:
    ``observe="state"`` (Vanilla-TC), ``"transition"`` (Stacked-TC) or ``"parameters"`` (Oracle-TC).

    :class:`GameTD3` has the arguments.
    """

    Config: ClassVar[type[RARLConfig]] = TimeConstrainedConfig
    catalog_name: ClassVar[str] = "tc-rmdp"

    radius: float

    def _width(self) -> int:
        return 2 * len(self.nature)

    def _sizes(self) -> dict[str, int]:
        return {**super()._sizes(), "positions": len(self.nature)}

    def _choose(self, starts: NDArray[np.bool_], uniform: bool) -> None:
        count = len(self.nature)
        positions = self._moved(torch.from_numpy(self._moves)).numpy()
        positions[starts] = (2 * torch.rand(int(starts.sum()), count) - 1).numpy()
        seen = torch.cat([self._seen_by_adversary(), torch.from_numpy(positions).to(self.device)], 1)
        self._moves = np.concatenate([positions, self._actions_of_adversary(seen, uniform)], 1)
        assert self.env is not None
        self.nature.set(self.env, self._moved(torch.from_numpy(self._moves)).numpy(), np.ones(self.n_envs, bool))

    def _moved(self, moves: Tensor) -> Tensor:
        """Positions after a move, ``[B, K]``, for w ``[B, 2 K]``."""
        positions, steps = moves.chunk(2, 1)
        half = torch.as_tensor((self.nature.high - self.nature.low) / 2, dtype=moves.dtype, device=moves.device)
        return (positions + self.radius / half * steps).clamp(-1, 1)

    def _next_moves(self, moves: Tensor, next_states: Tensor) -> Tensor:
        """The position that follows, and mu'(s', position), smoothed like the actions."""
        positions = self._moved(moves)
        return torch.cat([positions, self._smoothed(self.adversary_target(torch.cat([next_states, positions], 1)))], 1)

    def _moves_of_policies(self, states: Tensor, moves: Tensor) -> Tensor:
        positions = moves.chunk(2, 1)[0]
        return torch.cat([positions, self.adversary(torch.cat([states, positions], 1))], 1)
