from unittest import TestCase

from formulas.parser import parse
from formulas.tokens import read_name, read_number, tokens


class TestTokens(TestCase):
    def test_tokens(self):
        self.assertEqual(tokens("12*(ab - 3)"), [12, "*", "(", "ab", "-", 3, ")"])

    def test_number_inside(self):
        self.assertEqual(read_number("a120b", 1), (120, 4))

    def test_name_at_the_end(self):
        self.assertEqual(read_name("1+xy", 2), ("xy", 4))

    def test_strange_letter(self):
        self.assertRaises(ValueError, tokens, "1 ? 2")


class TestParser(TestCase):
    def test_precedence(self):
        self.assertEqual(parse("1+2*3"), ("+", 1, ("*", 2, 3)))

    def test_left(self):
        self.assertEqual(parse("9-4-3"), ("-", ("-", 9, 4), 3))

    def test_brackets(self):
        self.assertEqual(parse("(1+2)*3"), ("*", ("+", 1, 2), 3))

    def test_negative(self):
        self.assertEqual(parse("-x*2"), ("*", ("-", 0, "x"), 2))

    def test_open_bracket(self):
        self.assertRaises(ValueError, parse, "(1+2")

    def test_too_much(self):
        self.assertRaises(ValueError, parse, "1 2")

    def test_too_short(self):
        self.assertRaises(ValueError, parse, "1+")
