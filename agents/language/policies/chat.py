"""The fixed tokens around observations and commands: a chat template, split once, or a plain transcript."""

import logging
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from agentgym.errors import InvalidParameter

__all__ = ["RULES", "Frame", "Transcript", "frame_of"]

Transcript = Literal["auto", "chat", "plain"]

RULES = "You are in a text world and do the task. Answer every message with one command and nothing else."
# Strings that occur in no template; they mark where the messages go.
MARKS = ("\u2780first\u2780", "\u2781second\u2781", "\u2782third\u2782")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """The fixed tokens of a transcript. With them a transcript only grows and is never rendered again.

    ``opening`` observation ``prompt`` command ``closing`` ``between`` observation ``prompt`` command ``closing`` ...

    Attributes:
        opening: before the first observation: the system message and the start of a user message.
        between: before every other observation.
        prompt: between an observation and its command.
        closing: the token that ends a command.
        chat: whether the frame comes from a chat template.
    """

    opening: list[int]
    between: list[int]
    prompt: list[int]
    closing: int
    chat: bool

    def values(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Inverse of :meth:`values`."""
        return cls(**values)


def frame_of(tokenizer: Any, transcript: Transcript, instructions: str) -> Frame:
    """Build the frame for a tokenizer.

    Args:
        tokenizer: a fast tokenizer from transformers.
        transcript: "chat" follows the tokenizer's chat template, "plain" is ``observation``, new line, ``> command``,
            new line; "auto" is "chat" where there is a template.
        instructions: the environment's description of its commands; appended to the system message of a chat.

    Raises:
        InvalidParameter: "chat" is requested but the tokenizer has no template; the template changes earlier messages
            when later ones are added; or no single token ends a command.
    """
    if transcript == "plain":
        return _plain(tokenizer)
    if transcript == "auto" and not tokenizer.chat_template:
        _log.warning("The model's tokenizer has no chat template: its transcripts are plain.")
        return _plain(tokenizer)
    if not tokenizer.chat_template:
        raise InvalidParameter('This tokenizer has no chat template: set transcript="plain".')
    return _chat(tokenizer, f"{RULES} {instructions}".strip())


def _plain(tokenizer: Any) -> Frame:
    closing = _tokens(tokenizer, "\n")
    if len(closing) != 1:
        raise InvalidParameter("This tokenizer has no single token for a new line, which ends a plain command.")
    opening = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return Frame(opening, [], _tokens(tokenizer, "\n> "), closing[0], chat=False)


def _chat(tokenizer: Any, system: str) -> Frame:
    """Render two turns, split at the messages, and check that a shorter chat is a prefix of a longer one."""
    first, said, second = MARKS
    messages = _with_system(tokenizer, system, first)
    asked = _render(tokenizer, messages, True)
    messages = [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": second}]
    whole = _render(tokenizer, messages, True)
    opening, _, rest = whole.partition(first)
    prompt, _, rest = rest.partition(said)
    between, _, last_prompt = rest.partition(second)
    if not last_prompt or asked != f"{opening}{first}{prompt}" or last_prompt != prompt:
        raise InvalidParameter(
            "This tokenizer's chat template changes earlier messages when others follow, so that the trained tokens "
            'would differ from the sampled ones: set transcript="plain".'
        )
    after = _tokens(tokenizer, between)
    if not after or after[0] not in tokenizer.all_special_ids:
        raise InvalidParameter(
            'This tokenizer\'s chat template does not end a message with a special token: set transcript="plain".'
        )
    return Frame(_tokens(tokenizer, opening), after[1:], _tokens(tokenizer, prompt), after[0], chat=True)


def _with_system(tokenizer: Any, system: str, text: str) -> list[dict[str, str]]:
    """A system and a user message, merged into one if the template has no system role."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    try:
        if system in _render(tokenizer, messages, True):
            return messages
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "jinja2":  # templates refuse a role by raising
            raise
    return [{"role": "user", "content": f"{system}\n{text}"}]


def _render(tokenizer: Any, messages: list[dict[str, str]], answering: bool) -> str:
    rendered: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
    return rendered


def _tokens(tokenizer: Any, text: str) -> list[int]:
    """Encode a part of the frame; special tokens are parsed."""
    return list(tokenizer.encode(text, add_special_tokens=False))
