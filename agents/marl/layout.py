"""The layout of a joint environment: which part of its spaces belongs to which agent."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from agentgym.contracts.environment import LaidOut, Mirrored
from agentgym.contracts.spaces import check_same_spaces, space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidParameter, SpaceMismatch

__all__ = ["Layout", "Mirror", "attribute_of"]

Mirror = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Layout:
    """A joint environment's spaces, and what each of its A agents observes and controls.

    Attributes:
        observation_space: a Box of floats of any shape.
        action_space: a Box of shape [A] or [A, a]; row k is agent k's.
        windows: int64 [A, F]; the entries of the flattened observation that agent k sees, in this order.
        mirror: None, or indices int64 [F] and signs float32 [F]: ``window[indices] * signs`` is the agent's observation
            of the mirrored environment, in which its action is the same.

    Raises:
        InvalidParameter: the parts do not fit together; the message says which and how.
    """

    observation_space: spaces.Box
    action_space: spaces.Box
    windows: np.ndarray
    mirror: Mirror | None = None

    def __post_init__(self) -> None:
        self._check_spaces()
        self._check_windows()
        if self.mirror is not None:
            self._check_mirror(*self.mirror)
        self._check_bounds()

    def _check_spaces(self) -> None:
        self._check_seen()
        done = self.action_space
        if not isinstance(done, spaces.Box) or len(done.shape) not in (1, 2):
            raise InvalidParameter(f"A joint environment needs a Box of shape [A] or [A, a] as actions, not {done}.")

    def _check_seen(self) -> None:
        seen = self.observation_space
        if not isinstance(seen, spaces.Box) or not np.issubdtype(seen.dtype, np.floating):
            raise InvalidParameter(f"A joint environment needs a Box of floats as observations, not {seen}.")

    def _check_windows(self) -> None:
        windows, size = self.windows, int(np.prod(self.observation_space.shape))
        if windows.ndim != 2 or not windows.size or not np.issubdtype(windows.dtype, np.integer):
            raise InvalidParameter(f"agent_windows must be integers [A, F], not {windows.dtype} {list(windows.shape)}.")
        if len(windows) != self.agents:
            raise InvalidParameter(f"agent_windows has {len(windows)} rows for {self.agents} agents' actions.")
        if windows.min() < 0 or windows.max() >= size:
            raise InvalidParameter(
                f"agent_windows has entries {windows.min()} to {windows.max()} for {size} observed numbers."
            )

    def _check_mirror(self, indices: np.ndarray, signs: np.ndarray) -> None:
        width = self.windows.shape[1]
        if indices.shape != (width,) or signs.shape != (width,) or not np.isin(signs, (-1, 1)).all():
            raise InvalidParameter(
                f"agent_mirror must be {width} indices and {width} signs of 1 or -1, one per entry of a window."
            )
        twice = np.arange(width)
        if sorted(indices) != twice.tolist() or (indices[indices] != twice).any() or (signs * signs[indices] < 0).any():
            raise InvalidParameter("agent_mirror is not a reflection: applied twice it must give the window back.")

    def _check_bounds(self) -> None:
        self._check_alike("see", [end.reshape(-1)[self.windows] for end in _bounds(self.observation_space)])
        self._check_alike("do", [end.reshape(self.agents, -1) for end in _bounds(self.action_space)])

    def _check_alike(self, what: str, ends: list[np.ndarray]) -> None:
        """Check that the bounds ``ends``, lowest and highest values [A, ...], are equal for all agents."""
        if other := np.flatnonzero(
            [any((end[k] != end[0]).any() for end in ends) for k in range(self.agents)]
        ).tolist():
            raise InvalidParameter(
                f"Agents that share parameters need equal bounds, but agent 0 can {what} other values than agents "
                f"{other}. Rescale them in a wrapper."
            )

    @classmethod
    def of(cls, env: VecEnv) -> Self:
        """The layout from the attributes of joint environments.

        Raises:
            InvalidParameter: there is no ``agent_windows``, or it does not fit.
        """
        windows = attribute_of(env, "agent_windows")
        if windows is None:
            raise InvalidParameter(
                "This environment has no agent_windows, so it is not a joint environment. Use one that has (see the "
                "card: agentgym show shared-ppo), a PettingZoo ParallelEnv, or a single-agent algorithm such as ppo."
            )
        seen: Any = env.observation_space
        done: Any = env.action_space
        return cls(seen, done, np.asarray(windows), _as_mirror(attribute_of(env, "agent_mirror")))

    @classmethod
    def of_environment(cls, env: Any) -> Self:
        """The layout of a Gymnasium ``Env`` or ``VectorEnv``, wrapped or not.

        Raises:
            InvalidParameter: there is no ``agent_windows``, or it does not fit.
        """
        base = env.unwrapped
        if not isinstance(base, LaidOut):
            raise InvalidParameter("This environment has no agent_windows, so it is not a joint environment.")
        seen, done = env.observation_space, env.action_space
        if isinstance(env, VectorEnv):
            seen, done = env.single_observation_space, env.single_action_space
        mirror = base.agent_mirror if isinstance(base, Mirrored) else None
        return cls(seen, done, np.asarray(base.agent_windows), _as_mirror(mirror))

    @property
    def agents(self) -> int:
        """The number of agents, A."""
        return int(self.action_space.shape[0])

    @property
    def own_observation_space(self) -> spaces.Box:
        """The space of one agent's window: a Box [F]."""
        low, high = (end.reshape(-1)[self.windows[0]] for end in _bounds(self.observation_space))
        return spaces.Box(low, high, dtype=self.observation_space.dtype.type)

    @property
    def own_action_space(self) -> spaces.Box:
        """The space of one agent's action: a Box [a], or [1] if the joint one is [A]."""
        low, high = (end.reshape(self.agents, -1)[0] for end in _bounds(self.action_space))
        return spaces.Box(low, high, dtype=self.action_space.dtype.type)

    def split(self, observations: np.ndarray) -> np.ndarray:
        """Split joint observations [N, ...] into all agents' windows [N * A, F], in the order of the worlds."""
        flat = observations.reshape(len(observations), -1)
        return flat.take(self.windows.reshape(-1), axis=1).reshape(-1, self.windows.shape[1])

    def join(self, actions: np.ndarray) -> np.ndarray:
        """Join all agents' actions [N * A, a] into joint actions [N, A] or [N, A, a]."""
        return actions.reshape(-1, *self.action_space.shape)

    def require_same(self, env: "Layout") -> None:
        """Check that another environment has the same layout.

        Raises:
            SpaceMismatch: spaces, windows or mirror differ.
        """
        check_same_spaces((self.observation_space, self.action_space), (env.observation_space, env.action_space))
        if not np.array_equal(self.windows, env.windows) or _plain(self.mirror) != _plain(env.mirror):
            raise SpaceMismatch(
                "The environment's agent_windows or agent_mirror differ from those that the agent was trained with. "
                "Make it with the same arguments."
            )

    def to_json(self) -> dict[str, Any]:
        """JSON values that :meth:`from_json` reads."""
        return {
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
            "windows": self.windows.tolist(),
            "mirror": _plain(self.mirror),
        }

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The layout from values that :meth:`to_json` returned.

        Raises:
            CorruptFile: the values are not a layout.
        """
        try:
            seen: Any = space_from_json(values["observation_space"])
            done: Any = space_from_json(values["action_space"])
            return cls(seen, done, np.asarray(values["windows"]), _as_mirror(values["mirror"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"the file describes no joint environment ({error})") from error


def _bounds(space: spaces.Box) -> tuple[np.ndarray, np.ndarray]:
    return space.low, space.high


def attribute_of(env: VecEnv, name: str) -> Any:
    """The attribute's common value in all environments of a batch, or None if they do not have it."""
    try:
        return env.get_attr(name)[0]
    except AttributeError:
        return None


def _as_mirror(pair: Any) -> Mirror | None:
    return None if pair is None else (np.asarray(pair[0], np.int64), np.asarray(pair[1], np.float32))


def _plain(mirror: Mirror | None) -> list[list[Any]] | None:
    return None if mirror is None else [part.tolist() for part in mirror]
