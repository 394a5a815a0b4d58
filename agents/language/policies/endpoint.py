"""A language model behind an OpenAI-compatible endpoint, as an agent for evaluation. It does not learn."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from agentgym.agents.language.loop.environments import batch_of
from agentgym.agents.language.policies.by_name import asked
from agentgym.agents.language.policies.chat import RULES
from agentgym.agents.language.policies.http_client import EndpointError, JsonClient, shown
from agentgym.contracts.settings import flag, whole_number
from agentgym.errors import InvalidParameter

__all__ = ["EndpointAgent", "EndpointError"]

Messages = list[dict[str, str]]


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
        if not isinstance(model, str) or not model:
            raise InvalidParameter(f"model must be a text, not {model!r}.")
        self.client = JsonClient(url, key_variable, timeout, retries, pause, parallel)
        self.model, self.max_tokens = model, whole_number("max_tokens", max_tokens, 1)
        self.list_commands = flag("list_commands", list_commands)
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
        with ThreadPoolExecutor(self.client.parallel) as pool:
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
        body = {
            "model": self.model, "messages": messages, "max_tokens": self.max_tokens,
            "temperature": 0 if deterministic else 1,
        }  # fmt: skip
        advice = (
            f"Check that the server runs and serves the model {self.model!r}, and that {self.client.key_variable} "
            "holds its key; or raise timeout or retries."
        )
        return self.client.post("/chat/completions", body, _text, "gave no command", advice)


def _text(answer: bytes) -> str:
    """The completion's text.

    Raises:
        ValueError: the answer is not a chat completion.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"not a chat completion: {shown(answer)}") from None
    if content is None:  # an empty answer
        return ""
    if not isinstance(content, str):
        raise ValueError(f"a completion whose content is no text: {shown(answer)}")
    return content
