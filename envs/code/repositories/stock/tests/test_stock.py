from unittest import TestCase

from stock.batches import average_price, receive, take, units_in
from stock.orders import days_left, reorder_level, to_order, urgent


class TestBatches(TestCase):
    def test_receive(self):
        self.assertEqual(receive([[5, 10]], 3, 12), [[5, 10], [3, 12]])

    def test_same_price(self):
        self.assertEqual(receive([[5, 10]], 3, 10), [[8, 10]])

    def test_receive_nothing(self):
        self.assertRaises(ValueError, receive, [], 0, 10)

    def test_units(self):
        self.assertEqual(units_in([[5, 10], [3, 12]]), 8)

    def test_take(self):
        self.assertEqual(take([[5, 10], [3, 12]], 6), ([[2, 12]], 62))

    def test_take_all(self):
        self.assertEqual(take([[5, 10]], 5), ([], 50))

    def test_take_too_many(self):
        self.assertRaises(ValueError, take, [[5, 10]], 6)

    def test_average(self):
        self.assertEqual(average_price([[1, 10], [3, 20]]), 17)

    def test_average_of_nothing(self):
        self.assertIsNone(average_price([]))


class TestOrders(TestCase):
    def test_level(self):
        self.assertEqual(reorder_level(4, 5, 3), 23)

    def test_order(self):
        self.assertEqual(to_order(10, 14, 4), 8)

    def test_order_at_the_level(self):
        self.assertEqual(to_order(5, 5), 1)

    def test_enough(self):
        self.assertEqual(to_order(15, 14, 4), 0)

    def test_days(self):
        self.assertEqual(days_left(17, 5), 3)

    def test_urgent(self):
        self.assertEqual(urgent({"a": 9, "b": 2, "c": 50, "d": 1}, {"a": 3, "b": 1, "c": 5}, 3), ["b", "a"])
