from unittest import TestCase

from days.calendar import day_of_year, is_date, is_leap, month_length
from days.counting import age, day_number, days_between, leap_days, moved


class TestCalendar(TestCase):
    def test_leap(self):
        self.assertEqual([is_leap(year) for year in (2000, 1900, 2024, 2023)], [True, False, True, False])

    def test_length(self):
        self.assertEqual(month_length(2023, 4), 30)

    def test_february(self):
        self.assertEqual(month_length(2024, 2), 29)

    def test_no_month(self):
        self.assertRaises(ValueError, month_length, 2024, 13)

    def test_date(self):
        self.assertTrue(is_date(2023, 12, 31))

    def test_no_date(self):
        self.assertFalse(is_date(2023, 2, 29))

    def test_day_of_year(self):
        self.assertEqual(day_of_year((2024, 3, 1)), 61)


class TestCounting(TestCase):
    def test_number(self):
        self.assertEqual(day_number((1, 1, 1)), 1)

    def test_between(self):
        self.assertEqual(days_between((2023, 12, 25), (2024, 3, 2)), 68)

    def test_centuries(self):
        self.assertEqual(days_between((1899, 12, 31), (2001, 1, 1)), 36891)

    def test_moved(self):
        self.assertEqual(moved((2023, 11, 30), 63), (2024, 2, 1))

    def test_age(self):
        self.assertEqual(age((2000, 5, 20), (2024, 5, 19)), 23)

    def test_birthday(self):
        self.assertEqual(age((2000, 5, 20), (2024, 5, 20)), 24)

    def test_leap_days(self):
        self.assertEqual(leap_days(1896, 1904), 2)
