"""A calibrated detector: who is flagged, and when, with a guarantee for clean episodes."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter, ResetNeeded, UnknownId
from agentgym.evaluation.forensics.detectors.base import Detector, Floats, held_out
from agentgym.evaluation.forensics.episodes import Episodes

__all__ = ["Monitor", "Verdicts", "conformal_threshold", "least_episodes", "scales_of"]

QUANTILE, FLOOR = 0.95, 0.02


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What a monitor says of E episodes.

    Attributes:
        agent: who is flagged first, int64 [E]; -1 for "no detection".
        step: when, int64 [E]; -1 for "no detection".
        ratios: scores over their thresholds, float64 [E, T, A]; what is above 1 is suspect.
        onsets: the first flagged step of each agent, int64 [E, A]; -1 for never.
    """

    agent: NDArray[np.int64]
    step: NDArray[np.int64]
    ratios: Floats
    onsets: NDArray[np.int64]


class Monitor:
    """A detector with a threshold on the largest score of an episode (split-conformal calibration).

    If clean episodes are exchangeable with those of the calibration, at most a share ``alpha`` of them has a false
    alarm, whatever the detector. The first agent over its threshold is named, of several in one step the one with the
    largest ratio. Step 0 never counts.

    Args:
        detector: what is calibrated.
        alpha: the largest share of clean episodes with an alarm.
        scaling: scores are divided by the clean 95 % quantile of "agent", or of each "time" and agent. The second helps
            residuals, which are larger at some times, and spoils remainders of policies.
        needed, window: an agent is flagged when ``needed`` of the last ``window`` steps are over the threshold.

    Raises:
        InvalidParameter: a number is out of range.
    """

    def __init__(
        self, detector: Detector, alpha: float = 0.05, scaling: Literal["agent", "time"] = "agent", needed: int = 1,
        window: int = 1,
    ) -> None:  # fmt: skip
        self.detector, self.alpha = detector, finite_number("alpha", alpha, 0.0, 1.0, above=True)
        if scaling not in ("agent", "time"):
            raise UnknownId("scaling", str(scaling), ("agent", "time"))
        self.window = whole_number("window", window, 1)
        self.scaling, self.needed = scaling, whole_number("needed", needed, 1, self.window)
        self.scales: Floats | None = None
        self.threshold = np.inf

    @property
    def name(self) -> str:
        """The detector's name."""
        return self.detector.name

    def fit(self, clean: Episodes, fresh: Episodes) -> "Monitor":
        """Fit the detector and its scales on clean episodes, and the threshold on other clean episodes.

        Raises:
            InvalidParameter: there are too few fresh episodes for ``alpha``; the message says how many are needed.
        """
        require_enough(len(fresh), self.alpha)
        self.detector.fit(clean)
        return self.calibrate(held_out(clean)[1], fresh)

    def calibrate(self, scaled: Episodes, fresh: Episodes) -> "Monitor":
        """Scales and threshold of a detector that is fitted, each from clean episodes."""
        require_enough(len(fresh), self.alpha)
        self.scales = scales_of(self.detector.score(scaled), scaled.alive, self.scaling)
        self.threshold = conformal_threshold(self.scaled(fresh).max((1, 2)), self.alpha)
        return self

    def scaled(self, episodes: Episodes) -> Floats:
        """Scores in clean units, where an alarm is ``needed`` of ``window``: the needed-th largest of the last ones."""
        if self.scales is None:
            raise ResetNeeded(f"The monitor of {self.name} is not calibrated: call fit() first.")
        if self.scaling == "time" and episodes.steps > len(self.scales):
            raise InvalidParameter(
                f"The scales are of {len(self.scales)} steps, the episodes have {episodes.steps}: use scaling='agent'."
            )
        scores = self.detector.score(episodes) / self.scales[: episodes.steps]
        scores[:, 0] = 0.0
        return m_of_w(scores, self.needed, self.window)

    def examine(self, episodes: Episodes) -> Verdicts:
        """Who is flagged in each episode, since when, and the scores behind it."""
        return self.verdicts(self.scaled(episodes))

    def verdicts(self, scaled: Floats) -> Verdicts:
        """The same, from what :meth:`scaled` returned."""
        over = np.asarray(scaled > self.threshold)
        ratios = scaled / self.threshold if self.threshold > 0 else np.where(over, np.inf, 0.0)
        flagged = np.asarray(over.any(axis=2))
        step = np.where(flagged.any(1), flagged.argmax(1), -1)
        rows = np.arange(len(scaled))
        agent = np.where(step >= 0, scaled[rows, step].argmax(1), -1)
        onsets = np.where(over.any(1), over.argmax(1), -1)
        return Verdicts(agent, step, ratios, onsets)


def least_episodes(alpha: float) -> int:
    """The fewest clean episodes that a threshold for ``alpha`` can be made of."""
    return max(1, ceil(1 / alpha - 1e-9) - 1)


def require_enough(count: int, alpha: float) -> None:
    """Refuse a threshold from too few episodes.

    Raises:
        InvalidParameter: the message says how many are needed.
    """
    if count < (least := least_episodes(alpha)):
        raise InvalidParameter(
            f"A threshold for alpha = {alpha:g} needs at least {least} clean episodes that no detector was fitted on; "
            f"there are {count}. Play more, or allow a larger alpha."
        )


def conformal_threshold(largest: Floats, alpha: float) -> float:
    """The ceil((n + 1)(1 - alpha))-th smallest of n clean maxima: a further one exceeds it with at most alpha."""
    require_enough(len(largest), alpha)
    rank = ceil((len(largest) + 1) * (1 - alpha) - 1e-9)
    return float(np.sort(largest)[rank - 1])


def scales_of(scores: Floats, alive: NDArray[np.bool_], scaling: str) -> Floats:
    """Clean 95 % quantiles of an agent [1, A] repeated over time, or of each time and agent, [T, A].

    None is smaller than 2 % of the quantile of all.
    """
    steps, agents = scores.shape[1:]
    used = alive.copy()
    used[:, 0] = False
    if not used.any():
        raise InvalidParameter("The clean episodes have no second step, from which scores count.")
    pooled = float(np.quantile(scores[used], QUANTILE))
    each = np.full((steps, agents), pooled)
    for k in range(agents):
        column = scores[..., k]
        if scaling == "agent" and used[..., k].any():
            each[:, k] = np.quantile(column[used[..., k]], QUANTILE)
        for t in range(steps) if scaling == "time" else ():
            if used[:, t, k].any():
                each[t, k] = np.quantile(column[used[:, t, k], t], QUANTILE)
    found: Floats = np.maximum(each, FLOOR * pooled if pooled > 0 else 1.0)
    return found[:1] if scaling == "agent" else found


def m_of_w(scores: Floats, needed: int, window: int) -> Floats:
    """The needed-th largest of each agent's last ``window`` scores, [E, T, A]; steps before the first are 0."""
    if window == 1:
        return scores
    padded = np.pad(scores, ((0, 0), (window - 1, 0), (0, 0)))
    last = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)
    found: Floats = np.sort(last, axis=-1)[..., -needed]
    return found
