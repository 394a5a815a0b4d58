from unittest import TestCase

from stock.picking import boxes, can_fill, fill, route

STORE = {"nut": [[4, 1], [6, 2]], "bolt": [[3, 5]]}


class TestPicking(TestCase):
    def test_can(self):
        self.assertTrue(can_fill(STORE, {"nut": 10, "bolt": 3}))

    def test_cannot(self):
        self.assertFalse(can_fill(STORE, {"nut": 1, "pin": 1}))

    def test_fill(self):
        self.assertEqual(fill(STORE, {"nut": 5, "bolt": 1}), ({"nut": [[5, 2]], "bolt": [[2, 5]]}, 11))

    def test_fill_too_much(self):
        self.assertRaises(KeyError, fill, STORE, {"bolt": 4})

    def test_route(self):
        self.assertEqual(route(["a", "b", "c", "d"], {"a": 7, "b": 2, "c": 5, "d": 4}, 5), ["c", "a", "d", "b"])

    def test_boxes(self):
        self.assertEqual(boxes([4, 8, 1, 4, 2, 1], 10), 2)

    def test_boxes_for_nothing(self):
        self.assertEqual(boxes([], 10), 0)
