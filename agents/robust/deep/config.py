"""Hyperparameters of deep IWOCS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agentgym.agents.common.hyperparameters import Rule, real, whole
from agentgym.agents.robust.adversarial.config import names
from agentgym.agents.sac.config import SACConfig
from agentgym.contracts.settings import Preset

__all__ = ["IWOCSConfig"]


def numbers(value: Any) -> str:
    """Finite numbers."""
    good = isinstance(value, list | tuple) and all(not real(-1e300, 1e300)(each) for each in value)
    return "" if good else "a tuple of finite numbers"


def tolerances(value: Any) -> str:
    """Positive numbers, at least one."""
    good = isinstance(value, list | tuple) and value and all(not real(0, beyond=True)(each) for each in value)
    return "" if good else "a tuple of numbers above 0, at least one"


def choice(*known: str) -> Rule:
    """One of some words."""
    return lambda value: "" if value in known else " or ".join(repr(each) for each in known)


@dataclass
class IWOCSConfig(SACConfig):
    """SAC's settings, and those of the loop of Zouitine, Geist and Rachelson (2024)."""

    # Budget, as shares of the run's environment steps; the searches' steps count as well
    fallback_share: float = 0.4  # for the policy that is trained with random parameters
    model_share: float = 0.2  # for each model

    # Loop
    uncertain: tuple[str, ...] = ()  # the uncertain parameters; by default the environment's whole set
    first: tuple[float, ...] = ()  # parameters of the first model, in their units; by default the middle of the set
    max_iterations: int = 10  # most models
    tolerance: float = 1.0  # between promised and worst discounted return, at which the loop ends
    on_repeat: Literal["stop", "exclude", "sample"] = "stop"  # what follows when the worst model was solved before
    warm_start: bool = False  # begin a model with the networks of the model before

    # Search for the worst model
    search: Literal["grid", "cmaes"] = "cmaes"  # IWOCS* of the paper is the grid
    search_points: int = 10  # of the grid, along each parameter
    search_endpoint: bool = True  # whether the grid has the upper ends
    generations: int = 6  # of CMA-ES
    population: int = 100  # of CMA-ES
    search_envs: int = 16  # episodes side by side

    # Which models explain what was seen
    radii: tuple[float, ...] = tuple(tenth / 10 for tenth in range(1, 11))  # candidates for rho, the largest error (L1)
    predictor_layers: tuple[int, ...] = (256, 256)  # hidden units of the model that predicts transitions

    presets: ClassVar[Mapping[str, Preset]] = {
        "zouitine2024-2d": Preset(
            "Zouitine et al. (2024), two parameters, 4e6 steps: 1.6e6 and 3 times 8e5", {"learning_starts": 10_000}
        ),
        "zouitine2024-3d": Preset(
            "Zouitine et al. (2024), three parameters, 5e6 steps: 1.8e6 and 4 times 8e5",
            {"learning_starts": 10_000, "fallback_share": 0.36, "model_share": 0.16},
        ),
    }
    rules: ClassVar[Mapping[str, Rule]] = {
        **SACConfig.rules,
        "fallback_share": real(0, 1),
        "model_share": real(0, 1, beyond=True),
        "uncertain": names,
        "first": numbers,
        "max_iterations": whole(1),
        "tolerance": real(0, beyond=True),
        "on_repeat": choice("stop", "exclude", "sample"),
        "warm_start": SACConfig.rules["compile"],
        "search": choice("grid", "cmaes"),
        "search_points": whole(2),
        "search_endpoint": SACConfig.rules["compile"],
        "generations": whole(1),
        "population": whole(4),
        "search_envs": whole(1),
        "radii": tolerances,
        "predictor_layers": SACConfig.rules["actor_layers"],
        "n_steps": whole(1, 1),
    }

    def arguments(self) -> dict[str, Any]:
        """As :meth:`Checked.arguments`."""
        return {**super().arguments(), "ranges": None}  # the uncertainty set, which a saved agent keeps
