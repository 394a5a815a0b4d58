from unittest import TestCase

from matrices.pictures import best_path, saddle_points, spiral, turned


class TestPictures(TestCase):
    def test_turned(self):
        self.assertEqual(turned([[1, 2], [3, 4]]), [[3, 1], [4, 2]])

    def test_turned_back(self):
        self.assertEqual(turned([[1, 2], [3, 4]], -1), [[2, 4], [1, 3]])

    def test_spiral(self):
        self.assertEqual(spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), [1, 2, 3, 6, 9, 8, 7, 4, 5])

    def test_path(self):
        self.assertEqual(best_path([[1, 3, 1], [1, 5, 1], [4, 2, 1]]), 7)

    def test_short_path(self):
        self.assertEqual(best_path([[7]]), 7)

    def test_saddle_points(self):
        self.assertEqual(saddle_points([[9, 8, 7], [5, 3, 2], [6, 6, 7]]), [(1, 0)])
