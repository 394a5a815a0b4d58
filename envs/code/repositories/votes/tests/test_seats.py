from unittest import TestCase

from votes.seats import above, coalition, highest_averages, largest_remainders

VOTES = {"red": 53, "green": 24, "blue": 23}


class TestSeats(TestCase):
    def test_averages(self):
        self.assertEqual(highest_averages(VOTES, 7), {"red": 4, "green": 2, "blue": 1})

    def test_wide_steps(self):
        self.assertEqual(highest_averages(VOTES, 7, 2), {"red": 3, "green": 2, "blue": 2})

    def test_remainders(self):
        self.assertEqual(largest_remainders(VOTES, 7), {"red": 4, "green": 2, "blue": 1})

    def test_above(self):
        self.assertEqual(above({"a": 5, "b": 15, "c": 80}, 15), {"b": 15, "c": 80})

    def test_coalition(self):
        self.assertEqual(coalition({"a": 40, "b": 35, "c": 25}, "c"), ["c", "a"])

    def test_alone(self):
        self.assertEqual(coalition({"a": 6, "b": 5}, "a"), ["a"])

    def test_half_is_not_enough(self):
        self.assertEqual(coalition({"a": 5, "b": 4, "c": 1}, "a"), ["a", "b"])
