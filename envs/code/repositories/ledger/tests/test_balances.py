from unittest import TestCase

from ledger.balances import balance, lowest_balance, overdrawn

POSTINGS = [(1, "cash", 100), (2, "cash", -130), (2, "rent", 130), (3, "cash", 50), (4, "owner", -150)]


class TestBalances(TestCase):
    def test_balance(self):
        self.assertEqual(balance(POSTINGS, "cash"), 20)

    def test_balance_at_a_day(self):
        self.assertEqual(balance(POSTINGS, "cash", 2), -30)

    def test_balance_at_day_zero(self):
        self.assertEqual(balance(POSTINGS, "cash", 0), 0)

    def test_lowest(self):
        self.assertEqual(lowest_balance(POSTINGS, "cash"), -30)

    def test_lowest_is_zero(self):
        self.assertEqual(lowest_balance(POSTINGS, "rent"), 0)

    def test_overdrawn(self):
        self.assertEqual(overdrawn(POSTINGS), ["owner"])
