from unittest import TestCase

from shapes.polygons import doubled_area, hull, inside, is_convex

ARROW = [(0, 0), (4, 0), (2, 1), (2, 4)]


class TestPolygons(TestCase):
    def test_area(self):
        self.assertEqual(doubled_area([(0, 0), (4, 0), (4, 3)]), 12)

    def test_clockwise(self):
        self.assertEqual(doubled_area([(0, 0), (0, 2), (2, 2), (2, 0)]), -8)

    def test_convex(self):
        self.assertTrue(is_convex([(0, 0), (4, 0), (4, 3), (0, 3)]))

    def test_not_convex(self):
        self.assertFalse(is_convex(ARROW))

    def test_inside(self):
        self.assertEqual([inside(point, ARROW) for point in ((1, 1), (3, 3), (3, 2))], [True, False, False])

    def test_border(self):
        self.assertTrue(inside((1, 0), ARROW))

    def test_outside(self):
        self.assertFalse(inside((9, 9), ARROW))

    def test_hull(self):
        self.assertEqual(hull([(0, 0), (4, 0), (2, 1), (4, 4), (0, 4), (2, 0)]), [(0, 0), (4, 0), (4, 4), (0, 4)])

    def test_small_hull(self):
        self.assertEqual(hull([(3, 3), (1, 1), (3, 3)]), [(1, 1), (3, 3)])
