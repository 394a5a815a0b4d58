from unittest import TestCase

from samples.middles import median_doubled, modes, quantile, trimmed_sum
from samples.spreads import inversions, middle_half, outliers, ranks, spread

VALUES = [7, 1, 4, 9, 4, 2, 30, 5]


class TestMiddles(TestCase):
    def test_odd(self):
        self.assertEqual(median_doubled([9, 1, 5]), 10)

    def test_even(self):
        self.assertEqual(median_doubled([9, 1, 5, 4]), 9)

    def test_no_median(self):
        self.assertRaises(ValueError, median_doubled, [])

    def test_quantile(self):
        self.assertEqual([quantile(VALUES, percent) for percent in (0, 25, 50, 100)], [1, 2, 4, 30])

    def test_modes(self):
        self.assertEqual(modes([3, 1, 3, 2, 1]), [1, 3])

    def test_no_modes(self):
        self.assertEqual(modes([]), [])

    def test_trimmed(self):
        self.assertEqual(trimmed_sum([5, 1, 9, 3]), 8)

    def test_trimmed_to_nothing(self):
        self.assertEqual(trimmed_sum([5, 1, 9, 3], 2), 0)


class TestSpreads(TestCase):
    def test_spread(self):
        self.assertEqual(spread(VALUES), 29)

    def test_no_spread(self):
        self.assertEqual(spread([]), 0)

    def test_half(self):
        self.assertEqual(middle_half(VALUES), 5)

    def test_outliers(self):
        self.assertEqual(outliers(VALUES), [30])

    def test_outliers_low(self):
        self.assertEqual(outliers([-50, 1, 2, 3, 4, 12], 1), [-50, 12])

    def test_ranks(self):
        self.assertEqual(ranks([5, 9, 5, 1]), [2, 1, 2, 4])

    def test_inversions(self):
        self.assertEqual(inversions([3, 1, 2, 2]), 3)
