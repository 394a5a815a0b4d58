from unittest import TestCase

from shapes.boxes import area, box_of, common_box, covered_area, holds
from shapes.points import between, nearest, squared_distance, turn


class TestPoints(TestCase):
    def test_left(self):
        self.assertEqual(turn((0, 0), (4, 1), (1, 3)), 11)

    def test_straight(self):
        self.assertEqual(turn((0, 0), (2, 1), (6, 3)), 0)

    def test_distance(self):
        self.assertEqual(squared_distance((1, 5), (4, 1)), 25)

    def test_nearest(self):
        self.assertEqual(nearest((0, 0), [(3, 3), (0, 2), (2, 0)]), (0, 2))

    def test_nearest_of_none(self):
        self.assertIsNone(nearest((0, 0), []))

    def test_between(self):
        self.assertTrue(between((2, 1), (0, 0), (4, 2)))

    def test_beyond(self):
        self.assertFalse(between((6, 3), (0, 0), (4, 2)))

    def test_beside(self):
        self.assertFalse(between((2, 2), (0, 0), (4, 2)))


class TestBoxes(TestCase):
    def test_box(self):
        self.assertEqual(box_of([(3, 1), (0, 5), (2, 2)]), (0, 1, 3, 5))

    def test_margin(self):
        self.assertEqual(box_of([(3, 1)], 2), (1, -1, 5, 3))

    def test_area(self):
        self.assertEqual(area((0, 1, 3, 5)), 12)

    def test_empty(self):
        self.assertEqual(area((3, 5, 0, 1)), 0)

    def test_common(self):
        self.assertEqual(common_box((0, 0, 4, 4), (2, 1, 6, 3)), (2, 1, 4, 3))

    def test_covered(self):
        self.assertEqual(covered_area((0, 0, 4, 4), (2, 1, 6, 3)), 20)

    def test_holds(self):
        self.assertTrue(holds((0, 0, 4, 4), (4, 0)))

    def test_holds_not(self):
        self.assertFalse(holds((0, 0, 4, 4), (2, 5)))
