"""The faults of the benchmark, by name and size; who has one, since when and for how long is drawn for each episode."""

from dataclasses import dataclass
from typing import Any, Self

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["KINDS", "PAGE", "Fault"]

OBSERVATIONS = ("gauss", "bias", "drift", "freeze", "zero")
ACTIONS = {"arand": "random", "astuck": "stuck", "aflip": "flip", "adelay": "delay"}
NETWORKS = {"fgsm": "fgsm", "pgd": "pgd", "aworst": "worst", "wnoise": "weights"}
SIZELESS = ("freeze", "zero", "arand", "astuck", "aflip", "aworst")
KINDS = (*OBSERVATIONS, "fgsm", "pgd", *ACTIONS, "aworst", "wnoise", "shift")


@dataclass(frozen=True)
class Fault:
    """A fault of one agent, drawn uniformly, from an onset to the end of the episode.

    With o what the victim receives and m the size:

    - observations: "gauss" o + m N(0, I); "bias" o + m s with signs s fixed for the episode; "drift" o + m s (t - onset
      + 1); "freeze" repeats the observation before the onset; "zero" o = 0; "fgsm" o + m sign(grad J),
      J = -log pi(own choice | o); "pgd" the same from a random start in 10 steps of m / 4;
    - actions: "arand" uniform; "astuck" one fixed choice; "aflip" exchanges left and right, up and down; "adelay" late
      by m steps; "aworst" what the team's critic values least;
    - weights: "wnoise" multiplies every weight of the victim's actor by 1 + m N(0, 1);
    - "shift" is a control: the bias of all agents at once, so nobody failed first.

    Args:
        kind: see above.
        size: m; without meaning for freeze, zero, arand, astuck, aflip and aworst.
        earliest, latest: the onset is one of these steps, both included.

    Raises:
        UnknownId: there is no such kind.
        InvalidParameter: a number is out of range.
    """

    kind: str
    size: float = 1.0
    earliest: int = 5
    latest: int = 15

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownId("fault", str(self.kind), KINDS)
        finite_number(f"The size of {self.kind}", self.size, 0.0)
        whole_number("earliest", self.earliest, 1)
        whole_number("latest", self.latest, self.earliest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A fault from words such as "gauss:0.2" or "freeze"."""
        kind, _, size = text.partition(":")
        if size and kind in SIZELESS:
            raise InvalidParameter(f"The fault {kind} has no size: write {kind!r}, not {text!r}.")
        if not size and kind in KINDS and kind not in SIZELESS:
            raise InvalidParameter(f"The fault {kind} needs a size, for instance '{kind}:0.2'.")
        try:
            return cls(kind, float(size)) if size else cls(kind)
        except ValueError as error:
            if isinstance(error, InvalidParameter):
                raise
            raise InvalidParameter(f"The size in {text!r} is no number.") from error

    @property
    def name(self) -> str:
        """The words that :meth:`parse` reads."""
        return self.kind if self.kind in SIZELESS else f"{self.kind}:{self.size:g}"

    @property
    def of_network(self) -> str | None:
        """The kind of :class:`~agentgym.evaluation.attacks.team.FaultyTeam` that makes this fault, if one does."""
        return NETWORKS.get(self.kind)

    def perturbation(self, columns: int | None, discrete: bool) -> dict[str, Any] | None:
        """The configuration of the perturbation that makes this fault, if one does."""
        when = {"earliest": self.earliest, "latest": self.latest}
        if self.kind in ACTIONS:
            settings: dict[str, Any] = {"type": "AgentActionFault", "kind": ACTIONS[self.kind], **when}
            if self.kind == "adelay":
                settings["size"] = self.size
            if self.kind == "aflip" and not discrete:
                settings["exchange"] = ((1, 2), (3, 4))
            return settings
        if self.kind == "shift" or self.kind in OBSERVATIONS:
            kind, everyone = ("bias", True) if self.kind == "shift" else (self.kind, False)
            return {
                "type": "AgentObservationFault", "kind": kind, "size": self.size, "everyone": everyone,
                "columns": columns, **when,
            }  # fmt: skip
        return None


PAGE = (
    "gauss:0.2", "gauss:0.5", "bias:0.3", "drift:0.05", "freeze", "zero", "fgsm:0.1", "fgsm:0.3", "arand", "astuck",
    "aflip", "wnoise:0.2", "wnoise:0.5",
)  # fmt: skip
"""The faults of the benchmark's table."""
