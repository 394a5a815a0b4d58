"""Links repaired: what the return gains when agents with strong, or with weak, influence act as they should again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import InvalidParameter
from agentgym.evaluation.forensics.collect import Repair, collect
from agentgym.evaluation.forensics.contagion.edges import EdgeScale
from agentgym.evaluation.forensics.episodes import Episodes
from agentgym.evaluation.forensics.faults import Fault
from agentgym.evaluation.forensics.team import Team

__all__ = ["Recovered", "repair_links", "sources"]


@dataclass(frozen=True, eq=False)
class Recovered:
    """What repairs gave back, over the episodes in which there was something to give back.

    Attributes:
        lost: the mean return that the fault cost against the clean twins.
        shares: by the name of who was repaired, the sum of what was recovered over the sum of what was lost.
        episodes: how many.
    """

    lost: float
    shares: dict[str, float]
    episodes: int


def sources(pooled: NDArray[np.float64], when: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The agents that send the strongest and the weakest of all links at a step of each episode, int64 [E] each.

    Args:
        pooled: pooled standardised edges, [E, T, A, A].
        when: the steps, [E].
    """
    agents = pooled.shape[-1]
    now = pooled[np.arange(len(pooled)), np.asarray(when)]
    apart = ~np.eye(agents, dtype=bool)
    strongest = np.where(apart, now, -np.inf).reshape(len(now), -1).argmax(1) // agents
    weakest = np.where(apart, now, np.inf).reshape(len(now), -1).argmin(1) // agents
    return strongest, weakest


def repair_links(
    team: Team,
    env_id: str,
    episodes: Episodes,
    fault: Fault,
    series: NDArray[np.float64],
    scale: EdgeScale,
    when: Sequence[int],
    env_kwargs: Mapping[str, Any] | None = None,
    noise: float = 0.0,
) -> Recovered:
    """Play episodes again with the source of their strongest, and of their weakest, link repaired from a step on.

    A repaired agent executes the team's action at what it should have received. What follows from that is the
    environment's answer, so the comparison is an intervention: links that matter give more of the return back.
    Repairing the victim itself is the most that repairing one agent can give.

    Args:
        team, env_id, env_kwargs, noise: as the episodes were played.
        episodes: with a fault, its truth, seeds and twins.
        fault: the fault.
        series: edges of every step, [E, T, A, A], see :meth:`Contagion.series`.
        scale: of clean edges.
        when: the step of each episode at which links are read; agents are repaired from the next one on.

    Raises:
        InvalidParameter: the episodes have no seeds, truth or twins.
    """
    if episodes.seeds is None or episodes.truth is None or episodes.twin is None:
        raise InvalidParameter("Repairs need episodes with seeds, truth and twins: collect(..., with_twin=True).")
    strongest, weakest = sources(scale.pooled(series), when)
    since, lost = np.asarray(when) + 1, episodes.twin.returns - episodes.returns
    shares = {}
    for name, agent in (("strongest", strongest), ("weakest", weakest), ("victim", episodes.truth.victim)):
        again = collect(
            team, env_id, episodes.seeds.tolist(), fault, env_kwargs, noise, repair=Repair(agent, since)
        )  # fmt: skip
        shares[name] = float((again.returns - episodes.returns).sum() / lost.sum())
    return Recovered(float(lost.mean()), shares, len(episodes))
