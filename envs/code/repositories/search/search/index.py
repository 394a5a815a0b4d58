"""An index: stem -> page -> how often."""

from search.words import counts, stem, words


def build(pages):
    """The index of pages, name -> text."""
    index = {}
    for name in sorted(pages):
        for word, count in counts([stem(word) for word in words(pages[name])]).items():
            index.setdefault(word, {})[name] = count
    return index


def lookup(index, query):
    """Pages with all words of a query, sorted."""
    found = None
    for word in words(query):
        pages = set(index.get(stem(word), {}))
        found = pages if found is None else found & pages
    return sorted(found or [])


def ranked(index, query, most=3):
    """Pages by the number of words that they share with a query, the best first, by name among equals."""
    scores = {}
    for word in words(query):
        for page, count in index.get(stem(word), {}).items():
            scores[page] = scores.get(page, 0) + count
    order = sorted(scores, key=lambda page: (-scores[page], page))
    return order[:most]


def rare(index, pages=1):
    """Stems that occur on at most some pages, sorted."""
    return sorted(word for word in index if len(index[word]) <= pages)
