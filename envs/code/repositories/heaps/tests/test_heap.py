from unittest import TestCase

from heaps.heap import is_heap, pop, push, sink


class TestHeap(TestCase):
    def test_push(self):
        heap = [2, 5, 3]
        push(heap, 1)
        self.assertEqual(heap, [1, 2, 3, 5])

    def test_push_large(self):
        heap = [2]
        push(heap, 9)
        self.assertEqual(heap, [2, 9])

    def test_pop(self):
        heap = [1, 4, 2, 5, 8, 3]
        self.assertEqual(pop(heap), 1)
        self.assertEqual(heap, [2, 4, 3, 5, 8])

    def test_pop_empty(self):
        self.assertRaises(IndexError, pop, [])

    def test_sink(self):
        values = [9, 4, 2, 5, 6, 3]
        sink(values, 0)
        self.assertEqual(values, [2, 4, 3, 5, 6, 9])

    def test_is_heap(self):
        self.assertTrue(is_heap([1, 2, 1, 4]))

    def test_is_no_heap(self):
        self.assertFalse(is_heap([1, 3, 2, 2]))
