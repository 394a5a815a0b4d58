"""Lines of programs as words of a small, closed vocabulary."""

import ast
import re
from collections.abc import Collection

from agentgym.envs.code.faults.edits import number_word

__all__ = ["KEPT", "LINE_WORDS", "LOCALS", "line_words", "local_names"]

LOCALS = tuple(f"v{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
MOST = 24  # words of a line

# Names that stay as they are, in lower case: keywords, built-in functions, methods.
_KEPT = (
    "if elif else for in while return not and or is none true false break continue raise len min max sum sorted any "
    "all range enumerate zip list dict set int str abs reversed isinstance tuple append extend add discard pop get "
    "items values keys index count startswith endswith isdigit isalpha isalnum lower join setdefault update reverse key"
)
KEPT = frozenset(_KEPT.split())
_SIGNS = {
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne", "+": "plus", "-": "minus", "*": "times",
    "//": "over", "%": "mod", "/": "by", "+=": "increase", "-=": "decrease", "=": "be", "[": "at", "**": "power",
    "|": "join", "&": "meet", "^": "xor", "<<": "shift", ">>": "shift", "|=": "update",
}  # fmt: skip
_PART = re.compile(r"\"[^\"]*\"|'[^']*'|\.?[A-Za-z_]\w*|\d+|[<>=!+\-*/%|&^]=|//=?|\*\*|<<|>>|[<>+\-*/%|&^=\[]")
LINE_WORDS = tuple(
    sorted({*KEPT, *LOCALS, *_SIGNS.values(), *map(number_word, range(12)), "text", "error", "const", "attr", "name"})
)


def local_names(function: ast.FunctionDef) -> dict[str, str]:
    """A function's own names, numbered in order of appearance: va, vb, ..."""
    found: dict[str, None] = dict.fromkeys(argument.arg for argument in function.args.args)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id)
    order = sorted(found, key=lambda name: list(found).index(name))
    return {name: LOCALS[min(number, len(LOCALS) - 1)] for number, name in enumerate(order)}


def line_words(line: str, own: dict[str, str], functions: Collection[str]) -> list[str]:
    """The words of a line; functions of the repository are marked ``@name``."""
    found = []
    for part in _PART.findall(line.split("  # ")[0]):
        if part[0] in "\"'":
            word = "text"
        elif part.isdigit():
            word = number_word(int(part))
        elif part[0] == ".":
            word = part[1:] if part[1:] in KEPT else "attr"
        elif part[0].isalpha() or part[0] == "_":
            word = _named(part, own, functions)
        else:
            word = _SIGNS.get(part, "")
        if word:
            found.append(word)
    return found[:MOST]


def _named(name: str, own: dict[str, str], functions: Collection[str]) -> str:
    if name in own:
        return own[name]
    if name in functions:
        return f"@{name}"
    if name.lower() in KEPT:
        return name.lower()
    if name.endswith("Error"):
        return "error"
    return "const" if name.isupper() else "name"
