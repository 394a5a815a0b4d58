from unittest import TestCase

from library.queues import expected_days, join, most_wanted, next_member, position

QUEUES = {"emma": ["bob", "cy"], "faust": [], "medea": ["ann", "bob", "di"]}
LOANS = {"emma": ("ann", 10), "romola": ("bob", 4)}


class TestQueues(TestCase):
    def test_join(self):
        self.assertEqual(join({"emma": ["bob"]}, "emma", "di"), {"emma": ["bob", "di"]})

    def test_join_new(self):
        self.assertEqual(join({}, "emma", "di"), {"emma": ["di"]})

    def test_join_twice(self):
        self.assertEqual(join({"emma": ["bob"]}, "emma", "bob"), {"emma": ["bob"]})

    def test_next(self):
        self.assertEqual(next_member(QUEUES, "emma", LOANS, 7), "cy")

    def test_nobody(self):
        self.assertIsNone(next_member(QUEUES, "faust", LOANS, 7))

    def test_position(self):
        self.assertEqual([position(QUEUES, "emma", name) for name in ("bob", "cy", "ann")], [1, 2, 0])

    def test_wanted(self):
        self.assertEqual(most_wanted(QUEUES, 5), ["medea", "emma"])

    def test_most_wanted(self):
        self.assertEqual(most_wanted(QUEUES), ["medea"])

    def test_expected(self):
        self.assertEqual(expected_days(QUEUES, LOANS, "emma", 7, "cy"), 17)

    def test_expected_late(self):
        self.assertEqual(expected_days(QUEUES, LOANS, "emma", 12, "bob"), 0)

    def test_not_waiting(self):
        self.assertIsNone(expected_days(QUEUES, LOANS, "emma", 7, "ann"))
