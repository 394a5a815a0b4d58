"""The base class of observation attacks, which move observations within a small box to degrade the policy.

The box is an l-infinity ball. Its unit, per entry, is the standard deviation of the observation in unperturbed
episodes: ``|seen_i - true_i| <= epsilon * scale_i``. The environment's state and rewards are not changed
(state-adversarial MDP, Zhang et al. 2020, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from gymnasium import spaces

from agentgym.errors import InvalidParameter

__all__ = ["Ball", "ObservationAttack", "RandomAttack"]


@dataclass(frozen=True)
class Ball:
    """The boxes that bound the attacked observations, one per row.

    Attributes:
        centre: the true observations [N, *observation shape].
        radius: half the boxes' widths [*observation shape], before clipping to the space's bounds.
        low, high: the boxes' bounds, like ``centre``.
    """

    centre: np.ndarray
    radius: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, centre: np.ndarray, radius: np.ndarray, space: spaces.Box) -> Self:
        """Boxes clipped to ``space``. If a true observation is outside the space, its box is extended to include it."""
        low = _inside(centre - radius, centre, radius)
        high = _inside(centre + radius, centre, radius)
        low = np.maximum(low, np.minimum(space.low.astype(centre.dtype), centre))
        high = np.minimum(high, np.maximum(space.high.astype(centre.dtype), centre))
        return cls(centre, radius, low, high)

    def clip(self, observations: np.ndarray) -> np.ndarray:
        """Clip observations to the boxes, in the dtype of the centre."""
        return np.clip(observations, self.low, self.high).astype(self.centre.dtype)

    def sample(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """One point per box from its own generator, uniform before clipping to the space's bounds."""
        shape = self.centre.shape[1:]
        directions = np.stack([generator.uniform(-1.0, 1.0, shape) for generator in generators])
        return self.clip(self.centre + self.radius * directions)


def _inside(edge: np.ndarray, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The edge in the centre's dtype, moved one float inwards if rounding has put it outside the ball."""
    edge = edge.astype(centre.dtype)
    outside = np.abs(edge.astype(np.float64) - centre) > radius
    return np.where(outside, np.nextafter(edge, centre), edge)


@dataclass
class ObservationAttack:
    """Base of observation attacks. Set a scale with :meth:`fit` or ``scale``, then call :meth:`perturb`.

    Args:
        epsilon: radius of the ball in units of ``scale``; 0 changes nothing.
        scale: unit of each entry of the observation; 0 excludes an entry. Usually set by :meth:`fit`.

    Raises:
        InvalidParameter: a setting is out of range.
    """

    kind: ClassVar[str]

    epsilon: float
    scale: Any = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0.0):
            raise InvalidParameter(f"epsilon must be a finite number of at least 0, not {self.epsilon!r}.")
        if self.scale is not None:
            self.scale = np.asarray(self.scale, dtype=np.float64)
            if not (np.isfinite(self.scale).all() and (self.scale >= 0.0).all()):
                raise InvalidParameter("scale must be finite numbers of at least 0, one per observed entry.")

    def fit(self, observations: np.ndarray) -> Self:
        """Set the scale to the standard deviation of each entry over observations of unperturbed episodes.

        Args:
            observations: [T, *observation shape], T at least 2.
        """
        observations = np.asarray(observations, dtype=np.float64)
        if len(observations) < 2 or not np.isfinite(observations).all():
            raise InvalidParameter("The scale needs at least 2 observations, all of them finite.")
        self.scale = observations.std(axis=0)
        return self

    def perturb(self, agent: Any, observations: np.ndarray, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """Attacked versions of observations.

        Args:
            agent: an agent in Stable-Baselines3's shape, with a torch policy on a Box of floats.
            observations: true observations [N, *observation shape], of a floating dtype.
            generators: one per row. A row's result depends only on its own observation and generator.

        Returns:
            Observations of the same shape and dtype, inside the ball and the observation space's bounds.

        Raises:
            InvalidParameter: there is no scale, or the observations are not continuous or of another shape.
        """
        observations = np.asarray(observations)
        self._check(agent, observations, generators)
        if not len(observations):
            return observations.copy()
        ball = Ball.around(observations, self.epsilon * self.scale, agent.observation_space)
        return self._search(agent, ball, generators)

    def to_config(self) -> dict[str, Any]:
        """JSON values that :func:`agentgym.evaluation.attacks.from_config` reads."""
        settings = {name: value for name, value in vars(self).items() if name != "scale"}
        scale = {} if self.scale is None else {"scale": self.scale.tolist()}
        return {"type": self.kind, **settings, **scale}

    def _search(self, agent: Any, ball: Ball, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """The attack's point in each box."""
        raise NotImplementedError

    def _check(self, agent: Any, observations: np.ndarray, generators: Sequence[np.random.Generator]) -> None:
        space = agent.observation_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise InvalidParameter(
                f"Observation attacks need continuous observations; {space} has none. "
                "Use the perturbations of agentgym.envs.perturb instead."
            )
        if observations.shape[1:] != space.shape or not np.issubdtype(observations.dtype, np.floating):
            raise InvalidParameter(
                f"The attack takes floating-point observations [N, {', '.join(map(str, space.shape))}], "
                f"not {observations.dtype} {list(observations.shape)}."
            )
        if len(generators) != len(observations):
            raise InvalidParameter(f"{len(observations)} observations need as many generators, not {len(generators)}.")
        if self.scale is None:
            raise InvalidParameter("The attack has no scale: call fit(observations of undisturbed episodes) first.")
        if self.scale.shape != space.shape:
            raise InvalidParameter(f"scale has shape {self.scale.shape}; the observations have {space.shape}.")


@dataclass
class RandomAttack(ObservationAttack):
    """A uniform point of the ball: noise of the same size, as a baseline for the other attacks."""

    kind: ClassVar[str] = "random"

    def _search(self, agent: Any, ball: Ball, generators: Sequence[np.random.Generator]) -> np.ndarray:
        return ball.sample(generators)
