"""Calibrated intensities: how strong a type of stochasticity must be to cost a reference policy a stated share.

The loss of a type at an intensity is (R(plain) - R(type)) / (R(plain) - R(random)), where R is the mean return and
"random" the same environment with random actions in place of all of the policy's. Every condition is played with the
same seeds, so the loss is a fixed function of the intensity, and is bisected. The interval is that of a bootstrap over
episodes: each resample has its own curve through all intensities that were played, made monotone, and crosses the
stated loss somewhere.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from agentgym.contracts.environment import Stochastic
from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import AskError, InvalidParameter
from agentgym.evaluation.calibration import Calibrated, Calibration
from agentgym.evaluation.conditions import Condition, Subject, Suite
from agentgym.evaluation.evaluate import evaluate
from agentgym.evaluation.suites.stori import Config, Stori, largest_intensity, scaled
from agentgym.evaluation.table import Scene

__all__ = ["calibrate"]

WIDEST = 64.0  # multiple of the usual strength at which the search stops where no probability limits it
RESAMPLES = 2000

Returns = NDArray[np.float64]


class _Played(Suite):
    """The plain game, random actions, and types at given intensities, as conditions of one evaluation."""

    name: ClassVar[str] = "calibration"
    with_nominal: ClassVar[bool] = False

    def __init__(self, stori: Stori, intensities: Mapping[str, float] | None) -> None:
        self.stori, self.intensities = stori, intensities
        self.types: dict[str, Sequence[Config]] = {}
        self.env_kwargs: dict[str, Any] = {}

    def conditions(self, subject: Subject) -> list[Condition]:
        """Plain and random if there are no intensities yet; else the types at theirs."""
        self.types = self.stori.types_of(subject)
        self.env_kwargs = dict(subject.env_kwargs)
        if self.intensities is None:
            pairs: list[tuple[str, Sequence[Config]]] = [("plain", ()), ("random", _random(subject))]
        else:
            pairs = [(name, scaled(self.types[name], at) or ()) for name, at in self.intensities.items()]
        return [
            self.stori.condition(subject, name, Scene("Calibration", "types", "matrix", {"test": name}), effects)
            for name, effects in pairs
        ]


def _random(subject: Subject) -> Sequence[Config]:
    if isinstance(subject.probe.unwrapped, Stochastic):
        return [{"type": "RandomAction", "probability": 1.0, "per": "decision"}]
    if not isinstance(subject.probe.action_space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete):
        raise AskError(f"There are no random actions in {subject.probe.action_space} to compare a policy with.")
    return [{"type": "ActionMixture", "policy": "random", "weight": 1.0}]


def calibrate(
    agent: Any,
    env: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    types: Sequence[str] = (),
    loss: float = 0.25,
    episodes: int = 50,
    rounds: int = 8,
    seed: int = 0,
    workers: int = 1,
    deterministic: bool = True,
    max_frames: int = 18_000,
) -> Calibration:
    """Find the intensity of each type at which the agent loses the share ``loss`` of its return.

    Args:
        agent: a run's folder, a saved agent or an object; it stays as it is.
        env, env_kwargs: as for :func:`agentgym.evaluation.evaluate.evaluate`.
        types: names of types of the suite stori; by default all of the environment.
        loss: the share, between 0 and 1, of what the policy gains over random actions.
        episodes: episodes per intensity, the same seeds for all.
        rounds: halvings of the interval of intensities.
        seed, workers, deterministic: as for ``evaluate``.
        max_frames: of Atari games, as for the suite.

    Raises:
        AskError: the agent is not better than random actions, or an episode failed.
        UnknownId, InvalidParameter: as for ``evaluate``; or a setting is out of range.
    """
    finite_number("loss", loss, 0.0, 1.0, above=True)
    whole_number("episodes", episodes, 2)
    whole_number("rounds", rounds, 1)
    stori = Stori(types=tuple(types), max_frames=max_frames, pictured=False)

    def play(intensities: Mapping[str, float] | None) -> tuple[_Played, dict[str, Returns], Any]:
        suite = _Played(stori, intensities)
        found = evaluate(
            agent if isinstance(agent, Mapping) else [agent], suite, env, env_kwargs, episodes, seed, workers,
            deterministic=deterministic, progress=False,
        )  # fmt: skip
        if failures := found.failures():
            raise AskError(f"An episode failed, so nothing is calibrated: {failures[0].error}")
        returns: dict[str, list[float]] = {}
        for row in found.rows:
            returns.setdefault(row.condition, []).append(row.episode_return)
        return suite, {name: np.array(values) for name, values in returns.items()}, found

    first, ends, found = play(None)
    if len(found.agents) != 1:
        raise InvalidParameter(f"A calibration has one reference policy, not {len(found.agents)}.")
    plain, random = ends["plain"], ends["random"]
    _require_better(plain, random)
    curves = {name: _Curve(plain, random, effects, loss) for name, effects in first.types.items()}
    for _ in range(rounds + 1):
        if not (asked := {name: curve.next for name, curve in curves.items() if curve.next is not None}):
            break
        for name, returns in play(asked)[1].items():
            if name in asked:
                curves[name].add(asked[name], returns)
    return Calibration(
        found.meta["env"], dict(first.env_kwargs), found.agents[0].name, loss, episodes, seed, deterministic,
        float(plain.mean()), float(random.mean()),
        {name: curve.result(seed) for name, curve in curves.items()},
    )  # fmt: skip


def _require_better(plain: Returns, random: Returns) -> None:
    difference = plain - random
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    if difference.mean() <= 2 * error:
        raise AskError(
            f"The reference policy returns {plain.mean():.4g} and random actions {random.mean():.4g} (standard error "
            f"of the difference {error:.2g}): there is nothing to lose. Take a trained policy or more episodes."
        )


class _Curve:
    """The loss of one type over intensities, and the bisection."""

    def __init__(self, plain: Returns, random: Returns, effects: Sequence[Config], loss: float) -> None:
        self._plain, self._random, self._effects, self._loss = plain, random, effects, loss
        self._most = largest_intensity(effects)
        self._bounded = math.isfinite(self._most)
        self._played: dict[float, Returns] = {0.0: plain}
        self._low, self._high = 0.0, math.inf
        self.next: float | None = self._most if self._bounded else 1.0

    def add(self, intensity: float, returns: Returns) -> None:
        """Take the returns at :attr:`next` and choose the next intensity; None once the loss is out of reach."""
        self._played[intensity] = returns
        if self._measured(returns) >= self._loss:
            self._high = intensity
        else:
            self._low = intensity
        if math.isfinite(self._high):
            self.next = (self._low + self._high) / 2
        elif self._bounded or intensity >= WIDEST:
            self.next = None
        else:
            self.next = 2 * intensity

    def _measured(self, returns: Returns) -> float:
        return float((self._plain.mean() - returns.mean()) / (self._plain.mean() - self._random.mean()))

    def result(self, seed: int) -> Calibrated:
        """The intensity where the loss crosses the stated one, with the interval of a bootstrap over episodes."""
        intensities = np.array(sorted(self._played))
        returns = np.array([self._played[each] for each in intensities])  # [intensities, episodes]
        reached = math.isfinite(self._high)
        everyone = np.arange(returns.shape[1])
        intensity = self._crossing(intensities, returns, everyone) if reached else float(intensities[-1])
        low = high = intensity
        if reached:
            generator = np.random.default_rng(seed)
            draws = [
                self._crossing(intensities, returns, generator.integers(len(everyone), size=len(everyone)))
                for _ in range(RESAMPLES)
            ]
            low, high = (float(each) for each in np.quantile(draws, (0.025, 0.975)))
        nearest = intensities[np.abs(intensities - intensity).argmin()]
        effects = [dict(each) for each in scaled(self._effects, intensity) or ()]
        return Calibrated(reached, intensity, low, high, self._measured(self._played[float(nearest)]), effects)

    def _crossing(self, intensities: Returns, returns: Returns, chosen: NDArray[np.int64]) -> float:
        """Where the monotone curve through the losses of the chosen episodes reaches the stated one; else the end."""
        means = returns[:, chosen].mean(1)
        gain = means[0] - self._random[chosen].mean()
        if gain <= 0:
            return float(intensities[-1])
        losses = isotonic_regression((means[0] - means) / gain).x
        if losses[-1] < self._loss:
            return float(intensities[-1])
        after = int(np.argmax(losses >= self._loss))
        if after == 0:
            return 0.0
        left, right = losses[after - 1], losses[after]
        share = (self._loss - left) / (right - left)
        return float(intensities[after - 1] + share * (intensities[after] - intensities[after - 1]))
