"""A language model behind an OpenAI-compatible endpoint, as an agent for evaluation. It does not learn."""

import email.utils
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np

from agentgym.agents.language.loop.environments import batch_of
from agentgym.agents.language.policies.by_name import asked
from agentgym.agents.language.policies.chat import RULES
from agentgym.contracts.settings import finite_number, flag, whole_number
from agentgym.errors import AskError, InvalidParameter, MissingExtra

try:
    import httpx
except ImportError as error:
    raise MissingExtra("httpx", "language") from error

__all__ = ["EndpointAgent", "EndpointError"]

Messages = list[dict[str, str]]
# Temporary failures: the server is busy or restarting, or its proxy timed out. Other codes mean a wrong request.
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
LONGEST_ANSWER = 1 << 20  # bytes
LONGEST_PAUSE = 120.0  # seconds; if a server asks for a longer pause, the user should know


class EndpointError(AskError, OSError):
    """The endpoint gave no command; the message names its address and what to do."""


class EndpointAgent:
    """Asks ``URL/chat/completions`` for every command; an episode is one chat that grows.

    The first non-empty line of an answer is the command; without one, the command is the empty string. Temporary
    failures are retried after a pause that doubles, or after the server's ``Retry-After``. Redirects are not followed,
    so that the key is sent nowhere else, and no message shows the key.

    Args:
        url: base address including ``/v1``, as served by vLLM, llama.cpp, SGLang and others.
        env: the text environment, its batch or its id; gives the spaces and instructions.
        model: name of the model on the server.
        key_variable: the environment variable with the API key; if it is unset, no key is sent.
        timeout: seconds to wait for an answer.
        retries: further tries after a temporary failure.
        pause: seconds before the first retry; doubled for each further one.
        max_tokens: maximum length of an answer.
        list_commands: append the admissible commands to each observation.
        parallel: maximum number of concurrent requests.

    Raises:
        InvalidParameter: the address is not http(s) or contains a password, or a number is out of range.
        SpaceMismatch: the environment is not a text environment.
    """

    def __init__(
        self,
        url: str,
        env: Any,
        model: str,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        retries: int = 3,
        pause: float = 1.0,
        max_tokens: int = 32,
        list_commands: bool = True,
        parallel: int = 8,
    ) -> None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise InvalidParameter(f"An endpoint's address begins with http:// or https://, not {url!r}.")
        _check_address(url)
        for name, text in (("model", model), ("key_variable", key_variable)):
            if not isinstance(text, str) or not text:
                raise InvalidParameter(f"{name} must be a text, not {text!r}.")
        self.url, self.model, self.key_variable = f"{url.rstrip('/')}/chat/completions", model, key_variable
        self.timeout, self.pause = finite_number("timeout", timeout, 0, above=True), finite_number("pause", pause, 0)
        self.retries, self.max_tokens = whole_number("retries", retries, 0), whole_number("max_tokens", max_tokens, 1)
        self.list_commands, self.parallel = flag("list_commands", list_commands), whole_number("parallel", parallel, 1)
        batch = batch_of(env, 1)
        self.observation_space, self.action_space = batch.single_observation_space, batch.single_action_space
        self.system = f"{RULES} {asked(batch, 'instructions') or ''}".strip()

    def predict(
        self,
        observation: str | Sequence[str | None],
        state: list[Messages] | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
        commands: Any = None,
    ) -> tuple[Any, list[Messages]]:
        """The next command of one episode or of a batch of episodes.

        Args:
            observation: the last observation, or a list of them with None for inactive episodes.
            state: the state returned by the last call; None at the start of an episode.
            episode_start: True discards ``state`` and starts a new episode; one flag per episode for a list.
            deterministic: temperature 0 instead of 1.
            commands: the admissible commands (one list per episode for a list), used by ``list_commands``.

        Raises:
            InvalidParameter: an observation is not a string.
            EndpointError: the endpoint did not return a completion.
        """
        single = not isinstance(observation, list | tuple | np.ndarray)
        seen: list[Any] = [observation] if single else list(observation)
        offered = [commands] if single else list(commands or [None] * len(seen))
        starts = np.broadcast_to(np.asarray(False if episode_start is None else episode_start, bool), (len(seen),))
        chats = [[] if state is None or start else list(state[number]) for number, start in enumerate(starts.tolist())]
        asking = [number for number, text in enumerate(seen) if text is not None]
        for number in asking:
            if not isinstance(seen[number], str):
                raise InvalidParameter(f"An observation is a string, not {type(seen[number]).__name__}.")
        for number in asking:
            chat = chats[number] or [{"role": "system", "content": self.system}]
            chats[number] = [*chat, {"role": "user", "content": self._message(seen[number], offered[number])}]
        with ThreadPoolExecutor(self.parallel) as pool:
            answers = list(pool.map(lambda number: self._ask(chats[number], deterministic), asking))
        said = [""] * len(seen)
        for number, answer in zip(asking, answers, strict=True):
            said[number] = next((line.strip() for line in answer.splitlines() if line.strip()), "")
            chats[number].append({"role": "assistant", "content": said[number]})
        return (said[0] if single else said), chats

    def _message(self, observation: str, commands: Sequence[str] | None) -> str:
        if not self.list_commands or not commands:
            return observation
        return f"{observation} Commands now: {'; '.join(commands)}."

    def _ask(self, messages: Messages, deterministic: bool) -> str:
        """The text of one completion; temporary failures are retried."""
        body = json.dumps(
            {
                "model": self.model, "messages": messages, "max_tokens": self.max_tokens,
                "temperature": 0 if deterministic else 1,
            }
        ).encode()  # fmt: skip
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
                status, asked_for, answer = self._post(body, headers)
                if 200 <= status < 300:
                    return _text(answer)
                problem = f"HTTP {status}: {_shown(answer)}"
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
        raise EndpointError(
            f"{self.url} gave no command in {attempt + 1} tries; the last: {problem}. Check that the server runs and "
            f"serves the model {self.model!r}, and that {self.key_variable} holds its key; or raise timeout or retries."
        )

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float, bytes]:
        """Send one request: (status, Retry-After in seconds, body).

        HTTPX's timeouts apply to each read; this one limits the whole answer, even if it arrives in small pieces.
        """
        end, answer = time.monotonic() + self.timeout, b""
        client = _client(self.parallel)
        with client.stream("POST", self.url, content=body, headers=headers, timeout=self.timeout) as response:
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


def _text(answer: bytes) -> str:
    """The completion's text.

    Raises:
        ValueError: the answer is not a chat completion.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"not a chat completion: {_shown(answer)}") from None
    if content is None:  # an empty answer
        return ""
    if not isinstance(content, str):
        raise ValueError(f"a completion whose content is no text: {_shown(answer)}")
    return content


def _shown(answer: bytes) -> str:
    """The first 200 bytes of an answer, on one line."""
    return repr(" ".join(answer[:200].decode("utf-8", "replace").split()))
