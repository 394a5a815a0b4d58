"""What stands around observations and commands: a chat template, taken apart once, or a plain transcript."""

import logging
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from agentgym.errors import InvalidParameter

__all__ = ["RULES", "Frame", "Transcript", "frame_of"]

Transcript = Literal["auto", "chat", "plain"]

RULES = "You are in a text world and do the task. Answer every message with one command and nothing else."
# Texts that no template contains, to find the places of the messages by.
MARKS = ("\u2780first\u2780", "\u2781second\u2781", "\u2782third\u2782")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """Tokens that are the same in every episode, so that a transcript only ever grows and nothing is rendered again.

    ``opening`` observation ``prompt`` command ``closing`` ``between`` observation ``prompt`` command ``closing`` ...

    Attributes:
        opening: before the first observation: the system message, and how a user's message begins.
        between: before every other observation.
        prompt: from an observation to its command.
        closing: the token that ends a command.
        chat: whether a chat template was followed.
    """

    opening: list[int]
    between: list[int]
    prompt: list[int]
    closing: int
    chat: bool

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """What :meth:`values` gave."""
        return cls(**values)


def frame_of(tokenizer: Any, transcript: Transcript, instructions: str) -> Frame:
    """The frame of a model's transcripts.

    Args:
        tokenizer: a fast tokenizer of transformers'.
        transcript: "chat" follows the tokenizer's chat template, "plain" is ``observation``, new line, ``> command``,
            new line; "auto" is "chat" where there is a template.
        instructions: what the environment says about its commands; a chat's system message ends with it.

    Raises:
        InvalidParameter: "chat" is asked for and the tokenizer has no template; the template renders earlier messages
            otherwise once there are later ones; or no single token ends a command.
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
        raise InvalidParameter("This tokenizer has no token of its own for a new line, which ends commands here.")
    opening = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return Frame(opening, [], _tokens(tokenizer, "\n> "), closing[0], chat=False)


def _chat(tokenizer: Any, system: str) -> Frame:
    """Render two turns, cut at the messages, and make sure that fewer turns are a prefix of more."""
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
            "This tokenizer's chat template renders a message otherwise once others follow, so that trained tokens "
            'would not be the sampled ones: set transcript="plain".'
        )
    after = _tokens(tokenizer, between)
    if not after or after[0] not in tokenizer.all_special_ids:
        raise InvalidParameter(
            'This tokenizer\'s chat template ends a message with no special token: set transcript="plain".'
        )
    return Frame(_tokens(tokenizer, opening), after[1:], _tokens(tokenizer, prompt), after[0], chat=True)


def _with_system(tokenizer: Any, system: str, text: str) -> list[dict[str, str]]:
    """A system message and a user's; in one where the template knows no system messages."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    try:
        if system in _render(tokenizer, messages, True):
            return messages
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "jinja2":  # a template's own way to refuse a role
            raise
    return [{"role": "user", "content": f"{system}\n{text}"}]


def _render(tokenizer: Any, messages: list[dict[str, str]], answering: bool) -> str:
    rendered: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
    return rendered


def _tokens(tokenizer: Any, text: str) -> list[int]:
    """A frame's own tokens, special ones among them."""
    return list(tokenizer.encode(text, add_special_tokens=False))
