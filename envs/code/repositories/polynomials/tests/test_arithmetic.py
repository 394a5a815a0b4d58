from unittest import TestCase

from polynomials.arithmetic import added, multiplied, power_of, trimmed


class TestArithmetic(TestCase):
    def test_trimmed(self):
        self.assertEqual(trimmed([0, 2, 0, 0]), [0, 2])

    def test_trimmed_zero(self):
        self.assertEqual(trimmed([0]), [])

    def test_sum(self):
        self.assertEqual(added([1, 2], [3, -2, 5]), [4, 0, 5])

    def test_difference(self):
        self.assertEqual(added([1, 2, 3], [1, 1, 3], -1), [0, 1])

    def test_product(self):
        self.assertEqual(multiplied([1, 1], [-1, 1]), [-1, 0, 1])

    def test_product_with_zero(self):
        self.assertEqual(multiplied([], [1, 2]), [])

    def test_power(self):
        self.assertEqual(power_of([1, 1], 3), [1, 3, 3, 1])

    def test_power_zero(self):
        self.assertEqual(power_of([5, 5], 0), [1])

    def test_negative_power(self):
        self.assertRaises(ValueError, power_of, [1], -1)
