from unittest import TestCase

from library.fines import fine, fines_of, reminders, renewed
from library.loans import borrow, give_back, may_borrow, overdue

LOANS = {"emma": ("ann", 10), "ivanhoe": ("ann", 6), "faust": ("bob", 8), "medea": ("cy", 12)}


class TestLoans(TestCase):
    def test_may(self):
        self.assertTrue(may_borrow(LOANS, "bob", 8))

    def test_overdue_blocks(self):
        self.assertFalse(may_borrow(LOANS, "bob", 9))

    def test_too_many(self):
        self.assertFalse(may_borrow(LOANS, "ann", 1, 2))

    def test_borrow(self):
        self.assertEqual(borrow({}, "emma", "ann", 3), {"emma": ("ann", 17)})

    def test_book_is_out(self):
        self.assertRaises(ValueError, borrow, LOANS, "emma", "cy", 3)

    def test_no_permission(self):
        self.assertRaises(PermissionError, borrow, LOANS, "romola", "bob", 30)

    def test_back(self):
        self.assertEqual(give_back({"a": ("x", 1), "b": ("y", 2)}, "a"), {"b": ("y", 2)})

    def test_back_twice(self):
        self.assertRaises(KeyError, give_back, {}, "a")

    def test_overdue(self):
        self.assertEqual(overdue(LOANS, 10), ["ivanhoe", "faust"])


class TestFines(TestCase):
    def test_grace(self):
        self.assertEqual(fine(10, 12), 0)

    def test_fine(self):
        self.assertEqual(fine(10, 13), 60)

    def test_most(self):
        self.assertEqual(fine(10, 99), 500)

    def test_of_member(self):
        self.assertEqual(fines_of(LOANS, "ann", 13), 200)

    def test_renewed(self):
        self.assertEqual(renewed({"a": ("x", 10)}, "a", 11), {"a": ("x", 25)})

    def test_others_wait(self):
        self.assertEqual(renewed({"a": ("x", 10)}, "a", 8, ["a"]), {"a": ("x", 10)})

    def test_reminders(self):
        self.assertEqual(reminders(LOANS, 8), {"ann": ["emma"], "bob": ["faust"]})
