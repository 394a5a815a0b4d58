"""Requests to a language model's server: retries, time-outs, bounded answers, a key that no message shows."""

import email.utils
import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from agentgym.contracts.settings import finite_number, whole_number
from agentgym.errors import AskError, InvalidParameter, MissingExtra

try:
    import httpx
except ImportError as error:
    raise MissingExtra("httpx", "language") from error

__all__ = ["EndpointError", "JsonClient", "shown"]

Answer = TypeVar("Answer")
# Temporary failures: the server is busy or restarting, or its proxy timed out. Other codes mean a wrong request.
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
LONGEST_ANSWER = 1 << 20  # bytes
LONGEST_PAUSE = 120.0  # seconds; if a server asks for a longer pause, the user should know


class EndpointError(AskError, OSError):
    """A server did not do what it was asked; the message names its address and what to do."""


class JsonClient:
    """Posts JSON to a server.

    Temporary failures are retried after a pause that doubles, or after the server's ``Retry-After``. Redirects are not
    followed, so that the key is sent nowhere else, and no message shows the key.

    Args:
        url: base address.
        key_variable: the environment variable with the key; if it is unset, no key is sent.
        timeout: seconds to wait for an answer.
        retries: further tries after a temporary failure.
        pause: seconds before the first retry; doubled for each further one.
        parallel: maximum number of concurrent requests.

    Raises:
        InvalidParameter: the address is not http(s) or contains a password, or a number is out of range.
    """

    def __init__(
        self, url: str, key_variable: str = "OPENAI_API_KEY", timeout: float = 60.0, retries: int = 3,
        pause: float = 1.0, parallel: int = 8,
    ) -> None:  # fmt: skip
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise InvalidParameter(f"An endpoint's address begins with http:// or https://, not {url!r}.")
        _check_address(url)
        if not isinstance(key_variable, str) or not key_variable:
            raise InvalidParameter(f"key_variable must be a text, not {key_variable!r}.")
        self.url, self.key_variable = url.rstrip("/"), key_variable
        self.timeout, self.pause = finite_number("timeout", timeout, 0, above=True), finite_number("pause", pause, 0)
        self.retries, self.parallel = whole_number("retries", retries, 0), whole_number("parallel", parallel, 1)

    def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[bytes], Answer], failed: str, advice: str
    ) -> Answer:
        """Send one request.

        Args:
            path: below the base address.
            body: JSON values.
            read: makes the answer of its bytes; a ValueError is a temporary failure.
            failed: what did not happen, for the message, such as "gave no command".
            advice: what to do about it, for the message.

        Raises:
            EndpointError: there was no answer that ``read`` takes.
        """
        data = json.dumps(body).encode()
        headers, key = {"Content-Type": "application/json"}, os.environ.get(self.key_variable, "")
        if key:
            if not (key.isascii() and key.isprintable()):
                raise EndpointError(f"The key in {self.key_variable} has characters that no HTTP header can have.")
            headers["Authorization"] = f"Bearer {key}"
        problem, pause = "", self.pause
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(pause)
                pause = self.pause * 2**attempt
            try:
                status, asked_for, answer = self._post(path, data, headers)
                if 200 <= status < 300:
                    return read(answer)
                problem = f"HTTP {status}: {shown(answer)}"
                pause = max(pause, asked_for)
                if asked_for > LONGEST_PAUSE:
                    problem += f" (and it asks to wait {asked_for:.0f} s)"
                    break
                if status not in PASSING:
                    break
            except (httpx.TimeoutException, TimeoutError):
                problem = f"no answer within {self.timeout:g} s"
            except httpx.ConnectError as error:
                problem = f"no connection ({error})"
            except (httpx.RequestError, OSError, ValueError) as error:
                problem = f"{type(error).__name__}: {error}"
        if key:
            problem = problem.replace(key, "[the key]")  # some servers repeat the key in their error
        raise EndpointError(f"{self.url}{path} {failed} in {attempt + 1} tries; the last: {problem}. {advice}")

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float, bytes]:
        """Send one request: (status, Retry-After in seconds, body).

        HTTPX's timeouts apply to each read; this one limits the whole answer, even if it arrives in small pieces.
        """
        end, answer = time.monotonic() + self.timeout, b""
        client = _client(self.parallel)
        with client.stream(
            "POST", f"{self.url}{path}", content=body, headers=headers, timeout=self.timeout
        ) as response:
            for part in response.iter_bytes():
                answer += part
                if time.monotonic() > end:
                    raise TimeoutError
                if len(answer) > LONGEST_ANSWER:
                    raise ValueError(f"an answer of more than {LONGEST_ANSWER} bytes")
        return response.status_code, _seconds(response.headers.get("Retry-After", "")), answer


@cache
def _client(connections: int) -> httpx.Client:
    """The HTTP client shared by all agents of this process. It is thread-safe and keeps connections open."""
    return httpx.Client(
        headers={"Accept-Encoding": "identity"},  # no compression, so that a small answer cannot expand to a large one
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


def _check_address(url: str) -> None:
    """Refuse an invalid address, or one that contains a password, which messages would show.

    Raises:
        InvalidParameter: the message does not contain the password.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidParameter(f"An endpoint's address cannot be {url!r}: {error}.") from None
    if parts.userinfo:
        raise InvalidParameter(
            "An endpoint's address must not hold a user or password: give the key in an environment variable."
        )


def _seconds(retry_after: str) -> float:
    """Seconds given by ``Retry-After``, a number or a date (RFC 9110, section 10.2.3); 0 if invalid or absent."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max((date.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def shown(answer: bytes) -> str:
    """The first 200 bytes of an answer, on one line."""
    return repr(" ".join(answer[:200].decode("utf-8", "replace").split()))
