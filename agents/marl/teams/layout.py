"""The layout of a joint environment for learners with a centralised critic: discrete actions, unequal agents, sets."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.nn.functional import one_hot

from agentgym.agents.marl.layout import Layout
from agentgym.contracts.settings import plain
from agentgym.contracts.spaces import check_same_spaces
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch

__all__ = ["TeamLayout"]


@dataclass(frozen=True, eq=False)
class TeamLayout(Layout):
    """A joint environment's spaces and windows, as in :class:`Layout`, with more kinds of actions.

    Agents may differ: their windows are padded by the environment, and a MultiDiscrete space gives each its own number
    of choices. A learner's action is a one-hot vector [C] over the largest number of choices, or a Box action scaled to
    [-1, 1].

    Attributes:
        sets: None, or which columns of a window are the agent's own state ("own", indices), and which are offsets of
            things ("things") and of the other agents ("others"): a list of index lists of equal length for each.
    """

    sets: dict[str, Any] | None = None

    def _check_spaces(self) -> None:
        self._check_seen()
        done: Any = self.action_space
        if isinstance(done, spaces.MultiDiscrete) and done.nvec.ndim == 1:
            return
        if (
            not isinstance(done, spaces.Box)
            or len(done.shape) not in (1, 2)
            or not np.issubdtype(done.dtype, np.floating)
        ):
            raise InvalidParameter(
                "A team needs actions in a MultiDiscrete [A] or a Box of floats [A] or [A, a], one row for each agent, "
                f"not {done}."
            )
        if not (np.isfinite(done.low).all() and np.isfinite(done.high).all() and (done.low < done.high).all()):
            raise InvalidParameter(f"A team needs actions with finite bounds, low below high, not {done}.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sets is not None:
            self._check_sets(self.sets)

    def _check_sets(self, sets: dict[str, Any]) -> None:
        width = self.windows.shape[1]
        try:
            own, things, others = (np.asarray(sets[name], np.int64) for name in ("own", "things", "others"))
            fits = own.ndim == 1 and (not things.size or things.ndim == 2) and len(others) == self.agents - 1
            columns = np.concatenate([own, things.reshape(-1), others.reshape(-1)])
            fits = fits and len(columns) > 0 and columns.min() >= 0 and columns.max() < width
        except (KeyError, TypeError, ValueError):
            fits = False
        if not fits:
            raise InvalidParameter(
                f"agent_sets must list columns of a window of {width}: 'own' [k], 'things' [n, d] and 'others' "
                f"[{self.agents - 1}, d], not {sets!r}."
            )

    def _check_bounds(self) -> None:
        """Agents may differ; :meth:`require_alike` is for networks that are shared."""

    def require_alike(self) -> None:
        """Check that one network can act for every agent.

        Raises:
            InvalidParameter: bounds or numbers of choices differ; the message says what to do.
        """
        done: Any = self.action_space
        rows = [done.nvec[:, None], done.start[:, None]] if self.discrete else [done.low, done.high]
        if any((row.reshape(self.agents, -1) != row.reshape(self.agents, -1)[0]).any() for row in rows):
            raise InvalidParameter(
                f"These agents have different actions, {done}, so they cannot share networks: shared=False."
            )

    @classmethod
    def of(cls, env: VecEnv) -> Self:
        """See :meth:`Layout.of`."""
        found = super().of(env)
        try:
            sets = plain(env.get_attr("agent_sets")[0])
        except AttributeError:
            sets = None
        return cls(found.observation_space, found.action_space, found.windows, None, sets)

    # Actions

    @property
    def discrete(self) -> bool:
        """Whether actions are choices."""
        return isinstance(self.action_space, spaces.MultiDiscrete)

    @property
    def width(self) -> int:
        """The size of a learner's action: the largest number of choices, or the size of a Box action."""
        done: Any = self.action_space
        return int(done.nvec.max()) if self.discrete else int(np.prod(done.shape[1:], dtype=int))

    @cached_property
    def impossible(self) -> Tensor | None:
        """The choices that an agent does not have, bool [A, C]; None if all agents have all."""
        if not self.discrete:
            return None
        done: Any = self.action_space
        beyond = np.arange(self.width) >= done.nvec[:, None]
        return torch.as_tensor(beyond) if beyond.any() else None

    def to_environment(self, actions: Tensor) -> np.ndarray:
        """A learner's actions [N, A, a], as joint actions of the environment [N, A] or [N, A, a]."""
        done: Any = self.action_space
        if self.discrete:
            return (actions.argmax(-1).cpu().numpy() + done.start).astype(done.dtype)
        scaled = (actions.double().cpu().numpy().reshape(-1, *done.shape) + 1) / 2
        low, high = done.low.astype(np.float64), done.high.astype(np.float64)
        return np.clip(low + scaled * (high - low), done.low, done.high).astype(done.dtype)

    def from_environment(self, actions: np.ndarray) -> Tensor:
        """The inverse of :meth:`to_environment`: float32 [N, A, a]."""
        done: Any = self.action_space
        if self.discrete:
            return one_hot(torch.as_tensor(np.asarray(actions - done.start, np.int64)), self.width).float()
        unit = 2 * (np.asarray(actions, np.float64) - done.low) / (done.high.astype(np.float64) - done.low) - 1
        return torch.as_tensor(unit.reshape(len(unit), self.agents, -1), dtype=torch.float32)

    # Saving

    def require_same(self, env: Layout) -> None:
        """See :meth:`Layout.require_same`."""
        check_same_spaces((self.observation_space, self.action_space), (env.observation_space, env.action_space))
        theirs = env.sets if isinstance(env, TeamLayout) else None
        if not np.array_equal(self.windows, env.windows) or self.sets != theirs:
            raise SpaceMismatch(
                "The environment's agent_windows or agent_sets differ from those that the team was trained with. "
                "Make it with the same arguments."
            )

    def to_json(self) -> dict[str, Any]:
        """JSON values that :meth:`from_json` reads."""
        return {**super().to_json(), "sets": self.sets}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The layout from values that :meth:`to_json` returned.

        Raises:
            CorruptFile: the values are not a layout.
        """
        found = super().from_json(values)
        if "sets" not in values:
            raise CorruptFile("the file describes no team (sets is missing)")
        return cls(found.observation_space, found.action_space, found.windows, None, values["sets"])
