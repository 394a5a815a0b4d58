from unittest import TestCase

from cards.blackjack import card_value, dealer_hand, hand_value, outcome
from cards.whist import allowed, beats, trick_winner, tricks_won


class TestBlackjack(TestCase):
    def test_card_values(self):
        self.assertEqual([card_value((rank, "s")) for rank in (7, 10, 12, 14)], [7, 10, 10, 11])

    def test_hand(self):
        self.assertEqual(hand_value([(14, "s"), (14, "h"), (9, "s")]), 21)

    def test_black_jack(self):
        self.assertEqual(hand_value([(14, "s"), (13, "h")]), 21)

    def test_two_aces(self):
        self.assertEqual(hand_value([(14, "s"), (14, "h"), (13, "s"), (13, "h")]), 22)

    def test_dealer(self):
        self.assertEqual(len(dealer_hand([(10, "s"), (2, "s")], [(4, "h"), (3, "h"), (9, "h")])), 4)

    def test_dealer_stands(self):
        self.assertEqual(len(dealer_hand([(10, "s"), (7, "s")], [(4, "h")])), 2)

    def test_win(self):
        self.assertEqual(outcome([(10, "s"), (9, "s")], [(10, "h"), (8, "h")]), 1)

    def test_both_over(self):
        over = [(10, "s"), (9, "s"), (8, "s")]
        self.assertEqual(outcome(over, over), -1)

    def test_draw(self):
        self.assertEqual(outcome([(10, "s"), (9, "s")], [(10, "h"), (9, "h")]), 0)


class TestWhist(TestCase):
    def test_allowed(self):
        self.assertEqual(allowed([(3, "s"), (5, "h"), (9, "s")], "s"), [(3, "s"), (9, "s")])

    def test_anything(self):
        self.assertEqual(allowed([(3, "s"), (5, "h")], "d"), [(3, "s"), (5, "h")])

    def test_beats(self):
        self.assertTrue(beats((9, "s"), (7, "s")))

    def test_trump(self):
        self.assertTrue(beats((2, "h"), (14, "s"), "h"))

    def test_other_suit(self):
        self.assertFalse(beats((14, "d"), (7, "s"), "h"))

    def test_winner(self):
        self.assertEqual(trick_winner([(9, "s"), (11, "s"), (14, "d"), (2, "s")]), 1)

    def test_winner_in_circle(self):
        self.assertEqual(trick_winner([(9, "s"), (11, "s"), (14, "d"), (2, "h")], "h", 2), 1)

    def test_tricks(self):
        tricks = [[(9, "s"), (11, "s")], [(3, "h"), (2, "h")], [(4, "d"), (5, "d")]]
        self.assertEqual(tricks_won(tricks), [1, 2])
