from unittest import TestCase

from intervals.rooms import busiest, first_slot, is_free, rooms_needed


class TestRooms(TestCase):
    def test_free(self):
        self.assertTrue(is_free([(1, 3), (5, 8)], (3, 5)))

    def test_not_free(self):
        self.assertFalse(is_free([(1, 3), (5, 8)], (4, 6)))

    def test_rooms_needed(self):
        self.assertEqual(rooms_needed([(1, 4), (2, 5), (3, 6), (5, 7)]), 3)

    def test_one_after_the_other(self):
        self.assertEqual(rooms_needed([(1, 2), (2, 3)]), 1)

    def test_first_slot(self):
        self.assertEqual(first_slot([(0, 2), (3, 8)], 2), (8, 10))

    def test_exact_slot(self):
        self.assertEqual(first_slot([(2, 8)], 2), (0, 2))

    def test_no_slot(self):
        self.assertIsNone(first_slot([(1, 23)], 2))

    def test_busiest(self):
        self.assertEqual(busiest({"b": [(0, 3)], "a": [(1, 2)], "c": [(5, 8)]}), "b")

    def test_no_rooms(self):
        self.assertIsNone(busiest({}))
