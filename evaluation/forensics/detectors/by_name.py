"""All detectors by name."""

from collections.abc import Callable, Mapping

from agentgym.errors import UnknownId
from agentgym.evaluation.forensics.detectors.base import Detector
from agentgym.evaluation.forensics.detectors.chance import Chance
from agentgym.evaluation.forensics.detectors.combined import Combined
from agentgym.evaluation.forensics.detectors.dynamics import Contacts, Dynamics
from agentgym.evaluation.forensics.detectors.entropy import Entropy
from agentgym.evaluation.forensics.detectors.first_order import FirstOrder
from agentgym.evaluation.forensics.detectors.jump import Jump
from agentgym.evaluation.forensics.detectors.mahalanobis import Mahalanobis
from agentgym.evaluation.forensics.detectors.policy_nll import PolicyCUSUM, PolicyGap, PolicyNLL
from agentgym.evaluation.forensics.detectors.return_drop import ReturnDrop
from agentgym.evaluation.forensics.detectors.taylor_fixed import TaylorFixed
from agentgym.evaluation.forensics.detectors.taylor_low import TaylorLow
from agentgym.evaluation.forensics.detectors.taylor_move import TaylorMove
from agentgym.evaluation.forensics.detectors.td_error import TDError
from agentgym.evaluation.forensics.team import Team

__all__ = ["DETECTORS", "make_detector"]

Maker = Callable[[Team, Contacts | None], Detector]


def _combined(team: Team, contacts: Contacts | None) -> Detector:
    return Combined([Dynamics(team, contacts), PolicyGap(team)])


DETECTORS: Mapping[str, Maker] = {
    "taylor_fixed": lambda team, _: TaylorFixed(team),
    "taylor_gradient": lambda team, _: TaylorFixed(team, along="gradient"),
    "taylor_low": lambda team, _: TaylorLow(team),
    "taylor_move": lambda team, _: TaylorMove(team),
    "taylor_move_current": lambda team, _: TaylorMove(team, at="current"),
    "first_order": lambda team, _: FirstOrder(team),
    "first_order_move": lambda team, _: TaylorMove(team, first=True),
    "mahalanobis": lambda team, _: Mahalanobis(team),
    "jump": lambda team, _: Jump(team),
    "entropy": lambda team, _: Entropy(team),
    "td_error": lambda team, _: TDError(team),
    "return_drop": lambda team, _: ReturnDrop(team),
    "chance": lambda team, _: Chance(team),
    "dynamics_plain": lambda team, _: Dynamics(team, deviations=False, windowed=False),
    "dynamics": lambda team, contacts: Dynamics(team, contacts),
    "policy_nll": lambda team, _: PolicyNLL(team),
    "policy_gap": lambda team, _: PolicyGap(team),
    "policy_cusum": lambda team, _: PolicyCUSUM(team),
    "combined": _combined,
}
"""All detectors with their default settings: the published first stage and its kin, baselines, and what works."""


def make_detector(name: str, team: Team, contacts: Contacts | None = None) -> Detector:
    """A detector by name.

    Args:
        name: of :data:`DETECTORS`.
        team: who played.
        contacts: the environment's ``contact_inputs``, if it has them.

    Raises:
        UnknownId: there is no such detector.
    """
    if name not in DETECTORS:
        raise UnknownId("detector", name, DETECTORS)
    return DETECTORS[name](team, contacts)
