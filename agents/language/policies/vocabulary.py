"""Words as token ids, for the tiny policy."""

import re
from collections.abc import Sequence

from agentgym.errors import InvalidParameter

__all__ = ["ACT", "BEGIN", "END", "PAD", "UNKNOWN", "Vocabulary"]

# Lower-case words, single digits, single punctuation marks: the words of which text environments list all that occur.
_WORD = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")

PAD, UNKNOWN, BEGIN, ACT, END = range(5)
_SPECIAL = ("<pad>", "<unknown>", "<begin>", "<act>", "<end>")


class Vocabulary:
    """Words and their ids; the first five ids are no words.

    ``<begin>`` opens an episode, ``<act>`` follows an observation, ``<end>`` ends a command. ``<pad>`` only fills
    arrays: whoever reads them goes by their lengths, never by this id.

    Args:
        words: each once; the order decides the ids.

    Raises:
        InvalidParameter: a word stands there twice, or there are none.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words or len(set(words)) != len(words):
            raise InvalidParameter("A vocabulary needs words, each of them once.")
        self.words = tuple(words)
        self._names = (*_SPECIAL, *self.words)
        self._ids = {word: number for number, word in enumerate(self._names) if number >= len(_SPECIAL)}
        self._known: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's words; a word that is not listed is ``<unknown>``."""
        ids = self._known.get(text)
        if ids is None:
            ids = tuple(self._ids.get(word, UNKNOWN) for word in _WORD.findall(text.lower()))
            if len(self._known) < 100_000:  # commands and short observations come again and again
                self._known[text] = ids
        return list(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Words with spaces between them; digits side by side are one number.

        >>> Vocabulary(["mug", "take", "1", "2"]).decode([6, 5, 7, 8])
        'take mug 12'
        """
        text = ""
        for number in ids:
            name = self._names[number]
            joined = name.isdigit() and text[-1:].isdigit()
            text += name if joined or not text else f" {name}"
        return text
