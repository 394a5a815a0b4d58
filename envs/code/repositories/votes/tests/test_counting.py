from unittest import TestCase

from votes.counting import best_of, borda, first_votes, majority
from votes.methods import borda_winner, condorcet, duel, prefers, runoff

BALLOTS = [["a", "b", "c"]] * 4 + [["b", "c", "a"]] * 3 + [["c", "b", "a"]] * 2


class TestCounting(TestCase):
    def test_first(self):
        self.assertEqual(first_votes(BALLOTS), {"a": 4, "b": 3, "c": 2})

    def test_no_majority(self):
        self.assertIsNone(majority(BALLOTS))

    def test_half_is_none(self):
        self.assertIsNone(majority([["a"], ["b"]]))

    def test_majority(self):
        self.assertEqual(majority([["a"], ["b"], ["b"]]), "b")

    def test_borda(self):
        self.assertEqual(borda(BALLOTS), {"a": 8, "b": 12, "c": 7})

    def test_best(self):
        self.assertEqual(best_of({"c": 3, "b": 2, "a": 3}), ["a", "c"])

    def test_best_of_none(self):
        self.assertEqual(best_of({}), [])


class TestMethods(TestCase):
    def test_prefers(self):
        self.assertTrue(prefers(["a", "b"], "a", "b"))

    def test_prefers_named(self):
        self.assertEqual([prefers(["a"], "a", "b"), prefers(["b"], "a", "b")], [True, False])

    def test_duel(self):
        self.assertEqual(duel(BALLOTS, "a", "b"), -1)

    def test_condorcet(self):
        self.assertEqual(condorcet(BALLOTS), "b")

    def test_no_condorcet(self):
        self.assertIsNone(condorcet([["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]))

    def test_runoff(self):
        self.assertEqual(runoff(BALLOTS), "b")

    def test_runoff_of_nothing(self):
        self.assertIsNone(runoff([]))

    def test_borda_winner(self):
        self.assertEqual(borda_winner(BALLOTS), "b")
