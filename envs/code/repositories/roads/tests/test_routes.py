from unittest import TestCase

from roads.maps import dead_ends, from_roads, route_length
from roads.routes import detour, distances, farthest, shortest_route

ROADS = [("a", "b", 4), ("b", "c", 3), ("a", "c", 9), ("c", "d", 2), ("a", "b", 6)]


class TestMaps(TestCase):
    def test_both_ways(self):
        self.assertEqual(from_roads([("a", "b", 4)]), {"a": {"b": 4}, "b": {"a": 4}})

    def test_one_way(self):
        self.assertEqual(from_roads([("a", "b", 4)], True), {"a": {"b": 4}, "b": {}})

    def test_two_roads(self):
        self.assertEqual(from_roads(ROADS)["a"], {"b": 4, "c": 9})

    def test_negative(self):
        self.assertRaises(ValueError, from_roads, [("a", "b", -1)])

    def test_dead_ends(self):
        self.assertEqual(dead_ends(from_roads(ROADS)), ["d"])

    def test_length(self):
        self.assertEqual(route_length(from_roads(ROADS), ["a", "c", "d"]), 11)

    def test_no_road(self):
        self.assertIsNone(route_length(from_roads(ROADS), ["a", "d"]))


class TestRoutes(TestCase):
    def test_distances(self):
        self.assertEqual(distances(from_roads(ROADS), "a"), {"a": 0, "b": 4, "c": 7, "d": 9})

    def test_route(self):
        self.assertEqual(shortest_route(from_roads(ROADS), "a", "d"), ["a", "b", "c", "d"])

    def test_no_route(self):
        self.assertIsNone(shortest_route(from_roads([("a", "b", 1), ("c", "d", 1)]), "a", "d"))

    def test_detour(self):
        self.assertEqual(detour(from_roads(ROADS), ["a", "c", "d"]), 2)

    def test_farthest(self):
        self.assertEqual(farthest(from_roads(ROADS), "a"), "d")
