"""How a fish stock grows: next year's stock from what the harvest has left, as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.contracts.settings import finite_number
from agentgym.errors import InvalidParameter, UnknownId

__all__ = ["MODELS", "Growth", "growth"]


def _logistic(s: Any, r: Any, K: Any) -> Any:
    return s + r * s * (1 - s / K)


def _allee(s: Any, r: Any, K: Any, C: Any) -> Any:
    return s + r * s * (1 - s / K) * (s - C)


def _tipping(s: Any, r: Any, K: Any, C: Any) -> Any:
    return s * np.exp(r * (1 - s / K) * (s - C))


def _beverton_holt(s: Any, r: Any, K: Any) -> Any:
    return (1 + r) * s / (1 + r * s / K)


def _ricker(s: Any, r: Any, K: Any) -> Any:
    return s * np.exp(r * (1 - s / K))


def _may(s: Any, r: Any, K: Any, a: Any, q: Any, b: Any) -> Any:
    return s + r * s * (1 - s / K) - a * s**q / (s**q + b**q)


def _myers(s: Any, r: Any, K: Any, theta: Any) -> Any:
    return (1 + r) * s**theta / (1 + s**theta / K)


@dataclass(frozen=True)
class Growth:
    """One model: f(s, ...) with its parameters.

    Attributes:
        name: of the model.
        function: f, of escapement s and parameters; arrays broadcast.
        parameters: nominal values. ``K`` is the unit of stocks, the carrying capacity where there is one.
        start: the first stock.
    """

    name: str
    function: Callable[..., Any]
    parameters: Mapping[str, float]
    start: float

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """The uncertainty set: each parameter between half and one and a half times its nominal value."""
        return {name: (0.5 * value, 1.5 * value) for name, value in self.parameters.items()}

    def after(self, escapement: Any, **parameters: Any) -> NDArray[np.float64]:
        """Next year's stock without noise; never below 0."""
        return np.maximum(self.function(escapement, **{**self.parameters, **parameters}), 0.0)

    def slope(self, escapement: float, **parameters: float) -> float:
        """df/ds, by a complex step: exact to rounding."""
        tiny = 1e-200
        values = {**self.parameters, **parameters}
        return float(np.imag(self.function(np.complex128(complex(escapement, tiny)), **values)) / tiny)

    def checked(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Parameters as numbers.

        Raises:
            UnknownId: the model has no such parameter.
            InvalidParameter: a value is not positive and finite.
        """
        for name in parameters:
            if name not in self.parameters:
                raise UnknownId(f"parameter of the {self.name} model", str(name), self.parameters)
        return {name: finite_number(name, value, 0.0, above=True) for name, value in parameters.items()}


MODELS: Mapping[str, Growth] = {
    each.name: each
    for each in (
        Growth("logistic", _logistic, {"r": 0.3, "K": 1.0}, 0.75),
        Growth("allee", _allee, {"r": 0.3, "K": 1.0, "C": 0.5}, 0.75),
        Growth("tipping", _tipping, {"r": 0.3, "K": 1.0, "C": 0.5}, 0.75),
        Growth("beverton-holt", _beverton_holt, {"r": 0.3, "K": 1.0}, 0.75),
        Growth("ricker", _ricker, {"r": 0.3, "K": 1.0}, 0.75),
        Growth("may", _may, {"r": 0.7, "K": 1.5, "a": 0.2, "q": 3.0, "b": 0.15}, 0.75),
        Growth("myers", _myers, {"r": 1.0, "K": 1.0, "theta": 3.0}, 1.5),
    )
}


def growth(name: str) -> Growth:
    """A model by name.

    Raises:
        UnknownId: there is none of that name.
        InvalidParameter: it is no text.
    """
    if not isinstance(name, str):
        raise InvalidParameter(f"A growth model is named by a text, not by {name!r}.")
    if name not in MODELS:
        raise UnknownId("growth model", name, MODELS)
    return MODELS[name]
