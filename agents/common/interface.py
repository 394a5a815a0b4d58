"""Translation between an environment's spaces and the simpler spaces that learners support.

Learners are written for plain spaces: arrays with at least one axis, choices that count from 0, and Boxes of real
numbers. This module alone decides which other spaces are translated, in both directions, and which are refused
before anything is created.

    space             the learner's space
    Discrete          Discrete, from 0 on
    MultiDiscrete     flat, from 0 on
    MultiBinary       actions: flat; observations: unchanged
    Box               at least one axis; for actions, integers become real numbers with the same bounds
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from agentgym.contracts.finite import is_finite, require_finite
from agentgym.errors import SpaceMismatch

__all__ = ["Actions", "Observations", "is_image", "require_row"]

LARGEST_WHOLE = 2**53  # whole numbers up to here are exact in float64


class Observations:
    """Translates an environment's observations for the learner.

    Args:
        space: the environment's observation space.
        agent: name of the agent, for messages.
        elsewhere: classes outside this library that support images and Dict spaces, for messages.
        images: whether the learner supports images.

    Attributes:
        own: the learner's observation space; ``space`` itself if nothing is translated.
        plain: whether ``own`` is ``space``.

    Raises:
        SpaceMismatch: no agent of this library supports such observations; the message says what to do.
    """

    def __init__(self, space: spaces.Space, agent: str, elsewhere: str = "", images: bool = False) -> None:
        if not (images and is_image(space)):
            _refuse_observations(space, agent, elsewhere)
        self.space, self.agent = space, agent
        self.own: Any = _counted_from_zero(space)
        if isinstance(space, spaces.Box) and not space.shape:
            self.own = spaces.Box(space.low.reshape(1), space.high.reshape(1), dtype=space.dtype.type)
        self.plain = self.own is space
        self._shape = tuple(space.shape or ())
        self._counted = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
        if self._counted:
            self._least, self._most = _range(space)

    def fits(self, observations: np.ndarray) -> bool:
        """Whether a batch has the shape ``[n, *space.shape]``, is finite, and holds only choices of the space."""
        return (
            observations.ndim > 0
            and observations.shape[1:] == self._shape
            and is_finite(observations)
            and not (self._counted and ((observations < self._least) | (observations > self._most)).any())
        )

    def require(self, observations: np.ndarray, where: str = "") -> None:
        """Refuse a batch that is not ``[n, *space.shape]`` or not finite.

        Args:
            observations: the batch.
            where: appended to the message, e.g. "at step 151".

        Raises:
            SpaceMismatch: the shape differs, or there are choices outside the space.
            NonFinite: NaN or infinity.
        """
        if self.fits(observations):
            return
        if observations.shape[1:] == self._shape and observations.ndim:
            require_row("The observation", observations, where)
            what = f"the observations {observations.tolist()}"
        else:
            what = f"observations of shape {observations.shape[1:]}"
        raise SpaceMismatch(
            f"{self.agent} was given {what}{where and ' ' + where}, and the observation space is {self.space}. "
            "Fix the environment or the wrapper around it."
        )

    def to_learner(self, observations: np.ndarray) -> np.ndarray:
        """Translate observations ``[n, *space.shape]`` into the learner's, ``[n, *own.shape]``."""
        if self.plain:
            return observations
        if isinstance(self.space, spaces.Box):
            return observations.reshape(-1, 1)
        return (observations - self._least).reshape(len(observations), *self.own.shape)

    def read(self, observation: Any) -> tuple[np.ndarray, bool]:
        """Convert ``predict``'s argument to the learner's batch ``[n, *own.shape]``; also whether it was a single one.

        Raises:
            SpaceMismatch: it is neither one observation nor a batch of them.
            NonFinite: there is NaN or infinity.
        """
        if isinstance(observation, tuple | dict):
            raise SpaceMismatch(
                f"{self.agent} sees {self.space}, not a {type(observation).__name__}. A Gymnasium environment's "
                "reset() returns a pair: observation, info = env.reset()."
            )
        array = np.asarray(observation)
        single = array.shape == self._shape
        if not single and (not array.ndim or array.shape[1:] != self._shape):
            raise SpaceMismatch(
                f"Unexpected observation shape {array.shape}: {self.agent} sees {self.space}, so one observation has "
                f"the shape {self._shape}, and a batch one axis more."
            )
        batch = array[None] if single else array
        self.require(batch)
        return self.to_learner(batch), single


