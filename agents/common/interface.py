"""What an agent can see and do: which spaces it takes, and its own numbers for those of an environment.

Learners are written for plain spaces: arrays of at least one axis, choices that count from 0, Boxes of real numbers.
Here, and nowhere else, it is decided which other spaces are taken, by a translation in both directions, and which are
refused before anything is made.

    space             what the learner has in its place
    Discrete          the same from 0 on
    MultiDiscrete     flat, from 0 on
    MultiBinary       flat, as an action; as it is, as an observation
    Box               at least one axis; as an action of whole numbers, a Box of real ones with the same bounds
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from agentgym.contracts.finite import is_finite, require_finite
from agentgym.errors import SpaceMismatch

__all__ = ["Actions", "Observations", "require_row"]

LARGEST_WHOLE = 2**53  # whole numbers up to here are exact in float64


class Observations:
    """How an agent sees an environment's observations.

    Args:
        space: the environment's.
        agent: the agent's name, for messages.
        elsewhere: classes outside this library that take images and Dict spaces, for messages.

    Attributes:
        own: what the learner sees; ``space`` itself where nothing is translated.
        plain: whether ``own`` is ``space``.

    Raises:
        SpaceMismatch: no agent of this library takes such observations; the message says what to do.
    """

    def __init__(self, space: spaces.Space, agent: str, elsewhere: str = "") -> None:
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
        """Whether a batch is ``[n, *space.shape]``, finite, and of choices that the space has."""
        return (
            observations.ndim > 0
            and observations.shape[1:] == self._shape
            and is_finite(observations)
            and not (self._counted and ((observations < self._least) | (observations > self._most)).any())
        )

    def require(self, observations: np.ndarray, where: str = "") -> None:
        """Refuse a batch that does not fit.

        Args:
            observations: what should be ``[n, *space.shape]``.
            where: for the message, e.g. "at step 151".

        Raises:
            SpaceMismatch: another shape, or choices that the space does not have.
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
            "Mend the environment or the wrapper around it."
        )

    def to_learner(self, observations: np.ndarray) -> np.ndarray:
        """Observations ``[n, *space.shape]`` as the learner's, ``[n, *own.shape]``."""
        if self.plain:
            return observations
        if isinstance(self.space, spaces.Box):
            return observations.reshape(-1, 1)
        return (observations - self._least).reshape(len(observations), *self.own.shape)

    def read(self, observation: Any) -> tuple[np.ndarray, bool]:
        """What ``predict`` was given, as the learner's batch ``[n, *own.shape]``, and whether it was one observation.

        Raises:
            SpaceMismatch: it is neither one observation nor a batch of them.
            NonFinite: it has NaN or infinity.
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
    """How an agent's actions are played.

    Args:
        space: the environment's.
        agent: the agent's name, for messages.
        kinds: the spaces that it can act in.

    Attributes:
        own: what the learner chooses from; ``space`` itself where nothing is translated.
        plain: whether the learner's actions are played as they are.

    Raises:
        SpaceMismatch: the agent cannot act so; the message says what to do.
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
        """The learner's actions ``[n, *own.shape]`` as the environment's, ``[n, *space.shape]``.

        Whole numbers are the nearest ones. A last bit of rounding beyond a bound is cut off.
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

    # For learners that work in [-1, 1] and from 0 on, whatever the space is

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """The environment's actions ``[n, ...]`` as float32 ``[n, A]`` in [-1, 1] (a Box), or int64 from 0 on."""
        if not isinstance(self.space, spaces.Box):
            return (actions.astype(np.int64) - self._start).reshape(len(actions), *(self.own.shape or ()))
        scaled = 2 * (actions - self.low) / (self.high - self.low) - 1
        return scaled.reshape(len(actions), -1).astype(np.float32)

    def from_unit(self, actions: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_unit`; whole numbers are the nearest ones."""
        if not isinstance(self.space, spaces.Box):
            moved: np.ndarray = actions.reshape(len(actions), *(self.space.shape or ())) + self._start
            return moved.astype(self.space.dtype)
        scaled = self.low + (actions.reshape(len(actions), *self.low.shape) + 1) * 0.5 * (self.high - self.low)
        return np.clip(np.rint(scaled) if self.whole else scaled, self.low, self.high).astype(self.space.dtype)


def require_row(what: str, values: np.ndarray, where: str) -> None:
    """As :func:`agentgym.contracts.finite.require_finite` for ``[n, ...]``, one row per environment."""
    for index, row in enumerate(values):
        require_finite(what if len(values) == 1 else f"{what} of environment {index}", row, where)


def _counted_from_zero(space: spaces.Space) -> spaces.Space:
    """Discrete and MultiDiscrete spaces flat and from 0 on; any other, or one that is so already, itself."""
    if isinstance(space, spaces.Discrete) and (space.start or space.dtype != np.int64):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and (space.nvec.ndim > 1 or space.start.any() or space.dtype != int):
        return spaces.MultiDiscrete(space.nvec.reshape(-1))
    return space


def _range(space: Any) -> tuple[Any, Any]:
    """Least and greatest choice."""
    return space.start, space.start + (space.n if isinstance(space, spaces.Discrete) else space.nvec) - 1


def _real(space: spaces.Box) -> spaces.Box:
    """Real numbers within the same bounds, with at least one axis."""
    shape = space.shape or (1,)
    low, high = (end.reshape(shape).astype(np.float64) for end in (space.low, space.high))
    single = space.dtype.itemsize <= 4 if space.dtype.kind == "f" else max(abs(low).max(), abs(high).max()) <= 2**24
    dtype: Any = np.float32 if single else np.float64  # in which the bounds are exact
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _scales_exactly(space: spaces.Box) -> bool:
    """Whether what is scaled from [-1, 1] never passes ``high`` by a last bit."""
    return bool((space.low + (space.high - space.low) <= space.high).all())


def _refuse_observations(space: spaces.Space, agent: str, elsewhere: str) -> None:
    if isinstance(space, spaces.Box) and is_image_space(space):
        cnn = f'agent = {elsewhere}("CnnPolicy", env), or f' if elsewhere else "F"
        raise SpaceMismatch(
            f"{agent} takes no images, and this environment's observations are images: {space}. What takes them: "
            f"{cnn}latten them to a vector: gymnasium.wrappers.FlattenObservation(env)."
        )
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        if isinstance(space, spaces.Box) and 0 in space.shape:
            raise SpaceMismatch(f"{agent} has nothing to see in {space}. Observe at least one number, in a wrapper.")
        return
    kind = type(space).__name__
    if isinstance(space, spaces.Text):
        advice = "Agents for texts: agentgym list agents"
    elif space.is_np_flattenable:
        advice = "Make one Box of them: gymnasium.wrappers.FlattenObservation(env)"
        if isinstance(space, spaces.Dict) and elsewhere:
            advice += f', or take {elsewhere}("MultiInputPolicy", env)'
    else:
        advice = (
            "They have no fixed size, so no agent here takes them. Make a Box of what matters: "
            "gymnasium.wrappers.TransformObservation(env, function, box)"
        )
    shown = kind if isinstance(space, spaces.Text) else space  # a Text's characters are many
    raise SpaceMismatch(f"{agent} takes no {kind} observations, and the environment has {shown}. {advice}.")


def _refuse_actions(space: spaces.Space, agent: str, kinds: tuple[type[spaces.Space], ...]) -> None:
    if not isinstance(space, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise SpaceMismatch(
            f"{agent} acts in {names} spaces, and the environment's actions are {space}. Other agents: agentgym list "
            "agents. Or turn them into such a space: gymnasium.wrappers.TransformAction(env, function, space)."
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
