"""The suite of stochasticity: levels of the environment's randomness, as used for recording datasets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from agentgym.errors import InvalidParameter, UnknownId
from agentgym.evaluation.conditions import Condition, Subject, Suite, require_once
from agentgym.evaluation.table import Scene
from agentgym.make import perturbed
from agentgym.stochasticity import Stochasticity

__all__ = ["DIALS", "StochasticitySuite"]

DIALS: dict[str, tuple[str, tuple[float, ...]]] = {
    "noise": ("time-correlated action noise (σ, in half ranges)", (0.125, 0.25, 0.5, 0.75, 1.0)),
    "slip": ("slip (probability of a sideways move)", (0.0, 0.2, 0.4, 0.6, 0.8)),
    "reward_noise": ("reward noise (std)", (0.1, 1.0)),
}


@dataclass(frozen=True)
class StochasticitySuite(Suite):
    """One curve per dial: score over intensity.

    Dials that an environment does not have are left out and listed in the results. Reward noise can only affect agents
    that observe rewards.

    Args:
        dials: any of noise, slip and reward_noise.
        intensities: replace those in :data:`DIALS`, for all dials.
    """

    name: ClassVar[str] = "stochasticity"

    dials: tuple[str, ...] = tuple(DIALS)
    intensities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for dial in self.dials:
            if dial not in DIALS:
                raise UnknownId("dial of stochasticity", dial, DIALS)
        require_once("dials of stochasticity", self.dials)
        require_once("intensities of stochasticity", self.intensities)
        for dial in self.dials:
            for intensity in self.intensities:
                Stochasticity(**{dial: intensity})  # rejects values out of range

    def conditions(self, subject: Subject) -> list[Condition]:
        """The conditions, by dial and from mild to severe."""
        return [
            condition for dial in self.dials if not _refused(dial, subject) for condition in self._curve(dial, subject)
        ]

    def left_out(self, subject: Subject) -> dict[str, str]:
        """Dials that the environment does not have, with the reason."""
        reasons = {dial: _refused(dial, subject) for dial in self.dials}
        return {f"stochasticity: {DIALS[dial][0]}": reason for dial, reason in reasons.items() if reason}

    def _curve(self, dial: str, subject: Subject) -> Iterator[Condition]:
        label, usual = DIALS[dial]
        for intensity in sorted(self.intensities or usual):
            position = Stochasticity(**{dial: intensity})
            yield Condition(
                f"{dial}: {intensity:g}",
                Scene("Stochasticity", label, "curve", {"intensity": float(intensity)}),
                subject.env,
                {**subject.env_kwargs, **position.env_kwargs(subject.env)},
                perturbations=tuple(position.perturbations()),
            )


def _refused(dial: str, subject: Subject) -> str:
    """Why a dial does not apply to the environment; empty if it does."""
    position = Stochasticity(**{dial: DIALS[dial][1][-1]})
    try:
        position.env_kwargs(subject.env)
        perturbed(subject.probe, position.perturbations())
    except InvalidParameter as refusal:
        return str(refusal)
    return ""