class Actions:
    """Translates the learner's actions for the environment.

    Args:
        space: the environment's action space.
        agent: name of the agent, for messages.
        kinds: the spaces that the agent supports.

    Attributes:
        own: the learner's action space; ``space`` itself if nothing is translated.
        plain: whether actions pass unchanged.

    Raises:
        SpaceMismatch: the agent does not support the space; the message says what to do.
    """

    def __init__(self, space: spaces.Space, agent: str, kinds: tuple[type[spaces.Space], ...]) -> None:
        _refuse_actions(space, agent, kinds)
        self.space = space
        self.own: Any = _counted_from_zero(space)
        self.plain = self.own is space and not isinstance(space, spaces.MultiBinary)
        if isinstance(space, spaces.MultiBinary) and len(space.shape) > 1:
            self.own = spaces.MultiBinary(int(np.prod(space.shape)))
        if isinstance(space, spaces.Box):
            self.whole = space.dtype.kind in "iub"
            self.low, self.high = (end.astype(np.float64) if self.whole else end for end in (space.low, space.high))
            if not space.shape or space.dtype not in (np.float32, np.float64):
                self.own = _real(space)
            self.plain = self.own is space and _scales_exactly(space)
        self._start = space.start if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else 0

    def to_environment(self, actions: np.ndarray) -> np.ndarray:
        """Translate the learner's actions ``[n, *own.shape]`` into the environment's, ``[n, *space.shape]``.

        Integers are rounded to the nearest. Rounding errors in the last bit beyond a bound are clipped.
        """
        if self.plain:
            return actions
        shaped = actions.reshape(len(actions), *(self.space.shape or ()))
        if not isinstance(self.space, spaces.Box):
            moved: np.ndarray = (shaped + self._start).astype(self.space.dtype)
            return moved
        if self.whole:
            return np.clip(np.rint(shaped), self.low, self.high).astype(self.space.dtype)
        return np.clip(shaped.astype(self.space.dtype), self.low, self.high)

    def to_learner(self, actions: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_environment`."""
        if self.plain:
            return actions
        moved = actions if isinstance(self.space, spaces.Box) else actions - self._start
        return moved.reshape(len(actions), *(self.own.shape or ())).astype(self.own.dtype)

    # For learners that always work in [-1, 1] or with choices from 0 on

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """The environment's actions ``[n, ...]`` as float32 ``[n, A]`` in [-1, 1] (Box) or int64 from 0 on (others)."""
        if not isinstance(self.space, spaces.Box):
            return (actions.astype(np.int64) - self._start).reshape(len(actions), *(self.own.shape or ()))
        scaled = 2 * (actions - self.low) / (self.high - self.low) - 1
        return scaled.reshape(len(actions), -1).astype(np.float32)

    def from_unit(self, actions: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_unit`. Integers are rounded to the nearest."""
        if not isinstance(self.space, spaces.Box):
            moved: np.ndarray = actions.reshape(len(actions), *(self.space.shape or ())) + self._start
            return moved.astype(self.space.dtype)
        scaled = self.low + (actions.reshape(len(actions), *self.low.shape) + 1) * 0.5 * (self.high - self.low)
        return np.clip(np.rint(scaled) if self.whole else scaled, self.low, self.high).astype(self.space.dtype)


def require_row(what: str, values: np.ndarray, where: str) -> None:
    """As :func:`agentgym.contracts.finite.require_finite`, for ``[n, ...]`` with one row per environment."""
    for index, row in enumerate(values):
        require_finite(what if len(values) == 1 else f"{what} of environment {index}", row, where)


def _counted_from_zero(space: spaces.Space) -> spaces.Space:
    """Flatten Discrete and MultiDiscrete spaces and let them count from 0. Other spaces are returned as they are."""
    if isinstance(space, spaces.Discrete) and (space.start or space.dtype != np.int64):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and (space.nvec.ndim > 1 or space.start.any() or space.dtype != int):
        return spaces.MultiDiscrete(space.nvec.reshape(-1))
    return space


def _range(space: Any) -> tuple[Any, Any]:
    """The smallest and largest choice of a discrete space."""
    return space.start, space.start + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - 1


def _real(space: spaces.Box) -> spaces.Box:
    """A Box of real numbers with the same bounds and at least one axis."""
    shape = space.shape or (1,)
    low, high = (end.reshape(shape).astype(np.float64) for end in (space.low, space.high))
    single = space.dtype.itemsize <= 4 if space.dtype.kind == "f" else max(abs(low).max(), abs(high).max()) <= 2**24
    dtype: Any = np.float32 if single else np.float64  # represents the bounds exactly
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _scales_exactly(space: spaces.Box) -> bool:
    """Whether scaling from [-1, 1] never exceeds ``high`` by a rounding error."""
    return bool((space.low + (space.high - space.low) <= space.high).all())


def is_image(space: spaces.Space) -> bool:
    """Whether observations are images: uint8 from 0 to 255 with three axes."""
    return isinstance(space, spaces.Box) and is_image_space(space)


def _refuse_observations(space: spaces.Space, agent: str, elsewhere: str) -> None:
    if isinstance(space, spaces.Box) and is_image_space(space):
        cnn = f'agent = {elsewhere}("CnnPolicy", env), or f' if elsewhere else "F"
        raise SpaceMismatch(
            f"{agent} supports no images, and this environment's observations are images: {space}. Options: "
            f"{cnn}latten them to a vector: gymnasium.wrappers.FlattenObservation(env)."
        )
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        if isinstance(space, spaces.Box) and 0 in space.shape:
            raise SpaceMismatch(f"{agent} has nothing to observe in {space}. Add at least one number, in a wrapper.")
        return
    kind = type(space).__name__
    if isinstance(space, spaces.Text):
        advice = "For agents that act in texts see agentgym list agents"
    elif space.is_np_flattenable:
        advice = "Flatten it to one Box: gymnasium.wrappers.FlattenObservation(env)"
        if isinstance(space, spaces.Dict) and elsewhere:
            advice += f', or use {elsewhere}("MultiInputPolicy", env)'
    else:
        advice = (
            "They have no fixed size, which no agent here supports. Make a Box of the relevant entries: "
            "gymnasium.wrappers.TransformObservation(env, function, box)"
        )
    shown = kind if isinstance(space, spaces.Text) else space  # a Text space's repr lists all its characters
    raise SpaceMismatch(f"{agent} supports no {kind} observations, and the environment has {shown}. {advice}.")


def _refuse_actions(space: spaces.Space, agent: str, kinds: tuple[type[spaces.Space], ...]) -> None:
    if not isinstance(space, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise SpaceMismatch(
            f"{agent} supports {names} action spaces, and this environment's is {space}. For other agents see "
            "agentgym list agents, or convert the actions: gymnasium.wrappers.TransformAction(env, function, space)."
        )
    if not isinstance(space, spaces.Box):
        return
    box = "gymnasium.wrappers.TransformAction(env, function, box)"
    if not np.prod(space.shape):
        raise SpaceMismatch(f"{agent} has nothing to choose in {space}. Give the actions at least one entry: {box}.")
    with np.errstate(over="ignore", invalid="ignore"):
        width = space.high.astype(np.float64) - space.low.astype(np.float64)
        if space.dtype.kind == "f":
            width = width.astype(space.dtype)
    if not space.is_bounded() or not np.isfinite(width).all():
        raise SpaceMismatch(
            f"{agent} needs actions with finite bounds, and the environment's are {space}. Give them bounds: {box}."
        )
    if fixed := np.argwhere(width <= 0).tolist():
        entry = f"entries {[tuple(index) for index in fixed]}" if space.shape else "the action"
        raise SpaceMismatch(
            f"{agent} has no choice in {entry} of {space}: low and high are equal. Leave them out of the action space "
            f"and put their value in: {box}."
        )
    if space.dtype.kind in "iu" and max(abs(int(space.low.min())), abs(int(space.high.max()))) > LARGEST_WHOLE:
        raise SpaceMismatch(f"{agent} cannot tell whole numbers beyond 2**53 apart, as in {space}. Scale them: {box}.")
