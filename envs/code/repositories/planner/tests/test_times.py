from unittest import TestCase

from planner.order import all_needs, ordered, unknown
from planner.times import critical, earliest, latest, total_time

PLAN = {"roof": (3, ["wall"]), "wall": (4, ["base"]), "base": (2, []), "door": (1, ["wall"]), "path": (5, [])}


class TestOrder(TestCase):
    def test_unknown(self):
        self.assertEqual(unknown({"a": (1, ["x", "b"]), "b": (1, ["y"])}), ["x", "y"])

    def test_ordered(self):
        self.assertEqual(ordered(PLAN), ["base", "path", "wall", "door", "roof"])

    def test_circle(self):
        self.assertRaises(ValueError, ordered, {"a": (1, ["b"]), "b": (1, ["a"])})

    def test_needs(self):
        self.assertEqual(all_needs(PLAN, "door"), ["base", "wall"])


class TestTimes(TestCase):
    def test_earliest(self):
        self.assertEqual(earliest(PLAN), {"base": 0, "path": 0, "wall": 2, "door": 6, "roof": 6})

    def test_total(self):
        self.assertEqual(total_time(PLAN), 9)

    def test_total_of_nothing(self):
        self.assertEqual(total_time({}), 0)

    def test_latest(self):
        self.assertEqual(latest(PLAN), {"base": 0, "path": 4, "wall": 2, "door": 8, "roof": 6})

    def test_latest_with_time(self):
        self.assertEqual(latest({"a": (2, []), "b": (3, ["a"])}, 10), {"a": 5, "b": 7})

    def test_critical(self):
        self.assertEqual(critical(PLAN), ["base", "roof", "wall"])
