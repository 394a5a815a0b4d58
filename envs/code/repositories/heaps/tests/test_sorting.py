from unittest import TestCase

from heaps.sorting import heap_sorted, merged, running_median, smallest
from heaps.waiting import ends, longest_wait, served

JOBS = [(0, 5), (1, 3), (2, 2), (9, 1)]


class TestSorting(TestCase):
    def test_sorted(self):
        self.assertEqual(heap_sorted([4, 1, 3, 1, 5]), [1, 1, 3, 4, 5])

    def test_reverse(self):
        self.assertEqual(heap_sorted([2, 3, 1], True), [3, 2, 1])

    def test_smallest(self):
        self.assertEqual(smallest([7, 2, 9, 4], 2), [2, 4])

    def test_smallest_of_few(self):
        self.assertEqual(smallest([7], 3), [7])

    def test_merged(self):
        self.assertEqual(merged([[1, 4, 8], [], [2, 3, 9]]), [1, 2, 3, 4, 8, 9])

    def test_median(self):
        self.assertEqual(running_median([5, 1, 9, 2]), [5, 1, 5, 2])


class TestWaiting(TestCase):
    def test_served(self):
        self.assertEqual(served([(1, "ann"), (3, "bob"), (3, "cy"), (2, "di")]), ["bob", "cy", "di", "ann"])

    def test_ends(self):
        self.assertEqual(ends(JOBS), [5, 8, 10, 11])

    def test_two_servers(self):
        self.assertEqual(ends(JOBS, 2), [5, 4, 6, 10])

    def test_wait(self):
        self.assertEqual(longest_wait(JOBS), 6)
