from unittest import TestCase

from scoring.bowling import frame_score, frame_starts, game_score, strikes


class TestBowling(TestCase):
    def test_starts(self):
        self.assertEqual(frame_starts([3, 4, 10, 5, 5, 1, 2]), [0, 2, 3, 5])

    def test_ten_frames(self):
        self.assertEqual(frame_starts([10] * 12), list(range(10)))

    def test_open_frame(self):
        self.assertEqual(frame_score([3, 4, 5], 0), 7)

    def test_spare(self):
        self.assertEqual(frame_score([6, 4, 5, 1], 0), 15)

    def test_strike(self):
        self.assertEqual(frame_score([1, 2, 10, 3, 4], 2), 17)

    def test_perfect(self):
        self.assertEqual(game_score([10] * 12), 300)

    def test_game(self):
        self.assertEqual(game_score([5, 5, 3, 0] + [1] * 16), 32)

    def test_strikes(self):
        self.assertEqual(strikes([10, 0, 10, 10, 1, 2]), 2)
