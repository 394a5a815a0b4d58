"""Questions that need several articles to answer, with the articles they need."""

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from agentgym.envs.text.archive.arithmetic import calculate
from agentgym.envs.text.archive.corpus import CORPORA, NAMES, RELATIONS, SENTENCES, Corpus, corpus
from agentgym.envs.text.language import REFUSALS, vocabulary
from agentgym.envs.text.presets import Archive
from agentgym.seeding import stream

__all__ = ["SAYINGS", "Question", "ask", "words_of_archives"]

QUESTION = "What is {}?"
CHAIN = "the {} of {}"
OPERATORS = {"plus": "+", "minus": "-"}
SAYINGS = (
    "Question: ", "Tools: search, open, calculate, answer.", "Results: {}.", "No results.", "The result is {}.",
    "That is right.", "That is wrong.", "is a an",
)  # fmt: skip
UNSEEN = 1_000_000  # the first identity of corpora that are not used in training


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a corpus.

    Attributes:
        text: the question.
        names: the titles that occur in it.
        evidence: numbers of the articles that must be read, in order.
        sum: the expression to calculate from them, or "".
        operator: "+", "-", or "" if nothing has to be calculated.
        operand: a number in the question itself, or "".
        answer: the answer in lower case.
    """

    text: str
    names: tuple[str, ...]
    evidence: tuple[int, ...]
    sum: str
    operator: str
    operand: str
    answer: str


def ask(size: Archive, split: str, seed: int, episode: int) -> tuple[Corpus, Question]:
    """The corpus and the question of one episode.

    "train" and "seen" share their corpora, but every fifth question is held out of "train" and belongs to "seen";
    "unseen" has other corpora, with other facts.
    """
    generator = stream(seed, "archive", split, episode)
    while True:
        identity = int(generator.integers(CORPORA)) + (UNSEEN if split == "unseen" else 0)
        archive = corpus(size.entities, size.distractors, identity)
        question = _question(archive, size, generator)
        if question is None or not _findable(archive, question, size.results):
            continue
        held_out = zlib.crc32(f"{identity} {question.text}".encode()) % 5 == 0
        if split == "unseen" or held_out == (split == "seen"):
            return archive, question


def _findable(archive: Corpus, question: Question, results: int) -> bool:
    """Whether a search for its title finds each article."""
    return all(n in archive.index.search(archive.article(n).title, results) for n in question.evidence)


def _question(archive: Corpus, size: Archive, generator: np.random.Generator) -> Question | None:
    if generator.random() >= size.calculation:
        chain = _chain(archive, size.hops, generator, number=False)
        if chain is None:
            return None
        text, name, evidence, answer = chain
        return Question(QUESTION.format(text), (name,), evidence, "", "", "", answer)
    word = "plus" if generator.random() < 0.5 else "minus"
    first = _chain(archive, max(1, size.hops - size.hops // 2), generator, number=True)
    second = _chain(archive, size.hops // 2, generator, number=True) if size.hops > 1 else None
    if first is None or (size.hops > 1 and second is None):
        return None
    if second is None:
        operand = str(generator.integers(2, 100))
        second = (operand, "", (), operand)
    else:
        operand = ""
    if set(first[2]) & set(second[2]):
        return None
    total = f"{first[3]} {OPERATORS[word]} {second[3]}"
    text = QUESTION.format(f"{first[0]} {word} {second[0]}")
    names = (first[1], second[1]) if second[1] else (first[1],)
    return Question(text, names, first[2] + second[2], total, OPERATORS[word], operand, calculate(total))


def _chain(
    archive: Corpus, hops: int, generator: np.random.Generator, number: bool
) -> tuple[str, str, tuple[int, ...], str] | None:
    """A chain over ``hops`` articles: its words, its first title, its articles and its value.

    None if the chain returns to an earlier article, since a shorter question would do.
    """
    article = archive.articles[generator.integers(len(archive.articles))]
    text, names = article.title.title(), [article.title]
    for hop in range(hops):
        last = hop == hops - 1
        relations = RELATIONS[article.kind]
        fitting = [r for r, of in relations.items() if (last and not number) or (of == "number") == last]
        relation = fitting[generator.integers(len(fitting))]
        text = CHAIN.format(relation, text)
        value = article.facts[relation]
        if value in names:
            return None
        if last:
            return text, names[0], tuple(archive.number[name] for name in names), value
        names.append(value)
        article = archive.article(archive.number[value])
    return None


@cache
def words_of_archives() -> tuple[str, ...]:
    """The vocabulary: every word of observations and useful commands."""
    templates = (text.replace("{}", " ") for text in (*SENTENCES.values(), *SAYINGS, QUESTION, CHAIN))
    relations = (relation for relations in RELATIONS.values() for relation in relations)
    return vocabulary(*NAMES, templates, RELATIONS, relations, OPERATORS, REFUSALS.values())
