"""Stage 2 on recorded episodes: the graph of contagion, and who failed first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidParameter, SpaceMismatch, UnknownId
from agentgym.evaluation.forensics.contagion.derivatives import MODES, along, require_curvature
from agentgym.evaluation.forensics.contagion.edges import EdgeScale, gap_edges
from agentgym.evaluation.forensics.contagion.walk import RULES, Evidence, Finding, find_source
from agentgym.evaluation.forensics.team import LearnedTeam, Team, require_critic

if TYPE_CHECKING:
    from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["EDGES", "MOVES", "BoundCritic", "Contagion", "moves_of"]

Floats = NDArray[np.float64]
Expected = Callable[["Episodes"], NDArray[Any]]

EDGES = ("action_gap", "critic")
MOVES = ("nominal", "previous", "twin")
PAIRS = 2048  # of a step and an agent that moved, at once
ROUNDING = 1e-6  # of float32 actions in [-1, 1]; a gap of this size is no move


@dataclass(eq=False)
class Contagion:
    """Edges between the agents of a team, their clean scale, and the rules that move the blame.

    Args:
        team: the team.
        expected: episodes -> the windows that each agent should have received, [E, T, A, F], as the dynamics detector
            predicts them from the step before; needed for ``moves="nominal"`` and by critics of the state alone.
        edges: "action_gap", the size of what an agent did beside its nominal action, or "critic", what the critic says
            that it does to the others: abs(slope) + max(0, curvature).
        moves: what an agent did is compared with "nominal", the policy's action at the expected window; "previous", its
            last action; or "twin", its action in the episode's clean twin.
        rule: "walk" or "gate", see :func:`~agentgym.evaluation.forensics.contagion.walk.find_source`.
        derivatives: "exact", "differences" or "first order".
        step: of the differences, as a share of the moves.

    Attributes:
        scale: of the edges of clean episodes; None before :meth:`fit`.

    Raises:
        UnknownId: no such edges, moves, rule or derivatives.
        InvalidParameter: ``expected`` is missing, or ``step`` is out of range.
    """

    team: Team
    expected: Expected | None = None
    edges: Literal["action_gap", "critic"] = "action_gap"
    moves: Literal["nominal", "previous", "twin"] = "nominal"
    rule: Literal["walk", "gate"] = "walk"
    derivatives: Literal["exact", "differences", "first order"] = "exact"
    step: float = 0.1
    scale: EdgeScale | None = None

    def __post_init__(self) -> None:
        for what, name, known in (
            ("edges", self.edges, EDGES), ("moves", self.moves, MOVES), ("rule of stage 2", self.rule, RULES),
            ("derivatives", self.derivatives, MODES),
        ):  # fmt: skip
            if name not in known:
                raise UnknownId(what, str(name), known)
        self.step = finite_number("step", self.step, 0.0, above=True)
        if self.moves == "nominal" and self.expected is None:
            raise InvalidParameter(
                "Nominal actions need the windows that a dynamics detector expects: fit one, or use moves='previous'."
            )

    def fit(self, clean: "Episodes") -> Self:
        """Learn the scale of edges from clean episodes.

        Raises:
            InvalidParameter: the team has no critic, or one whose curvature derivatives do not see.
            SpaceMismatch: the episodes are of another team.
        """
        self._check(clean)
        if self.edges == "critic":
            self._check_critic(clean)
        there: Any = clean.alive.any(2)
        self.scale = EdgeScale.of(self.series(clean), there)
        return self

    def series(self, episodes: "Episodes") -> Floats:
        """The edges of every step, [E, T, A, A]: entry (j, i) is what j sends to i; zero where either is not alive.

        Raises:
            InvalidParameter: the team has no critic, or ``moves`` is "twin" and the twins are unknown.
            SpaceMismatch: the episodes are of another team.
        """
        self._check(episodes)
        if self.edges == "action_gap":
            found = gap_edges(moves_of(self.team, episodes, self.moves, self.expected))
        else:
            found = self._critics_edges(episodes)
        both = episodes.alive[..., None] & episodes.alive[..., None, :]
        return np.where(both & ~np.eye(episodes.agents, dtype=bool), found, 0.0)

    def evidence(self, episodes: "Episodes", scores: Floats) -> list[Evidence]:
        """The evidence of every episode.

        Args:
            episodes: E episodes.
            scores: of stage 1, [E, T, A], in units of each agent's clean 95 % quantile.

        Raises:
            InvalidParameter: before :meth:`fit`; otherwise as :meth:`series`.
        """
        if self.scale is None:
            raise InvalidParameter("Fit the contagion graph on clean episodes first: fit(clean).")
        scale = self.scale
        return [Evidence.of(edges, scale, each) for edges, each in zip(self.series(episodes), scores, strict=True)]

    def find(
        self, episodes: "Episodes", named: Sequence[int], when: Sequence[int], scores: Floats
    ) -> list[Finding | None]:
        """Confirm or correct what stage 1 says of each episode.

        Args:
            episodes: E episodes.
            named: the agent that stage 1 names, -1 where it names none.
            when: the steps at which they were flagged.
            scores: see :meth:`evidence`.

        Returns:
            None where stage 1 names nobody.
        """
        flagged = np.flatnonzero(np.asarray(named) >= 0)
        findings: list[Finding | None] = [None] * len(episodes)
        if len(flagged):
            known = self.evidence(episodes.take(flagged), scores[flagged])
            for index, evidence in zip(flagged.tolist(), known, strict=True):
                findings[index] = find_source(evidence, int(named[index]), int(when[index]), self.rule)
        return findings

    # Critics

    def critic_at(self, episodes: "Episodes") -> tuple["BoundCritic", Tensor, Tensor]:
        """The critic at all steps of the episodes: a function of x, x [E * T, A, k], and the moves of x.

        Of Q_i(s, a) x holds the executed actions. Of V(s) it holds the received windows, and the moves are what was
        received less what was expected.
        """
        windows, actions = _rows(episodes.received), _rows(episodes.executed)
        alive = torch.as_tensor(episodes.alive).flatten(0, 1)
        windows = torch.where(alive.unsqueeze(-1), windows, 0.0)
        actions = torch.where(alive.unsqueeze(-1), actions, 0.0)
        values = require_critic(self.team, windows[:1], actions[:1], alive[:1])
        if values.shape[1] == 1 and episodes.agents > 1:
            if self.expected is None:
                raise InvalidParameter(
                    "This critic values the state alone (V, no Q), so influence is read from what agents received "
                    "beside what was expected: a dynamics detector is needed. Without one, use edges='action_gap'."
                )
            gaps = torch.where(alive.unsqueeze(-1), windows - _rows(self.expected(episodes)), 0.0)
            return BoundCritic(self.team, None, actions, alive), windows, gaps
        moves = _rows(moves_of(self.team, episodes, self.moves, self.expected))
        return BoundCritic(self.team, windows, None, alive), actions, torch.where(alive.unsqueeze(-1), moves, 0.0)

    def _critics_edges(self, episodes: "Episodes") -> Floats:
        critic, x, moves = self.critic_at(episodes)
        agents = episodes.agents
        found = torch.zeros((len(x), agents, agents), dtype=torch.float64)
        jets = isinstance(self.team, LearnedTeam)
        pairs = torch.nonzero((moves != 0).any(2))  # who did not move sends nothing
        for rows, movers in (part.unbind(1) for part in pairs.split(PAIRS)):
            here, own = x[rows], torch.arange(len(rows))
            move = torch.zeros_like(here)
            move[own, movers] = moves[rows, movers]
            slope, curvature = along(critic.at(rows), here, move, self.derivatives, self.step, jets)
            sent = slope.abs() if curvature is None else slope.abs() + curvature.clamp_min(0)
            found[rows, movers] = sent.expand(-1, agents)  # a team's value is sent to all alike
        return found.unflatten(0, episodes.received.shape[:2]).numpy()

    def _check_critic(self, clean: "Episodes") -> None:
        critic, x, _ = self.critic_at(clean.take(slice(0, 8)))
        if self.derivatives == "exact":
            moves = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
            require_curvature(critic, x, moves)

    def _check(self, episodes: "Episodes") -> None:
        windows = self.team.layout.windows.shape
        if episodes.received.shape[2:] != windows or episodes.executed.shape[3] != self.team.layout.width:
            raise SpaceMismatch(
                f"The episodes have windows {list(episodes.received.shape[2:])} and actions of "
                f"{episodes.executed.shape[3]} numbers; the team has {list(windows)} and {self.team.layout.width}."
            )


@dataclass(frozen=True)
class BoundCritic:
    """The team's critic at the steps of episodes, of either windows or actions; None stands for the argument."""

    team: Team
    windows: Tensor | None
    actions: Tensor | None
    alive: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Values [B, I] of x [B, A, k]."""
        windows = x if self.windows is None else self.windows
        actions = x if self.actions is None else self.actions
        return require_critic(self.team, windows, actions, self.alive)

    def at(self, rows: Tensor) -> "BoundCritic":
        """The same at some of the steps."""
        windows, actions = (None if each is None else each[rows] for each in (self.windows, self.actions))
        return BoundCritic(self.team, windows, actions, self.alive[rows])


def moves_of(
    team: Team, episodes: "Episodes", how: Literal["nominal", "previous", "twin"], expected: Expected | None = None
) -> Floats:
    """What each agent executed, less what it is compared with, float64 [E, T, A, a].

    Raises:
        InvalidParameter: "nominal" without ``expected``, or "twin" without twins.
    """
    done = episodes.executed.astype(np.float64)
    if how == "previous":
        return np.diff(done, axis=1, prepend=done[:, :1])
    if how == "twin":
        if episodes.twin is None:
            raise InvalidParameter("These episodes have no clean twins. Use moves='nominal'.")
        return done - episodes.twin.executed
    if expected is None:
        raise InvalidParameter("Nominal actions need expected windows: see Contagion.")
    windows = torch.as_tensor(np.asarray(expected(episodes), np.float32)).flatten(0, 1)
    gaps = done - team.act(windows).numpy().reshape(done.shape)
    return np.where(np.abs(gaps) > ROUNDING, gaps, 0.0)


def _rows(values: NDArray[Any]) -> Tensor:
    """[E, T, ...] -> float64 [E * T, ...]."""
    return torch.as_tensor(values, dtype=torch.float64).flatten(0, 1)
