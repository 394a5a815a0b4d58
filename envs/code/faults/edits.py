"""Small edits of a program: faults when applied to a right program, candidate repairs when applied to a faulty one.

An edit replaces a span of the source text, so that comments and layout stay. Most kinds of edit are closed under
inversion: the repair of a fault is again one of :func:`edits`, and looks like any other.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

__all__ = ["OPERATORS", "REMOVALS", "Edit", "apply", "edits", "number_word", "removals"]

# Kinds of edit whose inverse is an edit of the same kind.
OPERATORS = (
    "accumulate", "arithmetic", "bool", "boundary", "branch", "builtin", "compare", "default", "flip", "flow", "index",
    "length", "not", "off-by-one", "swap",
)  # fmt: skip
# Kinds that only remove: their inverse would have to invent text.
REMOVALS = ("call", "else", "guard")

_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_COMPARE = {
    "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "!=", "!=": "==", "in": "not in", "not in": "in",
    "is": "is not", "is not": "is",
}  # fmt: skip
_ARITHMETIC = {"+": "-", "-": "+", "*": "//", "//": "%", "%": "*"}
_BACK = {new: old for old, new in _ARITHMETIC.items() if old not in "+-"}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "list": "sorted"}
_METHODS = {
    "startswith": "endswith", "endswith": "startswith", "isdigit": "isalpha", "isalpha": "isdigit", "add": "discard",
    "discard": "add", "append": "extend", "extend": "append", "items": "values", "values": "items",
}  # fmt: skip
_WORDS = {
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne", "+": "plus", "-": "minus", "*": "times",
    "//": "over", "%": "mod", "/": "by", "+=": "increase", "-=": "decrease", "=": "be",
}  # fmt: skip
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SIGN = re.compile(r"is\s+not\b|not\s+in\b|\bin\b|\bis\b|\band\b|\bor\b|<=|>=|==|!=|\*\*|//|<<|>>|[<>+\-*/%&|^]")


@dataclass(frozen=True)
class Edit:
    """A replacement of text.

    Attributes:
        operator: its kind.
        path: of the file.
        start, end: offsets of the replaced text.
        text: the new text.
        line: number of the line, from 1.
        function: name of the function around it.
        old, new: the change in words, e.g. ("lt",) and ("le",).
    """

    operator: str
    path: str
    start: int
    end: int
    text: str
    line: int
    function: str
    old: tuple[str, ...]
    new: tuple[str, ...]


def apply(source: str, *changes: Edit) -> str:
    """The source after edits of different spans."""
    for change in sorted(changes, key=lambda one: one.start, reverse=True):
        source = source[: change.start] + change.text + source[change.end :]
    return source


def number_word(number: int) -> str:
    """A whole number as a word."""
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else "many"


@lru_cache(maxsize=256)
def edits(path: str, source: str) -> tuple[Edit, ...]:
    """All edits of a module's functions by :data:`OPERATORS`, in order of their place."""
    found = set(_Finder(path, source).found())
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.operator, one.text)))


def removals(path: str, source: str) -> list[Edit]:
    """All removals of guards, calls and else branches of a module's functions, in order of their place."""
    return sorted(_Finder(path, source).removed(), key=lambda one: (one.start, one.operator))


