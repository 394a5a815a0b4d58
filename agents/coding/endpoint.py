"""A model behind an OpenAI-compatible endpoint in the loop of coding agents."""

import json
from typing import Any

from agentgym.agents.coding.models import ChatModel, Messages, ModelError
from agentgym.agents.language.policies.http_client import EndpointError, JsonClient, shown
from agentgym.contracts.settings import finite_number, whole_number

__all__ = ["EndpointModel"]


class EndpointModel(ChatModel):
    """Asks ``URL/chat/completions`` for every turn. Temporary failures are retried, see :class:`JsonClient`.

    Args:
        url: base address including ``/v1``.
        name: of the model on the server, and in tables of prices.
        max_tokens: longest answer.
        temperature: of sampling.
        key_variable, timeout, retries, pause: as of :class:`JsonClient`.

    Raises:
        MissingExtra: httpx is not installed.
        InvalidParameter: the address is not http(s) or contains a password, or a number is out of range.
    """

    def __init__(
        self, url: str, name: str, max_tokens: int = 1024, temperature: float = 0.0,
        key_variable: str = "OPENAI_API_KEY", timeout: float = 300.0, retries: int = 3, pause: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(self._completion, name)
        self.client = JsonClient(url, key_variable, timeout, retries, pause, parallel=1)
        self.max_tokens = whole_number("max_tokens", max_tokens, 1)
        self.temperature = finite_number("temperature", temperature, 0)

    def _completion(self, messages: Messages) -> dict[str, Any]:
        body = {
            "model": self.name, "messages": messages, "max_tokens": self.max_tokens, "temperature": self.temperature,
        }  # fmt: skip
        advice = (
            f"Check that the server runs and serves the model {self.name!r}, and its key in {self.client.key_variable}."
        )
        try:
            return self.client.post("/chat/completions", body, _answer, "gave no answer", advice)
        except EndpointError as error:
            raise ModelError(str(error)) from error


def _answer(data: bytes) -> dict[str, Any]:
    """The completion.

    Raises:
        ValueError: it is none.
    """
    answer = json.loads(data)
    if not isinstance(answer, dict) or not answer.get("choices"):
        raise ValueError(f"not a chat completion: {shown(data)}")
    return answer
