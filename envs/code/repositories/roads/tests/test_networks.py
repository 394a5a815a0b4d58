from unittest import TestCase

from roads.maps import from_roads
from roads.networks import cheapest_network, parts, within_legs

ROADS = [("a", "b", 4), ("b", "c", 3), ("a", "c", 9), ("c", "d", 2), ("x", "y", 1)]


class TestNetworks(TestCase):
    def test_parts(self):
        self.assertEqual(parts(from_roads(ROADS)), [["a", "b", "c", "d"], ["x", "y"]])

    def test_no_parts(self):
        self.assertEqual(parts({}), [])

    def test_cheapest(self):
        self.assertEqual(cheapest_network(ROADS), 10)

    def test_cheapest_joins_groups(self):
        self.assertEqual(cheapest_network([("a", "b", 1), ("c", "d", 1), ("b", "c", 5), ("a", "d", 6)]), 7)

    def test_legs(self):
        self.assertEqual(within_legs(from_roads(ROADS), "d", 2), ["a", "b", "c"])

    def test_no_legs(self):
        self.assertEqual(within_legs(from_roads(ROADS), "d", 0), [])
