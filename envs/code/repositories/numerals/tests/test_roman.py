from unittest import TestCase

from numerals.checks import divisor, isbn_check, luhn, reduced
from numerals.roman import from_roman, is_roman, to_roman


class TestRoman(TestCase):
    def test_to(self):
        self.assertEqual(to_roman(1994), "MCMXCIV")

    def test_to_largest(self):
        self.assertEqual(to_roman(3999), "MMMCMXCIX")

    def test_to_zero(self):
        self.assertRaises(ValueError, to_roman, 0)

    def test_from(self):
        self.assertEqual(from_roman("XLVII"), 47)

    def test_right(self):
        self.assertTrue(is_roman("XIV"))

    def test_wrong(self):
        self.assertFalse(is_roman("IIII"))

    def test_no_numeral(self):
        self.assertFalse(is_roman("XAV"))


class TestChecks(TestCase):
    def test_luhn(self):
        self.assertTrue(luhn(79927398713))

    def test_bad_luhn(self):
        self.assertFalse(luhn(79927398710))

    def test_isbn(self):
        self.assertEqual(isbn_check([0, 3, 0, 6, 4, 0, 6, 1, 5]), 2)

    def test_divisor(self):
        self.assertEqual(divisor(84, 36), 12)

    def test_reduced(self):
        self.assertEqual(reduced(6, -8), (-3, 4))

    def test_no_fraction(self):
        self.assertRaises(ZeroDivisionError, reduced, 1, 0)
