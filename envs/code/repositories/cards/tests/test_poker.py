from unittest import TestCase

from cards.poker import better, is_flush, is_straight, kind, rank_counts


def hand(text):
    return [("..23456789TJQKA".index(card[0]), card[1]) for card in text.split()]


class TestPoker(TestCase):
    def test_counts(self):
        self.assertEqual(rank_counts(hand("3s 9h 3d 9c Ks")), [(2, 9), (2, 3), (1, 13)])

    def test_flush(self):
        self.assertTrue(is_flush(hand("2s 9s 3s Ts Ks")))

    def test_no_flush(self):
        self.assertFalse(is_flush(hand("2s 9s 3s Ts Kh")))

    def test_straight(self):
        self.assertTrue(is_straight(hand("5s 3h 4d 6c 7s")))

    def test_low_straight(self):
        self.assertTrue(is_straight(hand("5s 3h 4d 2c As")))

    def test_no_straight(self):
        self.assertFalse(is_straight(hand("5s 3h 4d 6c 8s")))

    def test_kinds(self):
        hands = ["2s 4h 6d 8c Ks", "2s 2h 6d 8c Ks", "2s 2h 6d 6c Ks", "2s 2h 2d 8c Ks"]
        self.assertEqual([kind(hand(text)) for text in hands], [0, 1, 2, 3])

    def test_high_kinds(self):
        hands = ["2s 2h 2d 8c 8s", "2s 2h 2d 2c Ks", "2s 3s 4s 5s 6s", "2s 3s 4s 5s 7s"]
        self.assertEqual([kind(hand(text)) for text in hands], [6, 7, 8, 5])

    def test_better_pair(self):
        self.assertEqual(better(hand("9s 9h 2d 3c 4s"), hand("8s 8h Ad Kc Qs")), 1)

    def test_equal(self):
        self.assertEqual(better(hand("9s 9h 2d 3c 4s"), hand("9d 9c 2h 3s 4c")), 0)

    def test_worse(self):
        self.assertEqual(better(hand("2s 4h 6d 8c Ks"), hand("2s 2h 6d 8c Ks")), -1)
