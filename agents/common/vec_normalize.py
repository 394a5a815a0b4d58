"""Saved form of the environments' preprocessing: VecNormalize's statistics and other wrappers."""

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize

from agentgym.contracts.spaces import space_from_json, space_to_json
from agentgym.errors import CorruptFile, InvalidParameter
from agentgym.wrappers.preprocessing import Preprocessing

__all__ = ["preprocessing_from_json", "preprocessing_to_json", "restore_statistics", "statistics_of"]


def preprocessing_to_json(found: Preprocessing | None) -> dict[str, Any] | None:
    """The preprocessing as JSON values, with the environment's original space."""
    return None if found is None else {"space": space_to_json(found.space), **found.to_json()}


def preprocessing_from_json(values: dict[str, Any] | None) -> Preprocessing | None:
    """The inverse of :func:`preprocessing_to_json`.

    Raises:
        CorruptFile: the values describe no preprocessing.
    """
    try:
        return None if values is None else Preprocessing.from_json(values, space_from_json(values["space"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"the file describes no preprocessing of observations ({error!r})") from error


def statistics_of(normalize: VecNormalize) -> dict[str, Any]:
    """Mean, variance and count of returns and, if normalised, of observations."""
    moments: dict[str, Any] = {"returns": normalize.ret_rms}
    if normalize.norm_obs:
        moments["observations"] = normalize.obs_rms
    return {
        name: {"mean": rms.mean.tolist(), "var": rms.var.tolist(), "count": float(rms.count)}
        for name, rms in moments.items()
    }


def restore_statistics(normalize: VecNormalize | None, stored: dict[str, Any], agent: str) -> None:
    """Restore statistics in a fresh ``VecNormalize``. One that has seen observations keeps its own.

    Raises:
        InvalidParameter: the agent was trained on normalised observations, and these environments do not normalise.
    """
    if normalize is None or (normalize.norm_obs != ("observations" in stored)):
        if "observations" not in stored:
            return
        raise InvalidParameter(
            "The agent was trained behind VecNormalize, and this environment is not behind one. Wrap it; the wrapper "
            f"gets the saved statistics: {agent}.load(folder, env=VecNormalize(venv))"
        )
    if normalize.ret_rms.count >= 1:
        return
    fresh: dict[str, Any] = {"returns": normalize.ret_rms}
    if normalize.norm_obs:
        fresh["observations"] = normalize.obs_rms
    for name, rms in fresh.items():
        if name in stored:
            rms.mean, rms.var = (np.array(stored[name][what], np.float64) for what in ("mean", "var"))
            rms.count = stored[name]["count"]
