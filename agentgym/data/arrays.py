"""All episodes of a Minari dataset as contiguous arrays, refused where they do not fit together."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from agentgym.data.fit import misfit
from agentgym.errors import CorruptFile, InvalidParameter

__all__ = ["ARRAYS", "read_arrays"]

ARRAYS = ("observations", "actions", "rewards", "terminations", "truncations", "starts")


def read_arrays(stored: Any, name: str) -> dict[str, np.ndarray]:
    """All episodes of a Minari dataset end to end.

    Raises:
        InvalidParameter: observations or actions are not single arrays, an episode's arrays do not fit together or are
            not of its spaces' shapes, or there is no episode.
        CorruptFile: an episode cannot be read.
    """
    for what, space in (("observations", stored.observation_space), ("actions", stored.action_space)):
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise InvalidParameter(f"The {what} of {name} are {space}: offline agents read single arrays only.")
    if not stored.total_episodes:
        raise InvalidParameter(f"The dataset {name} is empty: it has no episode.")
    parts: dict[str, list[np.ndarray]] = {field: [] for field in ARRAYS[:-1]}
    try:
        for episode in stored.iterate_episodes():
            for field, found in parts.items():
                found.append(np.asarray(getattr(episode, field)))
            _check_episode({field: found[-1] for field, found in parts.items()}, stored, name)
    except (OSError, KeyError, RuntimeError) as error:
        raise CorruptFile(
            f"Episode {len(parts['rewards'])} of {name} cannot be read ({error}). See: agentgym data check {name}"
        ) from error
    joined = {field: np.concatenate(found) for field, found in parts.items()}
    joined["observations"] = _as_kept(joined["observations"], stored.observation_space)
    joined["actions"] = _as_kept(joined["actions"], stored.action_space)
    joined["rewards"] = joined["rewards"].astype(np.float32)
    for field in ("terminations", "truncations"):
        joined[field] = joined[field].astype(bool)
    joined["starts"] = np.concatenate([[0], np.cumsum([len(part) for part in parts["rewards"]])]).astype(np.int64)
    return joined


def _check_episode(episode: Mapping[str, np.ndarray], stored: Any, name: str) -> None:
    """An episode's arrays are as long as its rewards, observations by one longer, and of the spaces' shapes.

    Raises:
        InvalidParameter: they are not.
    """
    steps = len(episode["rewards"])
    complaints = [] if steps else ["it has no step"]
    for field, array in episode.items():
        wanted = steps + 1 if field == "observations" else steps
        if array.shape[:1] != (wanted,):
            complaints.append(f"there are {len(array)} {field} instead of {wanted}")
    for field, space in (("observations", stored.observation_space), ("actions", stored.action_space)):
        if complaint := misfit(space, episode[field]):
            complaints.append(f"of the {field} {complaint}")
    if complaints:
        raise InvalidParameter(
            f"An episode of {name} with {steps} rewards does not fit together: {'; '.join(complaints)}. "
            f"See: agentgym data check {name}"
        )


def _as_kept(array: np.ndarray, space: Space) -> np.ndarray:
    """Real numbers as float32, everything else as the space has it."""
    return array.astype(np.float32) if np.issubdtype(space.dtype, np.floating) else array.astype(space.dtype)
