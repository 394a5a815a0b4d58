from unittest import TestCase

from samples.windows import best_stretch, calm_windows, histogram, moving_sums, peaks


class TestWindows(TestCase):
    def test_histogram(self):
        self.assertEqual(histogram([0, 4, 5, 14, 3], 5), [3, 1, 1])

    def test_histogram_from(self):
        self.assertEqual(histogram([1, 2, 3, 7], 2, 2), [2, 0, 1])

    def test_moving(self):
        self.assertEqual(moving_sums([1, 5, 2, 4], 2), [6, 7, 6])

    def test_whole_window(self):
        self.assertEqual(moving_sums([1, 5], 2), [6])

    def test_too_large(self):
        self.assertEqual(moving_sums([1, 5], 3), [])

    def test_calm(self):
        self.assertEqual(calm_windows([1, 2, 9, 8, 7], 2, 1), [0, 2, 3])

    def test_stretch(self):
        self.assertEqual(best_stretch([2, -3, 4, -1, 3, -9, 5]), 6)

    def test_no_stretch(self):
        self.assertEqual(best_stretch([-2, -1]), 0)

    def test_peaks(self):
        self.assertEqual(peaks([1, 3, 2, 2, 5, 5, 1, 4]), [1])

    def test_peak_at_the_end(self):
        self.assertEqual(peaks([5, 1, 4, 1]), [2])
