from unittest import TestCase

from scoring.league import longest_run, points_of, ranking, standings
from scoring.tennis import is_deuce, winner_of_game, winner_of_set

RESULTS = [("a", "b", 2, 1), ("b", "c", 0, 0), ("c", "a", 3, 1), ("a", "c", 1, 1), ("b", "a", 1, 0)]


class TestTennis(TestCase):
    def test_game(self):
        self.assertEqual(winner_of_game([0, 0, 1, 0, 0]), 0)

    def test_advantage(self):
        self.assertIsNone(winner_of_game([0, 1, 0, 1, 0, 1, 1]))

    def test_after_deuce(self):
        self.assertEqual(winner_of_game([0, 1, 0, 1, 0, 1, 1, 1]), 1)

    def test_deuce(self):
        self.assertTrue(is_deuce([0, 1, 0, 1, 0, 1]))

    def test_no_deuce_at_two(self):
        self.assertFalse(is_deuce([0, 1, 0, 1]))

    def test_set(self):
        self.assertEqual(winner_of_set([0] * 4 + [1] * 6), 1)

    def test_set_not_over(self):
        self.assertIsNone(winner_of_set([0] * 5 + [1] * 5 + [0]))

    def test_tie_break(self):
        self.assertEqual(winner_of_set([0, 1] * 6 + [0]), 0)


class TestLeague(TestCase):
    def test_points(self):
        self.assertEqual([points_of(2, 1), points_of(1, 1), points_of(0, 1)], [3, 1, 0])

    def test_standings(self):
        self.assertEqual(standings(RESULTS), {"a": [4, -2, 4], "b": [4, 0, 2], "c": [5, 2, 4]})

    def test_ranking(self):
        self.assertEqual(ranking(RESULTS), ["c", "b", "a"])

    def test_run(self):
        self.assertEqual(longest_run(RESULTS, "c"), 3)

    def test_short_run(self):
        self.assertEqual(longest_run(RESULTS, "a"), 1)
