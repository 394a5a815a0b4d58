"""A generated corpus of short articles about fictional people, places, companies and books, with its facts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from agentgym.envs.text.archive.search import Index
from agentgym.envs.text.language import a
from agentgym.seeding import stream

__all__ = ["CORPORA", "NAMES", "RELATIONS", "SENTENCES", "Article", "Corpus", "corpus"]

CORPORA = 100  # number of corpora for training; "unseen" has as many others


def _split(names: str) -> list[str]:
    return names.split()


FIRST = _split(
    "ada bruno clara dario edith felix greta hugo irene jonas karin leon maria nils olga paul rosa simon tessa "
    "ulrich vera walter yara zeno"
)
LAST = _split(
    "abbot barker carver dunn ellis frost gray holt irving jarvis kemp lowell moss nash osborn payne quinn reed "
    "sloan thorn usher vance wells young"
)
CITIES = _split(
    "ashford belmont caldwell dunmore eastham fairview glenrock hartley inverness jutland kenmore langley milford "
    "norwood oakham penrith quarry redhill selby tilbury upton verona westbury yarrow zermatt alford bexley corby "
    "derby epsom formby grimsby halstead ilford jarrow keswick luton morpeth newbury ormsby pickering ripley "
    "stanton thetford ulster ventnor whitby arden bolton crewe"
)
COUNTRIES = _split(
    "aldovia borduria carpania drusia elbonia florin genovia hyrkania illyria jakobia karelia lutha moravia "
    "novistan orsinia pottsylvania"
)
RIVERS = _split(
    "alder birch cedar dale elm fern gorse hazel iris juniper larch maple nettle oak pine rowan sedge thistle "
    "willow yew"
)
TRADES = _split("mills press motors foods mining labs bank works")
ADJECTIVES = _split(
    "amber bitter crimson distant early frozen golden hidden idle jade kind lonely midnight narrow open pale "
    "quiet rising silver tender"
)
NOUNS = _split(
    "anchor bridge candle desert ember forest garden harbor island journey kingdom lantern mirror night orchard "
    "path queen road shadow tower"
)
NAMES = (FIRST, LAST, CITIES, COUNTRIES, RIVERS, TRADES, ADJECTIVES, NOUNS)

# kind: {relation: kind of its value}; "number" ends a chain
RELATIONS: dict[str, dict[str, str]] = {
    "person": {"birthplace": "city", "employer": "company", "birth year": "number"},
    "company": {"seat": "city", "director": "person", "founding year": "number"},
    "city": {"country": "country", "river": "river", "population": "number"},
    "river": {"mouth": "city", "length": "number"},
    "country": {"capital": "city", "area": "number"},
    "book": {"author": "person", "publisher": "company", "printing year": "number"},
}
# Sentences of articles, in other words than the names of relations
SENTENCES = {
    "birthplace": "{} was born in {}.",
    "employer": "{} works for {}.",
    "birth year": "{} came into the world in {}.",
    "seat": "{} is based in {}.",
    "director": "{} is led by {}.",
    "founding year": "{} was set up in {}.",
    "country": "{} lies in {}.",
    "river": "{} stands on the {}.",
    "population": "{} is home to {} people.",
    "mouth": "{} meets the sea at {}.",
    "length": "{} runs for {} miles.",
    "capital": "{} is ruled from {}.",
    "area": "{} covers {} square miles.",
    "author": "{} was written by {}.",
    "publisher": "{} was brought out by {}.",
    "printing year": "{} was first printed in {}.",
}
_RANGES = {
    "birth year": (1850, 1990), "founding year": (1800, 2000), "printing year": (1900, 2020), "population": (10, 999),
    "length": (20, 990), "area": (100, 990),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Article:
    """One article. Its number is its position in the corpus, from 1.

    Attributes:
        title: the entity's name in lower case, unique in the corpus.
        kind: kind of entity, a key of RELATIONS.
        facts: names or numbers by relation, as text.
    """

    title: str
    kind: str
    facts: dict[str, str]

    @property
    def text(self) -> str:
        """The article as it is read."""
        name = self.title.title()
        said = [SENTENCES[relation].format(name, value.title()) for relation, value in self.facts.items()]
        return f"{name} is {a(self.kind)}. {' '.join(said)}"


@dataclass(frozen=True, slots=True)
class Corpus:
    """All articles of an archive, their numbers by title, and a search index."""

    articles: tuple[Article, ...]
    number: dict[str, int]
    index: Index

    def article(self, number: int) -> Article:
        """The article with this number, from 1."""
        return self.articles[number - 1]


@lru_cache(maxsize=256)
def corpus(entities: int, distractors: int, identity: int) -> Corpus:
    """The corpus with this size and identity. Identities below CORPORA are for training."""
    generator = stream(identity, "archive corpus", entities, distractors)
    named = _entities(generator, entities)
    # Distractors are made in the same way and share a word with existing names.
    for kind in ("person", "company", "book"):
        make = _distracting(named, kind, generator)
        named[kind] += _distinct(make, distractors // 3 + (kind == "person") * (distractors % 3), set(named[kind]))
    articles = [
        Article(title, kind, {relation: _value(generator, named, relation, of) for relation, of in facts.items()})
        for kind, facts in RELATIONS.items()
        for title in named[kind]
    ]
    shuffled = tuple(articles[n] for n in generator.permutation(len(articles)))
    numbers = {article.title: n for n, article in enumerate(shuffled, 1)}
    return Corpus(shuffled, numbers, Index([article.text for article in shuffled]))


def _entities(generator: np.random.Generator, entities: int) -> dict[str, list[str]]:
    def pick(*lists: list[str]) -> str:
        return " ".join(of[generator.integers(len(of))] for of in lists)

    cities = max(3, entities // 4)
    companies, people = max(2, entities // 6), max(2, entities // 4)
    countries = rivers = max(2, entities // 14)
    books = max(1, entities - cities - companies - people - countries - rivers)
    return {
        "person": _distinct(lambda: pick(FIRST, LAST), people),
        "company": _distinct(lambda: pick(LAST, TRADES), companies),
        "city": _distinct(lambda: pick(CITIES), cities),
        "river": _distinct(lambda: pick(RIVERS), rivers),
        "country": _distinct(lambda: pick(COUNTRIES), countries),
        "book": _distinct(lambda: pick(ADJECTIVES, NOUNS), books),
    }


def _distracting(named: dict[str, list[str]], kind: str, generator: np.random.Generator) -> Callable[[], str]:
    """Names that share their first or second word with an existing one."""
    firsts, seconds = {"person": (FIRST, LAST), "company": (LAST, TRADES), "book": (ADJECTIVES, NOUNS)}[kind]
    there = [name.split() for name in named[kind]]

    def make() -> str:
        first, second = there[generator.integers(len(there))]
        if generator.random() < 0.5:
            return f"{firsts[generator.integers(len(firsts))]} {second}"
        return f"{first} {seconds[generator.integers(len(seconds))]}"

    return make


def _distinct(make: Callable[[], str], n: int, taken: set[str] | None = None) -> list[str]:
    """``n`` names that are not taken, or fewer if there are no more."""
    found: dict[str, None] = {}
    for name in _tries(make, 100 * n):
        if len(found) == n:
            break
        if not taken or name not in taken:
            found[name] = None
    return list(found)


def _tries(make: Callable[[], str], n: int) -> Iterator[str]:
    return (make() for _ in range(n))


def _value(generator: np.random.Generator, named: dict[str, list[str]], relation: str, of: str) -> str:
    if of == "number":
        return str(generator.integers(*_RANGES[relation]))
    return named[of][generator.integers(len(named[of]))]
