from unittest import TestCase

from grid.paths import nearest, reachable, steps
from grid.regions import border_length, count_regions, region

MAP = ["aab", "abb", "cca"]
MAZE = ["..#.", ".##.", "...."]


class TestRegions(TestCase):
    def test_region(self):
        self.assertEqual(region(MAP, (0, 0)), [(0, 0), (0, 1), (1, 0)])

    def test_count(self):
        self.assertEqual(count_regions(MAP, "a"), 2)

    def test_count_none(self):
        self.assertEqual(count_regions(MAP, "z"), 0)

    def test_border(self):
        self.assertEqual(border_length(MAP, (2, 0)), 6)


class TestPaths(TestCase):
    def test_steps(self):
        self.assertEqual(steps(MAZE, (0, 0), (0, 3)), 7)

    def test_no_step(self):
        self.assertEqual(steps(MAZE, (1, 0), (1, 0)), 0)

    def test_no_way(self):
        self.assertIsNone(steps([".#.", "###", "..."], (0, 0), (2, 0)))

    def test_reachable(self):
        self.assertEqual(reachable(MAZE, (0, 0), 2), 4)

    def test_nearest(self):
        self.assertEqual(nearest(MAZE, (2, 1), [(0, 3), (0, 0), (2, 3)]), (2, 3))

    def test_nearest_of_none(self):
        self.assertIsNone(nearest(MAZE, (0, 0), []))
