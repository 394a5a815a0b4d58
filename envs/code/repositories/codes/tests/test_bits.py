from unittest import TestCase

from codes.bits import corrected, differences, gray, hamming, parity, with_parity


class TestBits(TestCase):
    def test_parity(self):
        self.assertEqual(parity([1, 0, 1, 1]), 1)

    def test_with_parity(self):
        self.assertEqual(with_parity([1, 0, 0]), [1, 0, 0, 1])

    def test_differences(self):
        self.assertEqual(differences([1, 0, 1, 1], [1, 1, 0, 1]), 2)

    def test_different_lengths(self):
        self.assertRaises(ValueError, differences, [1], [1, 0])

    def test_hamming(self):
        self.assertEqual(hamming([1, 0, 1, 1]), [0, 1, 1, 0, 0, 1, 1])

    def test_right_word(self):
        self.assertEqual(corrected([0, 1, 1, 0, 0, 1, 1]), [1, 0, 1, 1])

    def test_wrong_word(self):
        self.assertEqual(corrected([0, 1, 1, 0, 1, 1, 1]), [1, 0, 1, 1])

    def test_wrong_check(self):
        self.assertEqual(corrected([1, 1, 1, 0, 0, 1, 1]), [1, 0, 1, 1])

    def test_gray(self):
        self.assertEqual([gray(number) for number in range(5)], [0, 1, 3, 2, 6])
