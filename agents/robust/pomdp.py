"""Planning when the state is only observed with error: point-based value iteration over beliefs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.agents.robust.evaluation import Evaluation
from agentgym.agents.robust.solvers import RobustPolicyIteration
from agentgym.contracts.environment import single_spaces
from agentgym.contracts.mdp import MDP, checked_rows
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter
from agentgym.seeding import stream

__all__ = ["BeliefPlan", "PointBasedPlanner"]

Floats = NDArray[np.float64]
IMPROVEMENTS = 200  # of all beliefs between two collections, at most
NEW = 1e-3  # beliefs closer than this (L1) to a known one are not kept


@dataclass(frozen=True, eq=False)
class BeliefPlan:
    """A policy over beliefs, as linear functions of which the greatest counts.

    Attributes:
        mdp: the process.
        observe: [S, O].
        vectors: [J, S]; belief b is worth at least max_j vectors[j] . b.
        actions: [J], what to do where vector j is the greatest.
        lower: of the value from the start, before the first observation: what the plan is sure to get.
        upper: no policy that sees observations alone gets more (the value with the state seen, QMDP).
    """

    mdp: MDP
    observe: Floats
    vectors: Floats
    actions: NDArray[np.int64]
    lower: float
    upper: float

    def act(self, beliefs: Floats) -> NDArray[np.int64]:
        """Actions [N] for beliefs [N, S]."""
        return self.actions[(beliefs @ self.vectors.T).argmax(1)]

    def after(self, beliefs: Floats, seen: NDArray[np.int64], actions: NDArray[np.int64] | None = None) -> Floats:
        """Beliefs [N, S] once actions [N] were done (None: none yet) and observations [N] made.

        Where a belief rules an observation out, it is formed anew from the observation alone.
        """
        if actions is not None:
            kernel = self.mdp.kernel()
            beliefs = np.einsum("ns,nst->nt", beliefs, kernel[:, actions].transpose(1, 0, 2))
        joint = beliefs * self.observe[:, seen].T
        lost = joint.sum(1) <= 0.0
        joint[lost] = self.observe[:, seen[lost]].T
        return joint / joint.sum(1, keepdims=True)

    def player(self, env: Any, read: Callable[[Any], NDArray[np.int64]], write: Callable[[Any], Any]) -> "BeliefPlayer":
        """The plan as a player: ``read`` gives observations' numbers [N], ``write`` the environment's actions."""
        return BeliefPlayer(self, env, read, write)


class BeliefPlayer:
    """Follows beliefs from observation to observation; its state is the beliefs [N, S] and the last actions [N]."""

    def __init__(self, plan: BeliefPlan, env: Any, read: Callable[[Any], Any], write: Callable[[Any], Any]) -> None:
        self.plan, self.read, self.write, self._kernel = plan, read, write, plan.mdp.kernel()
        self.observation_space, self.action_space = single_spaces(env)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions for an observation or a batch of them, by the beliefs that the observations leave."""
        single = np.shape(observation) == self.observation_space.shape
        seen = np.asarray(self.read(np.asarray(observation)[None] if single else observation))
        first = np.broadcast_to(self.plan.mdp.start, (len(seen), self.plan.mdp.shape[0]))
        predicted = first
        if state is not None:
            predicted = np.einsum("ns,nst->nt", state[0], self._kernel[:, state[1]].transpose(1, 0, 2))
            starts = np.zeros(len(seen), bool) if episode_start is None else np.asarray(episode_start)
            predicted = np.where(starts[:, None], first, predicted)
        beliefs = self.plan.after(predicted, seen)
        actions = self.plan.act(beliefs)
        done = np.asarray(self.write(actions))
        return (done[0] if single else done), (beliefs, actions)


