from unittest import TestCase

from search.index import build, lookup, ranked, rare
from search.words import counts, stem, words

PAGES = {"one": "The cat and the cats.", "two": "A dog, a cat, and a berry", "three": "Dogs of berries: dogs!"}


class TestWords(TestCase):
    def test_words(self):
        self.assertEqual(words("The Cat, and 2 dogs"), ["cat", "2", "dogs"])

    def test_plural(self):
        self.assertEqual([stem("cats"), stem("glass"), stem("gas")], ["cat", "glass", "gas"])

    def test_berries(self):
        self.assertEqual([stem("berries"), stem("ties")], ["berry", "tie"])

    def test_counts(self):
        self.assertEqual(counts(["b", "a", "b"]), {"b": 2, "a": 1})


class TestIndex(TestCase):
    def test_build(self):
        self.assertEqual(build(PAGES)["cat"], {"one": 2, "two": 1})

    def test_lookup(self):
        self.assertEqual(lookup(build(PAGES), "the cat and the dog"), ["two"])

    def test_lookup_unknown(self):
        self.assertEqual(lookup(build(PAGES), "cat fish"), [])

    def test_ranked(self):
        self.assertEqual(ranked(build(PAGES), "dogs berries"), ["three", "two"])

    def test_ranked_few(self):
        self.assertEqual(ranked(build(PAGES), "cat dog", 1), ["one"])

    def test_rare(self):
        self.assertEqual(rare({"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {}}), ["a", "c"])
