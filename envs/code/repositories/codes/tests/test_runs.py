from unittest import TestCase

from codes.prefix import canonical, decode, huffman_lengths, is_prefix_free
from codes.runs import longest_run, packed, shifted, unpacked


class TestRuns(TestCase):
    def test_packed(self):
        self.assertEqual(packed("aabccc"), [["a", 2], ["b", 1], ["c", 3]])

    def test_unpacked(self):
        self.assertEqual(unpacked([["x", 3], ["y", 1]]), "xxxy")

    def test_longest(self):
        self.assertEqual(longest_run("abbccaa"), "b")

    def test_longest_of_nothing(self):
        self.assertIsNone(longest_run(""))

    def test_shifted(self):
        self.assertEqual(shifted("xyz, abc", 3), "abc, def")

    def test_shifted_back(self):
        self.assertEqual(shifted("ab", -1), "za")


class TestPrefix(TestCase):
    def test_lengths(self):
        self.assertEqual(huffman_lengths({"a": 5, "b": 2, "c": 1, "d": 1}), {"a": 1, "b": 2, "c": 3, "d": 3})

    def test_one_symbol(self):
        self.assertEqual(huffman_lengths({"a": 5}), {"a": 0})

    def test_canonical(self):
        self.assertEqual(canonical({"b": 2, "a": 1, "d": 3, "c": 3}), {"a": "0", "b": "10", "c": "110", "d": "111"})

    def test_free(self):
        self.assertTrue(is_prefix_free({"a": "0", "b": "10"}))

    def test_not_free(self):
        self.assertFalse(is_prefix_free({"a": "10", "b": "1"}))

    def test_decode(self):
        self.assertEqual(decode({"a": "0", "b": "10"}, "0100"), ["a", "b", "a"])

    def test_left_over(self):
        self.assertRaises(ValueError, decode, {"a": "0", "b": "10"}, "01")
