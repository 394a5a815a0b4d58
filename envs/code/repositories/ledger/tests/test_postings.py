from unittest import TestCase

from ledger.interest import compounded, interest_of, simple_interest, years_to_reach
from ledger.postings import is_balanced, split_evenly, transfer


class TestPostings(TestCase):
    def test_transfer(self):
        self.assertEqual(transfer(3, "a", "b", 50), [(3, "a", -50), (3, "b", 50)])

    def test_no_transfer_of_nothing(self):
        self.assertRaises(ValueError, transfer, 1, "a", "b", 0)

    def test_balanced(self):
        self.assertTrue(is_balanced(transfer(1, "a", "b", 7) + transfer(2, "b", "c", 3)))

    def test_unbalanced(self):
        self.assertFalse(is_balanced([(1, "a", 5), (1, "b", -4)]))

    def test_split(self):
        self.assertEqual(split_evenly(100, 3), [34, 33, 33])

    def test_split_among_nobody(self):
        self.assertRaises(ValueError, split_evenly, 10, 0)


class TestInterest(TestCase):
    def test_simple(self):
        self.assertEqual(simple_interest(1000, 5, 2), 100)

    def test_none_on_debts(self):
        self.assertEqual(simple_interest(-1000, 5), 0)

    def test_compounded(self):
        self.assertEqual(compounded(1000, 10, 3), 1331)

    def test_years(self):
        self.assertEqual(years_to_reach(1000, 1300, 10), 3)

    def test_years_at_the_goal(self):
        self.assertEqual(years_to_reach(500, 500, 10), 0)

    def test_never(self):
        self.assertIsNone(years_to_reach(5, 100, 10))

    def test_of_an_account(self):
        self.assertEqual(interest_of([(1, "a", 200), (5, "a", 900)], "a", 3, 10), 20)
