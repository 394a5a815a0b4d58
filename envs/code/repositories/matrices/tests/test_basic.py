from unittest import TestCase

from matrices.basic import identity, power, product, shape, transposed
from matrices.determinants import determinant, is_symmetric, minor, trace


class TestBasic(TestCase):
    def test_shape(self):
        self.assertEqual(shape([[1, 2, 3], [4, 5, 6]]), (2, 3))

    def test_ragged(self):
        self.assertRaises(ValueError, shape, [[1, 2], [3]])

    def test_identity(self):
        self.assertEqual(identity(2), [[1, 0], [0, 1]])

    def test_transposed(self):
        self.assertEqual(transposed([[1, 2, 3], [4, 5, 6]]), [[1, 4], [2, 5], [3, 6]])

    def test_product(self):
        self.assertEqual(product([[1, 2], [3, 4]], [[5, 6], [7, 8]]), [[19, 22], [43, 50]])

    def test_product_of_misfits(self):
        self.assertRaises(ValueError, product, [[1, 2]], [[1, 2]])

    def test_power(self):
        self.assertEqual(power([[1, 1], [1, 0]], 6), [[13, 8], [8, 5]])


class TestDeterminants(TestCase):
    def test_minor(self):
        self.assertEqual(minor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 1, 0), [[2, 3], [8, 9]])

    def test_two(self):
        self.assertEqual(determinant([[3, 5], [1, 4]]), 7)

    def test_three(self):
        self.assertEqual(determinant([[2, 0, 1], [1, 3, 2], [1, 1, 4]]), 18)

    def test_not_square(self):
        self.assertRaises(ValueError, determinant, [[1, 2]])

    def test_symmetric(self):
        self.assertTrue(is_symmetric([[1, 2], [2, 5]]))

    def test_not_symmetric(self):
        self.assertFalse(is_symmetric([[1, 2, 3], [2, 5, 6], [3, 7, 9]]))

    def test_trace(self):
        self.assertEqual(trace([[1, 2], [3, 4]]), 5)

    def test_upper_trace(self):
        self.assertEqual(trace([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 1), 8)
