from unittest import TestCase

from intervals.basic import contains, length, overlap, shifted
from intervals.sets import common, covered, gaps, merged


class TestBasic(TestCase):
    def test_length(self):
        self.assertEqual(length((2, 7)), 5)

    def test_length_of_nothing(self):
        self.assertEqual(length((7, 2)), 0)

    def test_contains(self):
        self.assertTrue(contains((2, 5), 2))

    def test_end_is_outside(self):
        self.assertFalse(contains((2, 5), 5))

    def test_overlap(self):
        self.assertEqual(overlap((1, 5), (3, 9)), (3, 5))

    def test_touching(self):
        self.assertIsNone(overlap((1, 3), (3, 5)))

    def test_shifted(self):
        self.assertEqual(shifted((4, 6), -3), (1, 3))

    def test_not_below_zero(self):
        self.assertEqual(shifted((1, 4), -3), (0, 3))


class TestSets(TestCase):
    def test_merged(self):
        self.assertEqual(merged([(5, 7), (1, 3), (3, 4), (6, 9), (8, 8)]), [(1, 4), (5, 9)])

    def test_merged_inside(self):
        self.assertEqual(merged([(1, 9), (2, 3)]), [(1, 9)])

    def test_covered(self):
        self.assertEqual(covered([(0, 4), (2, 6), (10, 11)]), 7)

    def test_gaps(self):
        self.assertEqual(gaps([(2, 4), (6, 7)], 0, 10), [(0, 2), (4, 6), (7, 10)])

    def test_no_gap(self):
        self.assertEqual(gaps([(0, 5)], 1, 5), [])

    def test_common(self):
        self.assertEqual(common([(0, 5), (8, 12)], [(3, 9)]), [(3, 5), (8, 9)])
