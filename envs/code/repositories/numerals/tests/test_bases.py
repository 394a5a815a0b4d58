from unittest import TestCase

from numerals.bases import digit_sum, digits, is_palindrome, number_of


class TestBases(TestCase):
    def test_digits(self):
        self.assertEqual(digits(205), [2, 0, 5])

    def test_binary(self):
        self.assertEqual(digits(10, 2), [1, 0, 1, 0])

    def test_zero(self):
        self.assertEqual(digits(0, 2), [0])

    def test_bad_base(self):
        self.assertRaises(ValueError, digits, 5, 1)

    def test_number(self):
        self.assertEqual(number_of([2, 0, 5]), 205)

    def test_bad_digit(self):
        self.assertRaises(ValueError, number_of, [1, 2], 2)

    def test_sum(self):
        self.assertEqual(digit_sum(947), 20)

    def test_palindrome(self):
        self.assertTrue(is_palindrome(9, 2))

    def test_no_palindrome(self):
        self.assertFalse(is_palindrome(122))
