"""The record of how a dataset was made."""

from typing import Any

import numpy as np

from agentgym.data.recipe import Recipe
from agentgym.runs.run import installed_version, provenance

__all__ = ["described", "mean_and_std"]


def described(recipe: Recipe, steps: int, episodes: int, behaviour: dict[str, Any], references: str) -> dict[str, Any]:
    """The record, as plain JSON values.

    Args:
        recipe: the recipe that made it.
        steps, episodes: numbers of steps and episodes.
        behaviour: the policy, the source of its weights, and ``return_mean``, ``return_std`` over complete episodes.
        references: how random_return and expert_return were measured.
    """
    found = provenance()
    found["versions"]["minari"] = installed_version("minari")
    return {
        "recipe": recipe.text, "settings": recipe.settings, "steps": steps, "episodes": episodes,
        "behaviour": behaviour, "references": references,
        "description": f"Made by: {recipe.command}", **found,
    }  # fmt: skip


def mean_and_std(returns: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation of the returns of complete episodes; None without any."""
    some = len(returns) > 0
    return {
        "return_mean": float(returns.mean()) if some else None,
        "return_std": float(returns.std()) if some else None,
        "whole_episodes": len(returns),
    }
