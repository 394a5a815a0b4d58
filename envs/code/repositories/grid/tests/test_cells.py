from unittest import TestCase

from grid.cells import at, distance, inside, neighbours

ROWS = ["ab.", "#.c"]


class TestCells(TestCase):
    def test_inside(self):
        self.assertTrue(inside(ROWS, (0, 0)))

    def test_below(self):
        self.assertFalse(inside(ROWS, (2, 0)))

    def test_right_of_it(self):
        self.assertFalse(inside(ROWS, (1, 3)))

    def test_at(self):
        self.assertEqual(at(ROWS, (1, 2)), "c")

    def test_at_outside(self):
        self.assertEqual(at(ROWS, (-1, 0)), "#")

    def test_four_neighbours(self):
        self.assertEqual(neighbours((1, 1)), [(0, 1), (1, 0), (1, 2), (2, 1)])

    def test_eight_neighbours(self):
        self.assertEqual(len(neighbours((5, 5), True)), 8)

    def test_distance(self):
        self.assertEqual(distance((1, 5), (4, 3)), 5)
