"""A language model behind an OpenAI-compatible endpoint, as an agent to be evaluated. Nothing learns here."""

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
# Worth another try: the server is busy, restarting, or its proxy gave up. Others say that the request itself is wrong.
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
LONGEST_ANSWER = 1 << 20  # bytes; a command is a line
LONGEST_PAUSE = 120.0  # seconds that a server may ask for; who is told to come back tomorrow is better told so


class EndpointError(AskError, OSError):
    """An endpoint that did not answer with a command; the message names its address and what to do."""


class EndpointAgent:
    """Asks ``URL/chat/completions`` for every command; an episode is one chat that grows.

    The first line of an answer that is not empty is the command; if there is none, the command is empty, which the
    environment answers as such. A failure that may pass is followed by another try, after a pause that doubles, or
    after the time that the server asks for (``Retry-After``). Redirects are not followed, so that a key goes nowhere
    else, and no message shows the key.

    Args:
        url: up to and including ``/v1``, as vLLM, llama.cpp, SGLang and others serve it.
        env: the text environment, its batch or id: whose spaces and instructions are taken.
        model: the name that the server knows it by.
        key_variable: the environment variable that holds the key; unset, no key is sent.
        timeout: seconds for an answer.
        retries: further tries after a failure that may pass.
        pause: seconds before the first further try, doubled for each.
        max_tokens: of an answer.
        list_commands: whether each observation is followed by the admissible commands.
        parallel: requests at a time.

    Raises:
        InvalidParameter: the address is none of http or https or holds a password, or a number is out of range.
        SpaceMismatch: the environment is not one of texts.
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
        """The next command in one episode, or in several side by side.

        Args:
            observation: what the environment said last; or a list of that, with None for episodes that wait.
            state: what the last call gave back; None at an episode's start.
            episode_start: true starts a new episode, whatever ``state`` is; for a list one an episode.
            deterministic: temperature 0 instead of 1.
            commands: the admissible commands, or for a list one list an episode; for ``list_commands``.

        Raises:
            InvalidParameter: an observation is no string.
            EndpointError: the endpoint did not answer, or not with a completion.
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
        """The text of one completion, tried again while the failure may pass."""
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
            problem = problem.replace(key, "[the key]")  # some servers repeat what they refuse
        raise EndpointError(
            f"{self.url} gave no command in {attempt + 1} tries; the last: {problem}. Check that the server runs and "
            f"serves the model {self.model!r}, and that {self.key_variable} holds its key; or raise timeout or retries."
        )

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float, bytes]:
        """Status, seconds that the server asks to wait before another try, and what it answered.

        HTTPX's timeouts are for each wait; the one here is for the whole answer, also of a server that sends crumbs.
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
    """One for all agents of this process: it is safe among threads and keeps connections open between commands."""
    return httpx.Client(
        headers={"Accept-Encoding": "identity"},  # so that no small answer unpacks to a large one
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
    )


def _check_address(url: str) -> None:
    """Refuse an address that cannot be, or that would show a password in messages.

    Raises:
        InvalidParameter: the message does not show it.
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
    """What ``Retry-After`` says, a number of seconds or a date (RFC 9110, section 10.2.3); 0 where it says nothing."""
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
        ValueError: it is no completion.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"not a chat completion: {_shown(answer)}") from None
    if content is None:  # what servers send for an answer without a word
        return ""
    if not isinstance(content, str):
        raise ValueError(f"a completion whose content is no text: {_shown(answer)}")
    return content


def _shown(answer: bytes) -> str:
    """The beginning of an answer, in one line."""
    return repr(" ".join(answer[:200].decode("utf-8", "replace").split()))
