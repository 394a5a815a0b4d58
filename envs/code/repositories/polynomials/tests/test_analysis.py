from unittest import TestCase

from polynomials.analysis import degree, sign_changes, slope, value_at, whole_roots
from polynomials.division import divided, multiplicity, text_of


class TestAnalysis(TestCase):
    def test_value(self):
        self.assertEqual(value_at([1, 2, 3], 2), 17)

    def test_degree(self):
        self.assertEqual(degree([1, 0, 4, 0]), 2)

    def test_degree_of_zero(self):
        self.assertEqual(degree([]), -1)

    def test_slope(self):
        self.assertEqual(slope([7, 3, 5]), [3, 10])

    def test_roots(self):
        self.assertEqual(whole_roots([-100, 0, 1]), [-10, 10])

    def test_sign_changes(self):
        self.assertEqual(sign_changes([1, 0, -2, -3, 4]), 2)

    def test_divided(self):
        self.assertEqual(divided([-6, 11, -6, 1], 1), ([6, -5, 1], 0))

    def test_remainder(self):
        self.assertEqual(divided([1, 1], 2), ([1], 3))

    def test_multiplicity(self):
        self.assertEqual(multiplicity([1, -2, 1, 0], 1), 2)

    def test_text(self):
        self.assertEqual(text_of([4, -1, 0, 2]), "2x3 + -1x + 4")

    def test_text_of_zero(self):
        self.assertEqual(text_of([]), "0")
