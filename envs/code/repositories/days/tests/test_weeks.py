from unittest import TestCase

from days.weeks import is_working_day, nth_weekday, weekday, working_days


class TestWeeks(TestCase):
    def test_weekday(self):
        self.assertEqual(weekday((2024, 2, 29)), 3)

    def test_sunday(self):
        self.assertFalse(is_working_day((2024, 3, 3)))

    def test_friday(self):
        self.assertTrue(is_working_day((2024, 3, 1)))

    def test_holiday(self):
        self.assertFalse(is_working_day((2024, 3, 1), [(2024, 3, 1)]))

    def test_working_days(self):
        self.assertEqual(working_days((2024, 2, 29), 3, [(2024, 3, 4)]), (2024, 3, 6))

    def test_no_working_days(self):
        self.assertEqual(working_days((2024, 3, 3), 0), (2024, 3, 3))

    def test_nth(self):
        self.assertEqual(nth_weekday(2024, 5, 0, 4), (2024, 5, 27))

    def test_no_fifth(self):
        self.assertIsNone(nth_weekday(2024, 2, 4, 5))
