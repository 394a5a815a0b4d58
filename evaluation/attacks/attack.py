"""Observation attacks: what the policy sees is moved within a small box around the truth, to harm it.

The box is an l-infinity ball whose unit, entry by entry, is the standard deviation of the observation along
undisturbed episodes: ``|seen_i - true_i| <= epsilon * scale_i``. The world itself is not touched, and neither is
the reward (state-adversarial MDP, Zhang et al. 2020, section 3).
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
    """The boxes that the attacked observations may not leave, one a row.

    Attributes:
        centre: the true observations [N, *observation shape].
        radius: half the boxes' widths [*observation shape], before the space's bounds cut them.
        low, high: the boxes' bounds, like ``centre``.
    """

    centre: np.ndarray
    radius: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, centre: np.ndarray, radius: np.ndarray, space: spaces.Box) -> Self:
        """Boxes within ``space``; where a true observation is itself outside of it, the box reaches to it."""
        low = _inside(centre - radius, centre, radius)
        high = _inside(centre + radius, centre, radius)
        low = np.maximum(low, np.minimum(space.low.astype(centre.dtype), centre))
        high = np.minimum(high, np.maximum(space.high.astype(centre.dtype), centre))
        return cls(centre, radius, low, high)

    def clip(self, observations: np.ndarray) -> np.ndarray:
        """The nearest observations in the boxes, in the truth's dtype."""
        return np.clip(observations, self.low, self.high).astype(self.centre.dtype)

    def sample(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """A point of each box, uniform before it is cut by the space's bounds, each from its own generator."""
        shape = self.centre.shape[1:]
        directions = np.stack([generator.uniform(-1.0, 1.0, shape) for generator in generators])
        return self.clip(self.centre + self.radius * directions)


def _inside(edge: np.ndarray, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The edge in the centre's dtype, one float further in where rounding has put it outside the ball."""
    edge = edge.astype(centre.dtype)
    outside = np.abs(edge.astype(np.float64) - centre) > radius
    return np.where(outside, np.nextafter(edge, centre), edge)


@dataclass
class ObservationAttack:
    """An attack on what a policy sees. Give it a scale by :meth:`fit` or ``scale``, then :meth:`perturb`.

    Args:
        epsilon: radius of the ball in units of ``scale``; 0 changes nothing.
        scale: unit of each entry of the observation (0 protects an entry). Usually left to :meth:`fit`.

    Raises:
        InvalidParameter: a setting is out of its range.
    """

    kind: ClassVar[str]

    epsilon: float
    scale: Any = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0.0):
            raise InvalidParameter(f"epsilon is a finite number of at least 0, not {self.epsilon!r}.")
        if self.scale is not None:
            self.scale = np.asarray(self.scale, dtype=np.float64)
            if not (np.isfinite(self.scale).all() and (self.scale >= 0.0).all()):
                raise InvalidParameter("scale holds finite numbers of at least 0, one for each observed entry.")

    def fit(self, observations: np.ndarray) -> Self:
        """Measure the scale: the standard deviation of each entry over observations of undisturbed episodes.

        Args:
            observations: [T, *observation shape], T at least 2.
        """
        observations = np.asarray(observations, dtype=np.float64)
        if len(observations) < 2 or not np.isfinite(observations).all():
            raise InvalidParameter("The scale is measured on at least 2 observations, all of them finite.")
        self.scale = observations.std(axis=0)
        return self

    def perturb(self, agent: Any, observations: np.ndarray, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """What the attacked agent sees instead.

        Args:
            agent: in Stable-Baselines3's shape, with a torch policy on a Box of floats.
            observations: true observations [N, *observation shape], of a floating dtype.
            generators: one a row. A row's result depends on its own observation and generator only.

        Returns:
            Observations of the same shape and dtype, in the ball and in the observation space's bounds.

        Raises:
            InvalidParameter: no scale yet, observations that are not continuous, or of another shape.
        """
        observations = np.asarray(observations)
        self._check(agent, observations, generators)
        if not len(observations):
            return observations.copy()
        ball = Ball.around(observations, self.epsilon * self.scale, agent.observation_space)
        return self._search(agent, ball, generators)

    def to_config(self) -> dict[str, Any]:
        """Plain values for JSON, which :func:`agentgym.evaluation.attacks.from_config` reads."""
        settings = {name: value for name, value in vars(self).items() if name != "scale"}
        scale = {} if self.scale is None else {"scale": self.scale.tolist()}
        return {"type": self.kind, **settings, **scale}

    def _search(self, agent: Any, ball: Ball, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """The point of each box that this attack takes."""
        raise NotImplementedError

    def _check(self, agent: Any, observations: np.ndarray, generators: Sequence[np.random.Generator]) -> None:
        space = agent.observation_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise InvalidParameter(
                f"Observation attacks move continuous observations a little; {space} has none. "
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
    """A uniform point of the ball: noise of the same size, to compare the other attacks with."""

    kind: ClassVar[str] = "random"

    def _search(self, agent: Any, ball: Ball, generators: Sequence[np.random.Generator]) -> np.ndarray:
        return ball.sample(generators)