class _Finder:
    """Finds the edits of one module, which is ASCII so that columns are offsets."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source, self.tree = path, source, ast.parse(source)
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def found(self) -> Iterator[Edit]:
        """All edits, some perhaps twice."""
        for function in ast.walk(self.tree):
            if isinstance(function, ast.FunctionDef):
                self.name = function.name
                defaults = {id(node) for value in function.args.defaults for node in ast.walk(value)}
                yield from self._in_body(function, False, defaults)

    def _in_body(self, node: ast.AST, in_loop: bool, defaults: set[int]) -> Iterator[Edit]:
        for child in ast.iter_child_nodes(node):
            yield from self._of(child, in_loop, id(child) in defaults)
            yield from self._in_body(child, in_loop or isinstance(child, ast.For | ast.While), defaults)

    def _of(self, node: ast.AST, in_loop: bool, default: bool) -> Iterator[Edit]:
        match node:
            case ast.Compare(left=left, comparators=[right]):
                yield from self._compare(*self._sign(left, right))
            case ast.Compare(left=left, comparators=[middle, right]):
                yield from self._compare(*self._sign(left, middle))
                yield from self._compare(*self._sign(middle, right))
            case ast.BinOp(left=left, right=right):
                yield from self._arithmetic(node, left, right)
            case ast.BoolOp(values=values):
                for first, second in pairwise(values):
                    start, end, sign = self._sign(first, second)
                    yield self._edit("bool", start, end, {"and": "or", "or": "and"}[sign])
            case ast.Constant(value=bool(value)):
                yield self._edit("default" if default else "flip", *self._span(node), str(not value))
            case ast.Constant(value=int(value)) if value >= 0:
                for other in (value - 1, value + 1):
                    if other >= 0:
                        word = number_word(other)
                        word = ("less" if other < value else "more") if word == "many" else word
                        kind = "default" if default else "off-by-one"
                        yield self._edit(kind, *self._span(node), str(other), number_word(value), word)
            case ast.AugAssign(target=target, value=value, op=ast.Add() | ast.Sub()):
                start, end = self._span(target)[1], self._span(value)[0]
                sign = self.source[start:end].strip()
                start += self.source[start:end].index(sign)
                if sign in ("+=", "-="):
                    yield self._edit("accumulate", start, start + 2, "-=" if sign == "+=" else "+=")
                if sign == "+=":
                    yield self._edit("accumulate", start, start + 2, "=")
            case ast.Assign(targets=[ast.Name() as target], value=value) if in_loop:
                start, end = self._span(target)[1], self._span(value)[0]
                if self.source[start:end].strip() == "=":
                    start += self.source[start:end].index("=")
                    yield self._edit("accumulate", start, start + 1, "+=")
            case ast.Break() | ast.Continue():
                start, end = self._span(node)
                yield self._edit("flow", start, end, "continue" if isinstance(node, ast.Break) else "break")
            case ast.IfExp(body=body, orelse=other):
                yield from self._exchanged("branch", node, body, other)
            case ast.Call(args=[ast.expr() as first, ast.expr() as second, *_]) if not _starred(first, second):
                yield from self._exchanged("swap", node, first, second)
            case ast.Subscript(slice=ast.Constant(value=0) as place):
                yield self._edit("index", *self._span(place), "-1", "first", "last")
            case ast.Subscript(slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)) as place):
                yield self._edit("index", *self._span(place), "0", "last", "first")
        yield from self._more(node)

    def _more(self, node: ast.AST) -> Iterator[Edit]:
        """Edits of nodes that may have one of the others as well."""
        match node:
            case ast.Call(func=ast.Name(id=name) as called) if name in _NAMES:
                yield self._edit("builtin", *self._span(called), _NAMES[name])
            case ast.Call(func=ast.Attribute(attr=name) as called) if name in _METHODS:
                end = self._span(called)[1]
                yield self._edit("builtin", end - len(name), end, _METHODS[name])
            case ast.Call(func=ast.Name(id="len")):
                end = self._span(node)[1]
                yield self._edit("length", end, end, " - 1", "length", "less")
            case ast.BinOp(left=ast.Call(func=ast.Name(id="len")) as call, op=ast.Sub(), right=ast.Constant(value=1)):
                yield self._edit("length", self._span(call)[1], self._span(node)[1], "", "less", "length")
        tests: list[ast.expr] = []
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            tests = [node.test]
        elif isinstance(node, ast.comprehension):
            tests = node.ifs
        for test in tests:
            start, _ = self._span(test)
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
                yield self._edit("not", start, self._span(test.operand)[0], "", "not", "so")
            elif not isinstance(test, ast.BoolOp) and self.source[start - 1] == " ":
                yield self._edit("not", start, start, "not ", "so", "not")

    def removed(self) -> Iterator[Edit]:
        """All removals."""
        for function in ast.walk(self.tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            self.name = function.name
            for node in ast.walk(function):
                for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
                    if isinstance(body, list) and len(body) > 1:
                        for statement in body:
                            yield from self._removed(statement)
                if isinstance(node, ast.If) and node.orelse and not isinstance(node.orelse[0], ast.If):
                    start = self.source.rindex("else", 0, self._span(node.orelse[0])[0])
                    start = self.source.rindex("\n", 0, start)
                    yield self._edit("else", start, self._span(node.orelse[-1])[1], "", "else", "nothing")

    def _removed(self, statement: ast.stmt) -> Iterator[Edit]:
        start, end = self._span(statement)
        start = self.source.rindex("\n", 0, start)
        match statement:
            case ast.If(body=[ast.Return() | ast.Raise() | ast.Continue()], orelse=[]):
                yield self._edit("guard", start, end, "", "guard", "nothing")
            case ast.Expr(value=ast.Call()):
                yield self._edit("call", start, end, "", "call", "nothing")

    def _compare(self, start: int, end: int, sign: str) -> Iterator[Edit]:
        for operator, table in (("boundary", _BOUNDARY), ("compare", _COMPARE)):
            if sign in table:
                yield self._edit(operator, start, end, table[sign])

    def _arithmetic(self, node: ast.BinOp, left: ast.expr, right: ast.expr) -> Iterator[Edit]:
        start, end, sign = self._sign(left, right)
        for table in (_ARITHMETIC, _BACK):
            if sign in table:
                yield self._edit("arithmetic", start, end, table[sign])
        if sign in ("-", "/", "//", "%"):
            yield from self._exchanged("swap", node, left, right)

    def _exchanged(self, operator: str, node: ast.AST, first: ast.expr, second: ast.expr) -> Iterator[Edit]:
        (start, middle), (after, end) = self._span(first), self._span(second)
        one, other = self.source[start:middle], self.source[after:end]
        if one != other and start < after:
            text = other + self.source[middle:after] + one
            word = operator if operator == "branch" else "order"
            yield self._edit(operator, start, end, text, word, "turned")

    def _sign(self, left: ast.expr, right: ast.expr) -> tuple[int, int, str]:
        """Start, end and text of the operator between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        sign = _SIGN.search(self.source, start, end)
        if sign is None:
            return start, start, ""
        return sign.start(), sign.end(), " ".join(sign.group().split())

    def _span(self, node: ast.AST) -> tuple[int, int]:
        at: ast.expr = node  # type: ignore[assignment]
        assert at.end_lineno is not None
        assert at.end_col_offset is not None
        return self.lines[at.lineno - 1] + at.col_offset, self.lines[at.end_lineno - 1] + at.end_col_offset

    def _edit(self, operator: str, start: int, end: int, text: str, old: str = "", new: str = "") -> Edit:
        before = " ".join(self.source[start:end].split())
        line = self.source.count("\n", 0, start if operator not in REMOVALS else start + 1) + 1
        words = tuple((old or _WORDS.get(before, before)).lower().split())
        others = tuple((new or _WORDS.get(text, text)).lower().split())
        return Edit(operator, self.path, start, end, text, line, self.name, words, others)


def _starred(*values: ast.expr) -> bool:
    return any(isinstance(value, ast.Starred) for value in values)