class PointBasedPlanner:
    """Point-based value iteration (Pineau, Gordon and Thrun 2003), updated as in Perseus (Spaan and Vlassis 2005).

    The state is observed, then an action is chosen. Beliefs are collected by simulating the plan so far with some
    random actions; every backup adds the linear function that is best at one belief, until no belief is worth less
    than before. Functions start from policies that do one action for ever, so each is what some plan gets: their
    maximum is a proved lower bound at every belief, however few beliefs were collected.

    Args:
        mdp: the process, with its start as the first belief.
        observe: [S, O], the probability of each observation in each state.
        beliefs: how many are collected.
        sweeps: how often beliefs are collected, each time along the plan so far.
        tolerance: between two collections, backups go on until a belief's value grows by less than this, over the
            horizon 1 / (1 - discount).
        random_share: of actions while collecting.
        seed: of the collection.

    Raises:
        InvalidParameter: a row of ``observe`` is no distribution, a number is out of its range, or the discount is 1.
        NonFinite: a probability is NaN or infinite.
    """

    def __init__(
        self, mdp: MDP, observe: Any, *, beliefs: int = 200, sweeps: int = 5, random_share: float = 0.2,
        tolerance: float = 1e-3, seed: int = 0,
    ) -> None:  # fmt: skip
        likelihood = np.asarray(observe, np.float64)
        if likelihood.ndim != 2 or len(likelihood) != mdp.shape[0]:
            raise InvalidParameter(f"observe has the shape [{mdp.shape[0]}, O], not {likelihood.shape}.")
        self.mdp, self.evaluation = mdp, Evaluation(mdp)
        self.observe = checked_rows("The observation", likelihood[:, None], np.ones((len(likelihood), 1, 1), bool))[
            :, 0
        ]
        self.count, self.sweeps = whole_number("beliefs", beliefs, 1), whole_number("sweeps", sweeps, 1)
        self.random_share = finite_number("random_share", random_share, 0.0, 1.0)
        self.tolerance = finite_number("The tolerance", tolerance, 0.0, above=True)
        self._draws = stream(whole_number("seed", seed, 0), "beliefs")
        self._kernel = np.ascontiguousarray(mdp.kernel().transpose(1, 0, 2))  # [A, S, S]
        self._paid = (mdp.probabilities * mdp.rewards).sum(2).T  # [A, S]

    def solve(self) -> BeliefPlan:
        """Collect beliefs and improve the functions at them, ``sweeps`` times."""
        states, actions, _ = self.mdp.shape
        vectors = np.stack([self._always(a) for a in range(actions)])
        chosen = np.arange(actions)
        points = np.zeros((0, states))
        for _ in range(self.sweeps):
            points = self._collect(points, vectors, chosen)
            for _ in range(IMPROVEMENTS):
                before = (points @ vectors.T).max(1)
                vectors, chosen = self._improve(points, vectors, chosen)
                if ((points @ vectors.T).max(1) - before).max() <= self.tolerance * (1.0 - self.mdp.discount):
                    break
        first = self.mdp.start[:, None] * self.observe  # [S, O]
        lower = float((vectors @ first).max(0).sum())
        known = RobustPolicyIteration(self.mdp, tolerance=1e-6).solve()
        q = self._paid + self.mdp.discount * self._kernel @ known.upper
        return BeliefPlan(self.mdp, self.observe, vectors, chosen, lower, float((q @ first).max(0).sum()))

    def _always(self, action: int) -> Floats:
        policy = np.zeros(self.mdp.shape[:2])
        policy[:, action] = 1.0
        return self.evaluation.solve(policy, self.mdp.probabilities)

    def _collect(self, points: Floats, vectors: Floats, chosen: NDArray[np.int64]) -> Floats:
        """Beliefs that simulated episodes pass through, up to a share of ``count`` for every sweep."""
        states, actions, _ = self.mdp.shape
        most = min(self.count, len(points) + -(-self.count // self.sweeps))
        kept = list(points)
        for _ in range(self.count):  # episodes: there may be fewer distinct beliefs than were asked for
            if len(kept) >= most:
                break
            prior, state = self.mdp.start, self._draws.choice(states, p=self.mdp.start)
            while self._draws.random() < max(self.mdp.discount, 0.5) and len(kept) < most:
                seen = self._draws.choice(self.observe.shape[1], p=self.observe[state])
                belief = prior * self.observe[:, seen]
                belief = belief / belief.sum()
                if not kept or np.abs(np.array(kept) - belief).sum(1).min() > NEW:
                    kept.append(belief)
                action = int(chosen[(vectors @ belief).argmax()])
                if self._draws.random() < self.random_share:
                    action = int(self._draws.integers(actions))
                prior, state = belief @ self._kernel[action], self._draws.choice(states, p=self._kernel[action, state])
        return np.array(kept)

    def _improve(self, points: Floats, vectors: Floats, chosen: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        """Functions [J, S] that are worth no less at any point than before; those that count nowhere are dropped."""
        before = (points @ vectors.T).max(1)
        fresh, does = list[Floats](), list[int]()
        worth = np.full(len(points), -np.inf)
        rounding = 1e-12 * (1.0 + np.abs(before).max())  # a product of arrays is not that of its rows, bit for bit
        while (behind := np.flatnonzero(worth < before - rounding)).size:
            point = points[self._draws.choice(behind)]
            vector, action = self._backup(point, vectors)
            held = int((vectors @ point).argmax())
            if vector @ point < vectors[held] @ point:
                vector, action = vectors[held], int(chosen[held])
            fresh.append(vector)
            does.append(action)
            worth = np.maximum(worth, points @ vector)
        return np.stack(fresh), np.array(does)

    def _backup(self, belief: Floats, vectors: Floats) -> tuple[Floats, int]:
        """The best function at a belief whose next step uses ``vectors``, and its action."""
        predicted = belief @ self._kernel  # [A, S]
        joint = predicted[:, None, :] * self.observe.T  # [A, O, S]
        worth = joint @ vectors.T  # [A, O, J]
        value = self._paid @ belief + self.mdp.discount * worth.max(2).sum(1)
        action = int(value.argmax())
        after = (self.observe * vectors[worth[action].argmax(1)].T).sum(1)
        return self._paid[action] + self.mdp.discount * self._kernel[action] @ after, action
