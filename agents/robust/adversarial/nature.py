"""The uncertainty set of training environments, and the values that an adversary sets there between steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agentgym.agents.common.vector_env import VectorEnvAdapter
from agentgym.contracts.environment import Adjustable
from agentgym.errors import InvalidParameter, SpaceMismatch, UnknownId

__all__ = ["Nature", "ranges_of"]

Ranges = Mapping[str, tuple[float, float]]


def ranges_of(agent: str, env: VecEnv, names: Sequence[str] = ()) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of the parameters that an adversary may choose.

    Args:
        agent: name of the agent, for messages.
        env: the training environments.
        names: some of the parameters; all by default.

    Raises:
        InvalidParameter: the environments have no parameters that can be changed within an episode.
        UnknownId: they have no such parameter.
    """
    try:
        found: Ranges = env.get_attr("parameter_ranges")[0]
    except AttributeError:
        found = {}
    if not found:
        raise InvalidParameter(
            f"{agent} learns against an adversary who chooses the environment's parameters, and this one has none. Use "
            "an environment with an uncertainty set, such as agentgym/RobustHopper-v0 (agentgym list envs)."
        )
    for name in names:
        if name not in found:
            raise UnknownId("uncertain parameter", name, found)
    if empty := [name for name, (low, high) in found.items() if not low < high]:
        raise InvalidParameter(f"The range of {empty[0]} is empty: there is nothing for an adversary to choose.")
    return {name: (float(found[name][0]), float(found[name][1])) for name in (names or found)}


class Nature:
    """Sets parameters of the training environments. Positions are in [-1, 1], from the lowest to the highest value.

    Args:
        ranges: lowest and highest value by name, K of them.

    Attributes:
        names: of the parameters.
        low, high: float64 [K].
    """

    def __init__(self, ranges: Ranges) -> None:
        self.names = list(ranges)
        self.low, self.high = np.array([tuple(span) for span in ranges.values()], np.float64).reshape(-1, 2).T

    def __len__(self) -> int:
        return len(self.names)

    def values(self, positions: NDArray[Any]) -> NDArray[np.float64]:
        """Parameters in their own units for positions [..., K]."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return np.clip(middle + half * np.asarray(positions, np.float64), self.low, self.high)

    def set(self, env: VecEnv, positions: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
        """Set the parameters of the chosen environments from their next step to the end of their episodes.

        Args:
            env: the training environments.
            positions: [n, K].
            chosen: bool [n].
        """
        values, base = self.values(positions), env.unwrapped
        if isinstance(base, VectorEnvAdapter) and isinstance(batch := base.env.unwrapped, Adjustable):
            if not chosen.all():  # the others keep theirs
                current: Any = batch.parameters
                values = np.where(chosen[:, None], values, np.stack([current[name] for name in self.names], 1))
            batch.set_parameters({name: values[:, k] for k, name in enumerate(self.names)})
            return
        for index in np.flatnonzero(chosen).tolist():
            own = dict(zip(self.names, values[index].tolist(), strict=True))
            env.env_method("set_parameters", own, indices=[index])

    def require_same(self, ranges: Ranges) -> None:
        """Check that other environments have the same set.

        Raises:
            SpaceMismatch: they have not.
        """
        own = dict(zip(self.names, zip(self.low.tolist(), self.high.tolist(), strict=True), strict=True))
        given = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        if given != own:
            raise SpaceMismatch(f"The agent's uncertainty set is {own}, and the environment's is {given}.")
