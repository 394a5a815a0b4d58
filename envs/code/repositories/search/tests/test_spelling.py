from unittest import TestCase

from search.spelling import common_start, completions, edits, suggest


class TestSpelling(TestCase):
    def test_edits(self):
        self.assertEqual(edits("kitten", "sitting"), 3)

    def test_insertion(self):
        self.assertEqual(edits("cat", "cart"), 1)

    def test_from_nothing(self):
        self.assertEqual(edits("", "abc"), 3)

    def test_suggest(self):
        self.assertEqual(suggest("dgo", ["dog", "do", "cat"]), "do")

    def test_suggest_nothing(self):
        self.assertIsNone(suggest("elephant", ["dog", "cat"]))

    def test_suggest_at_the_limit(self):
        self.assertEqual(suggest("abcd", ["ab"]), "ab")

    def test_start(self):
        self.assertEqual(common_start("there", "thesis"), 3)

    def test_completions(self):
        self.assertEqual(completions("ca", ["cart", "dog", "cat", "car", "catch"], 3), ["car", "cat", "cart"])
