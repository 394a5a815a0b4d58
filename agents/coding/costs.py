"""What model calls cost, with and without cached tokens."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Self

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import InvalidParameter

__all__ = ["Cost", "Price", "Usage", "cost_of", "price_of", "prices"]


@dataclass(frozen=True)
class Usage:
    """Tokens of a call.

    Attributes:
        fresh: of the prompt, neither read from nor written to a cache.
        cached: of the prompt, read from a cache.
        written: of the prompt, written to a cache.
        output: of the answer, reasoning included.
    """

    fresh: int
    cached: int = 0
    written: int = 0
    output: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            whole_number(f"{name} tokens", value, 0)

    @property
    def prompt(self) -> int:
        """All tokens of the prompt."""
        return self.fresh + self.cached + self.written

    @classmethod
    def of_openai(cls, usage: Mapping[str, Any]) -> Self:
        """From OpenAI's fields, whose ``prompt_tokens`` include the cached ones.

        Raises:
            InvalidParameter: there are more cached tokens than tokens.
        """
        prompt, output = usage["prompt_tokens"], usage["completion_tokens"]
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        if cached > prompt:
            raise InvalidParameter(f"A usage has {cached} cached tokens of {prompt}: it is not in OpenAI's form.")
        return cls(prompt - cached, cached, 0, output)

    @classmethod
    def of_anthropic(cls, usage: Mapping[str, Any]) -> Self:
        """From Anthropic's fields, whose ``input_tokens`` do not include the cached ones."""
        read = usage.get("cache_read_input_tokens") or 0
        written = usage.get("cache_creation_input_tokens") or 0
        return cls(usage["input_tokens"], read, written, usage["output_tokens"])

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.fresh + other.fresh, self.cached + other.cached, self.written + other.written,
            self.output + other.output,
        )  # fmt: skip


@dataclass(frozen=True)
class Price:
    """Dollars for a million tokens.

    Attributes:
        input, cached_read, cache_write, output: of each kind of token.
        date: when they were valid.
    """

    input: float
    cached_read: float
    cache_write: float
    output: float
    date: str

    def __post_init__(self) -> None:
        for name in ("input", "cached_read", "cache_write", "output"):
            finite_number(f"the price {name}", getattr(self, name), 0)


@dataclass(frozen=True)
class Cost:
    """Dollars.

    Attributes:
        cached: what was paid, cached tokens at their own price.
        uncached: what it would have been without a cache.
    """

    cached: float
    uncached: float


def prices(text: str | None = None) -> dict[str, Price]:
    """Prices by model, from JSON; by default the dated table ``prices.json`` of this package.

    Raises:
        InvalidParameter: it is no JSON object, or a price is negative, not a number, or missing.
    """
    text = (files("agentgym.agents.coding") / "prices.json").read_text(encoding="utf-8") if text is None else text
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"The table of prices is no JSON: {error}") from error
    if not isinstance(table, dict):
        raise InvalidParameter('The table of prices has the form {"MODEL": {"input": 2.0, ...}}.')
    found = {}
    for model, values in table.items():
        try:
            found[model] = Price(**values)
        except TypeError as error:
            raise InvalidParameter(f"The price of {model} is incomplete: {error}") from error
    return found


def price_of(model: str, table: Mapping[str, Price] | None = None) -> Price | None:
    """The price of a model; None if the table does not have it, which is not free."""
    return (prices() if table is None else table).get(model)


def cost_of(usage: Usage | None, price: Price | None) -> Cost | None:
    """The cost of a call; None if the tokens or the price are unknown."""
    if usage is None or price is None:
        return None
    output = usage.output * price.output
    cached = usage.fresh * price.input + usage.cached * price.cached_read + usage.written * price.cache_write
    return Cost((cached + output) / 1e6, (usage.prompt * price.input + output) / 1e6)
