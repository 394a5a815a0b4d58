"""Perturbations of the words of observations: paraphrases and typing errors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from agentgym.envs.perturb.text.base import TextPerturbation, TextProcess, View
from agentgym.envs.perturb.text.typos import mistyped
from agentgym.errors import InvalidParameter

__all__ = ["Paraphrase", "Typos"]

_SENTENCES = re.compile(r"(?<=[.?])\s+")


@dataclass(frozen=True, kw_only=True)
class Paraphrase(TextPerturbation):
    """Rephrases sentences of the observation without changing their meaning.

    The world provides its sentences and their alternatives (``world.rewordings``: patterns whose groups are kept, and
    templates for these). Names, numbers and commands do not change.

    Args:
        rate: probability that a sentence is rephrased.
    """

    longest: ClassVar[tuple[float, int]] = (2.0, 300)

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        rewordings = getattr(getattr(env, "world", None), "rewordings", ())
        if not rewordings:
            raise InvalidParameter(f"Paraphrase needs a world that lists its sentences; {env} does not.")
        return _Paraphrasing(self.rate, [(re.compile(one.pattern, re.DOTALL), one.others) for one in rewordings])


class _Paraphrasing(TextProcess):
    def __init__(self, rate: float, rules: list[tuple[re.Pattern[str], tuple[str, ...]]]) -> None:
        super().__init__()
        self.rate, self.rules = rate, rules

    @override
    def see(self, view: View) -> None:
        said = " ".join(map(self._reworded, _SENTENCES.split(view.text)))
        self.fired |= said != view.text
        view.text = said

    def _reworded(self, sentence: str) -> str:
        happens, which = self.generator.random(2).tolist()
        if happens >= self.rate:
            return sentence
        for pattern, others in self.rules:
            if found := pattern.fullmatch(sentence):
                said = others[int(which * len(others))].format(*found.groups())
                return said[0].upper() + said[1:]
        return sentence


@dataclass(frozen=True, kw_only=True)
class Typos(TextPerturbation):
    """Typing errors in the observation: two letters swapped, or one dropped, doubled or replaced by a neighbouring key.

    Numbers, punctuation, words of one or two letters and the admissible commands do not change.

    Args:
        rate: probability that a word has an error.
    """

    longest: ClassVar[tuple[float, int]] = (1.5, 0)

    rate: float = 0.1

    @override
    def process(self, env: Any, inner: Sequence[TextProcess]) -> TextProcess:
        return _Typing(self.rate)


class _Typing(TextProcess):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    @override
    def see(self, view: View) -> None:
        typed = mistyped(view.text, self.rate, self.generator)
        self.fired |= typed != view.text
        view.text = typed
