from unittest import TestCase

from formulas.parser import parse
from formulas.values import depth, evaluate, names_in, show


class TestValues(TestCase):
    def test_value(self):
        self.assertEqual(evaluate(parse("2+3*4-10/5")), 12)

    def test_names(self):
        self.assertEqual(evaluate(parse("a*(b-1)"), {"a": 3, "b": 5}), 12)

    def test_unknown_name(self):
        self.assertRaises(KeyError, evaluate, parse("a"))

    def test_division(self):
        self.assertEqual(evaluate(("/", 7, 2)), 3)

    def test_names_in(self):
        self.assertEqual(names_in(parse("b*(a+b)-2")), ["a", "b"])

    def test_depth(self):
        self.assertEqual(depth(parse("1+2*3")), 2)

    def test_depth_of_number(self):
        self.assertEqual(depth(7), 0)

    def test_show(self):
        self.assertEqual(show(parse("1+2*x")), "1+(2*x)")
